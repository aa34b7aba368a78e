"""A limit on model calls holds for a whole route, and is known before anything is spent."""

from dataclasses import replace
from typing import Annotated, Any

import pytest

from agentroute import Agent, Artifact, Budget, FunctionTool, Goal, tool
from agentroute.testing.fakes import After, fake_tool
from tests.laboratory import bench, in_virtual_time


def step(name: str, takes: str, gives: str, usd: float, *, by_model: bool) -> FunctionTool:
    async def function(value: Any) -> Any:
        return value

    function.__annotations__["value"] = Annotated[str, Artifact(takes)]
    made = tool(name=name, usd=usd, effect="read", returns=Annotated[str, Artifact(gives)])(function)
    made.spec = replace(made.spec, calls_model=by_model)
    return made


def agent(calls: int | None) -> Agent:
    """Two steps, each by a cheap model or a dear rule."""
    tools = [
        step("read-by-model", "start", "text", 0.01, by_model=True),
        step("read-by-rule", "start", "text", 0.05, by_model=False),
        step("judge-by-model", "text", "verdict", 0.01, by_model=True),
        step("judge-by-rule", "text", "verdict", 0.2, by_model=False),
    ]
    return Agent(name="a", tools=tools, goals=[Goal("g", ["verdict"])], budget=Budget(llm_calls=calls), trace=False)


@pytest.mark.parametrize(
    ("calls", "route", "optimal"),
    [
        (None, ["read-by-model", "judge-by-model"], True),
        (2, ["read-by-model", "judge-by-model"], True),
        (0, ["read-by-rule", "judge-by-rule"], True),
    ],
)
def test_the_cheapest_route_within_the_limit(calls: int | None, route: list[str], *, optimal: bool) -> None:
    plan = agent(calls).plan(have=["start"])
    assert (plan.tools, plan.optimal) == (route, optimal)


def test_where_one_call_is_left_it_goes_where_it_saves_most() -> None:
    plan = agent(1).plan(have=["start"])
    assert plan.feasible
    assert plan.optimal
    assert plan.tools == ["read-by-rule", "judge-by-model"]
    assert plan.weight == pytest.approx(0.06)


def test_no_route_within_the_limit_is_no_route() -> None:
    tools = [
        step(n, a, b, 0.01, by_model=True) for n, a, b in [("read", "start", "text"), ("judge", "text", "verdict")]
    ]
    bound = Agent(name="a", tools=tools, goals=[Goal("g", ["verdict"])], budget=Budget(llm_calls=1), trace=False)
    assert not bound.plan(have=["start"]).feasible


@in_virtual_time
async def test_a_model_call_under_way_is_not_counted_once_more_when_something_else_fails() -> None:
    """Else the last call allowed was cut off, paid for, and done again by what is dearer."""
    by_model = fake_tool("by-model", ["start"], ["a"], usd=0.01, seconds=2.0)
    tools = [
        replace(by_model, spec=replace(by_model.spec, calls_model=True)),
        fake_tool("by-rule", ["start"], ["a"], usd=0.5),
        fake_tool("beside", ["start"], ["b"], usd=0.01),
    ]
    scripts = {"beside": [After(0.5, ConnectionRefusedError("down")), "ok"]}
    tried = bench(tools, {"all": ["a", "b"]}, scripts=scripts, budget=Budget(llm_calls=1))
    done = await tried.run()
    assert sorted(done.called()) == ["beside", "beside", "by-model"]
    assert done.result.duration_s == pytest.approx(2.0)
