"""Quotas: limits of all runs together, and what runs do when others hold what they need."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.agent import Agent
from agentroute.attempt import current
from agentroute.errors import DefinitionError, InputError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import Amounts, Cost, Rates
from agentroute.graph.goal import Goal
from agentroute.graph.tool import ToolSpec
from agentroute.guard.budget import Budget, Quota
from agentroute.ids import ArtifactId, RunId, ToolId
from agentroute.ports import Tool, Values
from agentroute.routing.health import Health
from agentroute.run.events import AttemptAbandoned, AttemptFailed, AttemptStarted, Event, Quarantined, Waiting
from agentroute.testing.fakes import fake_tool, fake_verifier
from agentroute.testing.faults import Fault
from agentroute.testing.virtual_time import VirtualClock
from tests.laboratory import Bench, Experiment, bench, experiment, in_virtual_time

GOALS = {"done": ["done"]}


def call(usd: float = 0.01, *, usd_max: float = 0.05, seconds: float = 1.0, **options: Any) -> Any:
    return fake_tool("call", ["start"], ["done"], usd=usd, usd_max=usd_max, seconds=seconds, **options)


async def together(tried: Bench, runs: int, **options: Any) -> list[Experiment]:
    done: list[Experiment] = []

    async def one(number: int) -> None:
        done.append(await tried.run(f"run-{number}", **options))

    async with anyio.create_task_group() as tasks:
        for number in range(runs):
            tasks.start_soon(one, number)
    return done


def outcomes(runs: Sequence[Experiment]) -> list[str]:
    return sorted(run.result.outcome for run in runs)


@in_virtual_time
async def test_runs_wait_for_what_others_hold_and_give_back() -> None:
    """Ten runs of which two fit at a time: each holds five cents and uses one."""
    tried = bench([call()], GOALS, quotas=[Quota(usd=0.19)])
    runs = await together(tried, 10)
    assert outcomes(runs) == ["succeeded"] * 10
    assert sum(run.result.cost_usd for run in runs) == pytest.approx(0.10)
    waits = [wait for run in runs for wait in run.of(Waiting)]
    assert {wait.reason for wait in waits} == {"other runs hold what it may cost"}
    assert max(run.result.duration_s for run in runs) < 6


@in_virtual_time
async def test_what_is_gone_is_gone_and_nobody_waits_for_it() -> None:
    tried = bench([call(usd=0.05)], GOALS, quotas=[Quota(usd=0.17)])
    runs = await together(tried, 5)
    assert outcomes(runs) == ["escalated"] * 2 + ["succeeded"] * 3
    assert max(run.result.duration_s for run in runs) <= 1.0
    poor = next(run for run in runs if run.result.outcome == "escalated")
    assert "call (cannot be afforded: needs 0.050000 USD of 0.020000 USD left)" in poor.result.reason


@in_virtual_time
async def test_nobody_waits_longer_than_patience() -> None:
    tried = bench([call(seconds=25.0)], GOALS, quotas=[Quota(usd=0.05)], health=Health(patience_s=10.0))
    runs = await together(tried, 2)
    assert outcomes(runs) == ["escalated", "succeeded"]
    late = next(run for run in runs if run.result.outcome == "escalated")
    assert late.result.duration_s == pytest.approx(10.0, abs=5.0)


@in_virtual_time
async def test_a_window_of_time_moves_on() -> None:
    tried = bench([call(usd=0.05, seconds=0.0)], GOALS, quotas=[Quota(usd=0.10, per_s=60.0)])
    assert outcomes(await together(tried, 3)) == ["escalated", "succeeded", "succeeded"]
    await anyio.sleep(62.0)
    assert (await tried.run("later")).result.outcome == "succeeded"


@in_virtual_time
async def test_who_waits_for_a_window_goes_on_the_moment_it_has_moved_on_far_enough() -> None:
    """Six seconds, forgotten in sixtieths: what was spent at once is free 6.1 s later, while another still holds."""
    long = fake_tool("long", ["start"], ["slept"], usd=0.0, usd_max=0.05, seconds=20.0, timeout_s=30.0)
    tools, goals = [call(usd=0.05, seconds=0.0), long], {**GOALS, "slept": ["slept"]}
    tried = bench(tools, goals, quotas=[Quota(usd=0.10, per_s=6.0)])
    runs: list[Experiment] = []

    async def one(name: str, goal: str) -> None:
        runs.append(await tried.run(name, goal=goal))

    async with anyio.create_task_group() as tasks:
        await one("first", "done")
        tasks.start_soon(one, "holds", "slept")
        await anyio.sleep(1.3)
        for number in range(3):
            tasks.start_soon(one, f"waits-{number}", "done")
    assert outcomes(runs) == ["succeeded"] * 5
    waited = sorted(run.result.duration_s for run in runs if run.result.run_id.startswith("waits"))
    assert waited == pytest.approx([4.8, 10.9, 17.0], abs=1e-5), "each as soon as the one before is forgotten"


@in_virtual_time
async def test_a_run_that_is_cancelled_gives_back_what_it_held() -> None:
    tried = bench([call(seconds=5.0)], GOALS, quotas=[Quota(usd=0.10)])
    with anyio.move_on_after(1.0):
        await tried.run("cut-off")
    done = await tried.run("next")
    assert done.result.outcome == "succeeded", "it may have cost five cents; the other five are free"


@pytest.mark.parametrize(
    ("limits", "calls"), [({"tool_calls": 2}, 2), ({"llm_calls": 1}, 2), ({"tokens": 250}, 2), ({}, 3)]
)
def test_counts_limit_a_run(limits: dict[str, int], calls: int) -> None:
    tools = [
        fake_tool("one", ["start"], ["a"], calls_model=True, tokens=100),
        fake_tool("two", ["a"], ["b"], tokens=100),
        fake_tool("three", ["b"], ["c"], calls_model=True, tokens=100),
    ]
    done = experiment(tools, {"all": ["c"], "two": ["b"], "one": ["a"]}, budget=Budget(**limits))
    assert len(done.called()) == calls
    assert done.result.outcome == ("succeeded" if calls == 3 else "demoted")


def test_of_two_ways_the_one_that_keeps_to_the_limit_is_taken() -> None:
    tools = [
        fake_tool("short", ["start"], ["a"], usd=0.05, tokens=10),
        fake_tool("wordy", ["start"], ["a"], usd=0.01, tokens=1000),
    ]
    assert experiment(tools, {"a": ["a"]}).called() == ["wordy"]
    assert experiment(tools, {"a": ["a"]}, budget=Budget(tokens=500)).called() == ["short"]


def test_a_step_is_not_begun_where_the_rest_could_not_be_paid() -> None:
    tools = [
        fake_tool("draft", ["start"], ["a"], usd=0.01),
        fake_tool("print", ["a"], ["b"], usd=0.01, usd_max=0.05),
    ]
    assert experiment(tools, {"b": ["b"]}, budget=Budget(usd=0.055)).called() == []
    some = experiment(tools, {"b": ["b"]}, budget=Budget(usd=0.055, finish_share=0.5))
    assert some.called() == ["draft"], "half of what the rest may cost was there, and then it was not enough"


@in_virtual_time
async def test_who_charges_more_than_the_worst_case_is_put_aside_for_all_runs() -> None:
    greedy = Fault(type="price_change", target="call", factor=5.0, attempts=(1, 1), until_s=0.5)
    tools = [call(usd_max=0.02, seconds=0.1), fake_tool("fair", ["start"], ["done"], usd=0.03, seconds=1.0)]
    tried = bench(tools, GOALS, faults=[greedy])
    first, second = await tried.run("first"), await tried.run("second")
    (alarm,) = first.of(Quarantined)
    assert alarm.reason == "it charged 0.05 USD, where 0.02 are the worst case"
    assert list(second.result.route) == ["fair"]
    assert dict(tried.agent.put_aside) == {"call": alarm.reason}
    tried.agent.reinstate("call")
    assert (await tried.run("third")).result.route == ["call"]


@in_virtual_time
async def test_only_tools_that_there_are_can_be_reinstated() -> None:
    with pytest.raises(InputError, match="no tool 'cal'; there are: call"):
        bench([call()], GOALS).agent.reinstate("cal")


@pytest.mark.parametrize(
    ("limits", "why"),
    [({}, "limits nothing"), ({"usd": 1.0, "per_s": 0}, "per_s must be above 0"), ({"usd": -1.0}, "usd must be")],
)
def test_quotas_that_mean_nothing_are_refused(limits: dict[str, float], why: str) -> None:
    with pytest.raises(DefinitionError, match=f"quota.*{why}"):
        Quota(**limits)  # pyright: ignore[reportArgumentType]


def test_what_is_reserved_is_on_record() -> None:
    (started,) = experiment([fake_tool("t", ["start"], ["a"], tokens=70)], {"a": ["a"]}).of(AttemptStarted)
    assert started.tokens == 70


@in_virtual_time
async def test_calls_that_wait_for_their_turn_are_not_made_once_the_tool_is_put_aside() -> None:
    greedy = Fault(type="price_change", target="call", factor=9.0)
    tried = bench([call(usd_max=0.02)], GOALS, faults=[greedy], max_concurrency=1)
    runs = await together(tried, 5)
    assert outcomes(runs) == ["escalated"] * 4 + ["succeeded"]
    assert len(tried.injector.seen) == 1
    gone = [each for run in runs for each in run.of(AttemptAbandoned)]
    assert {(each.called, each.spent, each.reason) for each in gone} == {
        (False, 0, "the tool was put aside before its turn came")
    }


@in_virtual_time
async def test_who_claims_more_tokens_than_the_worst_case_is_put_aside() -> None:
    async def chat(_: object) -> str:
        current().tokens = (90, 20)
        return "done"

    spec = call(calls_model=True, tokens=100).spec
    tried = bench([Talking(spec, chat)], GOALS, budget=Budget(tokens=100))
    done = await tried.run()
    (alarm,) = done.of(Quarantined)
    assert alarm.reason == "it used 110 tokens, where 100 are the worst case"


@in_virtual_time
async def test_the_alarm_is_raised_for_a_call_that_is_cut_off_too() -> None:
    async def charge(_: object) -> str:
        current().charge(usd=1.0)
        await anyio.sleep(9.0)
        return "never"

    tried = bench([Talking(call().spec, charge)], GOALS)
    with anyio.move_on_after(1.0):
        await tried.run()
    events = [record.event for record in await tried.journal.read(RunId("run"))]
    (alarm,) = [event for event in events if isinstance(event, Quarantined)]
    assert alarm.reason == "it charged 1 USD, where 0.05 are the worst case"
    assert list(tried.agent.put_aside) == ["call"]


@in_virtual_time
async def test_nobody_asks_a_verifier_that_was_put_aside() -> None:
    book = fake_tool("book", ["start"], ["done"], effect="once", verify="find")
    find = Talking(fake_verifier(book).spec, lambda _: charged(1.0))
    lost = Fault(type="ack_lost", target="book")
    tried = bench([book, find], GOALS, faults=[lost])
    first, second = await tried.run("first"), await tried.run("second")
    assert [each.tool for each in first.of(Quarantined)] == ["find"]
    assert second.result.outcome == "escalated"
    assert len(tried.injector.seen) == 3


@in_virtual_time
async def test_a_window_counts_what_a_call_cost_from_when_it_is_over() -> None:
    """A call of 59 seconds is billed at its end: two seconds later, its minute has just begun."""
    tried = bench([call(usd=0.05, seconds=59.0, timeout_s=90.0)], GOALS, quotas=[Quota(usd=0.05, per_s=60.0)])
    assert (await tried.run("first")).result.outcome == "succeeded"
    await anyio.sleep(2.0)
    assert (await tried.run("second")).result.outcome == "escalated"
    await anyio.sleep(61.0)
    assert (await tried.run("third")).result.outcome == "succeeded"


class Torn(MemoryJournal):
    """A journal that cannot be written any more after so many facts."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    async def append(self, run: RunId, event: Event) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionRefusedError("the database is gone")
        await super().append(run, event)


@in_virtual_time
async def test_a_run_within_that_breaks_off_is_charged_with_what_it_has_paid() -> None:
    """The success of its first step cannot be recorded, and was paid for."""
    steps = [fake_tool("one", ["start"], ["half"], usd=0.01), fake_tool("two", ["half"], ["done"], usd=0.01)]
    inner = Agent(name="inner", tools=steps, goals=[Goal("done", ["done"])], journal=Torn(3))
    tried = bench([inner.as_tool(name="call")], GOALS, quotas=[Quota(usd=1.0)])
    done = await tried.run()
    assert done.result.outcome == "escalated"
    assert next(failure.spent for failure in done.of(AttemptFailed)) == 10_000_000


@in_virtual_time
async def test_a_run_within_does_not_wait_for_what_its_own_caller_holds() -> None:
    inner = Agent(name="inner", tools=[call()], goals=[Goal("done", ["done"])], clock=VirtualClock())
    tried = bench([inner.as_tool(name="sub")], GOALS, budget=Budget(tool_calls=1))
    done = await tried.run()
    assert done.result.outcome == "escalated"
    assert done.result.duration_s < 1.0


async def charged(usd: float) -> str:
    current().charge(usd=usd)
    return "done"


@dataclass
class Talking:
    """A tool that does what it is told, under somebody's contract."""

    spec: ToolSpec
    say: Callable[[object], Awaitable[str]]
    types: Mapping[ArtifactId, ArtifactType] = field(default_factory=dict[ArtifactId, ArtifactType])
    when: Any = None
    ensure: Any = None
    auxiliaries: Sequence[Tool] = ()

    async def call(self, inputs: Values) -> Values:
        return {"done": await self.say(inputs)}  # pyright: ignore[reportReturnType]


def test_a_graph_file_gives_an_agent_its_quotas_and_its_budget(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(
        """\
version: "1"
name: flow
tools: [{name: look, produces: [seen], effect: read, cost: {usd: 0.01, usd_max: 0.03, usd_least: 0.02}}]
goals: [{name: looked, requires: [seen]}]
budget: {usd: 0.1, tokens: 1000, tool_calls: 5, finish_share: 0.5}
quotas: [{tool_calls: 1}, {usd: 1, per_s: 60}]
""",
        encoding="utf-8",
    )
    agent = Agent.from_graph(file, tools={"look": lambda: "a bird"}, trace=False)
    assert agent.budget == Budget(usd=0.1, tokens=1000, tool_calls=5, finish_share=0.5)
    assert agent.quotas == (Quota(tool_calls=1), Quota(usd=1, per_s=60))
    assert agent.graph.tools[ToolId("look")].least.usd == 20_000_000
    assert [agent.run_sync().outcome for _ in range(2)] == ["succeeded", "escalated"]


# ---------------------------------------------------------------- what was begun is finished


def two_steps(**options: Any) -> list[Any]:
    charge = fake_tool("charge", ["start"], ["charged"], usd=0.10, effect="once", seconds=0.05)
    return [charge, fake_tool("ship", ["charged"], ["done"], usd=0.10, effect="once", **options)]


@in_virtual_time
async def test_runs_side_by_side_begin_only_what_a_quota_lets_them_finish() -> None:
    """A dollar is enough for five of ten runs. If nothing were kept for the second step, all would be charged."""
    tried = bench(two_steps(), GOALS, quotas=[Quota(usd=1.0)], health=Health(patience_s=1.0))
    runs = await together(tried, 10)
    assert outcomes(runs) == ["escalated"] * 5 + ["succeeded"] * 5
    assert runs[0].called().count("charge") == 5
    assert all(not run.result.left_behind for run in runs)
    left = tried.agent._services.quotas[0]
    assert (left.spent.usd, left.reserved) == (10**9, Amounts())


@in_virtual_time
async def test_what_a_failed_call_did_not_use_is_kept_for_its_second_try() -> None:
    """Others wait for the dime that the failed call gives back, and do not get it."""
    trouble = [Fault(type="error", target="ship", attempts=(1, 1))]
    tried = bench(
        two_steps(seconds=0.1), GOALS, faults=trouble, quotas=[Quota(usd=0.35)], health=Health(patience_s=1.0)
    )
    runs = await together(tried, 5)
    assert outcomes(runs) == ["escalated"] * 4 + ["succeeded"]
    assert len(runs[0].calls("charge")) == 1


@in_virtual_time
async def test_a_run_that_is_cut_off_keeps_nothing() -> None:
    tried = bench(two_steps(seconds=5.0), GOALS, quotas=[Quota(usd=0.30)])
    with anyio.move_on_after(0.01):
        await tried.run("cut-off")
    quota = tried.agent._services.quotas[0]
    assert quota.reserved == Amounts(), "the dime that is gone may have been paid; the next is not needed any more"
    assert (await tried.run("next")).result.outcome == "succeeded"


@in_virtual_time
async def test_who_does_not_ask_to_finish_keeps_nothing() -> None:
    budget = Budget(finish_share=0.0)
    tried = bench(two_steps(), GOALS, quotas=[Quota(usd=1.0)], budget=budget, health=Health(patience_s=1.0))
    runs = await together(tried, 10)
    assert outcomes(runs) == ["escalated"] * 10


@in_virtual_time
async def test_a_way_that_others_leave_money_for_is_taken_instead() -> None:
    """Ten cents are left when the second run comes to its turn: not enough for the dear way, and for the cheap one."""
    tools = [
        fake_tool("look", ["start"], ["seen"], usd=0.01),
        fake_tool("dear", ["seen"], ["done"], usd=0.20, latency_s=0.1),
        fake_tool("cheap", ["seen"], ["done"], usd=0.09, latency_s=100.0),
    ]
    rates = Rates(usd_per_second=0.01)
    tried = bench(tools, GOALS, quotas=[Quota(usd=0.32)], rates=rates)
    runs = await together(tried, 2)
    assert outcomes(runs) == ["succeeded"] * 2
    assert sorted(runs[0].called()) == ["cheap", "dear", "look", "look"]


@in_virtual_time
async def test_who_finds_a_window_used_up_waits_until_it_has_moved_on() -> None:
    tried = bench([call(usd=0.05)], GOALS, quotas=[Quota(usd=0.05, per_s=6.0)])
    assert (await tried.run("first")).result.outcome == "succeeded"
    late = await tried.run("second")
    assert late.result.outcome == "succeeded"
    assert late.result.duration_s == pytest.approx(6.1 + 1.0, abs=0.01)
    assert [wait.reason for wait in late.of(Waiting)] == ["a quota is used up until its window has moved on"]


@in_virtual_time
async def test_nobody_waits_for_a_window_that_moves_on_too_late() -> None:
    tried = bench([call(usd=0.05)], GOALS, quotas=[Quota(usd=0.05, per_s=86_400)])
    assert (await tried.run("first")).result.outcome == "succeeded"
    late = await tried.run("second")
    assert (late.result.outcome, late.result.duration_s) == ("escalated", 0.0)


@in_virtual_time
async def test_a_plan_sees_that_a_window_has_moved_on_and_supposes_nothing() -> None:
    tried = bench([call(usd=0.05)], GOALS, quotas=[Quota(usd=0.05, per_s=6.0)])
    await tried.run("first")
    assert not tried.agent.plan().feasible
    assert not tried.agent.plan(now=10_000.0).feasible
    await anyio.sleep(7.0)
    assert tried.agent.plan().feasible


def test_a_plan_can_be_asked_for_another_budget() -> None:
    agent = bench([call(usd=0.05)], GOALS, budget=Budget(usd=0.01)).agent
    assert not agent.plan().feasible
    assert agent.plan(budget=Budget(usd=0.06)).feasible


@in_virtual_time
async def test_two_runs_that_need_more_than_is_kept_for_them_do_not_wait_for_each_other() -> None:
    """Each has paid a dime and keeps another; the way that is left takes two, and 15 cents are free to each of them."""
    dear = fake_tool("ship_dear", ["charged"], ["done"], usd=0.20, effect="once")
    trouble = [Fault(type="down", target="ship")]
    tried = bench([*two_steps(), dear], GOALS, faults=trouble, quotas=[Quota(usd=0.45)])
    runs = await together(tried, 2)
    assert outcomes(runs) == ["escalated", "succeeded"]
    assert max(run.result.duration_s for run in runs) < 5.0


@in_virtual_time
async def test_a_tool_that_says_nothing_is_charged_no_more_than_was_held_back() -> None:
    """It was granted less than it usually costs, and told so: it can keep to that."""

    async def silent(_: object) -> str:
        await anyio.lowlevel.checkpoint()
        return "done"

    spec = replace(call().spec, cost=Cost(usd=0.03, usd_max=0.05, usd_least=0.01))
    tried = bench([Talking(spec, silent)], GOALS, quotas=[Quota(usd=0.02)])
    done = await tried.run()
    assert (done.result.outcome, done.result.cost_usd) == ("succeeded", 0.02)
    assert tried.agent.put_aside == {}
    (quota,) = tried.agent._services.quotas
    assert quota.spent.usd == 20_000_000
