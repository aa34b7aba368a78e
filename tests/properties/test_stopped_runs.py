"""Laws of runs that a monitor stops, at whatever moment and in whatever trouble."""

from dataclasses import replace

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from agentroute.guard.breaker import INSTANT_S
from agentroute.run.events import AttemptStarted, Signalled
from tests.properties.run_cases import Scenario, play, scenarios


@st.composite
def stopped(draw: st.DrawFn) -> Scenario:
    """Draw anything, with few turns to make calls, and a moment at which its runs are stopped."""
    return replace(
        draw(scenarios()),
        cancel_at=None,
        concurrency=draw(st.sampled_from((1, 1, 2, 64))),
        stops_at=draw(st.sampled_from((0.0, 0.05, 0.1, 0.15, 0.55, 1.1))),
    )


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(stopped())
def test_after_a_stop_no_step_is_called_and_no_run_ends_well_by_itself(scenario: Scenario) -> None:
    """What is called is what the fault injector saw, whatever the run says of itself."""
    played = play(scenario)
    assert played.violations(scenario) == [], played.story()
    for number, start in enumerate(scenario.starts):
        run = f"run-{number}"
        facts = [record.event for record in played.journals[run]]
        stops = [fact for fact in facts if isinstance(fact, Signalled)]
        event(f"{played.results[run].outcome}, {'stopped' if stops else 'over before'}")
        if not stops:
            continue
        assert played.results[run].outcome == "escalated", played.story()
        steps = {fact.attempt for fact in facts if isinstance(fact, AttemptStarted) and fact.role == "step"}
        late = start + stops[0].at + INSTANT_S
        called = [seen for seen in played.injector.seen if seen.run == run and seen.attempt in steps]
        assert [seen for seen in called if seen.at > late] == [], played.story()
