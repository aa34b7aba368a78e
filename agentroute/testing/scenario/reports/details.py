"""What the page shows of one scenario: a row of the table, and its runs one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from agentroute.testing.scenario.record import OracleView, ScenarioRecord, Trial
from agentroute.testing.scenario.reports.timeline import Entry, timeline
from agentroute.testing.scenario.reports.totals import worst_run
from agentroute.testing.scenario.reports.words import (
    LONGEST_TITLE,
    VERDICTS,
    count,
    cut,
    duration,
    findings,
    number,
    outcomes,
    reason,
    run_figures,
    title,
)

MOST_RUNS: Final = 12
"""Runs of one scenario that are shown."""

MOST_FINDINGS: Final = 20
"""Sentences about one run."""

MOST_FAULTS: Final = 100
"""Rules of one run."""


@dataclass(frozen=True, slots=True)
class Row:
    """A scenario in the table.

    Attributes:
        anchor: Id of its details; empty if it has none on the page.
        verdict: The verdict as a class of the style sheet.
        word: The verdict in words.
        title: Its title.
        reason: Why it is not held; empty if it is.
        level: How real its faults were.
        outcome: How its runs ended.
        figures: Rules that triggered of those given, retries, reroutes, model calls, USD, seconds, for its worst run.
    """

    anchor: str
    verdict: str
    word: str
    title: str
    reason: str
    level: str
    outcome: str
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A run in the details of its scenario; everything in words."""

    heading: str
    said: str
    counts: str
    faults: Sequence[tuple[str, str]]
    violations: Sequence[str]
    deviations: Sequence[str]
    oracle: str
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything about a scenario. `note` says which runs are left out; empty if none is."""

    row: Row
    file: str
    expected: str
    runs: Sequence[Run]
    note: str


def row(record: ScenarioRecord, anchor: str) -> Row:
    """Sum a scenario up."""
    run = worst_run(record)
    return Row(
        anchor=anchor,
        verdict=record.verdict,
        word=VERDICTS[record.verdict],
        title=title(record),
        reason="" if record.verdict == "held" else reason(record) or " ".join(findings(record, run, 1)[:1]),
        level=record.level,
        outcome=outcomes(record.of()),
        figures=run_figures(run),
    )


def detail(record: ScenarioRecord, anchor: str) -> Detail:
    """Tell everything about a scenario, the run without faults first."""
    worst = worst_run(record)
    trials = list(record.trials)
    if len(trials) > MOST_RUNS and worst is not None:
        trials = [worst, *(trial for trial in trials if trial is not worst)][:MOST_RUNS]
    left_out = len(record.trials) - len(trials)
    runs = [_run(trial, f"{cut(trial.system, LONGEST_TITLE)} under faults") for trial in trials]
    if record.baseline is not None:
        runs.insert(0, _run(record.baseline, "Baseline: without faults"))
    return Detail(
        row=row(record, anchor),
        file=cut(record.file, LONGEST_TITLE),
        expected=cut(record.expected, LONGEST_TITLE),
        runs=runs,
        note=f"{count(left_out, 'more run')} not shown here; the journal has them all." if left_out else "",
    )


def _run(trial: Trial, heading: str) -> Run:
    return Run(
        heading=f"{heading}, seed {trial.seed}",
        said=_said(trial),
        counts=_counts(trial),
        faults=_faults(trial),
        violations=_most(trial.violations),
        deviations=_most(trial.deviations),
        oracle=_oracle(trial.oracle),
        entries=timeline(trial.events),
    )


def _said(trial: Trial) -> str:
    goal = f", goal {cut(trial.goal, LONGEST_TITLE)}" if trial.goal else ""
    right = "as expected" if trial.correct else "not as expected"
    return f"{cut(trial.outcome, 60) or 'no outcome'}{goal} ({right})"


def _counts(trial: Trial) -> str:
    said = [
        count(trial.retries, "retry", "retries"),
        count(trial.reroutes, "reroute"),
        count(trial.escalations, "escalation"),
        count(trial.llm_calls, "model call"),
        count(trial.tool_calls, "tool call"),
    ]
    harm = {
        "silent failure": trial.silent,
        "wrong value nobody could see": trial.undetectable,
        "duplicate effect": trial.duplicate_effects,
        "budget breach": trial.budget_breaches,
        "flap": trial.flaps,
    }
    plural = {"wrong value nobody could see": "wrong values nobody could see", "budget breach": "budget breaches"}
    said += [count(many, what, plural.get(what, "")) for what, many in harm.items() if many]
    # Others do not say what they cost and how long they took.
    said += [f"{number(trial.cost_usd, 6)} USD"] if trial.cost_usd else []
    said += [duration(trial.duration_s)] if trial.duration_s else []
    return ", ".join(said)


def _faults(trial: Trial) -> list[tuple[str, str]]:
    shown = [
        (cut(rule.fault, LONGEST_TITLE), f"{rule.times:,}" if rule.times > 0 else "never: it shows nothing")
        for rule in trial.faults[:MOST_FAULTS]
    ]
    rest = len(trial.faults) - len(shown)
    return [*shown, (f"and {count(rest, 'more rule')}", "")] if rest else shown


def _most(sentences: Sequence[str]) -> list[str]:
    shown = [cut(sentence) for sentence in sentences[:MOST_FINDINGS]]
    rest = len(sentences) - len(shown)
    return [*shown, f"and {rest} more"] if rest else shown


def _oracle(oracle: OracleView | None) -> str:
    if oracle is None:
        return ""
    possible = {True: "could be reached", False: "could not be reached", None: "may or may not have been in reach"}
    best = f"; the best in reach was {cut(oracle.best, LONGEST_TITLE)}" if oracle.best else ""
    cost = "" if oracle.cost_usd is None else f", for {number(oracle.cost_usd, 6)} USD at least"
    return f"The goal asked for {possible[oracle.possible]}{best}{cost}."
