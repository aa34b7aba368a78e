"""The loop: what runs when, what is kept, what is let go, and when it is over."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import math
from functools import partial

import anyio
import pytest

from agentroute.errors import JournalError
from agentroute.graph.goal import Goal
from agentroute.graph.tool import AtLeast
from agentroute.guard.budget import Budget
from agentroute.ids import ArtifactId, RunId
from agentroute.ports import Tool, Values
from agentroute.routing.health import Health
from agentroute.run.events import (
    AttemptAbandoned,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    GuardClosed,
    LateResultFenced,
    Rerouted,
    Retried,
    RouteChosen,
    RunFinished,
    Waiting,
)
from agentroute.testing.fakes import (
    After,
    FakeGuard,
    ScriptedTools,
    YieldingJournal,
    fake_compensator,
    fake_tool,
    fake_verifier,
)
from agentroute.testing.faults import Fault
from agentroute.testing.invariants import Case
from agentroute.testing.invariants.breakers import check_breakers
from agentroute.testing.virtual_time import VirtualClock, run_virtual
from agentroute.testing.world import World
from tests.laboratory import bench, experiment, in_virtual_time


def independent(count: int, seconds: float = 1.0) -> list[Tool]:
    """Tools that can all run at once."""
    return [fake_tool(f"t{i}", ["start"], [f"a{i}"], seconds=seconds) for i in range(count)]


# -------------------------------------------------------------------- order


def test_independent_steps_run_at_once() -> None:
    done = experiment(independent(5), {"all": [f"a{i}" for i in range(5)]})
    assert done.result.outcome == "succeeded"
    assert done.result.duration_s == 1.0


@pytest.mark.parametrize(("limit", "seconds"), [(1, 5.0), (2, 3.0), (5, 1.0)])
def test_no_more_run_at_once_than_the_limit_allows(limit: int, seconds: float) -> None:
    done = experiment(independent(5), {"all": [f"a{i}" for i in range(5)]}, max_concurrency=limit)
    assert done.result.duration_s == pytest.approx(seconds)
    moments = sorted(
        [(call.at, 1) for call in done.injector.seen] + [(call.ended or 0, -1) for call in done.injector.seen]
    )
    under_way = [sum(step for _, step in moments[: i + 1]) for i in range(len(moments))]
    assert max(under_way) == limit


@in_virtual_time
async def test_the_limit_holds_over_all_runs_of_an_agent() -> None:
    tried = bench([fake_tool("t", ["start"], ["a"], seconds=1.0)], {"all": ["a"]}, max_concurrency=2)
    async with anyio.create_task_group() as runs:
        for index in range(6):
            runs.start_soon(tried.run, f"run-{index}")
    assert anyio.current_time() == pytest.approx(3.0)


def test_a_join_waits_for_all_its_inputs_and_a_chain_for_each_step() -> None:
    tools = [
        fake_tool("slow", ["start"], ["a"], seconds=2.0),
        fake_tool("quick", ["start"], ["b"], seconds=1.0),
        fake_tool("join", ["a", "b"], ["c"], seconds=1.0),
        fake_tool("last", ["c"], ["d"], seconds=1.0),
    ]
    done = experiment(tools, {"all": ["d"]})
    assert done.result.route == ["quick", "slow", "join", "last"]
    assert [call.at for call in done.calls("join")] == [2.0]
    assert done.result.duration_s == 4.0


def test_a_step_starts_as_soon_as_its_inputs_are_there_not_when_its_layer_is_complete() -> None:
    tools = [
        fake_tool("slow", ["start"], ["a"], seconds=9.0),
        fake_tool("quick", ["start"], ["b"], seconds=1.0),
        fake_tool("after-quick", ["b"], ["c"], seconds=1.0),
    ]
    done = experiment(tools, {"all": ["a", "c"]})
    assert done.calls("after-quick")[0].at == 1.0


def test_a_tool_that_two_branches_need_is_called_once() -> None:
    tools = [
        fake_tool("shared", ["start"], ["a"]),
        fake_tool("left", ["a"], ["b"]),
        fake_tool("right", ["a"], ["c"]),
    ]
    done = experiment(tools, {"all": ["b", "c"]})
    assert sorted(done.called()) == ["left", "right", "shared"]


def test_a_goal_that_is_at_hand_calls_nothing() -> None:
    done = experiment([fake_tool("t", ["start"], ["a"])], {"all": ["a"]}, inputs={"a": "given"})
    assert done.result.outcome == "succeeded"
    assert done.called() == []


def test_artifacts_at_hand_are_not_made_again() -> None:
    tools = [fake_tool("first", ["start"], ["a"]), fake_tool("second", ["a"], ["b"])]
    done = experiment(tools, {"all": ["b"]}, inputs={"start": "x", "a": "given"})
    assert done.called() == ["second"]


# -------------------------------------------------------------------- contracts


def test_k_of_n_is_met_by_those_that_work() -> None:
    tools = [
        *(fake_tool(f"t{i}", ["start"], [f"a{i}"], usd=0.01 * (i + 1)) for i in range(3)),
        fake_tool("judge", [AtLeast(2, ["a0", "a1", "a2"])], ["verdict"]),
    ]
    done = experiment(tools, {"all": ["verdict"]}, faults=[Fault(type="error", status=404, target="t0")])
    assert done.result.outcome == "succeeded"
    assert set(done.result.artifacts) == {"start", "a1", "a2", "verdict"}


def test_a_tool_with_several_outputs_provides_all_of_them() -> None:
    tools = [fake_tool("both", ["start"], ["a", "b"]), fake_tool("next", ["a", "b"], ["c"])]
    done = experiment(tools, {"all": ["c"]})
    assert set(done.result.artifacts) == {"start", "a", "b", "c"}


def test_an_output_that_is_missing_breaks_the_contract() -> None:
    tools = [fake_tool("both", ["start"], ["a", "b"]), fake_tool("other", ["start"], ["b"], usd=1.0)]
    done = experiment(tools, {"all": ["b"]}, scripts={"both": [lambda _: None]})
    assert done.of(AttemptFailed)[0].kind == "contract"
    assert done.result.route == ["other"]


def test_optional_inputs_are_passed_if_at_hand_and_never_waited_for() -> None:
    given: list[Values] = []

    def note(inputs: Values) -> str:
        given.append(dict(inputs))
        return "done"

    tools = [
        fake_tool("t", ["start"], ["a"], optional=["hint"]),
        fake_tool("hinter", ["start"], ["hint"], seconds=5.0),
    ]
    late = experiment(tools, {"all": ["a"]}, scripts={"t": [note]})
    experiment(tools, {"all": ["a"]}, scripts={"t": [note]}, inputs={"start": "x", "hint": "left"})
    assert late.called() == ["t"]
    assert given == [{"start": "given"}, {"start": "x", "hint": "left"}]


def test_a_guard_that_says_no_closes_its_tool_for_the_run() -> None:
    tools = [
        fake_tool("cheap", ["start"], ["a"], when=FakeGuard([ArtifactId("start")], answer=False)),
        fake_tool("dear", ["start"], ["a"], usd=1.0),
    ]
    done = experiment(tools, {"all": ["a"]})
    assert done.called() == ["dear"]
    assert [event.tool for event in done.of(GuardClosed)] == ["cheap"]


def test_a_guard_is_asked_when_its_artifacts_are_known_and_the_route_changes_then() -> None:
    tools = [
        fake_tool("look", ["start"], ["price"], seconds=1.0),
        fake_tool("cheap", ["price"], ["a"], when=FakeGuard([ArtifactId("price")], answer=False)),
        fake_tool("dear", ["price"], ["a"], usd=1.0),
    ]
    done = experiment(tools, {"all": ["a"]})
    assert [event.at for event in done.of(GuardClosed)] == [1.0]
    assert [event.tools for event in done.of(RouteChosen)] == [("look", "cheap"), ("dear",)]
    assert "cheap" in done.of(RouteChosen)[1].reason


@pytest.mark.parametrize("seed", range(5))
def test_a_guard_holds_when_other_facts_come_in_at_the_same_moment(seed: int) -> None:
    tools = [
        *(fake_tool(f"t{i}", ["start"], [f"a{i}"]) for i in range(3)),
        fake_tool("cheap", ["a0"], ["b"], when=FakeGuard([ArtifactId("a0")], answer=False)),
        fake_tool("dear", ["a0"], ["b"], usd=1.0),
    ]
    done = experiment(tools, {"all": ["b", "a1", "a2"]}, seed=seed)
    assert "cheap" not in done.called()


def test_a_guard_that_raises_says_no() -> None:
    class Broken(FakeGuard):
        def allows(self, values: Values) -> bool:
            raise ZeroDivisionError

    tools = [
        fake_tool("cheap", ["start"], ["a"], when=Broken([ArtifactId("start")], answer=True)),
        fake_tool("dear", ["start"], ["a"], usd=1.0),
    ]
    done = experiment(tools, {"all": ["a"]})
    assert "ZeroDivisionError" in done.of(GuardClosed)[0].reason


# -------------------------------------------------------------------- failures


def test_a_transient_failure_is_retried_after_a_backoff() -> None:
    done = experiment([fake_tool("t", ["start"], ["a"])], {"all": ["a"]}, scripts={"t": [ConnectionRefusedError()]})
    assert (done.result.outcome, done.result.retries, done.result.attempts) == ("succeeded", 1, 2)
    (retry,) = done.of(Retried)
    assert 0.025 <= retry.wait_s <= 0.075
    assert done.calls("t")[1].at >= retry.wait_s


def test_a_permanent_failure_is_rerouted_at_once() -> None:
    tools = [fake_tool("cheap", ["start"], ["a"]), fake_tool("dear", ["start"], ["a"], usd=1.0)]
    done = experiment(tools, {"all": ["a"]}, faults=[Fault(type="error", status=404, target="cheap")])
    assert done.called() == ["cheap", "dear"]
    (reroute,) = done.of(Rerouted)
    assert (reroute.before, reroute.after) == (("cheap",), ("dear",))
    assert reroute.attempt == done.of(AttemptFailed)[0].attempt


def test_a_tool_is_tried_no_more_often_than_allowed() -> None:
    done = experiment(
        [fake_tool("t", ["start"], ["a"])],
        {"all": ["a"]},
        faults=[Fault(type="down", target="t")],
        health=Health(max_attempts=2, trip_after=9),
    )
    assert done.result.outcome == "escalated"
    assert len(done.calls("t")) == 2


def test_a_dearer_way_is_taken_before_the_cheap_one_has_failed_too_often() -> None:
    """A failed attempt makes a tool weigh more: nobody tries three times what is nearly free of alternatives."""
    tools = [fake_tool("cheap", ["start"], ["a"], usd=0.010), fake_tool("other", ["start"], ["a"], usd=0.011)]
    done = experiment(tools, {"all": ["a"]}, faults=[Fault(type="down", target="cheap")])
    assert done.called() == ["cheap", "other"]


def test_siblings_under_way_are_kept_when_another_step_fails() -> None:
    tools = [
        fake_tool("sibling", ["start"], ["a"], seconds=5.0, timeout_s=60),
        fake_tool("fails", ["start"], ["b"], seconds=1.0),
        fake_tool("instead", ["start"], ["b"], usd=1.0),
        fake_tool("join", ["a", "b"], ["c"]),
    ]
    done = experiment(tools, {"all": ["c"]}, faults=[Fault(type="error", status=404, target="fails", from_s=0.0)])
    assert done.called().count("sibling") == 1
    assert done.result.duration_s == 5.0


def test_a_sibling_that_nobody_wants_any_more_is_let_go_at_once() -> None:
    tools = [
        fake_tool("sibling", ["start"], ["a"], seconds=500.0, timeout_s=1000, usd=0.5),
        fake_tool("fails", ["start"], ["b"]),
        fake_tool("join", ["a", "b"], ["c"]),
        fake_tool("otherwise", ["start"], ["c"], usd=3.0),
    ]
    done = experiment(
        tools,
        {"all": ["c"]},
        scripts={"fails": [After(1.0, ValueError), After(1.0, ValueError), After(1.0, ValueError)]},
        budget=Budget(usd=4.0),
    )
    assert [event.tool for event in done.of(AttemptAbandoned)] == ["sibling"]
    assert done.result.route == ["otherwise"]
    assert done.result.duration_s < 10


def test_a_sibling_that_changes_something_is_waited_for_and_undone() -> None:
    world = World()
    books = fake_tool("books", ["start"], ["a"], world=world, effect="once", seconds=5.0, compensate="undo")
    tools = [
        books,
        fake_compensator(books),
        fake_tool("fails", ["start"], ["b"], world=world),
        fake_tool("join", ["a", "b"], ["c"], world=world),
        fake_tool("otherwise", ["start"], ["c"], world=world, usd=1.0),
    ]
    done = experiment(tools, {"all": ["c"]}, faults=[Fault(type="error", status=404, target="fails")], world=world)
    assert done.result.outcome == "succeeded"
    assert [row.undone_at is not None for row in world.rows] == [True]


# -------------------------------------------------------------------- waiting


def test_retry_after_is_waited_for_when_there_is_no_other_way() -> None:
    done = experiment(
        [fake_tool("t", ["start"], ["a"])],
        {"all": ["a"]},
        faults=[Fault(type="rate_limit", target="t", retry_after_s=7.0, attempts=(1, 1))],
    )
    assert done.result.outcome == "succeeded"
    assert done.calls("t")[1].at == pytest.approx(7.0)
    assert [event.tool for event in done.of(Waiting)] == ["t"]


def test_retry_after_is_not_waited_for_when_there_is_another_way() -> None:
    tools = [fake_tool("cheap", ["start"], ["a"]), fake_tool("dear", ["start"], ["a"], usd=1.0)]
    done = experiment(tools, {"all": ["a"]}, faults=[Fault(type="rate_limit", target="cheap", retry_after_s=7.0)])
    assert done.called() == ["cheap", "dear"]
    assert done.result.duration_s < 0.1


def test_a_wait_beyond_patience_or_deadline_is_not_begun() -> None:
    faults = [Fault(type="rate_limit", target="t", retry_after_s=20.0)]
    tools = [fake_tool("t", ["start"], ["a"])]
    impatient = experiment(tools, {"all": ["a"]}, faults=faults, health=Health(patience_s=10.0))
    late = experiment(tools, {"all": ["a"]}, faults=faults, budget=Budget(deadline_s=15.0))
    assert (impatient.result.outcome, late.result.outcome) == ("escalated", "escalated")
    assert max(impatient.result.duration_s, late.result.duration_s) < 1.0


@pytest.mark.parametrize("others", ["none", "limited"])
def test_the_last_way_is_found_to_work_again_however_long_it_was_out(others: str) -> None:
    run_virtual(partial(_last_way_heals, others))


async def _last_way_heals(others: str) -> None:
    """The only tool there is, and one whose backup has asked to be left alone for an hour."""
    tools = [fake_tool("cheap", ["start"], ["a"])]
    faults = [Fault(type="down", target="cheap", until_s=120.0)]
    if others == "limited":
        tools.append(fake_tool("dear", ["start"], ["a"], usd=1.0))
        faults.append(Fault(type="rate_limit", target="dear", retry_after_s=3600.0, from_s=110.0))
    tried = bench(tools, {"all": ["a"]}, faults=faults)
    outcomes: list[tuple[float, str]] = []

    async def one(number: int) -> None:
        await anyio.sleep(float(number))
        done = await tried.run(f"run-{number}")
        outcomes.append((float(number), done.result.outcome))

    async with anyio.create_task_group() as runs:
        for number in range(140):
            runs.start_soon(one, number)
    assert {outcome for begun, outcome in outcomes if begun >= 120.0} == {"succeeded"}
    calls = [call.at for call in tried.injector.seen if call.tool == "cheap" and 60.0 <= call.at < 120.0]
    assert len(calls) <= 61, "once a second, all runs together"
    cases = [
        Case(run=f"run-{number}", graph=tried.agent.graph, records=await tried.journal.read(RunId(f"run-{number}")))
        for number in range(140)
    ]
    assert check_breakers(cases, tried.injector.seen) == []


@in_virtual_time
async def test_nobody_stands_in_line_for_the_last_way_for_longer_than_the_patience_of_a_run() -> None:
    """Each call that fails sets the run that made it back, with its patience; three may."""
    tried = bench(
        [fake_tool("t", ["start"], ["a"])],
        {"all": ["a"]},
        faults=[Fault(type="down", target="t")],
        health=Health(patience_s=10.0),
    )
    took: list[float] = []

    async def one(number: int) -> None:
        await anyio.sleep(number / 4)
        took.append((await tried.run(f"run-{number}")).result.duration_s)

    async with anyio.create_task_group() as runs:
        for number in range(200):
            runs.start_soon(one, number)
    assert max(took) < 35.0
    assert sorted(took)[100] < 12.0


@in_virtual_time
async def test_what_one_run_learns_the_others_route_around() -> None:
    tools = [fake_tool("cheap", ["start"], ["a"]), fake_tool("dear", ["start"], ["a"], usd=1.0)]
    tried = bench(tools, {"all": ["a"]}, faults=[Fault(type="down", target="cheap")])
    await tried.run("first")
    second = await tried.run("second")
    assert second.result.route == ["dear"]
    assert second.result.attempts == 1


@in_virtual_time
async def test_a_tool_that_recovers_is_found_again_by_one_probe() -> None:
    tools = [fake_tool("cheap", ["start"], ["a"], seconds=1.0), fake_tool("dear", ["start"], ["a"], usd=0.001)]
    faults = [Fault(type="down", target="cheap", until_s=10.0)]
    tried = bench(tools, {"all": ["a"]}, faults=faults, health=Health(trip_after=1))
    await tried.run("before")
    await anyio.sleep(4000.0)  # the failure has been forgotten by then, and the breaker is half-open
    async with anyio.create_task_group() as runs:
        for index in range(5):
            runs.start_soon(tried.run, f"after-{index}")
    probes = [call for call in tried.injector.seen if call.tool == "cheap" and call.at >= 4000]
    assert len(probes) == 1


# -------------------------------------------------------------------- time


def test_an_attempt_is_given_up_after_its_timeout() -> None:
    tools = [fake_tool("t", ["start"], ["a"], timeout_s=2.0)]
    done = experiment(tools, {"all": ["a"]}, scripts={"t": [After(math.inf)]})
    (failure,) = done.of(AttemptFailed)
    assert (failure.at, failure.error, failure.kind) == (2.0, "TimeoutError", "transient")
    assert done.result.outcome == "succeeded"


def test_a_run_is_over_by_its_deadline() -> None:
    tools = [fake_tool("t", ["start"], ["a"], timeout_s=100.0)]
    done = experiment(tools, {"all": ["a"]}, scripts={"t": [After(math.inf)] * 3}, budget=Budget(deadline_s=3.0))
    assert (done.result.outcome, done.result.duration_s) == ("escalated", 3.0)
    assert "deadline" in done.result.reason or "deadline" in str(done.records[-2].event)


def test_a_route_that_cannot_be_walked_in_time_is_not_begun() -> None:
    tools = [
        fake_tool("t", ["start"], ["a"], latency_s=5.0, usd=0.0),
        fake_tool("q", ["start"], ["a"], latency_s=1.0, usd=1.0),
    ]
    done = experiment(tools, {"all": ["a"]}, budget=Budget(deadline_s=3.0))
    assert done.called() == ["q"]
    none = experiment(tools[:1], {"all": ["a"]}, budget=Budget(deadline_s=3.0))
    assert (none.result.outcome, none.called(), none.result.duration_s) == ("escalated", [], 0.0)


def test_an_effect_cut_off_by_the_deadline_is_looked_into_in_the_grace_period() -> None:
    world = World()
    books = fake_tool("books", ["start"], ["a"], world=world, effect="once", verify="find", timeout_s=60)
    tools = [books, fake_verifier(books, seconds=1.0)]
    done = experiment(
        tools, {"all": ["a"]}, world=world, budget=Budget(deadline_s=3.0),
        faults=[Fault(type="ack_lost", target="books"), Fault(type="latency", target="books", latency_s=2.9)],
    )  # fmt: skip
    assert (done.result.outcome, done.result.duration_s) == ("succeeded", pytest.approx(3.9))
    assert len(world.rows) == 1


def test_late_results_are_fenced_off_and_said_so() -> None:
    tools = [fake_tool("t", ["start"], ["a"], timeout_s=1.0), fake_tool("next", ["a"], ["b"], seconds=3.0)]
    faults = [Fault(type="late_success", target="t", attempts=(1, 1), latency_s=0.01)]
    done = experiment(tools, {"all": ["b"]}, faults=faults)
    (late,) = done.of(LateResultFenced)
    assert (late.attempt, late.succeeded) == (1, True)
    assert done.result.route == ["t", "next"]


# -------------------------------------------------------------------- the record


def test_the_result_says_what_happened() -> None:
    tools = [
        fake_tool("t", ["start"], ["a"], usd=0.01, seconds=1.0),
        fake_tool("u", ["a"], ["b"], usd=0.02, usd_max=0.05, price=0.03),
    ]
    done = experiment(tools, {"all": ["b"]}, faults=[Fault(type="reset", target="t", attempts=(1, 1))])
    result = done.result
    assert result.model_dump(exclude={"artifacts", "duration_s", "trace_id", "reason"}) == {
        "run_id": "run", "outcome": "succeeded", "goal": "all", "route": ["t", "u"], "attempts": 3, "retries": 1,
        "reroutes": 0, "escalations": 0, "llm_calls": 0, "cost_usd": pytest.approx(0.05), "suspended": False,
        "menu": [], "left_behind": [], "tool_calls": 3, "tokens": 0, "limits": {},
    }  # fmt: skip
    assert result["b"] == result.artifacts["b"]
    assert done.story()[0] == "RunStarted"
    assert done.story()[-1] == "RunFinished"


def test_the_intent_of_a_call_is_on_record_before_it_is_made() -> None:
    recorded: list[int] = []
    journal = YieldingJournal(seconds=0.5)

    async def main() -> None:
        tried = bench([fake_tool("t", ["start"], ["a"])], {"all": ["a"]}, scripts={"t": [look]})
        agent = tried.agent.with_options(journal=journal)
        await agent.run(inputs={"start": "x"}, run_id="r")

    def look(_: Values) -> str:
        events = journal._runs[RunId("r")]
        recorded.append(sum(isinstance(event, AttemptStarted) for event in events))
        return "done"

    run_virtual(main)
    assert recorded == [1]


class Failing(YieldingJournal):
    """A journal that breaks at its n-th fact."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at

    async def append(self, run: RunId, event: Event) -> None:
        self.left -= 1
        if self.left < 0:
            raise JournalError("disk full")
        await super().append(run, event)


@pytest.mark.parametrize("at", range(13))
def test_a_journal_that_cannot_be_written_stops_the_run_and_says_so(at: int) -> None:
    world = World()
    tools = [
        *(fake_tool(f"t{i}", ["start"], [f"a{i}"], seconds=0.1 * i, world=world, effect="once") for i in range(4)),
        fake_tool("join", ["a0", "a1", "a2", "a3"], ["b"], world=world),
    ]

    async def main() -> None:
        agent = bench(tools, {"all": ["b"]}).agent.with_options(journal=Failing(at))
        await agent.run(inputs={"start": "x"})

    with pytest.raises(JournalError, match="disk full"):
        run_virtual(main)
    assert sum(world.called.values()) <= max(0, at - 2)  # start and route first, then an intent for every call


class Ticking(VirtualClock):
    """A clock that moves on between any two looks at it, as real ones do."""

    def __init__(self, step: float) -> None:
        super().__init__()
        self.step, self.ticks = step, 0

    def now(self) -> float:
        self.ticks += 1
        return super().now() + self.ticks * self.step


def instead(calls: ScriptedTools, *_: object) -> ScriptedTools:
    return calls


@pytest.mark.parametrize("step", [1e-7, 1e-5, 1e-3])
def test_time_that_passes_between_two_looks_at_the_clock_hangs_nothing(step: float) -> None:
    async def main() -> None:
        for seed in range(40):
            calls = ScriptedTools({"t": [ConnectionRefusedError(), ConnectionRefusedError()]})
            tried = bench([fake_tool("t", ["start"], ["a"])], {"all": ["a"]}, seed=seed, health=Health(backoff_s=0.001))
            agent = tried.agent.with_options(clock=Ticking(step), wrap_executor=partial(instead, calls))
            with anyio.fail_after(60):
                result = await agent.run(inputs={"start": "x"})
            assert result.outcome == "succeeded"

    run_virtual(main)


def test_the_last_word_is_the_last_event() -> None:
    done = experiment([fake_tool("t", ["start"], ["a"])], [Goal("all", ["a"])])
    assert len(done.of(RunFinished)) == 1
    assert len(done.of(AttemptSucceeded)) == 1
