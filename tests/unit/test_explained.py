"""What is said of a tool that is not taken: why it weighs what it does, and what keeps it out whatever it weighs."""
# pyright: reportPrivateUsage=false

from collections.abc import Sequence

import anyio

from agentroute.agent import Agent
from agentroute.errors import ToolError
from agentroute.graph.goal import Goal
from agentroute.ids import ToolId
from agentroute.ports import Tool
from agentroute.routing.factors import Factors
from agentroute.run.events import Rerouted, RouteChosen
from agentroute.testing.fakes import After, ScriptedTools, fake_tool
from tests.laboratory import bench, in_virtual_time

GOALS = {"found": ["found"]}


def ways() -> Sequence[Tool]:
    return [fake_tool("near", ["start"], ["found"], usd=0.001), fake_tool("far", ["start"], ["found"], usd=0.004)]


def explained(agent: Agent, tool: str = "near") -> Factors:
    return next(factors for factors in agent.plan(explain=True).weighed if factors.tool == tool)


@in_virtual_time
async def test_a_rate_limit_is_named_where_it_makes_a_dearer_tool_the_way() -> None:
    refused = ToolError("slow down", kind="rate_limited", retry_after_s=600.0)
    tried = bench(ways(), GOALS, scripts={"near": [After(0.5, refused)]})
    first = await tried.run("first")
    assert first.result.route == ["far"]
    (rerouted,) = first.of(Rerouted)
    near, far = sorted(rerouted.weighed, key=lambda factors: factors.weight)
    assert (near.tool, near.closed_s, near.age_s, far.tool, far.closed_s) == ("near", 600.0, 0.0, "far", 0.0)
    await anyio.sleep(100.0)
    second = await tried.run("second")
    (chosen,) = second.of(RouteChosen)
    assert {factors.tool: factors.closed_s for factors in chosen.weighed} == {"near": 500.0, "far": 0.0}
    assert str(explained(tried.agent)) == (
        "near 0.001000 USD: 0.001000 USD and 0 s a call, 0.0% of calls fail, closed for 500 s: rate limit, "
        "last heard of 100.0 s ago"
    )
    await anyio.sleep(500.0)
    assert (explained(tried.agent).closed_s, explained(tried.agent).notable) == (0.0, False)


def test_a_plan_outside_of_the_event_loop_judges_a_refusal_as_of_when_it_came() -> None:
    refused = ScriptedTools({"near": [After(0.05, ToolError("no", kind="rate_limited", retry_after_s=600.0))]})
    agent = Agent(name="a", tools=ways()[:1], goals=[Goal("found", ["found"])], executor=refused, trace=False)
    agent.run_sync(inputs={"start": "given"})
    near = explained(agent)
    assert (near.closed_s, near.age_s) == (600.0, 0.0)


@in_virtual_time
async def test_a_tool_that_was_put_aside_or_has_no_room_says_so() -> None:
    agent = bench(ways(), GOALS).agent
    board, near = agent._services.board, ToolId("near")
    assert not explained(agent).notable
    first = board.begin(agent.graph.tools[near], 0.0)
    board.begin(agent.graph.tools[near], 0.0)
    (_, standing) = next(each for each in board.standings() if each[0].name == near)
    standing.room.crowded(2, 0.0)
    standing.changed()
    assert explained(agent).full
    assert explained(agent).notable
    assert "no room for another call" in str(explained(agent))
    board.forget(first)
    assert not explained(agent).full
    board.quarantine(near, "it charged twice")
    assert "put aside: it charged twice" in str(explained(agent))
    assert explained(agent).notable
    board.reinstate(near)
    assert not explained(agent).notable
