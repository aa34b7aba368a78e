"""What the static workflow and the ReAct loop really reach in the paper's 19 scenarios, counted in the database."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langgraph", reason="the systems that agentroute is compared with are built on langgraph")

from agentroute import ConfigurationError
from agentroute.testing.model_server import ModelServer, Reply, Script
from agentroute.testing.scenario.testbed import Claim
from graphs.contenders import make_contender, model_script
from graphs.contenders.client import Client
from graphs.providers.supervisor import Providers
from graphs.travel.demo import TRIP
from tests.blows import STANDING, Blow, dies_when_asked, hit

ROOT = Path(__file__).resolve().parents[2]

TABLES = {
    "support": ("refunds", "credits", "notices", "queued_notices"),
    "travel": ("flights", "hotels", "cars", "confirmations"),
    "moderation": ("verdicts", "holds"),
}

NOTIFIED, QUEUED, CREDITED = "refunded-and-notified", "refunded-notice-queued", "credit-promised"
FULL, STAY, FLIGHT = "full-trip", "flight-and-hotel", "flight-only"
VERDICT, DEGRADED, HELD = "verdict", "degraded-verdict", "held-for-review"
BEST = {"support": NOTIFIED, "travel": FULL, "moderation": VERDICT}

End = tuple[str, Mapping[str, Sequence[str]]]
"""An outcome, and standing effects by table; see `facts`."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """What langgraph runs on."""
    return "asyncio"


@pytest.fixture(scope="module")
def providers_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Providers]]:
    folder = tmp_path_factory.mktemp("contenders")
    with (
        Providers("support", folder / "support.db") as support,
        Providers("travel", folder / "travel.db") as travel,
        Providers("moderation", folder / "moderation.db") as moderation,
    ):
        yield {"support": support, "travel": travel, "moderation": moderation}


@dataclass(frozen=True, slots=True)
class Reached:
    """What a system comes to: what it claims, whether that is an end that is right, and what it took."""

    outcome: str
    goal: str
    right: bool
    tool_calls: int
    llm_calls: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario.

    Attributes:
        ends: Ends that are right, by the paper's scenarios as we hold them.
        static: What the static workflow comes to.
        react: What the ReAct loop comes to.
        down: Providers that are dead from the start.
        blows: Providers that die on the way.
    """

    name: str
    domain: str
    ends: Sequence[End]
    static: Reached
    react: Reached
    down: Sequence[str] = ()
    blows: Sequence[Blow] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])


def order(number: str = "1042") -> dict[str, Any]:
    return {"order_id": number}


def trip(budget_usd: int = 1500) -> dict[str, Any]:
    return {"Trip": {**TRIP, "budget_cents": budget_usd * 100}}


def post(name: str = "p1") -> dict[str, Any]:
    return {"post_id": name}


def booked(*providers: str) -> dict[str, list[str]]:
    """Rows by table, from the names of the providers."""
    tables = {"flight": "flights", "hotel": "hotels", "car": "cars", "mail": "confirmations", "sms": "confirmations"}
    return {tables[name.split("-")[0]]: [name] for name in providers}


def paid(*, notice: str, by: str = "stripe") -> dict[str, list[str]]:
    return {"refunds": [by], "notices": [notice]}


def queued(*, by: str = "stripe") -> dict[str, list[str]]:
    return {"refunds": [by], "queued_notices": ["crm"]}


def judged(kind: str, *heard: str) -> dict[str, list[str]]:
    return {"verdicts": [f"{kind} from {' '.join(sorted(heard))}"]}


ALL_HOTELS_AND_CARS = ["hotel-a", "hotel-b", "car-a", "car-b"]

CASES = [
    Case(
        "S1",
        "support",
        [("succeeded", paid(notice="email"))],
        static=Reached("succeeded", NOTIFIED, right=True, tool_calls=3),
        react=Reached("succeeded", NOTIFIED, right=True, tool_calls=3, llm_calls=4),
        inputs=order(),
    ),
    Case(
        "S2",
        "support",
        [("succeeded", paid(by="razorpay", notice="email"))],
        static=Reached("succeeded", NOTIFIED, right=True, tool_calls=4),
        react=Reached("succeeded", NOTIFIED, right=True, tool_calls=4, llm_calls=5),
        down=["stripe"],
        inputs=order(),
    ),
    Case(
        "S3",
        "support",
        [("demoted", {"credits": ["store-credit"], "notices": ["email"]}), ("escalated", {"notices": ["email"]})],
        static=Reached("escalated", NOTIFIED, right=True, tool_calls=4),
        react=Reached("demoted", CREDITED, right=True, tool_calls=5, llm_calls=6),
        down=["stripe", "razorpay"],
        inputs=order(),
    ),
    Case(
        "S4",
        "support",
        [("escalated", {})],
        static=Reached("escalated", NOTIFIED, right=True, tool_calls=1),
        react=Reached("escalated", NOTIFIED, right=True, tool_calls=1, llm_calls=2),
        inputs=order("2001"),
    ),
    Case(
        "S5",
        "support",
        [("succeeded", paid(notice="sms"))],
        static=Reached("succeeded", NOTIFIED, right=True, tool_calls=4),
        react=Reached("succeeded", NOTIFIED, right=True, tool_calls=4, llm_calls=5),
        blows=[Blow("email", by="stripe", endpoint="POST /refunds")],
        inputs=order(),
    ),
    Case(
        "S6",
        "support",
        [("demoted", queued())],
        static=Reached("escalated", NOTIFIED, right=False, tool_calls=4),
        react=Reached("demoted", QUEUED, right=True, tool_calls=5, llm_calls=6),
        down=["email", "sms"],
        inputs=order(),
    ),
    Case(
        "S7",
        "support",
        [("demoted", queued(by="razorpay"))],
        static=Reached("escalated", NOTIFIED, right=False, tool_calls=5),
        react=Reached("demoted", QUEUED, right=True, tool_calls=6, llm_calls=7),
        down=["stripe", "email", "sms"],
        inputs=order(),
    ),
    Case(
        "T1",
        "travel",
        [("succeeded", booked("flight-a", "hotel-a", "car-a", "mail"))],
        static=Reached("succeeded", FULL, right=True, tool_calls=7),
        react=Reached("succeeded", FULL, right=True, tool_calls=7, llm_calls=8),
        inputs=trip(),
    ),
    Case(
        "T2",
        "travel",
        [("succeeded", booked("flight-b", "hotel-a", "car-a", "mail"))],
        static=Reached("succeeded", FULL, right=True, tool_calls=9),
        react=Reached("succeeded", FULL, right=True, tool_calls=9, llm_calls=10),
        down=["flight-a"],
        inputs=trip(),
    ),
    Case(
        "T3",
        "travel",
        [("succeeded", booked("flight-b", "hotel-b", "car-a", "mail"))],
        static=Reached("succeeded", FULL, right=True, tool_calls=11),
        react=Reached("succeeded", FULL, right=True, tool_calls=11, llm_calls=12),
        down=["flight-a", "hotel-a"],
        inputs=trip(),
    ),
    Case(
        "T4",
        "travel",
        [("escalated", {})],
        static=Reached("escalated", FULL, right=True, tool_calls=3),
        react=Reached("escalated", FULL, right=True, tool_calls=3, llm_calls=4),
        inputs=trip(1000),
    ),
    Case(
        "T5",
        "travel",
        [("demoted", booked("flight-a", "mail"))],
        static=Reached("escalated", FULL, right=False, tool_calls=3),
        react=Reached("demoted", FLIGHT, right=True, tool_calls=5, llm_calls=6),
        down=ALL_HOTELS_AND_CARS,
        inputs=trip(),
    ),
    Case(
        "T6",
        "travel",
        [("succeeded", booked("flight-b", "hotel-b", "car-a", "sms"))],
        static=Reached("succeeded", FULL, right=True, tool_calls=12),
        react=Reached("succeeded", FULL, right=True, tool_calls=12, llm_calls=13),
        down=["flight-a", "hotel-a", "mail"],
        inputs=trip(),
    ),
    Case(
        "M1",
        "moderation",
        [("succeeded", judged("full", "Image", "Text", "History"))],
        static=Reached("succeeded", VERDICT, right=True, tool_calls=4),
        react=Reached("succeeded", VERDICT, right=True, tool_calls=4, llm_calls=3),
        inputs=post(),
    ),
    Case(
        "M2",
        "moderation",
        [("demoted", judged("degraded", "Text", "History"))],
        static=Reached("demoted", DEGRADED, right=True, tool_calls=4),
        react=Reached("demoted", DEGRADED, right=True, tool_calls=4, llm_calls=3),
        down=["image"],
        inputs=post(),
    ),
    Case(
        "M3",
        "moderation",
        [("escalated", {})],
        static=Reached("escalated", VERDICT, right=True, tool_calls=3),
        react=Reached("escalated", VERDICT, right=True, tool_calls=3, llm_calls=2),
        inputs=post("p3"),
    ),
    Case(
        "M4",
        "moderation",
        [("demoted", judged("degraded", "Toxicity", "Spam"))],
        static=Reached("demoted", DEGRADED, right=True, tool_calls=6),
        react=Reached("demoted", DEGRADED, right=True, tool_calls=6, llm_calls=4),
        down=["image", "text", "history"],
        inputs=post(),
    ),
    Case(
        "M5",
        "moderation",
        [("demoted", judged("degraded", "History", "Toxicity"))],
        static=Reached("demoted", DEGRADED, right=True, tool_calls=9),
        react=Reached("demoted", DEGRADED, right=True, tool_calls=9, llm_calls=6),
        blows=dies_when_asked("image", "text", "spam"),
        inputs=post(),
    ),
    Case(
        "M6",
        "moderation",
        [("demoted", {"holds": ["queue"]})],
        static=Reached("demoted", HELD, right=True, tool_calls=6),
        react=Reached("demoted", HELD, right=True, tool_calls=6, llm_calls=4),
        down=["image", "text", "history", "toxicity"],
        inputs=post(),
    ),
]

FURTHER = [
    Case(
        "a large refund that a person has cleared",
        "support",
        [("succeeded", paid(notice="email"))],
        static=Reached("succeeded", NOTIFIED, right=True, tool_calls=3),
        react=Reached("succeeded", NOTIFIED, right=True, tool_calls=3, llm_calls=4),
        inputs={**order("2001"), "Clearance": {"by": "dana"}},
    ),
    Case(
        "the answer of the refund is lost: it is looked up",
        "support",
        [("succeeded", paid(notice="email"))],
        static=Reached("succeeded", NOTIFIED, right=True, tool_calls=4),
        react=Reached("succeeded", NOTIFIED, right=True, tool_calls=4, llm_calls=5),
        blows=[Blow("stripe", by="stripe", endpoint="POST /refunds", how="cut")],
        inputs=order(),
    ),
    Case(
        "the request for the refund is lost: it is looked up, and made again",
        "support",
        [("succeeded", paid(notice="email"))],
        static=Reached("succeeded", NOTIFIED, right=True, tool_calls=5),
        react=Reached("succeeded", NOTIFIED, right=True, tool_calls=5, llm_calls=6),
        blows=[Blow("stripe", by="stripe", endpoint="POST /refunds", moment="arrives", how="cut")],
        inputs=order(),
    ),
    Case(
        "stripe dies with the refund made: nobody can know, and nobody pays again",
        "support",
        [("escalated", {"refunds": ["stripe"]})],
        static=Reached("escalated", NOTIFIED, right=True, tool_calls=5),
        react=Reached("escalated", NOTIFIED, right=True, tool_calls=4, llm_calls=5),
        blows=[Blow("stripe", by="stripe", endpoint="POST /refunds")],
        inputs=order(),
    ),
    Case(
        "the order cannot be looked up",
        "support",
        [("failed", {})],
        static=Reached("failed", NOTIFIED, right=True, tool_calls=3),
        react=Reached("failed", NOTIFIED, right=True, tool_calls=2, llm_calls=3),
        down=["crm"],
        inputs=order(),
    ),
    Case(
        "the answers of bookings are lost",
        "travel",
        [("succeeded", booked("flight-a", "hotel-a", "car-a", "mail"))],
        static=Reached("succeeded", FULL, right=True, tool_calls=10),
        react=Reached("succeeded", FULL, right=True, tool_calls=10, llm_calls=11),
        blows=[Blow(f"{x}-a", by=f"{x}-a", endpoint=f"POST /{x}s", how="cut") for x in ("flight", "hotel", "car")],
        inputs=trip(),
    ),
    Case(
        "both hotels die when the flight is booked: it is cancelled, or kept as the lesser goal",
        "travel",
        [("escalated", {}), ("demoted", booked("flight-a", "mail"))],
        static=Reached("escalated", FULL, right=True, tool_calls=7),
        react=Reached("demoted", FLIGHT, right=True, tool_calls=7, llm_calls=8),
        blows=[Blow(hotel, by="flight-a", endpoint="POST /flights") for hotel in ("hotel-a", "hotel-b")],
        inputs=trip(),
    ),
    Case(
        "a bad post is removed",
        "moderation",
        [("succeeded", judged("full", "Image", "Text", "History"))],
        static=Reached("succeeded", VERDICT, right=True, tool_calls=4),
        react=Reached("succeeded", VERDICT, right=True, tool_calls=4, llm_calls=3),
        inputs=post("p2"),
    ),
    Case(
        "the queue takes no verdict",
        "moderation",
        [("failed", {})],
        static=Reached("failed", VERDICT, right=True, tool_calls=6),
        react=Reached("failed", VERDICT, right=True, tool_calls=5, llm_calls=4),
        down=["queue"],
        inputs=post(),
    ),
]


def fresh(providers: Providers) -> Providers:
    """The same processes, whole again, with nothing on record."""
    providers.heal()
    providers.reset()
    return providers


def facts(providers: Providers) -> dict[str, list[str]]:
    """What stands, by table: who made it; of a verdict, its kind and the signals it stands on."""
    found: dict[str, list[str]] = {}
    for table in TABLES[providers.domain]:
        rows = [row for row in providers.rows(table) if row["status"] in STANDING]
        found[table] = sorted(_verdict(row) if table == "verdicts" else row["provider"] for row in rows)
    return {table: rows for table, rows in found.items() if rows}


def _verdict(row: Mapping[str, Any]) -> str:
    signals = {name.removesuffix("Signal") for name in json.loads(row["signals"])}
    missing = {name.removesuffix("Signal") for name in json.loads(row["missing"])}
    assert missing == {"Image", "Text", "History"} - signals
    return f"{row['kind']} from {' '.join(sorted(signals))}"


def break_(providers: Providers, case: Case) -> None:
    hit(providers, case.down, case.blows)


async def run(providers: Providers, system: str, inputs: Mapping[str, Any], script: Script | None = None) -> Claim:
    domain = providers.domain
    async with ModelServer(script or model_script(domain, system)) as model:
        contender = make_contender(domain, system, providers.urls, model.base_url)
        claim = await contender.run(inputs, goal=BEST[domain], run_id="run-1")
    assert claim.llm_calls == len(model.requests)
    return claim


def by_name(case: Case) -> str:
    return case.name


@pytest.mark.anyio
@pytest.mark.parametrize("system", ["static", "react"])
@pytest.mark.parametrize("case", [*CASES, *FURTHER], ids=by_name)
async def test_what_a_system_reaches(providers_of: Mapping[str, Providers], case: Case, system: str) -> None:
    providers = fresh(providers_of[case.domain])
    break_(providers, case)
    claim = await run(providers, system, case.inputs)
    right = (claim.outcome, facts(providers)) in [(outcome, dict(rows)) for outcome, rows in case.ends]
    reached = Reached(claim.outcome, claim.goal, right, claim.tool_calls, claim.llm_calls)
    assert reached == (case.static if system == "static" else case.react)
    assert right or claim.outcome == "escalated", "a failure was passed over"
    assert {call["run_id"] for call in providers.rows("calls")} <= {"run-1"}
    for table in TABLES[case.domain]:
        assert all(row["key"] for row in providers.rows(table))


@pytest.mark.parametrize(
    ("system", "right", "llm_calls", "tool_calls"), [("static", 16, 0, 102), ("react", 19, 110, 107)]
)
def test_the_totals_of_the_19(system: str, right: int, llm_calls: int, tool_calls: int) -> None:
    reached = [case.static if system == "static" else case.react for case in CASES]
    assert len(reached) == 19
    assert sum(one.right for one in reached) == right
    assert (sum(one.llm_calls for one in reached), sum(one.tool_calls for one in reached)) == (llm_calls, tool_calls)


@pytest.mark.anyio
@pytest.mark.parametrize("system", ["static", "react"])
async def test_a_recovery_is_timed_from_the_failure_to_the_next_success(
    providers_of: Mapping[str, Providers], system: str
) -> None:
    providers = fresh(providers_of["support"])
    providers.kill("stripe")
    claim = await run(providers, system, order())
    assert len(claim.recovered_s) == 1
    assert 0 < claim.recovered_s[0] < 5


@pytest.mark.anyio
@pytest.mark.parametrize("system", ["static", "react"])
async def test_a_flight_that_lands_a_day_later_moves_hotel_and_car(
    providers_of: Mapping[str, Providers], system: str
) -> None:
    providers = fresh(providers_of["travel"])
    providers.arm("flight-a", by="car-a", endpoint="GET /offers/cars", moment="done")  # priced, and then gone
    claim = await run(providers, system, trip())
    assert claim.outcome == "succeeded"
    assert [row["check_in"] for row in providers.rows("hotels")] == ["2027-03-02"]
    assert [(row["pick_up"], row["deliver_to"]) for row in providers.rows("cars")] == [("2027-03-02", "Alfama House")]


@pytest.mark.anyio
@pytest.mark.parametrize("system", ["static", "react"])
async def test_no_part_may_cost_more_than_the_others_leave(providers_of: Mapping[str, Providers], system: str) -> None:
    providers = fresh(providers_of["travel"])
    providers.arm("hotel-a", by="flight-a", endpoint="POST /flights", moment="done")  # the other one is dearer
    claim = await run(providers, system, trip(1085))
    assert claim.outcome == ("escalated" if system == "static" else "demoted")
    assert facts(providers) == ({} if system == "static" else booked("flight-a", "mail"))


CIRCLES = Reply(tool_calls=[("look_up_order", {"order_id": "1042"})])
UNTRUE = Reply(tool_calls=[("finish", {"outcome": "succeeded", "goal": CREDITED, "summary": ""})])


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("script", "llm_calls"),
    [
        (Reply(status=500), 1),
        (Reply(drop=True), 1),
        (Reply(malformed=True), 1),
        (Reply("Consider it done."), 1),
        (CIRCLES, 30),
        ([UNTRUE], 2),  # it reads why that was not accepted, and then the script is at its end
        ([Reply(tool_calls=[("wire_money", {})])], 2),
    ],
    ids=["error", "no answer", "no JSON", "no tool", "in circles", "not that goal", "no such tool"],
)
async def test_a_model_that_is_of_no_use_is_a_failure(
    providers_of: Mapping[str, Providers], script: Script, llm_calls: int
) -> None:
    providers = fresh(providers_of["support"])
    claim = await run(providers, "react", order(), script)
    assert (claim.outcome, claim.llm_calls) == ("failed", llm_calls)
    assert facts(providers) == {}


@pytest.mark.anyio
async def test_the_model_reads_what_went_wrong_and_nothing_else(providers_of: Mapping[str, Providers]) -> None:
    providers = fresh(providers_of["support"])
    providers.kill("stripe")
    async with ModelServer(model_script("support", "react")) as model:
        contender = make_contender("support", "react", providers.urls, model.base_url)
        await contender.run(order(), goal=NOTIFIED, run_id="run-1")
    said = [message["content"] for message in model.requests[-1].body["messages"] if message["role"] == "tool"]
    assert said[1] == "Error: stripe: no connection; nothing was done"
    assert model.requests[0].body["messages"][1]["content"] == '{"order_id":"1042"}'


def test_what_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no contenders in 'cooking'"):
        make_contender("cooking", "react", {}, "")
    with pytest.raises(ConfigurationError, match="no contender 'chain'"):
        model_script("support", "chain")


WITHOUT = """
import sys
sys.modules["langgraph"] = None
from graphs.contenders import make_contender, model_script
from graphs.contenders.client import Client
model_script("travel", "react")
make_contender("travel", "static", {}, "")
"""


def test_without_langgraph_it_says_what_to_install() -> None:
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith("which is not installed: pip install langgraph")


@pytest.mark.anyio
async def test_a_workflow_that_ends_without_a_goal_has_failed() -> None:
    from graphs.contenders.library import END, START, new_graph
    from graphs.contenders.workflow import State, StaticWorkflow

    def draw(client: Client, goal: str) -> Any:
        graph = new_graph(State)
        graph.add_edge(START, END)
        return graph

    claim = await StaticWorkflow({}, dict, draw).run({"problem": ""}, goal=NOTIFIED, run_id="run-1")
    assert (claim.outcome, claim.goal) == ("failed", NOTIFIED)


def test_the_static_workflow_asks_no_model() -> None:
    reply = model_script("support", "static")
    assert isinstance(reply, Reply)
    assert reply.status == 500
