"""How reports say things: the same words and formats in the terminal, in JUnit and on the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from agentroute.adapters.logs import printable
from agentroute.testing.scenario.record import ScenarioRecord, Session, Trial, Verdict
from agentroute.testing.scenario.reports.intervals import Share, Spread
from agentroute.testing.scenario.reports.totals import SystemTotals, Totals

VERDICTS: Final[dict[Verdict, str]] = {
    "held": "held",
    "deviated": "deviated",
    "invalid": "invalid",
    "baseline_not_met": "baseline not met",
    "waiting": "waiting",
}
"""In the order in which they are listed."""

FIRST: Final[frozenset[Verdict]] = frozenset({"held", "deviated"})
"""Those that are always told."""

LONGEST_TITLE: Final = 200
"""Characters of a title or name that are shown."""

LONGEST_TEXT: Final = 600
"""Characters of a sentence that are shown."""

MOST_NAMES: Final = 5
"""Rules that are named in a sentence."""

NOTHING_SHOWN: Final = "Nothing was shown: no scenario was put to the test"

Tone: TypeAlias = Literal["good", "bad", "note", ""]
"""What a figure means for whoever reads it; told by words as well, wherever it is told by colour."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure in words."""

    label: str
    text: str
    tone: Tone = ""


# ---------------------------------------------------------------- text from files and tools


def cut(text: str, longest: int = LONGEST_TEXT) -> str:
    """Text from strangers: safe to print, on one line and not endless."""
    shown = printable(text[:longest])
    return shown if len(text) <= longest else f"{shown}..."


def title(record: ScenarioRecord) -> str:
    """A scenario's title, or its file if it has none."""
    return cut(record.title or record.file or "untitled", LONGEST_TITLE)


def reason(record: ScenarioRecord) -> str:
    """Why a scenario is not held, on one line."""
    return cut("; ".join(_problems(record)))


def findings(record: ScenarioRecord, run: Trial | None, most: int) -> list[str]:
    """What there is to say against a scenario: its reason, then what was found in `run` and is not in the reason.

    A file that is wrong in several ways has a line for each in its reason, ``file:line:column: why``; they stay apart.
    """
    found = [] if run is None else [*run.violations, *run.deviations]
    more = [each for each in dict.fromkeys(found) if each not in record.reason]
    said = [cut(each) for each in [*_problems(record), *more]]
    rest = len(said) - most
    return said if rest <= 0 else [*said[:most], f"and {rest} more"]


def _problems(record: ScenarioRecord) -> list[str]:
    """Lines of a reason that come from reading a file. Elsewhere, line breaks are the words of tools."""
    lines = record.reason.split("\n") if record.verdict == "invalid" else [record.reason]
    return [line for line in lines if line.strip()]


# ---------------------------------------------------------------- figures


def number(value: float, digits: int = 3) -> str:
    """A figure for people; a dash if it is none."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def duration(seconds: float | None) -> str:
    """A duration for people; a dash if there is none."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms" if seconds == 0 or seconds >= 0.01 else f"{seconds * 1000:.2g} ms"
    return f"{seconds:.2f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def percent(rate: float) -> str:
    """A share for people. 100% means all of it and 0% none, never nearly."""
    shown = f"{rate:.1%}"
    if (shown == "100.0%" and rate < 1) or (shown == "0.0%" and rate > 0):
        return "> 99.9%" if rate > 0.5 else "< 0.1%"
    return shown.replace(".0%", "%")


def count(many: int, one: str, several: str = "") -> str:
    """A number with its noun."""
    return f"{many:,} {one if many == 1 else several or one + 's'}"


def moment(seconds: float, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """A moment in UTC, given in seconds since 1970; empty if it is not known."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(form) if seconds > 0 else ""
    except (OverflowError, OSError, ValueError):
        return ""


def outcomes(runs: Sequence[Trial]) -> str:
    """How runs ended; with numbers where they did not all end alike."""
    ended = [cut(run.outcome, 40) or "-" for run in runs]
    if len(set(ended)) <= 1:
        return ended[0] if ended else "-"
    return ", ".join(f"{outcome} {ended.count(outcome)}" for outcome in dict.fromkeys(ended))


def run_figures(run: Trial | None) -> tuple[str, ...]:
    """Rules that triggered of those given, retries, reroutes, model calls, USD, seconds; dashes without a run."""
    if run is None:
        return ("-",) * 6
    return (
        f"{sum(rule.times > 0 for rule in run.faults)}/{len(run.faults)}",
        str(run.retries),
        str(run.reroutes),
        str(run.llm_calls),
        number(run.cost_usd, 6),
        number(run.duration_s),
    )


# ---------------------------------------------------------------- a session in words


def headline(figures: Totals) -> str:
    """What came of it, in a sentence."""
    ran = figures.scenarios - figures.waiting
    if ran == 0:
        return f"{NOTHING_SHOWN}."
    if figures.held == ran:
        return "The scenario held." if ran == 1 else f"All {ran:,} scenarios held."
    return f"{figures.held:,} of {count(ran, 'scenario')} held."


def verdicts(figures: Totals) -> list[tuple[Verdict, int]]:
    """How many scenarios came to each verdict."""
    return [(verdict, getattr(figures, verdict)) for verdict in VERDICTS]


def counts(many: Mapping[Verdict, int]) -> str:
    """How many came to each verdict, in words. What nothing came to goes without saying, but for the first two."""
    told = ((many.get(verdict, 0), word, verdict in FIRST) for verdict, word in VERDICTS.items())
    return ", ".join(f"{number:,} {word}" for number, word, always in told if number or always)


def summary(session: Session, figures: Totals) -> list[Line]:
    """The figures of a session, for an engineer on call."""
    never = figures.untriggered_faults
    rules = figures.triggered_faults + never
    lines = [
        Line("Verdicts", counts(dict(verdicts(figures)))),
        Line(
            "Faults that triggered",
            f"{figures.triggered_faults:,} of {rules:,} rules, {figures.fault_hits:,} times in all"
            if rules
            else "none given",
        ),
        Line("Faults that never triggered", _never(session, never), "bad" if never else ""),
        Line("Silent failures", _ought_to_be_none(figures.silent_failures), _tone(figures.silent_failures)),
        Line(
            "Wrong values nobody could see",
            f"{figures.undetectable_wrong:,} (they kept the tool's contract)" if figures.undetectable_wrong else "none",
            "note" if figures.undetectable_wrong else "",
        ),
        Line("Duplicate effects", _ought_to_be_none(figures.duplicate_effects), _tone(figures.duplicate_effects)),
        Line("Budget breaches", _ought_to_be_none(figures.budget_breaches), _tone(figures.budget_breaches)),
        Line("Broken invariants", _ought_to_be_none(figures.violations), _tone(figures.violations)),
        Line(
            "False escalations",
            f"{figures.false_escalations:,} in {count(figures.baselines, 'run')} without faults",
            _tone(figures.false_escalations) if figures.baselines else "",
        ),
        Line("Recovered", recovery(figures.recovery)),
        *_lost(figures),
        Line("Cost, times the least possible", spread_of(figures.cost_ratio, "run", ratio=True)),
        Line("Time to detect", spread_of(figures.detect_s, "fault")),
        Line("Time to answer a failure", spread_of(figures.reroute_s, "failure")),
        Line("Answers", _answers(figures)),
        Line("Calls", f"{count(figures.llm_calls, 'model call')}, {count(figures.tool_calls, 'tool call')}"),
        Line("Ran", ran(session, figures)),
    ]
    return [Line("Result", NOTHING_SHOWN, "bad"), *lines] if figures.scenarios == figures.waiting else lines


def _lost(figures: Totals) -> list[Line]:
    """Why those that could have been saved were not, as far as that is known."""
    lost = figures.could_be_saved - figures.recovered
    if not lost:
        return []
    rest = lost - figures.in_doubt - figures.deceived
    parts = [
        f"{figures.in_doubt:,} with an effect in doubt that nobody can look into (a person's, by rule)",
        f"{figures.deceived:,} with a false answer that nobody could see",
        f"{rest:,} otherwise",
    ]
    return [Line("Not recovered", "; ".join(part for part in parts if not part.startswith("0 ")))]


def recovery(part: Share) -> str:
    """A recovery rate with its interval."""
    if part.rate is None:
        return "not measured: no run over simulated tools had a fault and could be saved"
    what = f"{part.part:,} of {part.of:,} that could be saved"
    return f"{what}: {percent(part.rate)} (95% interval {percent(part.low)} to {percent(part.high)})"


def spread_of(values: Spread, what: str, *, ratio: bool = False) -> str:
    """Percentiles for people: p50 and p95 of a ratio, p50 and p99 of seconds."""
    if values.p50 is None or values.p95 is None or values.p99 is None:
        return "not measured"
    high = f"p95 {values.p95:.2f}" if ratio else f"p99 {duration(values.p99)}"
    return f"p50 {f'{values.p50:.2f}' if ratio else duration(values.p50)}, {high} ({count(values.count, what)})"


def ran(session: Session, figures: Totals) -> str:
    """How much was run, with which seed, for how long."""
    seed = "each scenario's own seed" if session.seed is None else f"seed {session.seed}"
    took = f"; {duration(session.took_s)} of real time" if session.took_s > 0 else ""
    return f"{count(figures.runs, 'run')} with faults, {figures.baselines:,} without, from {seed}{took}"


def caveats(session: Session, systems: Sequence[SystemTotals]) -> list[str]:
    """What to keep in mind when the totals of systems are compared."""
    said = list[str]()
    if any(each.runs > len(session.scenarios) for each in systems):
        said.append("scenarios were run more than once: totals are of every run")
    if len({each.runs for each in systems}) > 1:
        said.append("not every system made as many runs: only their shares can be compared, not their sums")
    return said


def _never(session: Session, many: int) -> str:
    runs = [trial for record in session.scenarios for trial in record.of()]
    names = list(dict.fromkeys(cut(rule.fault, 80) for trial in runs for rule in trial.faults if rule.times <= 0))
    named = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    return f"{many:,} (they show nothing){f': {named}' if named else ''}"


def _answers(figures: Totals) -> str:
    return ", ".join(
        [
            count(figures.retries, "retry", "retries"),
            count(figures.reroutes, "reroute"),
            count(figures.escalations, "escalation"),
            count(figures.flaps, "flap"),
        ]
    )


def _ought_to_be_none(many: int) -> str:
    return f"{many:,}" if many else "none"


def _tone(many: int) -> Tone:
    return "bad" if many else "good"
