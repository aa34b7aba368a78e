"""The figures of a session, each defined in one place; every report takes them from here."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from agentroute.testing.scenario.record import OURS, ScenarioRecord, Session, Trial
from agentroute.testing.scenario.reports.intervals import Share, Spread, share, spread
from agentroute.testing.scenario.reports.recovery import recovery_times


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemTotals:
    """What one system did under faults.

    Attributes:
        system: Its name.
        runs: Runs under faults.
        correct: Runs whose end is the one that the scenario expects.
        silent: Failures that it passed over, though they could be seen.
        undetectable: False answers that nobody could have seen.
        llm_calls: Model calls.
        tool_calls: Calls of tools.
        duplicates: Effects that stand more than once.
        recoveries: Failures that it answered itself. Of agentroute: by the same tool or by others, nobody deciding.
            Of the others: as many as they say they got over.
        recovery_s: Seconds from a failure to the next success; see `recovery_times`.
        cost_usd: Spent, USD.
    """

    system: str
    runs: int
    correct: int
    silent: int
    undetectable: int
    llm_calls: int
    tool_calls: int
    duplicates: int
    recoveries: int
    recovery_s: Spread
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The figures of a session. Those of runs are of agentroute under faults; what others did is in `systems`.

    Attributes:
        scenarios: All of them; the next five add up to it.
        held: Verdict: everything expected is so.
        deviated: Verdict: something is not, or nothing was put to the test.
        invalid: Verdict: cannot be run as it stands.
        baseline_not_met: Verdict: does not even hold without faults.
        waiting: Verdict: not run, because agentroute cannot do it yet.
        runs: Runs under faults.
        baselines: Runs without faults.
        triggered_faults: Rules that really happened at least once, counted in every run.
        untriggered_faults: Rules that never happened, counted in every run. They show nothing.
        fault_hits: How often the rules happened.
        silent_failures: Failures that could be seen and were passed over.
        undetectable_wrong: False answers that kept their contract, so that nobody could have seen them.
        duplicate_effects: Effects that stand more than once.
        budget_breaches: Times that more was spent or reserved than allowed.
        violations: Invariants that did not hold.
        llm_calls: Model calls.
        tool_calls: Calls of tools.
        retries: Failures answered by the same tool.
        reroutes: Failures answered by others.
        escalations: Times that somebody else decided.
        flaps: Times that a tool came back onto the route after it had been routed around.
        recoveries: Retries and reroutes: failures answered while nobody else decided.
        false_escalations: Runs without faults that ended escalated, where the scenario does not expect that end of
            them; whether its baseline was met or not.
        recovery: Of the runs with a fault that happened and a goal that could still be reached (says the oracle),
            those that reached it in truth: succeeded, with nothing passed over and no false answer in the result.
        in_doubt: Of those not saved, runs in which an effect was in doubt that nobody could look into: they are handed
            to a person by rule, while an oracle does not call what it knows will be lost.
        deceived: Of the others not saved, runs with a false answer that nobody could have seen.
        cost_ratio: Spent, over the least that the same goal could have cost; where both are known and the goal
            reached is the best that could be.
        detect_s: Seconds from a fault to the failure on record.
        reroute_s: Seconds from a failure to its answer.
        cost_usd: Spent, USD.
        systems: The system under test first, then those it is compared with.
    """

    scenarios: int
    held: int
    deviated: int
    invalid: int
    baseline_not_met: int
    waiting: int
    runs: int
    baselines: int
    triggered_faults: int
    untriggered_faults: int
    fault_hits: int
    silent_failures: int
    undetectable_wrong: int
    duplicate_effects: int
    budget_breaches: int
    violations: int
    llm_calls: int
    tool_calls: int
    retries: int
    reroutes: int
    escalations: int
    flaps: int
    recoveries: int
    false_escalations: int
    recovery: Share
    in_doubt: int
    deceived: int
    cost_ratio: Spread
    detect_s: Spread
    reroute_s: Spread
    cost_usd: float
    systems: tuple[SystemTotals, ...]

    @property
    def recovered(self) -> int:
        """Runs that were saved."""
        return self.recovery.part

    @property
    def could_be_saved(self) -> int:
        """Runs that could have been saved."""
        return self.recovery.of


def totals(session: Session) -> Totals:
    """Count a session."""
    verdicts = Counter(record.verdict for record in session.scenarios)
    ours = [trial for record in session.scenarios for trial in record.of()]
    baselines = [record.baseline for record in session.scenarios if record.baseline is not None]
    rules = [count for trial in ours for count in trial.faults]
    retries, reroutes = sum(trial.retries for trial in ours), sum(trial.reroutes for trial in ours)
    saveable = [trial for trial in ours if _could_be_saved(trial)]
    lost = [trial for trial in saveable if not _saved(trial)]
    return Totals(
        scenarios=len(session.scenarios),
        held=verdicts["held"],
        deviated=verdicts["deviated"],
        invalid=verdicts["invalid"],
        baseline_not_met=verdicts["baseline_not_met"],
        waiting=verdicts["waiting"],
        runs=len(ours),
        baselines=len(baselines),
        triggered_faults=sum(count.times > 0 for count in rules),
        untriggered_faults=sum(count.times <= 0 for count in rules),
        fault_hits=sum(count.times for count in rules),
        silent_failures=sum(trial.silent for trial in ours),
        undetectable_wrong=sum(trial.undetectable for trial in ours),
        duplicate_effects=sum(trial.duplicate_effects for trial in ours),
        budget_breaches=sum(trial.budget_breaches for trial in ours),
        violations=sum(len(trial.violations) for trial in ours),
        llm_calls=sum(trial.llm_calls for trial in ours),
        tool_calls=sum(trial.tool_calls for trial in ours),
        retries=retries,
        reroutes=reroutes,
        escalations=sum(trial.escalations for trial in ours),
        flaps=sum(trial.flaps for trial in ours),
        recoveries=retries + reroutes,
        false_escalations=sum(trial.outcome == "escalated" and not trial.correct for trial in baselines),
        recovery=share(sum(_saved(trial) for trial in saveable), len(saveable)),
        in_doubt=sum(trial.doubts > 0 for trial in lost),
        deceived=sum(trial.undetectable > 0 and trial.doubts == 0 for trial in lost),
        cost_ratio=spread(cost_ratios(session)),
        detect_s=spread(seconds for trial in ours for seconds in trial.detect_s),
        reroute_s=spread(seconds for trial in ours for seconds in trial.reroute_s),
        cost_usd=sum(trial.cost_usd for trial in ours),
        systems=tuple(_system(name, session.scenarios) for name in systems(session)),
    )


def exit_status(session: Session) -> int:
    """Exit status of ``scenario run``: 0 held, 1 deviated, 2 invalid, 3 baseline not met.

    The gravest counts: what is invalid before a baseline, a baseline before a deviation. What waits does not count, so
    that a session of nothing else is 0; the reports say that it shows nothing.
    """
    verdicts = {record.verdict for record in session.scenarios}
    if "invalid" in verdicts:
        return 2
    if "baseline_not_met" in verdicts:
        return 3
    return 1 if "deviated" in verdicts else 0


def cost_ratios(session: Session) -> list[float]:
    """What each run of agentroute cost over the least that its goal could have cost; see `Totals.cost_ratio`."""
    ours = (trial for record in session.scenarios for trial in record.of())
    return [
        trial.cost_usd / trial.oracle.cost_usd
        for trial in ours
        if trial.oracle is not None
        and trial.oracle.cost_usd is not None
        and trial.oracle.cost_usd > 0
        and trial.oracle.best
        and trial.goal == trial.oracle.best
    ]


def worst_run(record: ScenarioRecord, system: str = OURS) -> Trial | None:
    """The run that speaks for a scenario: of several, the one with most against it, the first of equals.

    A repetition that deviated must not hide behind those that held. None if nothing was run under faults.
    """
    return max(record.of(system), key=_against, default=None)


def systems(session: Session) -> list[str]:
    """Every system that was to run or did run, the one under test first."""
    ran = {trial.system for record in session.scenarios for trial in record.trials}
    return list(dict.fromkeys([*session.systems, *sorted(ran)]))


def _against(trial: Trial) -> tuple[int, int, int, int, bool]:
    harm = trial.silent + trial.duplicate_effects + trial.budget_breaches
    return len(trial.violations), harm, len(trial.deviations), trial.undetectable, not trial.correct


def _could_be_saved(trial: Trial) -> bool:
    return trial.triggered > 0 and trial.oracle is not None and trial.oracle.possible is True


def _saved(trial: Trial) -> bool:
    return trial.outcome == "succeeded" and trial.silent == 0 and trial.undetectable == 0


def _system(name: str, records: Iterable[ScenarioRecord]) -> SystemTotals:
    runs = [trial for record in records for trial in record.of(name)]
    return SystemTotals(
        system=name,
        runs=len(runs),
        correct=sum(trial.correct for trial in runs),
        silent=sum(trial.silent for trial in runs),
        undetectable=sum(trial.undetectable for trial in runs),
        llm_calls=sum(trial.llm_calls for trial in runs),
        tool_calls=sum(trial.tool_calls for trial in runs),
        duplicates=sum(trial.duplicate_effects for trial in runs),
        recoveries=sum(_recoveries(trial) for trial in runs),
        recovery_s=spread(seconds for trial in runs for seconds in recovery_times(trial)),
        cost_usd=sum(trial.cost_usd for trial in runs),
    )


def _recoveries(trial: Trial) -> int:
    """Others do not tell a retry from a reroute, only how long each recovery took."""
    return trial.retries + trial.reroutes if trial.system == OURS else len(trial.reroute_s)
