"""Laws of every run, whatever is drawn: graph, faults, limits, company, and the moment at which it is cut off."""

from dataclasses import replace

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from agentroute.testing.faults import Fault
from agentroute.testing.invariants import RAN, decision_journal, reachable
from tests.properties.run_cases import STEP_FAULTS, Scenario, ToolDraw, fault_draws, graphs, play, scenarios

BIG = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
SMALL = settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])


@BIG
@given(scenarios())
def test_no_invariant_is_violated(scenario: Scenario) -> None:
    played = play(scenario)
    for result in played.results.values():
        event(result.outcome)
    event(f"{min(3, len(played.injector.triggered))} faults triggered or more")
    assert played.violations(scenario) == [], played.story()


@SMALL
@given(scenarios())
def test_the_same_seed_gives_the_same_journal_to_the_byte(scenario: Scenario) -> None:
    first, second = play(scenario), play(scenario)
    assert {run: decision_journal(records) for run, records in first.journals.items()} == {
        run: decision_journal(records) for run, records in second.journals.items()
    }


def spared(tools: tuple[ToolDraw, ...], faults: tuple[Fault, ...]) -> set[str]:
    """Tools that no fault is aimed at, not even by way of their provider, and that no guard closes."""
    aimed_at = {fault.target for fault in faults}
    unlucky = {tool.provider for tool in tools if tool.name in aimed_at} - {None}
    return {
        tool.name
        for tool in tools
        if tool.name not in aimed_at and tool.provider not in unlucky and (tool.guard is None or tool.guard[1])
    }


@st.composite
def rescuable(draw: st.DrawFn) -> Scenario:
    """Draw trouble with a way around it that has nothing to do with it, and limits that do not bind."""
    tools = draw(graphs())
    faults = tuple(draw(st.lists(fault_draws(tools), min_size=draw(st.integers(0, 3)), max_size=6)))
    faults = tuple(fault for fault in faults if fault.target in {tool.name for tool in tools})
    return replace(
        draw(scenarios()),
        tools=tools,
        goals=(("full", (tools[-1].makes[0],), 1.0), ("rung", (tools[0].makes[0],), 0.5)),
        faults=faults,
        budget_usd=draw(st.sampled_from((None, 50.0))),
        deadline_s=draw(st.sampled_from((None, 1000.0))),
        tokens=None,
        llm_calls=None,
        tool_calls=None,
        cancel_at=None,
    )


@SMALL
@given(rescuable())
def test_a_run_succeeds_where_a_way_over_tools_that_never_fail_is_there(scenario: Scenario) -> None:
    played = play(scenario)
    way = reachable(played.graph, "full", {"start"}, spared(scenario.tools, scenario.faults))
    assume(way)
    event("faults triggered" if played.injector.triggered else "no faults triggered")
    unverifiable = {tool.name for tool in scenario.tools if tool.effect == "once" and not tool.verify}
    for run, result in played.results.items():
        hit = [entry for entry in played.injector.triggered if entry.run == run and entry.tool in unverifiable]
        cut_off = [seen for seen in played.injector.seen if seen.run == run and seen.tool in unverifiable]
        if any(entry.fault.type in RAN or entry.fault.status == 500 for entry in hit) or any(
            seen.outcome == "cancelled" for seen in cut_off
        ):
            continue  # an effect in doubt that nobody can look into goes to a person, whatever else is possible
        assert result.outcome == "succeeded", f"{result.reason}\n{played.story()}"


def test_the_drawn_scenarios_are_worth_something() -> None:
    """Over a fixed draw, every kind of fault triggers, and every way to end and to go on occurs."""
    seen_types: set[str] = set()
    seen_events: set[str] = set()
    outcomes: set[str] = set()

    @settings(max_examples=800, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(scenarios())
    def collect(scenario: Scenario) -> None:
        played = play(scenario)
        seen_types.update(entry.fault.type for entry in played.injector.triggered)
        outcomes.update(result.outcome for result in played.results.values())
        for records in played.journals.values():
            seen_events.update(type(record.event).__name__ for record in records)
            outcomes.update(getattr(record.event, "outcome", "succeeded") for record in records)

    collect()
    assert seen_types >= set(STEP_FAULTS) - {"stale"}  # which needs an earlier call with another answer
    assert outcomes == {"succeeded", "demoted", "escalated", "cancelled"}
    ways = {"AttemptAbandoned", "Chosen", "GuardClosed", "Rerouted", "Retried", "Verified", "Waiting"}
    assert seen_events >= ways | {"Unresolved"}
