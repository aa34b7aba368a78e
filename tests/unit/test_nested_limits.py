"""What an agent used as a tool needs is foreseen by who calls it: in plans, and before anything is begun."""

from typing import Any

import pytest

from agentroute.agent import Agent
from agentroute.errors import DefinitionError
from agentroute.guard.budget import Budget, Quota
from agentroute.testing.fakes import fake_tool
from tests.laboratory import bench, experiment

GOALS = {"done": ["done"]}


def inner(budget: Budget | None = None, **dear: Any) -> Agent:
    """Two model calls in a row, the first of which has a dear alternative."""
    tools = [
        fake_tool("ask", ["start"], ["asked"], usd=0.01, usd_max=0.02, calls_model=True, tokens=100),
        fake_tool("ask_dear", ["start"], ["asked"], usd=0.50, usd_max=0.60, calls_model=True, tokens=100, **dear),
        fake_tool("say", ["asked"], ["said"], usd=0.01, usd_max=0.03, calls_model=True, tokens=50),
    ]
    return bench(tools, {"said": ["said"]}, budget=budget or Budget()).agent


def outer(agent: Agent) -> list[Any]:
    pay = fake_tool("pay", ["start"], ["paid"], usd=0.10, effect="once")
    return [pay, agent.as_tool(name="think"), fake_tool("end", ["paid", "said"], ["done"])]


def test_what_it_takes_is_told_by_its_cheapest_route_and_all_its_tools() -> None:
    spec = inner().as_tool().spec
    assert (spec.cost.usd, spec.cost.usd_max, spec.cost.usd_least) == pytest.approx((0.02, 0.65, 0.05))
    assert (spec.nested.tokens, spec.nested.model_calls, spec.nested.tool_calls) == (150, 2, 2)


@pytest.mark.parametrize(
    ("limits", "short"),
    [
        ({"llm_calls": 1}, "needs 2 model calls of 1 model call left"),
        ({"tokens": 149}, "needs 150 tokens of 149 tokens left"),
        ({"tool_calls": 4}, "the budget is 4 tool calls, and the least that a route needs is 5 tool calls"),
        ({"usd": 0.14}, "the budget is 0.140000 USD, and the least that a route needs is 0.150000 USD"),
    ],
)
def test_nothing_is_begun_that_the_inner_run_could_not_finish(limits: dict[str, Any], short: str) -> None:
    done = experiment(outer(inner()), GOALS, budget=Budget(**limits))
    assert (done.result.outcome, done.called()) == ("escalated", [])
    assert short in done.result.reason
    assert not done.agent.plan().feasible


@pytest.mark.parametrize("limits", [{"llm_calls": 2}, {"tokens": 150}, {"tool_calls": 5}, {"usd": 0.15}])
def test_what_is_just_enough_is_enough(limits: dict[str, Any]) -> None:
    done = experiment(outer(inner()), GOALS, budget=Budget(**limits))
    assert done.result.outcome == "succeeded"


def test_needs_of_a_plan_count_what_is_behind_a_tool() -> None:
    needs = bench(outer(inner()), GOALS).agent.plan().needs
    assert (needs["llm_calls"], needs["tokens"], needs["tool_calls"]) == (2, 150, 5)


def test_needs_add_up_through_agents_of_agents() -> None:
    middle = bench([inner().as_tool(name="think")], {"said": ["said"]}).agent
    assert middle.as_tool().spec.nested.model_calls == 2
    assert middle.as_tool().spec.nested.tool_calls == 3


def test_quotas_of_the_caller_are_looked_at_beforehand() -> None:
    done = experiment(outer(inner()), GOALS, quotas=[Quota(llm_calls=1)])
    assert (done.result.outcome, done.called()) == ("escalated", [])


@pytest.mark.parametrize("budget", [Budget(usd=0.04), Budget(llm_calls=1), Budget(tokens=149)])
def test_an_agent_that_can_never_reach_its_goal_is_no_tool(budget: Budget) -> None:
    with pytest.raises(DefinitionError, match="never reaches 'said': the budget is"):
        inner(budget).as_tool()
