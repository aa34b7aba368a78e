"""Quotas: limits of all runs together, and what runs do when others hold what they need."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentroute.agent import Agent
from agentroute.errors import DefinitionError, InputError
from agentroute.guard.budget import Budget, Quota
from agentroute.ids import ToolId
from agentroute.routing.health import Health
from agentroute.run.events import AttemptStarted, Quarantined, Waiting
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
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
    assert "call (cannot be afforded)" in next(r for r in runs if r.result.outcome == "escalated").result.reason


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
