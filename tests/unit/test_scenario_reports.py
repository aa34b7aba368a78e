"""The figures of a session against a session counted by hand, and the intervals they come with."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentroute.testing.scenario.record import FaultCount, OracleView, ScenarioRecord, Session, Trial, Verdict
from agentroute.testing.scenario.reports import exit_status, totals, worst_run
from agentroute.testing.scenario.reports.intervals import Spread, share, spread
from agentroute.testing.scenario.reports.recovery import recovery_times

EVENTS: tuple[dict[str, Any], ...] = (
    {"event": "RunStarted", "at": 0.0, "agent": "support", "goal": "refunded", "budget": 50_000_000},
    {"event": "AttemptStarted", "at": 0.0, "attempt": 1, "tool": "refund_a", "role": "step"},
    {"event": "AttemptStarted", "at": 0.0, "attempt": 2, "tool": "look_up", "role": "step"},
    {"event": "AttemptFailed", "at": 1.0, "attempt": 1, "tool": "refund_a", "kind": "transient", "message": "refused"},
    {"event": "AttemptSucceeded", "at": 1.5, "attempt": 2, "tool": "look_up"},
    {"event": "AttemptStarted", "at": 2.0, "attempt": 3, "tool": "find_refund", "role": "verify"},
    {"event": "AttemptSucceeded", "at": 2.5, "attempt": 3, "tool": "find_refund"},
    {"event": "Rerouted", "at": 2.5, "before": ["refund_a"], "after": ["refund_b"], "weight_after": 13_000_000},
    {"event": "AttemptStarted", "at": 3.0, "attempt": 4, "tool": "refund_b", "role": "step"},
    {"event": "AttemptSucceeded", "at": 4.0, "attempt": 4, "tool": "refund_b"},
    {"event": "RunFinished", "at": 4.0, "outcome": "succeeded", "goal": "refunded"},
)
"""A journal: refund_a fails at 1 s, and the next success is at 1.5 s."""

SAVED = Trial(
    seed=7,
    outcome="succeeded",
    goal="refunded",
    correct=True,
    llm_calls=1,
    tool_calls=4,
    retries=1,
    reroutes=2,
    flaps=1,
    cost_usd=0.03,
    duration_s=4.0,
    detect_s=(0.1, 0.3),
    reroute_s=(0.2, 0.4, 0.6),
    faults=(FaultCount(fault="error:refund_a", times=2), FaultCount(fault="latency:look_up", times=0)),
    oracle=OracleView(possible=True, best="refunded", cost_usd=0.02),
    events=EVENTS,
)
LOST = Trial(
    seed=8,
    outcome="demoted",
    goal="queued",
    silent=2,
    duplicate_effects=1,
    budget_breaches=3,
    llm_calls=2,
    tool_calls=5,
    escalations=1,
    cost_usd=0.05,
    duration_s=9.0,
    detect_s=(1.1,),
    faults=(FaultCount(fault="down:refund_*", times=5),),
    violations=("2: it says that it succeeded, and nothing was refunded", "4: refund_b stands twice"),
    deviations=("outcome is demoted, not succeeded",),
    oracle=OracleView(possible=True, best="refunded", cost_usd=0.02),
)
BLIND = Trial(
    outcome="succeeded",
    goal="refunded",
    undetectable=1,
    tool_calls=3,
    cost_usd=0.02,
    faults=(FaultCount(fault="wrong:look_up", times=1),),
    oracle=OracleView(possible=True, best="refunded", cost_usd=0.02),
)
HOPELESS = Trial(
    outcome="escalated",
    correct=True,
    escalations=1,
    tool_calls=2,
    faults=(FaultCount(fault="down:*", times=4),),
    oracle=OracleView(possible=False),
)
UNTESTED = Trial(
    outcome="succeeded",
    goal="refunded",
    correct=True,
    tool_calls=3,
    cost_usd=0.02,
    faults=(FaultCount(fault="reset:refund_a", times=0),),
    oracle=OracleView(possible=True, best="refunded", cost_usd=0.0),
)
REACT = Trial(system="react", outcome="succeeded", correct=True, llm_calls=6, tool_calls=5, reroute_s=(2.0, 4.0))
STATIC = Trial(system="static", outcome="succeeded", silent=1, undetectable=1, tool_calls=4, duplicate_effects=2)

SESSION = Session(
    scenarios=(
        ScenarioRecord(
            title="A payment provider is down",
            file="scenarios/payment/down.yaml",
            verdict="held",
            baseline=Trial(outcome="succeeded", goal="refunded", correct=True),
            trials=(SAVED, REACT, STATIC),
            took_s=0.5,
        ),
        ScenarioRecord(
            title="All payment is down",
            file="scenarios/payment/all.yaml",
            level="wire",
            verdict="deviated",
            reason="outcome is demoted, not succeeded",
            expected="succeeded",
            baseline=Trial(outcome="escalated", correct=True),
            trials=(UNTESTED, LOST),
            took_s=1.5,
        ),
        ScenarioRecord(
            title="A wrong order",
            file="scenarios/wrong.yaml",
            verdict="held",
            baseline=Trial(outcome="escalated"),
            trials=(BLIND, HOPELESS),
            took_s=0.25,
        ),
        ScenarioRecord(title="", file="scenarios/broken.yaml", verdict="invalid", reason="line 3: no such tool"),
        ScenarioRecord(
            title="It never worked",
            file="scenarios/never.yaml",
            verdict="baseline_not_met",
            reason="without faults the outcome is escalated",
            baseline=Trial(outcome="escalated", tool_calls=50, violations=("1: a fault is unanswered",)),
        ),
        ScenarioRecord(title="A monitor lies", file="later.yaml", verdict="waiting", reason="needs health calibration"),
    ),
    systems=("agentroute", "react", "static"),
    repeat=2,
    started=1_790_000_000.0,
    took_s=3.0,
)
"""Five runs of agentroute under faults: one saved, one lost, one blind, one hopeless, and one that tested nothing."""


def of_verdicts(*verdicts: Verdict) -> Session:
    return Session(scenarios=[ScenarioRecord(title=each, file="f.yaml", verdict=each) for each in verdicts])


def many(held: int, deviated: int) -> Session:
    good: list[Verdict] = ["held"] * held
    bad: list[Verdict] = ["deviated"] * deviated
    return of_verdicts(*good, *bad)


class TestCounting:
    def test_scenarios_by_verdict(self) -> None:
        counted = totals(SESSION)
        assert counted.scenarios == 6
        assert (counted.held, counted.deviated, counted.invalid) == (2, 1, 1)
        assert (counted.baseline_not_met, counted.waiting) == (1, 1)

    def test_rules_that_triggered_and_those_that_never_did(self) -> None:
        counted = totals(SESSION)
        assert (counted.triggered_faults, counted.untriggered_faults, counted.fault_hits) == (4, 2, 12)

    def test_harm_is_that_of_agentroute_under_faults_only(self) -> None:
        counted = totals(SESSION)
        assert (counted.silent_failures, counted.undetectable_wrong) == (2, 1)
        assert (counted.duplicate_effects, counted.budget_breaches, counted.violations) == (1, 3, 2)

    def test_calls_and_answers(self) -> None:
        counted = totals(SESSION)
        assert (counted.runs, counted.baselines) == (5, 4)
        assert (counted.llm_calls, counted.tool_calls) == (3, 17)
        assert (counted.retries, counted.reroutes, counted.recoveries) == (1, 2, 3)
        assert (counted.escalations, counted.flaps) == (2, 1)
        assert counted.cost_usd == pytest.approx(0.12)

    def test_an_escalation_without_faults_is_false_unless_the_scenario_expects_it(self) -> None:
        assert totals(SESSION).false_escalations == 2  # of three: "All payment is down" expects it

    def test_a_run_is_recovered_if_it_reached_in_truth_what_could_be_reached(self) -> None:
        counted = totals(SESSION)
        assert (counted.recovered, counted.could_be_saved) == (1, 3)
        assert counted.recovery == share(1, 3)

    def test_a_false_success_is_not_recovered(self) -> None:
        silent = Trial(outcome="succeeded", silent=1, faults=LOST.faults, oracle=LOST.oracle)
        record = ScenarioRecord(title="t", file="f", verdict="deviated", trials=(silent,))
        assert totals(Session(scenarios=(record,))).recovery == share(0, 1)

    def test_what_the_oracle_cannot_tell_is_not_counted(self) -> None:
        unknown = Trial(outcome="escalated", faults=LOST.faults, oracle=OracleView(possible=None))
        without = Trial(outcome="escalated", faults=LOST.faults)
        record = ScenarioRecord(title="t", file="f", verdict="held", trials=(unknown, without))
        assert totals(Session(scenarios=(record,))).could_be_saved == 0

    def test_cost_is_compared_where_the_same_goal_was_reached_at_a_known_price(self) -> None:
        counted = totals(SESSION).cost_ratio  # SAVED 1.5, BLIND 1.0; not LOST: another goal; not UNTESTED: free
        assert (counted.count, counted.p50, counted.p95) == (2, 1.0, pytest.approx(1.5))

    def test_times_are_pooled_over_runs(self) -> None:
        counted = totals(SESSION)
        assert counted.detect_s == Spread(3, 0.3, 1.1, 1.1)
        assert counted.reroute_s == Spread(3, 0.4, 0.6, 0.6)

    def test_every_system_is_counted(self) -> None:
        ours, react, static = totals(SESSION).systems
        assert (ours.system, ours.runs, ours.correct, ours.silent, ours.undetectable) == ("agentroute", 5, 3, 2, 1)
        assert (ours.llm_calls, ours.tool_calls, ours.duplicates, ours.recoveries) == (3, 17, 1, 3)
        assert (react.system, react.runs, react.correct, react.silent) == ("react", 1, 1, 0)
        assert (react.llm_calls, react.tool_calls, react.recoveries) == (6, 5, 2)
        assert react.recovery_s == Spread(2, 2.0, 4.0, 4.0)
        assert (static.correct, static.silent, static.undetectable, static.duplicates) == (0, 1, 1, 2)

    def test_a_system_that_nobody_announced_is_not_hidden(self) -> None:
        record = ScenarioRecord(title="t", file="f", verdict="held", trials=(REACT,))
        assert [each.system for each in totals(Session(scenarios=(record,))).systems] == ["agentroute", "react"]

    def test_nothing_is_counted_in_an_empty_session(self) -> None:
        counted = totals(Session())
        assert counted.scenarios == counted.runs == counted.tool_calls == 0
        assert counted.recovery.rate is None
        assert counted.cost_ratio == Spread(0)


class TestRecoveryTimes:
    def test_ours_last_from_each_failure_to_the_next_success(self) -> None:
        assert recovery_times(SAVED) == [0.5]
        assert totals(SESSION).systems[0].recovery_s == Spread(1, 0.5, 0.5, 0.5)

    def test_failures_before_the_same_success_count_one_by_one(self) -> None:
        failed = [{"event": "AttemptFailed", "at": at} for at in (1.0, 2.0)]
        succeeded = [{"event": "AttemptSucceeded", "at": at} for at in (4.0, 5.0)]
        assert recovery_times(Trial(events=[*failed, *succeeded])) == [3.0, 2.0]

    def test_a_failure_without_a_success_after_it_has_none(self) -> None:
        assert recovery_times(Trial(events=EVENTS[:4])) == []

    def test_events_that_make_no_sense_are_passed_over(self) -> None:
        assert recovery_times(Trial(events=[{}, {"event": "AttemptFailed", "at": None}, *EVENTS])) == [0.5]

    def test_those_of_others_are_what_they_say(self) -> None:
        assert recovery_times(REACT) == [2.0, 4.0]


class TestTheRunThatSpeaks:
    def test_a_repetition_that_deviated_is_not_hidden(self) -> None:
        assert worst_run(SESSION.scenarios[1]) is LOST

    def test_of_equals_it_is_the_first(self) -> None:
        first, second = Trial(seed=1, correct=True), Trial(seed=2, correct=True)
        record = ScenarioRecord(title="t", file="f", verdict="held", trials=(first, second))
        assert worst_run(record) is first

    def test_there_is_none_where_nothing_was_run(self) -> None:
        assert worst_run(SESSION.scenarios[3]) is None

    @pytest.mark.parametrize(
        "bad",
        [
            Trial(correct=True, violations=("x",)),
            Trial(correct=True, deviations=("x",)),
            Trial(correct=True, silent=1),
            Trial(correct=True, duplicate_effects=1),
            Trial(correct=True, budget_breaches=1),
            Trial(correct=True, undetectable=1),
            Trial(correct=False),
        ],
    )
    def test_anything_against_a_run_makes_it_worse(self, bad: Trial) -> None:
        record = ScenarioRecord(title="t", file="f", verdict="held", trials=(Trial(correct=True), bad))
        assert worst_run(record) is bad


class TestExitStatus:
    @pytest.mark.parametrize(
        ("verdicts", "status"),
        [
            (("held", "held"), 0),
            (("held", "waiting"), 0),
            (("waiting",), 0),
            ((), 0),
            (("held", "deviated"), 1),
            (("held", "deviated", "baseline_not_met"), 3),
            (("deviated", "baseline_not_met", "invalid", "held", "waiting"), 2),
        ],
    )
    def test_the_gravest_verdict_counts(self, verdicts: tuple[Verdict, ...], status: int) -> None:
        assert exit_status(of_verdicts(*verdicts)) == status


class TestIntervals:
    @pytest.mark.parametrize(
        ("part", "of", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_the_table_of_newcombe_1998(self, part: int, of: int, low: float, high: float) -> None:
        found = share(part, of)
        assert found.low == pytest.approx(low, abs=5e-5)
        assert found.high == pytest.approx(high, abs=5e-5)

    @given(st.integers(1, 10**6).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
    def test_the_interval_lies_in_bounds_and_holds_the_share(self, counted: tuple[int, int]) -> None:
        found = share(*counted)
        assert found.rate is not None
        assert 0 <= found.low <= found.rate <= found.high <= 1
        assert found.low < found.high

    @given(st.integers(1, 1000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))), st.integers(2, 50))
    def test_more_trials_of_the_same_share_narrow_it(self, counted: tuple[int, int], times: int) -> None:
        few, many = share(*counted), share(counted[0] * times, counted[1] * times)
        assert many.high - many.low < few.high - few.low

    @given(st.integers(1, 1000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
    def test_failures_mirror_successes(self, counted: tuple[int, int]) -> None:
        part, of = counted
        assert share(part, of).low == pytest.approx(1 - share(of - part, of).high)

    def test_of_nothing_anything_may_be_true(self) -> None:
        assert (share(0, 0).low, share(0, 0).high, share(0, 0).rate) == (0.0, 1.0, None)

    @pytest.mark.parametrize(("part", "of"), [(2, 1), (-1, 3)])
    def test_what_is_no_part_is_refused(self, part: int, of: int) -> None:
        with pytest.raises(ValueError, match="no part"):
            share(part, of)

    def test_percentiles_are_by_nearest_rank(self) -> None:
        assert spread(range(1, 201)) == Spread(200, 100, 190, 198)
        assert spread([3.0]) == Spread(1, 3.0, 3.0, 3.0)

    def test_what_is_no_number_was_not_measured(self) -> None:
        assert spread([float("nan"), float("inf"), 2.0]) == Spread(1, 2.0, 2.0, 2.0)

    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
    def test_percentiles_are_values_that_were_measured(self, values: list[float]) -> None:
        found = spread(values)
        assert found.p50 is not None
        assert found.p95 is not None
        assert found.p99 is not None
        assert {found.p50, found.p95, found.p99} <= set(values)
        assert found.p50 <= found.p95 <= found.p99
        assert sum(value <= found.p50 for value in values) * 2 >= len(values)
