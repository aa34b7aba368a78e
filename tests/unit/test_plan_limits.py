"""Before anything is spent, a plan says which limit a run cannot keep, what it would need, and where it is tight."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot

from agentroute.agent import Agent
from agentroute.graph.goal import Goal
from agentroute.guard.budget import Budget, Quota
from agentroute.ids import ToolId
from agentroute.run.plan import RoutePlan
from agentroute.testing.fakes import FakeTool, fake_tool


def step(name: str, takes: str, gives: str, *, tokens: int = 0, seconds: float = 0.0, **options: Any) -> FakeTool:
    """A tool, or with `tokens`, a model step."""
    made = fake_tool(name, [takes], [gives], **options)
    cost = replace(made.spec.cost, latency_s=seconds)
    return replace(made, spec=replace(made.spec, cost=cost, tokens=tokens, calls_model=bool(tokens)))


def trip(**options: Any) -> Agent:
    """A cheap way that may become dear, and a dear one that does not."""
    tools = [
        step("search", "trip", "flights", usd=0.01, usd_max=0.04, seconds=2.0),
        step("ask", "trip", "flights", usd=0.02, usd_max=0.02, tokens=3000, seconds=1.0),
        step("book", "flights", "booking", usd=0.01, usd_max=0.03, seconds=3.0),
    ]
    return Agent(name="a", tools=tools, goals=[Goal("booked", ["booking"])], trace=False, **options)


def planned(**limits: Any) -> RoutePlan:
    return trip(budget=Budget(**limits)).plan()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (
            {"usd": 0.04},
            snapshot("the budget is 0.040000 USD, and the least that a route needs is 0.050000 USD (ask -> book)"),
        ),
        (
            {"tool_calls": 1},
            snapshot("the budget is 1 tool call, and the least that a route needs is 2 tool calls (ask -> book)"),
        ),
        (
            {"deadline_s": 3},
            snapshot("the deadline is 3 s, and the cheapest route takes 5 s (search -> book)"),
        ),
        (
            {"usd": 0.06, "llm_calls": 0},
            snapshot(
                "no route keeps all limits at once; the cheapest one (search -> book) needs 0.070000 USD "
                "of 0.060000 USD"
            ),
        ),
        (
            {"usd": 0.01, "tool_calls": 0},
            snapshot(
                "the budget is 0.010000 USD, and the least that a route needs is 0.050000 USD (ask -> book); the "
                "budget is 0 tool calls, and the least that a route needs is 2 tool calls (ask -> book)"
            ),
        ),
    ],
)
def test_the_limit_that_binds_is_named_with_what_a_route_needs(limits: dict[str, Any], reason: str) -> None:
    plan = planned(**limits)
    assert (plan.feasible, plan.reason) == (False, reason)


def test_only_half_of_the_rest_has_to_be_there_if_that_is_enough_to_begin() -> None:
    assert not planned(usd=0.045).feasible
    assert planned(usd=0.045, finish_share=0.5).feasible
    assert "least that a route needs is 0.035000 USD" in planned(usd=0.03, finish_share=0.5).reason


def test_a_tool_that_is_out_is_no_question_of_limits() -> None:
    plan = trip(budget=Budget(usd=1.0)).plan(down=["book"])
    assert plan.reason == "nothing at hand and no usable tool provides: booking"


def test_what_the_route_needs_is_told() -> None:
    assert planned().needs == {"usd": 0.07, "tokens": 0, "llm_calls": 0, "tool_calls": 2, "deadline_s": 5.0}
    asked = trip().plan(down=["search"])
    assert asked.needs == {"usd": 0.05, "tokens": 3000, "llm_calls": 1, "tool_calls": 2, "deadline_s": 4.0}


def test_a_route_that_fits_but_only_just_is_warned_of() -> None:
    assert planned(usd=0.11, tool_calls=3).warnings == []
    tight = "should search fail, it may be too little for a second call"
    assert planned(usd=0.1, tool_calls=2).warnings == [
        f"the budget is 0.100000 USD, and the route may need 0.070000 USD: {tight}",
        f"the budget is 2 tool calls, and the route may need 2 tool calls: {tight}",
    ]


def test_a_route_that_may_not_be_finished_is_warned_of() -> None:
    short = "it may have to end before the goal, as finish_share allows"
    assert planned(usd=0.06, finish_share=0.0).warnings == [
        f"the budget is 0.060000 USD, and the route may need 0.070000 USD: {short}"
    ]


def test_quotas_that_leave_too_little_are_told_from_the_budget() -> None:
    agent = trip(budget=Budget(usd=1.0), quotas=[Quota(usd=0.12)])
    assert agent.plan().warnings == []
    assert agent.run_sync(inputs={"trip": "there"}).outcome == "succeeded"
    assert [warning.partition(",")[0] for warning in agent.plan().warnings] == ["the quotas leave 0.100000 USD now"]
    for _ in range(3):
        agent.run_sync(inputs={"trip": "there"})
    assert agent.plan().reason == snapshot(
        "the quotas leave 0.030000 USD now, and the least that a route needs is 0.050000 USD (ask -> book)"
    )


def test_what_other_runs_hold_may_come_back() -> None:
    agent = trip(quotas=[Quota(usd=0.07)])
    (ledger,) = agent._services.quotas
    held = ledger.reserve(agent.tools[ToolId("search")].spec.worst)
    assert held is not None
    assert agent.plan().reason.startswith(
        "the quotas leave 0.030000 USD now (other runs hold 0.040000 USD that they may give back)"
    )
    held.release()
    assert agent.plan().feasible


calls = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(calls, min_size=1, max_size=3), min_size=1, max_size=3), st.data())
def test_with_what_a_route_is_said_to_need_there_is_one_and_with_less_there_is_none(
    stages: list[list[tuple[int, int, int]]], data: st.DataObject
) -> None:
    """The least of a chain is the sum of the least of each stage: told by adding up, not by the router."""
    tools = [
        step(f"t{at}-{n}", f"a{at}", f"a{at + 1}", usd=usd / 100, usd_max=(usd + more) / 100, tokens=tokens)
        for at, stage in enumerate(stages)
        for n, (usd, more, tokens) in enumerate(stage)
    ]
    usd = sum(min(usd + more for usd, more, _ in stage) for stage in stages) / 100
    tokens = sum(min(tokens for *_, tokens in stage) for stage in stages)
    limit = data.draw(st.sampled_from(["usd", "tokens"]))
    enough = Budget(usd=usd) if limit == "usd" else Budget(tokens=tokens)
    less = Budget(usd=max(0, usd - 0.01)) if limit == "usd" else Budget(tokens=max(0, tokens - 1))
    agent = Agent(name="a", tools=tools, goals=[Goal("g", [f"a{len(stages)}"])], trace=False)
    assert agent.with_options(budget=enough).plan().feasible
    if enough != less:
        short = agent.with_options(budget=less).plan()
        said = f"{usd:.6f} USD" if limit == "usd" else f"{tokens:,} tokens"
        assert not short.feasible
        assert f"the least that a route needs is {said} (" in short.reason
