"""The paper's three domains on real processes: what happened is counted in the providers' database, nowhere else."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agentroute import Agent, RunResult
from graphs import moderation, support, travel
from graphs.moderation import agent as moderation_agent
from graphs.moderation.demo import CLASSIFIERS
from graphs.providers.supervisor import Providers
from graphs.support import agent as support_agent
from graphs.travel import agent as travel_agent
from graphs.travel.demo import TRIP
from tests.blows import STANDING, Blow, dies_when_asked, hit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop for the long lists; `test_on_trio_too` has the other."""
    return "asyncio"


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario: what breaks, what is asked, and what must be true at the end.

    Attributes:
        down: Providers that are dead from the start.
        blows: Providers that die on the way.
        rows: Standing effects by table, as the providers that made them; tables not named must be empty.
    """

    name: str
    outcome: str
    goal: str
    rows: Mapping[str, Sequence[str]]
    down: Sequence[str] = ()
    blows: Sequence[Blow] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])


def providers_of(domain: str, factory: pytest.TempPathFactory) -> Iterator[Providers]:
    with Providers(domain, factory.mktemp(domain) / "truth.db") as providers:
        yield providers


@pytest.fixture(scope="module")
def support_providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    yield from providers_of("support", tmp_path_factory)


@pytest.fixture(scope="module")
def travel_providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    yield from providers_of("travel", tmp_path_factory)


@pytest.fixture(scope="module")
def moderation_providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Providers]:
    yield from providers_of("moderation", tmp_path_factory)


def fresh(providers: Providers) -> Providers:
    """The same processes, whole again, with nothing on record."""
    providers.heal()
    providers.reset()
    return providers


async def play(providers: Providers, agent: Agent, case: Case) -> RunResult:
    """Break what the case breaks, run, and hold the end against the database."""
    hit(providers, case.down, case.blows)
    result = await agent.run(inputs=case.inputs)
    assert (result.outcome, result.goal) == (case.outcome, case.goal)
    tables = {"support": SUPPORT_TABLES, "travel": TRAVEL_TABLES, "moderation": MODERATION_TABLES}[providers.domain]
    assert {table: makers(providers, table) for table in tables} == {t: sorted(case.rows.get(t, ())) for t in tables}
    assert result.llm_calls == 0
    return result


def makers(providers: Providers, table: str) -> list[str]:
    return sorted(row["provider"] for row in providers.rows(table) if row["status"] in STANDING)


# ------------------------------------------------------------------ customer support

SUPPORT_TABLES = ("refunds", "credits", "notices", "queued_notices")
ORDER = {"order_id": "1042"}
LARGE = {"order_id": "2001"}
NOTIFIED, QUEUED, CREDITED = "refunded-and-notified", "refunded-notice-queued", "credit-promised"
PAY = "POST /refunds"

SUPPORT = [
    Case("S1", "succeeded", NOTIFIED, {"refunds": ["stripe"], "notices": ["email"]}, inputs=ORDER),
    Case("S2", "succeeded", NOTIFIED, {"refunds": ["razorpay"], "notices": ["email"]}, down=["stripe"], inputs=ORDER),
    Case(
        "S2, mid-run",
        "succeeded",
        NOTIFIED,
        {"refunds": ["razorpay"], "notices": ["email"]},
        blows=[Blow("stripe", by="crm", endpoint="GET /orders/{id}")],
        inputs=ORDER,
    ),
    Case(
        "S3",
        "demoted",
        CREDITED,
        {"credits": ["store-credit"], "notices": ["email"]},
        down=["stripe", "razorpay"],
        inputs=ORDER,
    ),
    Case("S4", "escalated", NOTIFIED, {}, inputs=LARGE),
    Case(
        "S5",
        "succeeded",
        NOTIFIED,
        {"refunds": ["stripe"], "notices": ["sms"]},
        blows=[Blow("email", by="stripe", endpoint=PAY)],
        inputs=ORDER,
    ),
    Case(
        "S6", "demoted", QUEUED, {"refunds": ["stripe"], "queued_notices": ["crm"]}, down=["email", "sms"], inputs=ORDER
    ),
    Case(
        "S7",
        "demoted",
        QUEUED,
        {"refunds": ["razorpay"], "queued_notices": ["crm"]},
        down=["stripe", "email", "sms"],
        inputs=ORDER,
    ),
    Case(
        "the answer of the refund is lost",
        "succeeded",
        NOTIFIED,
        {"refunds": ["stripe"], "notices": ["email"]},
        blows=[Blow("stripe", by="stripe", endpoint=PAY, how="cut")],
        inputs=ORDER,
    ),
    Case(
        "the request for the refund is lost",
        "succeeded",
        NOTIFIED,
        {"refunds": ["razorpay"], "notices": ["email"]},
        blows=[Blow("stripe", by="stripe", endpoint=PAY, moment="arrives", how="cut")],
        inputs=ORDER,
    ),
    Case(
        "stripe dies with the request in its hands: nobody can know",
        "escalated",
        NOTIFIED,
        {},
        blows=[Blow("stripe", by="stripe", endpoint=PAY, moment="arrives")],
        inputs=ORDER,
    ),
    Case(
        "stripe dies with the refund made: nobody can know, and nobody refunds again",
        "escalated",
        NOTIFIED,
        {"refunds": ["stripe"]},
        blows=[Blow("stripe", by="stripe", endpoint=PAY)],
        inputs=ORDER,
    ),
    Case(
        "refunded, and then nobody can be told or asked: the refund is taken back before a person starts anew",
        "escalated",
        NOTIFIED,
        {},
        down=["email", "sms"],
        blows=[Blow("crm", by="stripe", endpoint=PAY)],
        inputs=ORDER,
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize("case", SUPPORT, ids=lambda case: case.name)
async def test_support(support_providers: Providers, case: Case) -> None:
    providers = fresh(support_providers)
    result = await play(providers, support_agent.build_agent(providers.urls), case)
    refunds = providers.rows("refunds")
    assert {row["amount_cents"] for row in refunds} <= {8640}
    assert {row["run_id"] for row in refunds} <= {result.run_id}
    if case.name.startswith("S2"):
        assert (result.retries, result.reroutes) == (0, 1)


@pytest.mark.anyio
async def test_a_large_refund_is_made_once_a_person_has_cleared_it(support_providers: Providers) -> None:
    providers = fresh(support_providers)
    case = Case(
        "S4, answered",
        "succeeded",
        NOTIFIED,
        {"refunds": ["stripe"], "notices": ["email"]},
        inputs={**LARGE, "Clearance": support_agent.Clearance(by="dana")},
    )
    await play(providers, support_agent.build_agent(providers.urls), case)
    assert [row["amount_cents"] for row in providers.rows("refunds")] == [1500000]


@pytest.mark.anyio
async def test_a_provider_that_hangs_and_comes_back_late_has_refunded_once(support_providers: Providers) -> None:
    providers = fresh(support_providers)
    providers.arm("stripe", by="stripe", endpoint=PAY, moment="arrives", how="hang")
    agent = support_agent.build_agent(providers.urls)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wake_later, providers, "stripe")
        await agent.run(inputs=ORDER)
    assert len(makers(providers, "refunds")) == 1
    assert len(makers(providers, "notices")) == 1


@pytest.mark.anyio
async def test_many_runs_at_once_and_stripe_dies_among_them(support_providers: Providers) -> None:
    providers = fresh(support_providers)
    providers.arm("stripe", by="stripe", endpoint=PAY, moment="done")
    agent = support_agent.build_agent(providers.urls)
    results: list[RunResult] = []

    async def one() -> None:
        results.append(await agent.run(inputs=ORDER))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)
    told = [row["run_id"] for row in providers.rows("notices")]
    paid = [row["run_id"] for row in providers.rows("refunds") if row["status"] in STANDING]
    for result in results:
        assert paid.count(result.run_id) <= 1
        if result.outcome == "succeeded":
            assert (paid.count(result.run_id), told.count(result.run_id)) == (1, 1)
        else:
            assert (result.outcome, told.count(result.run_id)) == ("escalated", 0)
            assert "may have happened" in result.reason


async def wake_later(providers: Providers, name: str) -> None:
    await anyio.sleep(support_agent.TIMEOUT_S + 0.3)
    providers.cont(name)


# ------------------------------------------------------------------ travel

TRAVEL_TABLES = ("flights", "hotels", "cars", "confirmations")
FULL, STAY, FLIGHT = "full-trip", "flight-and-hotel", "flight-only"


def trip(budget_usd: int = 1500) -> dict[str, Any]:
    return {"Trip": {**TRIP, "budget_cents": budget_usd * 100}}


def booked(*providers: str) -> dict[str, list[str]]:
    """Rows by table, from the names of the providers."""
    tables = {"flight": "flights", "hotel": "hotels", "car": "cars", "mail": "confirmations", "sms": "confirmations"}
    return {tables[name.split("-")[0]]: [name] for name in providers}


TRAVEL = [
    Case("T1", "succeeded", FULL, booked("flight-a", "hotel-a", "car-a", "mail"), inputs=trip()),
    Case("T2", "succeeded", FULL, booked("flight-b", "hotel-a", "car-a", "mail"), down=["flight-a"], inputs=trip()),
    Case(
        "T3",
        "succeeded",
        FULL,
        booked("flight-b", "hotel-b", "car-a", "mail"),
        down=["flight-a", "hotel-a"],
        inputs=trip(),
    ),
    Case("T4", "escalated", FULL, {}, inputs=trip(1000)),
    Case("T4, not even the flight", "escalated", FULL, {}, inputs=trip(200)),
    Case(
        "T5",
        "demoted",
        FLIGHT,
        booked("flight-a", "mail"),
        down=["hotel-a", "hotel-b", "car-a", "car-b"],
        inputs=trip(),
    ),
    Case(
        "T6",
        "succeeded",
        FULL,
        booked("flight-b", "hotel-b", "car-a", "sms"),
        down=["flight-a", "hotel-a", "mail"],
        inputs=trip(),
    ),
    Case("no car", "demoted", STAY, booked("flight-a", "hotel-a", "mail"), down=["car-a", "car-b"], inputs=trip()),
    Case(
        "hotel dies when the flight is booked",
        "succeeded",
        FULL,
        booked("flight-a", "hotel-b", "car-a", "mail"),
        blows=[Blow("hotel-a", by="flight-a", endpoint="POST /flights")],
        inputs=trip(),
    ),
    Case(
        "both hotels die when the flight is booked",
        "demoted",
        FLIGHT,
        booked("flight-a", "mail"),
        blows=[Blow(hotel, by="flight-a", endpoint="POST /flights") for hotel in ("hotel-a", "hotel-b")],
        inputs=trip(),
    ),
    Case(
        "the answer of a booking is lost",
        "succeeded",
        FULL,
        booked("flight-a", "hotel-a", "car-a", "mail"),
        blows=[Blow(f"{x}-a", by=f"{x}-a", endpoint=f"POST /{x}s", how="cut") for x in ("flight", "hotel", "car")],
        inputs=trip(),
    ),
    Case(
        "the other hotel is too dear for what is left of the budget",
        "demoted",
        FLIGHT,
        booked("flight-a", "mail"),
        blows=[Blow("hotel-a", by="flight-a", endpoint="POST /flights")],
        inputs=trip(1085),
    ),
    Case(
        "nobody can be told of anything: what was booked is cancelled before a person starts anew",
        "escalated",
        FULL,
        {},
        down=["mail", "sms"],
        inputs=trip(),
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize("case", TRAVEL, ids=lambda case: case.name)
async def test_travel(travel_providers: Providers, case: Case) -> None:
    providers = fresh(travel_providers)
    await play(providers, travel_agent.build_agent(providers.urls), case)
    flights, hotels, cars = (
        [row for row in providers.rows(table) if row["status"] in STANDING] for table in ("flights", "hotels", "cars")
    )
    for flight, hotel in zip(flights, hotels, strict=False):
        assert (hotel["check_in"], hotel["check_out"]) == (flight["lands"], flight["returns"])
    for hotel, car in zip(hotels, cars, strict=False):
        assert (car["pick_up"], car["deliver_to"]) == (hotel["check_in"], hotel["name"])
    spent = sum(row["price_cents"] for row in (*flights, *hotels, *cars))
    assert spent <= case.inputs["Trip"]["budget_cents"]
    for confirmation in providers.rows("confirmations"):
        assert confirmation["text"].count("#") == len(flights) + len(hotels) + len(cars)


@pytest.mark.anyio
async def test_a_flight_that_lands_a_day_later_moves_hotel_and_car(travel_providers: Providers) -> None:
    providers = fresh(travel_providers)
    providers.arm("flight-a", by="car-a", endpoint="GET /offers/cars", moment="done")  # priced, and then gone
    await travel_agent.build_agent(providers.urls).run(inputs=trip())
    assert [row["check_in"] for row in providers.rows("hotels")] == ["2027-03-02"]
    assert [row["pick_up"] for row in providers.rows("cars")] == ["2027-03-02"]


@pytest.mark.anyio
async def test_above_the_budget_no_provider_is_even_asked_to_book(travel_providers: Providers) -> None:
    providers = fresh(travel_providers)
    await travel_agent.build_agent(providers.urls).run(inputs=trip(1000))
    assert {call["endpoint"] for call in providers.rows("calls")} == {
        "GET /offers/flights",
        "GET /offers/hotels",
        "GET /offers/cars",
    }


# ------------------------------------------------------------------ moderation

MODERATION_TABLES = ("classifications", "verdicts", "holds")
VERDICT, DEGRADED, HELD = "verdict", "degraded-verdict", "held-for-review"
POST, THREAT = {"post_id": "p1"}, {"post_id": "p3"}


def heard(*classifiers: str, then: str) -> dict[str, list[str]]:
    return {"classifications": list(classifiers), then: ["queue"]}


MODERATION = [
    Case("M1", "succeeded", VERDICT, heard("image", "text", "history", then="verdicts"), inputs=POST),
    Case("M2", "demoted", DEGRADED, heard("text", "history", then="verdicts"), down=["image"], inputs=POST),
    Case("M3", "escalated", VERDICT, {"classifications": ["image", "text", "history"]}, inputs=THREAT),
    Case(
        "M4",
        "demoted",
        DEGRADED,
        heard("toxicity", "spam", then="verdicts"),
        down=["image", "text", "history"],
        inputs=POST,
    ),
    Case(
        "M5",
        "demoted",
        DEGRADED,
        heard("history", "toxicity", then="verdicts"),
        blows=dies_when_asked("image", "text", "spam"),
        inputs=POST,
    ),
    Case(
        "M6",
        "demoted",
        HELD,
        heard("spam", then="holds"),
        down=["image", "text", "history", "toxicity"],
        inputs=POST,
    ),
    Case(
        "M6, mid-run",
        "demoted",
        HELD,
        heard("history", then="holds"),
        blows=dies_when_asked("image", "text", "spam", "toxicity"),
        inputs=POST,
    ),
    Case("all classifiers down", "demoted", HELD, {"holds": ["queue"]}, down=CLASSIFIERS, inputs=POST),
    Case(
        "a threat that only a secondary check can see",
        "demoted",
        HELD,
        heard("history", "toxicity", then="holds"),
        down=["image", "text", "spam"],
        inputs=THREAT,
    ),
]


@pytest.mark.anyio
@pytest.mark.parametrize("case", MODERATION, ids=lambda case: case.name)
async def test_moderation(moderation_providers: Providers, case: Case) -> None:
    providers = fresh(moderation_providers)
    await play(providers, moderation_agent.build_agent(providers.urls), case)
    spoken = {f"{row['provider'].title()}Signal" for row in providers.rows("classifications")}
    for verdict in providers.rows("verdicts"):
        signals, missing = set(json.loads(verdict["signals"])), set(json.loads(verdict["missing"]))
        assert len(signals) >= 2
        assert signals == spoken
        assert missing == {"ImageSignal", "TextSignal", "HistorySignal"} - signals
        assert verdict["kind"] == ("full" if not missing else "degraded")
    async with httpx.AsyncClient(trust_env=False) as http:
        post = (await http.get(providers.url("queue") + f"/posts/{case.inputs['post_id']}")).json()
    assert post["state"] == ("shown" if "verdicts" in case.rows else "held")


@pytest.mark.anyio
async def test_a_bad_post_is_removed(moderation_providers: Providers) -> None:
    providers = fresh(moderation_providers)
    await moderation_agent.build_agent(providers.urls).run(inputs={"post_id": "p2"})
    assert [row["action"] for row in providers.rows("verdicts")] == ["removed"]


# ------------------------------------------------------------------ on another event loop, without servers, as programs


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_too(moderation_providers: Providers, anyio_backend: str) -> None:
    providers = fresh(moderation_providers)
    await play(providers, moderation_agent.build_agent(providers.urls), MODERATION[4])


@pytest.mark.parametrize(
    ("agent", "length"),
    [(support_agent.agent, 4), (travel_agent.agent, 8), (moderation_agent.agent, 4)],
    ids=["support", "travel", "moderation"],
)
def test_a_plan_needs_no_server(agent: Agent, length: int) -> None:
    plan = agent.plan()
    assert plan.feasible
    assert plan.optimal
    assert len(plan.tools) == length


@pytest.mark.parametrize(
    ("domain", "kills", "says"),
    [
        (support, ["stripe@after-lookup", "email@after-refund"], ["succeeded", "refunds: 1", "provider razorpay"]),
        (travel, ["hotel-a@after-flight"], ["succeeded", "hotels: 1", "provider hotel-b"]),
        (moderation, ["image@image"], ["demoted", "verdicts: 1", "kind degraded"]),
    ],
    ids=["support", "travel", "moderation"],
)
def test_the_demonstration_tells_what_happened(domain: Any, kills: list[str], says: list[str]) -> None:
    command = [sys.executable, "-m", f"{domain.__name__}.demo"]
    for kill in kills:
        command += ["--kill", kill]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    for words in says:
        assert words in done.stdout


@pytest.mark.parametrize(("order", "status"), [("1042", 0), ("2001", 4)])
def test_the_command_line_finds_the_providers(support_providers: Providers, order: str, status: int) -> None:
    providers = fresh(support_providers)
    command = [Path(sys.executable).with_name("agentroute"), "run", "graphs/support/agent.py:agent", "--json"]
    command += ["--input", f'order_id="{order}"']
    addresses = {"SUPPORT_PROVIDERS": json.dumps(dict(providers.urls))}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **addresses}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status, done.stderr
    assert len(makers(providers, "refunds")) == (status == 0)


# ------------------------------------------------------------------ the providers themselves


def refund(url: str, key: str, cents: int = 8640) -> httpx.Response:
    body = {"order_id": "1042", "amount_cents": cents}
    return httpx.post(f"{url}/refunds", json=body, headers={"Idempotency-Key": key, "X-Run-Id": "r"}, trust_env=False)


def test_a_repeated_key_returns_the_first_answer_and_adds_no_row(support_providers: Providers) -> None:
    providers = fresh(support_providers)
    first, second, other = (refund(providers.url("stripe"), key) for key in ("k1", "k1", "k2"))
    assert first.json() == second.json() != other.json()
    assert [row["key"] for row in providers.rows("refunds")] == ["k1", "k2"]
    assert refund(providers.url("stripe"), "k1", 100).status_code == 409
    assert refund(providers.url("stripe"), "k3", 8641).status_code == 422


def test_a_provider_that_ignores_keys_repeats_the_effect(tmp_path: Path) -> None:
    with Providers("support", tmp_path / "truth.db", ignore_keys=["stripe"]) as providers:
        for provider in ("stripe", "razorpay"):
            refund(providers.url(provider), "k")
            refund(providers.url(provider), "k")
        assert makers(providers, "refunds") == ["razorpay", "stripe", "stripe"]


def test_a_killed_provider_refuses_and_comes_back_at_its_address(support_providers: Providers) -> None:
    providers = fresh(support_providers)
    providers.kill("stripe")
    with pytest.raises(httpx.ConnectError):
        refund(providers.url("stripe"), "k")
    providers.start("stripe")
    assert refund(providers.url("stripe"), "k").status_code == 200


def test_a_stopped_provider_holds_up_no_other(support_providers: Providers) -> None:
    providers = fresh(support_providers)
    providers.stop("stripe")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(providers.url("stripe") + "/refunds?key=k", timeout=0.2, trust_env=False)
    assert refund(providers.url("razorpay"), "k").status_code == 200
    providers.cont("stripe")
    assert refund(providers.url("stripe"), "k").status_code == 200


ABANDON = """
import sys, time
from pathlib import Path
from graphs.providers.supervisor import Providers
providers = Providers("support", Path(sys.argv[1])).__enter__()
providers.stop("stripe")
print(*(url.rpartition(":")[2] for url in providers.urls.values()), flush=True)
time.sleep(60)
"""


def test_providers_end_with_whoever_started_them_stopped_ones_too(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ABANDON, str(tmp_path / "truth.db")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        ports = [int(port) for port in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert len(ports) == 6
    give_up = time.monotonic() + 10
    while any(listens(port) for port in ports):
        assert time.monotonic() < give_up, "providers outlived their parent"
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Whether anybody does; the system accepts connections for a process that is stopped."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
