"""The demonstrations' testbeds: real providers that can be hit from outside, and requests traced back to tools."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest

from agentroute import ConfigurationError
from agentroute.ports import Tool, ToolExecutor, Values
from agentroute.testing.model_server import Reply
from agentroute.testing.scenario.document import read_scenario
from agentroute.testing.scenario.testbed import Address, Exchange
from graphs.moderation.testbed import testbed as moderation
from graphs.providers.testbed import ProviderTestbed
from graphs.support.testbed import testbed as support
from graphs.travel.demo import TRIP
from graphs.travel.testbed import testbed as travel

ROOT = Path(__file__).resolve().parents[2]
FACTORIES: Mapping[str, Callable[[], ProviderTestbed]] = {
    "support": support,
    "travel": travel,
    "moderation": moderation,
}
INPUTS: Mapping[str, Mapping[str, Any]] = {
    "support": {"order_id": "1042"},
    "travel": {"Trip": {**TRIP, "budget_cents": 150000}},
    "moderation": {"post_id": "p1"},
}
LOCAL = {"clear_by_policy", "package_trip", "package_stay", "package_flight"}
"""Tools that ask no server."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def testbeds() -> Iterator[Mapping[str, ProviderTestbed]]:
    """All three, started once."""
    with ExitStack() as stack:
        yield {domain: stack.enter_context(make()) for domain, make in FACTORIES.items()}


@pytest.fixture
def bed(testbeds: Mapping[str, ProviderTestbed]) -> ProviderTestbed:
    """Customer support, whole and with nothing on record."""
    testbeds["support"].reset()
    return testbeds["support"]


# ------------------------------------------------------------------ which tool a request belongs to

Deed = Literal["refuse", "lose"]


@dataclass(slots=True)
class Post:
    """What stands between an agent and a testbed: notes whose request it is, and says no or loses an answer.

    Attributes:
        deeds: What to do to the requests of a tool.
        calling: Tool that the agent is calling; one at a time.
        noted: Of each request: the tool that the agent was calling, and the one that the testbed takes it for.
    """

    testbed: ProviderTestbed
    deeds: Mapping[str, Deed]
    calling: str = ""
    noted: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])

    def pass_on(self, exchange: Exchange) -> tuple[int, bytes] | None:
        """Status and body to answer with, None to answer nothing."""
        tool = self.testbed.tool_of(exchange)
        self.noted.append((self.calling, tool))
        deed = self.deeds.get(tool or "")
        if deed == "refuse":
            return 403, b"{}"
        http = HTTPConnection(*self.testbed.addresses[exchange.server], timeout=10)
        http.request(exchange.method, exchange.path, exchange.body, dict(exchange.headers))
        response = http.getresponse()
        answer = response.status, response.read()
        http.close()
        return None if deed == "lose" else answer


class Desk(BaseHTTPRequestHandler):
    """Takes the requests for one server."""

    post: Post
    server_name: str

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.post.pass_on(Exchange(self.server_name, self.command, self.path, headers, body))
        if answer is not None:
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

    do_POST = do_GET  # noqa: N815  # the name that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        pass


@dataclass(slots=True)
class OneAtATime:
    """Calls tools one after another, so that a request can only be that of the tool being called."""

    post: Post
    inner: ToolExecutor
    turn: anyio.Lock = field(default_factory=anyio.Lock)

    async def call(self, tool: Tool, inputs: Values) -> Values:
        async with self.turn:
            self.post.calling = tool.spec.name
            return await self.inner.call(tool, inputs)


def run_through(testbed: ProviderTestbed, deeds: Mapping[str, Deed]) -> list[tuple[str, str | None]]:
    """Run the domain's agent once; returns what was noted of its requests."""
    testbed.reset()
    post = Post(testbed, deeds)
    with ExitStack() as stack:
        addresses = {name: open_desk(stack, post, name) for name in testbed.addresses}
        agent = testbed.agent(addresses).with_options(wrap_executor=lambda inner, _: OneAtATime(post, inner))
        anyio.run(partial(agent.run, inputs=INPUTS[testbed.domain]))
    return post.noted


def open_desk(stack: ExitStack, post: Post, name: str) -> Address:
    desk = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundDesk", (Desk,), {"post": post, "server_name": name}))
    stack.enter_context(desk)
    threading.Thread(target=partial(desk.serve_forever, 0.01), daemon=True).start()
    stack.callback(desk.shutdown)
    return "127.0.0.1", desk.server_port


def refuse(*tools: str) -> dict[str, Deed]:
    return dict.fromkeys(tools, "refuse")


def lose(*tools: str) -> dict[str, Deed]:
    return dict.fromkeys(tools, "lose")


UNTOLD = refuse("notify_by_email", "notify_by_sms", "queue_notice")
NO_REFUND = refuse("refund_stripe", "refund_razorpay")

LEGS = ("flight", "hotel", "car")
BOOKED_A, BOOKED_B = [[f"book_{leg}_{side}" for leg in LEGS] for side in "ab"]
NO_TRIP = refuse("confirm_trip_by_mail", "confirm_trip_by_sms")
NO_STAY = NO_TRIP | refuse("confirm_stay_by_mail", "confirm_stay_by_sms")
NOTHING = NO_STAY | refuse("confirm_flight_by_mail", "confirm_flight_by_sms")

ROUNDS: Mapping[str, Sequence[Mapping[str, Deed]]] = {
    "support": [
        lose("refund_stripe"),
        refuse("refund_stripe", "notify_by_email") | lose("refund_razorpay"),
        UNTOLD,
        UNTOLD | refuse("refund_stripe", "promise_credit"),
        NO_REFUND | lose("promise_credit"),
        NO_REFUND | refuse("promise_by_email"),
        NO_REFUND | refuse("promise_by_email", "promise_by_sms"),
    ],
    "travel": [
        lose(*BOOKED_A),
        refuse(*BOOKED_A, *(f"price_{leg}_a" for leg in LEGS)) | lose(*BOOKED_B),
        NO_TRIP | refuse("confirm_stay_by_mail"),
        NO_STAY | refuse("confirm_flight_by_mail"),
        NOTHING,
        NOTHING | refuse(*BOOKED_A),
    ],
    "moderation": [
        {},
        refuse("classify_image", "classify_text"),
        refuse("classify_image", "classify_text", "classify_history", "classify_toxicity"),
    ],
}
"""Mishaps that between them make an agent call every tool it has."""


@pytest.mark.parametrize("domain", FACTORIES)
def test_every_request_is_taken_for_that_of_the_tool_that_made_it(
    testbeds: Mapping[str, ProviderTestbed], domain: str
) -> None:
    testbed = testbeds[domain]
    noted = [pair for deeds in ROUNDS[domain] for pair in run_through(testbed, deeds)]
    assert [(calling, taken_for) for calling, taken_for in noted if calling != taken_for] == []
    assert {calling for calling, _ in noted} == set(testbed.agent(testbed.addresses).graph.tools) - LOCAL


def test_a_request_that_no_tool_makes_belongs_to_none(bed: ProviderTestbed) -> None:
    for server, method, path in (
        ("stripe", "DELETE", "/refunds"),
        ("stripe", "POST", "/notices"),
        ("stripe", "POST", "/-/blows"),
        ("bank", "POST", "/refunds"),
    ):
        assert bed.tool_of(Exchange(server, method, path, {}, b"{}")) is None


def test_a_body_that_cannot_be_read_stops_nobody(bed: ProviderTestbed) -> None:
    for body in (b"", b"{", b"[1]", b"\xff", b'{"text": null}'):
        assert bed.tool_of(Exchange("email", "POST", "/notices", {}, body)) == "notify_by_email"


# ------------------------------------------------------------------ signals from outside, and a fresh start


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(holds: Callable[[], bool], *, seconds: float = 10) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


def address(testbed: ProviderTestbed, server: str) -> str:
    host, port = testbed.addresses[server]
    return f"http://{host}:{port}"


def refund(testbed: ProviderTestbed, key: str = "k", *, server: str = "stripe", timeout_s: float = 10) -> int:
    body = {"order_id": "1042", "amount_cents": 8640}
    headers = {"Idempotency-Key": key, "X-Run-Id": "r"}
    sent = httpx.post(f"{address(testbed, server)}/refunds", json=body, headers=headers, timeout=timeout_s)
    return sent.raise_for_status().json()["id"]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is called directly, whatever the surroundings say."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_reset_empties_the_truth_and_restarts_nobody_who_lives(bed: ProviderTestbed) -> None:
    before = {server: bed.pid(server) for server in bed.addresses}
    refund(bed)
    bed.reset()
    assert bed.truth() == {"refunds": [], "credits": [], "notices": [], "queued_notices": []}
    assert {server: bed.pid(server) for server in bed.addresses} == before
    assert refund(bed) == 1  # as at the start: neither numbers nor answers to keys are remembered


def test_whoever_was_killed_from_outside_is_back_at_its_address_after_reset(bed: ProviderTestbed) -> None:
    addresses = bed.addresses
    for server in addresses:
        os.kill(bed.pid(server), signal.SIGKILL)
    bed.reset()
    assert bed.addresses == addresses
    assert [refund(bed, server=server) for server in ("stripe", "razorpay")] == [1, 2]


def test_what_waited_in_a_stopped_server_does_not_happen_after_reset(bed: ProviderTestbed) -> None:
    os.kill(bed.pid("stripe"), signal.SIGSTOP)
    for number in range(5):
        with pytest.raises(httpx.ReadTimeout):
            refund(bed, f"late {number}", timeout_s=0.1)
    bed.reset()
    assert refund(bed, "new") == 1
    assert [row["key"] for row in bed.truth()["refunds"]] == ["new"]


def test_a_server_is_restarted_alone_and_the_truth_stays(bed: ProviderTestbed) -> None:
    refund(bed)
    old, others = bed.pid("stripe"), {bed.pid(server) for server in bed.addresses if server != "stripe"}
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: not listens(bed.addresses["stripe"][1]))
    bed.restart("stripe")
    assert refund(bed, "again") == 2
    assert bed.pid("stripe") != old
    assert {bed.pid(server) for server in bed.addresses if server != "stripe"} == others
    assert len(bed.truth()["refunds"]) == 2
    bed.restart("stripe")  # alive, and replaced
    assert refund(bed, "once more") == 3


def test_what_was_undone_is_no_truth(bed: ProviderTestbed) -> None:
    made = [refund(bed, key) for key in ("a", "b")]
    httpx.post(f"{address(bed, 'stripe')}/refunds/{made[0]}/void", json={}).raise_for_status()
    assert [row["key"] for row in bed.truth()["refunds"]] == ["b"]


# ------------------------------------------------------------------ systems to compare with


@pytest.mark.anyio
async def test_a_contender_works_on_the_same_servers(bed: ProviderTestbed) -> None:
    pytest.importorskip("langgraph")
    contender = bed.contender("static", bed.addresses, "http://127.0.0.1:1/v1")
    claim = await contender.run(INPUTS["support"], goal="refunded-and-notified", run_id="r")
    assert claim.outcome == "succeeded"
    assert [row["provider"] for row in bed.truth()["refunds"]] == ["stripe"]


def test_the_model_that_contenders_ask_is_scripted(bed: ProviderTestbed) -> None:
    assert isinstance(bed.model("static"), Reply)
    with pytest.raises(ConfigurationError, match="no contender 'magic'"):
        bed.model("magic")
    with pytest.raises(ConfigurationError, match="no contender 'magic'"):
        bed.contender("magic", bed.addresses, "")


# ------------------------------------------------------------------ beginning and end


def test_a_testbed_leaves_neither_processes_nor_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with moderation() as testbed:
        ports = [port for _, port in testbed.addresses.values()]
        os.kill(testbed.pid("queue"), signal.SIGSTOP)
        assert list(tmp_path.rglob("truth.db"))
    assert not any(listens(port) for port in ports)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RuntimeError, match="inside `with`"):
        testbed.truth()


ABANDON = """
import sys, time
sys.path.insert(0, {root!r})
from graphs.{domain}.testbed import testbed
bed = testbed().__enter__()
assert not any(bed.truth().values())
print(*(port for _, port in bed.addresses.values()), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("domain", FACTORIES)
def test_from_any_folder_and_nothing_outlives_whoever_entered(domain: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ABANDON.format(root=str(ROOT), domain=domain)]
    surroundings = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=surroundings, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        ports = [int(port) for port in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert len(ports) == len(FACTORIES[domain]()._definition.providers)
    wait_until(lambda: not any(listens(port) for port in ports))


# ------------------------------------------------------------------ the files of the paper's scenarios

PAPER = ROOT / "scenarios" / "paper"
DOMAINS = {"S": ("support", 7), "T": ("travel", 6), "M": ("moderation", 6)}
NAMES = [f"{letter}{number}" for letter, (_, count) in DOMAINS.items() for number in range(1, count + 1)]


def test_every_scenario_of_the_paper_is_there() -> None:
    assert sorted(path.stem for path in PAPER.glob("*.yaml")) == sorted(name.lower() for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_names_its_testbed_its_tools_and_every_table_of_effects(
    testbeds: Mapping[str, ProviderTestbed], name: str
) -> None:
    domain = DOMAINS[name[0]][0]
    testbed = testbeds[domain]
    graph = testbed.agent(testbed.addresses).graph
    scenario = read_scenario(str(PAPER / f"{name.lower()}.yaml"))
    assert scenario.title.startswith(f"{name} ")
    assert (scenario.level, scenario.goal in graph.goals) == ("process", True)
    file, _, factory = str(scenario.testbed).partition(":")
    assert ((PAPER / file).resolve(), factory) == (ROOT / "graphs" / domain / "testbed.py", "testbed")
    for fault in scenario.faults:
        assert any(fnmatchcase(tool, fault.target) for tool in graph.tools)
        assert fault.victim is None or fault.victim in testbed.addresses
    for said in (scenario.hypothesis, scenario.expected):
        own_ladder = {"credits"} if name == "S3" else set[str]()  # which credit is granted is each system's own
        assert set(said.truth or {}) >= set(testbed.truth()) - own_ladder
        assert set(said.calls or {}) <= set(graph.tools)
