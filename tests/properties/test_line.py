"""Laws of the line for tools: against a list, and in the runs that stand in it."""

import math
from functools import partial
from typing import Annotated

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute import Agent, Artifact, Goal, tool
from agentroute.errors import ToolError
from agentroute.graph.cost import Rates
from agentroute.graph.tool import ToolSpec
from agentroute.ids import ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health
from agentroute.routing.line import Line
from agentroute.run.choices import Decision
from agentroute.run.decision import Navigator
from agentroute.testing import VirtualClock, run_virtual
from tests.benchmarks.health_lab.loads import Load, pair
from tests.benchmarks.health_lab.measures import figures
from tests.benchmarks.health_lab.oracle import oracle
from tests.benchmarks.health_lab.play import play
from tests.benchmarks.health_lab.troubles import Failing

people = st.integers(0, 5)
names = st.sampled_from([ToolId("a"), ToolId("b"), ToolId("c")])
deeds = st.one_of(
    st.tuples(st.just("join"), people, names),
    st.tuples(st.just("leave"), people, names),
    st.tuples(st.just("call"), people, names),
    st.tuples(st.just("call all"), people, names),
)


@given(done=st.lists(deeds, max_size=40))
def test_the_first_to_come_is_the_first_to_be_called(done: list[tuple[str, int, ToolId]]) -> None:
    """Whatever happens, a line is what a list of people is, each with what they wait for."""
    line, called = Line(), list[int]()
    expected: list[tuple[int, ToolId]] = []
    for deed, who, wanted in done:
        called.clear()
        first = {tool: next((p for p, t in expected if t == tool), None) for tool in ("a", "b", "c")}
        match deed:
            case "join":
                line.join(who, wanted, partial(called.append, who))
                if any(p == who for p, _ in expected):
                    expected = [(p, wanted if p == who else t) for p, t in expected]
                else:
                    expected.append((who, wanted))
                assert not called
            case "leave":
                left = next((t for p, t in expected if p == who), None)
                expected = [(p, t) for p, t in expected if p != who]
                line.leave(who)
                assert called == [p for p, t in expected if t == left][:1]
            case "call":
                line.call((wanted,))
                assert called == [p for p in (first[wanted],) if p is not None]
            case _:
                line.call()
                assert sorted(called) == sorted(p for p in first.values() if p is not None)
        assert bool(line) == bool(expected)
        ahead = expected[: next((at for at, (p, _) in enumerate(expected) if p == who), len(expected))]
        assert line.before(who, wanted) == sum(t == wanted for _, t in ahead)


def crowded(room: int) -> tuple[HealthBoard, ToolSpec]:
    """A tool that has served so many calls, and refused a few that came at the same time."""
    board, spec = HealthBoard(Health(retry_reserve=1, retry_share=0.0)), ToolSpec(ToolId("t"), effect="read")
    tickets = [board.begin(spec, 0.0) for _ in range(room + 6)]
    for ticket in tickets[room:]:
        board.fail(ticket, 0.02)
    for ticket in tickets[:room]:
        board.succeed(ticket, 0.2)
    return board, spec


@given(room=st.integers(1, 20))
def test_within_its_room_a_crowded_tool_may_be_asked_again(room: int) -> None:
    board, spec = crowded(room)
    for _ in range(room):
        assert board.admits(spec, 0.3)
        assert board.admits_retry(spec, 0.3)
        assert board.retry_at(spec, 0.3) == 0.3
        board.begin(spec, 0.3, again=True)


def test_where_nobody_knows_how_much_a_tool_can_take_retries_have_a_budget() -> None:
    board, spec = HealthBoard(Health(retry_reserve=1, retry_share=0.0)), ToolSpec(ToolId("t"), effect="read")
    board.begin(spec, 0.0, again=True)
    assert not board.admits_retry(spec, 0.1)
    assert board.retry_at(spec, 0.1) > 5.0


HERD = Load("a herd", pair(Failing(), room=5), runs=60, per_s=math.inf)


def test_a_herd_on_a_small_backup_is_served_at_the_pace_of_the_backup() -> None:
    served = figures(play(HERD), oracle(HERD, 1))
    assert served.succeeded == HERD.runs
    assert served.cost_ratio < 3.0
    assert served.p99_s < 4 * HERD.runs / 5 * 0.2


def test_what_waiting_costs_does_not_grow_with_how_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four times as many runs that wait for one place wait four times as long; each looks about as often."""
    looks, decide = 0, Navigator.decide

    def counted(navigator: Navigator, now: float) -> Decision:
        nonlocal looks
        looks += 1
        return decide(navigator, now)

    monkeypatch.setattr(Navigator, "decide", counted)
    each: list[float] = []
    for runs in (30, 120):
        looks = 0
        patient = Health(patience_s=300.0, max_attempts=50)
        load = Load("a queue", pair(Failing(), room=1), runs=runs, per_s=math.inf, health=patient)
        played = play(load)
        assert sum(run.outcome == "succeeded" for run in played.runs) > 0.9 * runs
        each.append(looks / runs)
    assert each[1] < 2 * each[0], each


class Counter:
    """A tool with one place; `served` is who took it, in order."""

    def __init__(self) -> None:
        self.busy = False
        self.served: list[str] = []

    async def serve(self, start: Annotated[str, Artifact("start")]) -> Annotated[str, Artifact("answer")]:
        if self.busy:
            await anyio.sleep(0.02)
            raise ToolError("no room", kind="transient")
        self.busy = True
        try:
            await anyio.sleep(0.2)
        finally:
            self.busy = False
        self.served.append(start)
        return start


@pytest.mark.parametrize("leave_at", [0.1, 0.25, 0.5, 1.0])
def test_runs_that_are_cancelled_while_they_wait_keep_nobody_waiting(leave_at: float) -> None:
    """Half of those in line leave it at the same moment, whoever is first among them; the rest are served."""

    async def main() -> float:
        counter = Counter()
        serve = tool(name="serve", effect="read")(counter.serve)
        agent = Agent(
            name="queue",
            tools=[serve],
            goals=[Goal("answered", requires=["answer"])],
            rates=Rates(usd_per_second=0.01),
            health=Health(max_attempts=9),
            trace=False,
            clock=VirtualClock(),
            seed=1,
        )

        async def run(name: str, scope: anyio.CancelScope) -> None:
            with scope:
                await agent.run(run_id=name, inputs={"start": name})

        scopes = [anyio.CancelScope() for _ in range(20)]
        async with anyio.create_task_group() as runs:
            for number, scope in enumerate(scopes):
                runs.start_soon(run, f"run-{number}", scope)
            await anyio.sleep(leave_at)
            for scope in scopes[::2]:
                scope.cancel()
        assert {f"run-{number}" for number in range(1, 20, 2)} <= set(counter.served)
        assert not agent._services.board.line
        return anyio.current_time()

    assert run_virtual(main) < 40.0
