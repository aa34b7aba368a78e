"""Decisions are pure: the same facts give the same decision, and any process can take a run up from its facts."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from collections.abc import Sequence

import pytest

from agentroute.graph.cost import Rates
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import AtLeast, Effect
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.ledger import Ledger
from agentroute.ids import ArtifactId, AttemptId, GoalId, NanoUsd, ToolId, nanos
from agentroute.ports import Tool
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health
from agentroute.run.choices import Abandon, Ask, Call, Decision, Finish, Record, Wait
from agentroute.run.decision import Navigator
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    Rerouted,
    Retried,
    RouteChosen,
    RunStarted,
    Signalled,
    Unresolved,
)
from agentroute.run.outlook import Outlook
from agentroute.run.result import result_of
from agentroute.run.state import RunState, fold
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
from tests.laboratory import experiment

STARTED = RunStarted(0.0, "a", GoalId("g"), {ArtifactId("start"): "x"}, 0.0)


class Desk:
    """A navigator and the facts it reads; no clock, no event loop, nothing called."""

    def __init__(
        self,
        tools: Sequence[Tool],
        *,
        deadline_s: float | None = None,
        health: Health | None = None,
        asks_people: bool = False,
    ) -> None:
        goals = [GoalSpec(GoalId("g"), (ArtifactId("b"),)), GoalSpec(GoalId("h"), (ArtifactId("a"),), 0.5)]
        self.state = RunState()
        self.board = HealthBoard(health or Health())
        self.outlook = outlook = Outlook(
            graph=ToolGraph([tool.spec for tool in tools], goals),
            state=self.state,
            board=self.board,
            ledger=Ledger(),
            rates=Rates(),
            origin=0.0,
            deadline_s=deadline_s,
        )
        guards = {tool.spec.name: tool.when for tool in tools if tool.when is not None}
        self.made = dict[AttemptId, float]()
        self.navigator = Navigator(outlook, guards=guards, backoff=float, made=self.made, asks_people=asks_people)
        self.take_in(STARTED)

    def take_in(self, *events: Event) -> None:
        for event in events:
            self.state.apply(event)
            self.navigator.note(event)

    def decide(self, now: float = 0.0) -> Decision:
        return self.navigator.decide(now)

    def follow(self, now: float = 0.0) -> Decision:
        """Take in what follows from the facts, up to the first decision that is not a fact."""
        while isinstance(decision := self.decide(now), Record):
            self.take_in(decision.event)
        return decision

    def begin(self, call: Decision, attempt: int, now: float = 0.0) -> None:
        assert isinstance(call, Call)
        key = "" if call.tool.effect == "read" else "k"
        number = self.state.tries.get(call.tool.name, 0) + 1
        self.take_in(
            AttemptStarted(now, AttemptId(attempt), call.tool.name, number, key, NanoUsd(0), call.role, call.about)
        )

    def fail(self, attempt: int, tool: str, kind: str = "transient", now: float = 0.0) -> None:
        self.take_in(AttemptFailed(now, AttemptId(attempt), ToolId(tool), kind, "E", "m", NanoUsd(0)))  # pyright: ignore[reportArgumentType]

    def succeed(self, attempt: int, tool: str, *outputs: str, now: float = 0.0) -> None:
        values = {ArtifactId(name): "v" for name in outputs}
        self.take_in(AttemptSucceeded(now, AttemptId(attempt), ToolId(tool), values, NanoUsd(0)))


CHAIN = [
    fake_tool("one", ["start"], ["a"]),
    fake_tool("two", ["a"], ["b"]),
    fake_tool("way", ["start"], ["b"], usd=1.0),
]


def called(decision: Decision) -> str:
    return decision.tool.name if isinstance(decision, Call) else type(decision).__name__


def test_first_a_route_then_its_first_step_then_a_wait() -> None:
    desk = Desk(CHAIN)
    first = desk.decide()
    assert isinstance(first, Record)
    assert isinstance(first.event, RouteChosen)
    assert first.event.tools == ("one", "two")
    call = desk.follow()
    assert called(call) == "one"
    desk.begin(call, 1)
    assert desk.decide() == Wait()


def test_asking_twice_before_anything_has_happened_gives_the_same_answer() -> None:
    desk = Desk(CHAIN)
    assert desk.decide() == desk.decide()


def test_the_next_step_follows_from_the_success_of_the_one_before() -> None:
    desk = Desk(CHAIN)
    desk.begin(desk.follow(), 1)
    desk.succeed(1, "one", "a")
    assert called(desk.follow()) == "two"


def test_a_goal_that_is_reached_ends_the_run() -> None:
    desk = Desk(CHAIN)
    desk.take_in(AttemptStarted(0.0, AttemptId(1), ToolId("way"), 1, "", NanoUsd(0)))
    desk.succeed(1, "way", "b")
    assert desk.follow() == Finish("succeeded", "reached 'g'")


@pytest.mark.parametrize(("kind", "answer"), [("transient", Retried), ("permanent", Rerouted), ("contract", Rerouted)])
def test_a_failure_is_answered_by_what_the_new_route_is(kind: str, answer: type) -> None:
    desk = Desk(CHAIN)
    desk.begin(desk.follow(), 1)
    desk.fail(1, "one", kind)
    decision = desk.decide()
    assert isinstance(decision, Record)
    assert isinstance(decision.event, answer)


def test_a_retry_waits_for_its_backoff() -> None:
    desk = Desk(CHAIN)
    desk.begin(desk.follow(), 1)
    desk.fail(1, "one")
    assert desk.follow(0.0) == Wait(1.0)
    assert called(desk.follow(1.0)) == "one"


def test_an_open_breaker_is_no_way() -> None:
    desk = Desk(CHAIN, health=Health(trip_after=1))
    spec = CHAIN[0].spec
    desk.board.fail(desk.board.begin(spec, 0.0), 0.0)
    decision = desk.decide(0.0)
    assert isinstance(decision, Record)
    assert isinstance(decision.event, RouteChosen)
    assert decision.event.tools == ("way",)


def test_what_others_learn_changes_the_route_of_a_run_that_waits() -> None:
    desk = Desk(CHAIN, health=Health(trip_after=1))
    desk.begin(desk.follow(), 1)
    desk.succeed(1, "one", "a")
    desk.board.fail(desk.board.begin(CHAIN[1].spec, 0.0), 0.0)
    decision = desk.decide(0.0)
    assert isinstance(decision, Record)
    assert isinstance(decision.event, RouteChosen)
    assert (decision.event.tools, decision.event.reason) == (("way",), "health changed")


def test_a_reroute_says_what_the_route_before_weighed_what_was_under_way_included() -> None:
    desk = Desk([fake_tool("one", ["start"], ["a"], usd=0.1), fake_tool("two", ["a"], ["b"], usd=0.2), CHAIN[2]])
    desk.begin(desk.follow(), 1)
    desk.board.version += 1  # the same route is made anew while its first step is under way
    assert desk.follow() == Wait()
    desk.fail(1, "one", "permanent")
    decision = desk.decide()
    assert isinstance(decision, Record)
    assert isinstance(decision.event, Rerouted)
    assert (decision.event.weight_before, decision.event.weight_after) == (nanos(0.3), nanos(1.0))


def test_when_no_way_is_left_the_menu_has_what_is_feasible() -> None:
    desk = Desk(CHAIN[:2])
    desk.begin(desk.follow(), 1)
    desk.succeed(1, "one", "a")
    desk.begin(desk.follow(), 2)
    desk.fail(2, "two", "permanent")
    decision = desk.follow()
    assert isinstance(decision, Ask)
    assert [option.choice for option in decision.menu] == ["h", "hand-over"]
    assert "two (m)" in decision.reason


def test_past_the_deadline_nothing_new_is_begun() -> None:
    desk = Desk(CHAIN, deadline_s=5.0)
    assert called(desk.follow(4.9)) == "one"
    late = Desk(CHAIN, deadline_s=5.0)
    decision = late.decide(5.0)
    assert isinstance(decision, Ask)
    assert "deadline" in decision.reason


def test_a_reader_that_the_new_route_does_not_want_is_let_go() -> None:
    tools = [
        fake_tool("one", ["start"], ["a"]),
        fake_tool("side", ["start"], ["c"]),
        fake_tool("two", ["a", "c"], ["b"]),
        fake_tool("way", ["start"], ["b"], usd=1.0),
    ]
    desk = Desk(tools)
    desk.begin(desk.follow(), 1)
    desk.begin(desk.follow(), 2)
    desk.fail(1, "one", "permanent")
    assert desk.follow() == Abandon((AttemptId(2),))


def two_at_once(effect: Effect) -> Desk:
    """A run with a look-up under way, and beside it a call that waits for its turn."""
    desk = Desk(
        [
            fake_tool("look", ["start"], ["a"]),
            fake_tool("pay", ["start"], ["c"], effect=effect),
            fake_tool("two", ["a", "c"], ["b"]),
        ]
    )
    desk.begin(desk.follow(), 1)
    desk.begin(desk.follow(), 2)
    desk.made[AttemptId(1)] = 0.0
    return desk


@pytest.mark.parametrize("effect", ["read", "once"])
def test_what_stands_in_line_for_a_goal_out_of_reach_is_given_up(effect: Effect) -> None:
    desk = two_at_once(effect)
    desk.fail(1, "look", "permanent")
    assert desk.follow() == Abandon((AttemptId(2),))
    desk.take_in(AttemptAbandoned(0.0, AttemptId(2), ToolId("pay"), NanoUsd(0), "cancelled", called=False))
    assert isinstance(desk.follow(), Ask)


@pytest.mark.parametrize("effect", ["read", "once"])
def test_what_has_been_called_is_waited_for_though_the_goal_is_out_of_reach(effect: Effect) -> None:
    desk = two_at_once(effect)
    desk.made[AttemptId(2)] = 0.0
    desk.fail(1, "look", "permanent")
    assert desk.follow() == Wait()


def test_what_changes_something_is_let_go_as_long_as_it_stands_in_line_and_not_after() -> None:
    tools = [
        fake_tool("one", ["start"], ["a"]),
        fake_tool("side", ["start"], ["c"], effect="once"),
        fake_tool("two", ["a", "c"], ["b"]),
        fake_tool("way", ["start"], ["b"], usd=1.0),
    ]
    for is_made in (False, True):
        desk = Desk(tools)
        desk.begin(desk.follow(), 1)
        desk.begin(desk.follow(), 2)
        desk.fail(1, "one", "permanent")
        answer = desk.decide()
        assert isinstance(answer, Record)
        desk.take_in(answer.event)
        if is_made:  # its turn comes when the new route has been taken already
            desk.made[AttemptId(2)] = 0.0
        assert called(desk.follow()) == "way" if is_made else Abandon((AttemptId(2),))


def test_a_call_that_ends_when_the_new_route_has_been_taken_already_is_not_let_go() -> None:
    desk = Desk([*CHAIN, fake_tool("side", ["start"], ["c"])])
    desk.begin(desk.follow(), 1)
    desk.begin(Call(desk.outlook.graph.tools[ToolId("side")]), 2)
    desk.board.version += 1
    desk.fail(1, "one", "permanent")
    answer = desk.decide()
    assert isinstance(answer, Record)
    desk.take_in(answer.event)
    desk.succeed(2, "side", "c")
    assert called(desk.follow()) == "way"


def test_nothing_in_line_is_called_for_a_run_that_is_about_to_be_handed_over() -> None:
    desk = two_at_once("once")
    desk.take_in(Unresolved(0.0, AttemptId(9), ToolId("two"), "nobody knows"))
    assert desk.follow() == Abandon((AttemptId(1), AttemptId(2)))


@pytest.mark.parametrize(("now", "menu"), [(4.0, ["g", "h", "hand-over"]), (5.0, ["hand-over"])])
def test_a_stopped_run_is_handed_over_when_there_is_no_time_to_wait_for_a_person(now: float, menu: list[str]) -> None:
    """Though the goal is reached: else it would be taken with nobody asked, as what is left when the time is up."""
    desk = Desk(CHAIN, deadline_s=5.0, asks_people=True)
    desk.begin(desk.follow(), 1)
    desk.succeed(1, "one", "a", "b")
    desk.take_in(Signalled(1.0, "m", "risk", "why", stops=True))
    decision = desk.follow(now)
    assert isinstance(decision, Ask)
    assert [option.choice for option in decision.menu] == menu


# -------------------------------------------------------------------- facts are all there is


def trouble() -> Sequence[Fault]:
    return [
        Fault(type="error", status=500, target="t0", attempts=(1, 1)),
        Fault(type="error", status=404, target="t1"),
        Fault(type="rate_limit", target="t2", retry_after_s=1.0, attempts=(1, 1)),
    ]


def test_the_state_is_a_fold_over_the_journal() -> None:
    tools = [
        *(fake_tool(f"t{i}", ["start"], [f"a{i}"], seconds=0.1 * i, usd=0.01) for i in range(4)),
        fake_tool("t1-too", ["start"], ["a1"], usd=1.0),
        fake_tool("join", ["a0", "a1", "a2", "a3"], ["b"]),
    ]
    done = experiment(tools, {"all": ["b"]}, faults=trouble())
    events = [record.event for record in done.records]
    told = done.result
    assert result_of(told.run_id, fold(events), duration_s=told.duration_s, trace_id=told.trace_id) == told  # pyright: ignore[reportArgumentType]
    for length in range(1, len(events)):
        state = fold(events[:length])
        assert state.finished is None
        begun = sum(isinstance(event, AttemptStarted) for event in events[:length])
        assert state.attempts == begun
        assert len(state.in_flight) + len(state.done) <= begun
        assert math.isfinite(state.spent)


def test_what_is_left_of_a_route_from_a_step_on_is_its_longest_way() -> None:
    tools = [
        fake_tool("p", ["start"], ["p"], latency_s=1.0),
        fake_tool("q", ["start"], ["q"], latency_s=7.0),
        fake_tool("r", ["p", "q"], ["r"], latency_s=2.0),
        fake_tool("s", ["r", "q"], ["s"], latency_s=4.0),
        fake_tool("t", [AtLeast(1, ["p", "r"]), "s"], ["b"], latency_s=0.5),
    ]
    desk = Desk(tools)
    desk.follow()

    def left() -> dict[str, float]:
        return {name: desk.outlook.rest_s(desk.outlook.graph.tools[ToolId(name)], 0.0) for name in "pqrst"}

    assert left() == {"p": 7.5, "q": 13.5, "r": 6.5, "s": 4.5, "t": 0.5}
    assert desk.outlook.rank("step") == (True, 5, math.inf)
    desk.begin(Call(tools[0].spec), 1)
    desk.succeed(1, "p", "p")
    assert desk.outlook.rank("step") == (False, 4, math.inf)
    assert desk.outlook.rank("verify") == (False, 0, math.inf)
