"""Energy is a weight like money, at the agent's rate: never less, never more, and never on a bill."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentroute import Agent, Artifact, Budget, Goal, McpServers, Rates, http_tool, tool
from agentroute.errors import DefinitionError
from agentroute.graph.cost import Cost
from agentroute.graph.tool import ToolSpec
from agentroute.guard.rate_limits import Headroom
from agentroute.ids import NANOS_PER_USD, NanoUsd, ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health
from agentroute.routing.router import cheapest_route
from agentroute.routing.signals import HealthSignal
from agentroute.testing import fake_tool
from tests.properties.routing_cases import Case, brute_force, small_cases

AT_HAND = {"start": "x"}


@settings(deadline=None)
@given(
    cost=st.builds(Cost, usd=st.floats(0, 10), latency_s=st.floats(0, 30), risk=st.floats(0, 0.9)),
    rates=st.builds(Rates, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
    wh=st.floats(0, 1_000),
    calls=st.lists(st.sampled_from(["work", "fail", "hang"]), max_size=12),
    left=st.none() | st.integers(1, 10),
    factor=st.none() | st.floats(0.1, 20),
)
def test_a_weight_grows_with_energy_by_its_price_times_all_that_health_multiplies_it_with(
    *, cost: Cost, rates: Rates, wh: float, calls: list[str], left: int | None, factor: float | None
) -> None:
    plain = ToolSpec(ToolId("t"), cost=cost, effect="read")
    hungry = replace(plain, cost=replace(cost, wh=wh))

    def lived(tool: ToolSpec) -> HealthBoard:
        board, now = HealthBoard(Health(trip_after=20)), 0.0
        for call in calls:
            ticket = board.begin(tool, now)
            now += 1.0
            if call == "work":
                board.succeed(ticket, now)
            else:
                board.fail(ticket, now, timed_out=call == "hang")
        if left is not None:
            board.hear(board.begin(tool, now), Headroom(left, 10), now)
        if factor is not None:
            board.signal(HealthSignal("t", "risk", "m", factor=factor, at=now), now)
        return board

    board, now = lived(plain), len(calls) + 0.5
    known = board.factors(plain, rates, now)
    times = known.limit * known.returning * known.signal / (1 - known.p_fail)
    more = lived(hungry).weight(hungry, rates, now) - board.weight(plain, rates, now)
    assert more == pytest.approx(rates.usd_per_wh * wh * NANOS_PER_USD * times, rel=1e-6, abs=1.01)
    if not calls and left is None and factor is None:
        assert times == pytest.approx(1 / (1 - min(cost.risk, 0.95)))
    assert lived(hungry).factors(hungry, rates, now).declared >= known.declared


@settings(max_examples=150, deadline=None)
@given(case=small_cases(limits=True), data=st.data(), per_wh=st.integers(0, 3))
def test_the_router_finds_what_an_oracle_finds_that_prices_energy_by_itself(
    case: Case, data: st.DataObject, per_wh: int
) -> None:
    """Prices in nano-dollars and whole watt-hours, so that the oracle's sums are exact."""
    wh = {name: data.draw(st.integers(0, 9)) for name in case.weights}
    rates, board = Rates(usd_per_wh=per_wh / NANOS_PER_USD), HealthBoard(Health())
    costs = {name: Cost(usd=weight / NANOS_PER_USD, wh=wh[name]) for name, weight in case.weights.items()}
    weighed = {
        spec.name: board.weight(replace(spec, cost=costs[spec.name]), rates, 0.0)
        for spec in case.tools
        if spec.name in costs
    }
    by_hand = replace(
        case, weights={name: NanoUsd(weight + per_wh * wh[name]) for name, weight in case.weights.items()}
    )
    route = cheapest_route(replace(case, weights=weighed).problem())
    assert (None if route is None else tuple(sorted(route.tools))) == brute_force(by_hand)


@given(
    usd=st.integers(0, 10**9),
    latency_s=st.integers(0, 1_000),
    risk=st.integers(0, 8).map(lambda eighths: eighths / 8),
    wh=st.integers(0, 1_000),
    rates=st.tuples(*[st.integers(0, 64)] * 3),
)
def test_what_an_attempt_costs_in_one_currency_is_the_sum_of_its_parts(
    usd: int, latency_s: int, risk: float, wh: int, rates: tuple[int, int, int]
) -> None:
    """Against exact fractions; the rates are sixty-fourths, which floats hold."""
    parts = (latency_s, risk, wh)
    exact = Fraction(usd, NANOS_PER_USD) + sum(
        Fraction(rate, 64) * Fraction(part) for rate, part in zip(rates, parts, strict=True)
    )
    found = Rates(*(rate / 64 for rate in rates)).price(usd=usd / NANOS_PER_USD, latency_s=latency_s, risk=risk, wh=wh)
    assert found == pytest.approx(float(exact * NANOS_PER_USD), rel=1e-12, abs=1)


def desk(*, per_wh: float = 0.0, **options: Any) -> Agent:
    tools = [
        fake_tool("hungry", ["start"], ["a"], usd=0.01, wh=5.0),
        fake_tool("lean", ["start"], ["a"], usd=0.02, wh=0.5),
    ]
    return Agent(
        name="a", tools=tools, goals=[Goal("g", ["a"])], rates=Rates(usd_per_wh=per_wh), trace=False, **options
    )


def test_energy_that_has_no_price_decides_nothing() -> None:
    plan = desk().plan(explain=True)
    assert (plan.tools, plan.weight) == (["hungry"], 0.01)
    assert [factors.wh for factors in plan.weighed] == [0.0, 0.0]
    assert "Wh" not in "".join(map(str, plan.weighed))


def test_energy_that_has_one_is_weighed_and_told() -> None:
    plan = desk(per_wh=0.004).plan(explain=True)
    assert (plan.tools, plan.weight) == (["lean"], pytest.approx(0.022))
    told = {str(factors.tool): str(factors) for factors in plan.weighed}
    assert told["hungry"].startswith("hungry 0.030000 USD: 0.010000 USD, 5 Wh and 0 s a call")
    assert told["lean"].startswith("lean 0.022000 USD: 0.020000 USD, 0.5 Wh and 0 s a call")


@pytest.mark.anyio
async def test_energy_is_not_billed_and_no_budget_counts_it() -> None:
    dear = desk(per_wh=1.0, budget=Budget(usd=0.02))
    result = await dear.run(inputs=AT_HAND)
    assert (result.outcome, result.route, result.cost_usd) == ("succeeded", ["lean"], 0.02)


def test_every_kind_of_tool_declares_it_and_an_agent_used_as_one_adds_it_up(tmp_path: Path) -> None:
    @tool(usd=0.1, wh=2.5, effect="read")
    def think() -> Annotated[int, Artifact("thought")]:
        return 1

    asked = http_tool("ask", "GET", "http://127.0.0.1:1/x", takes={}, returns="b", wh=0.25)
    config = tmp_path / "mcp.json"
    config.write_text('{"mcpServers": {"s": {"command": "none"}}}', encoding="utf-8")
    listed = McpServers.from_file(config).tool("s", "look", takes={}, returns="c", effect="read", wh=0.75)
    assert [each.spec.cost.wh for each in (think, asked, listed)] == [2.5, 0.25, 0.75]
    chain = [fake_tool("one", ["start"], ["m"], wh=1.0), fake_tool("two", ["m"], ["a"], wh=2.0)]
    inner = Agent(
        name="inner", tools=[*chain, fake_tool("spare", ["m"], ["a"], usd=1.0, wh=9.0)], goals=[Goal("g", ["a"])]
    )
    assert inner.as_tool().spec.cost.wh == 3.0


@pytest.mark.parametrize("wh", [-1.0, float("nan"), float("inf"), 1e10, True, "5"])
def test_energy_that_is_no_figure_is_refused_at_the_door(wh: Any) -> None:
    with pytest.raises(DefinitionError, match="tool 't': wh must be a number"):
        fake_tool("t", [], ["a"], wh=wh)
    with pytest.raises(DefinitionError, match="rates: usd_per_wh must be a number"):
        Rates(usd_per_wh=wh)
