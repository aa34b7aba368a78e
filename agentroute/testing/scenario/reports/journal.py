"""A session as JSON data: the short form that ``scenario run --json`` prints, and the journal with everything."""

import json
import math
from dataclasses import fields
from typing import Any, Final

from pydantic_core import to_jsonable_python

from agentroute.testing.scenario.record import OracleView, ScenarioRecord, Session, Trial
from agentroute.testing.scenario.reports.intervals import Share, Spread
from agentroute.testing.scenario.reports.totals import SystemTotals, Totals, totals, worst_run

VERSION: Final = "1"
"""Of the journal's format."""


def session_json(session: Session) -> dict[str, Any]:
    """What came of a session, without its events. Figures that are no finite number are null.

    The figures of a scenario are those of its worst run of agentroute (see `worst_run`), so that a repetition that
    deviated is not hidden; ``runs`` lists all of them. A scenario that was not run under faults has none: outcome and
    goal are empty, counts are 0 and ``runs`` is empty.
    """
    figures = totals(session)
    return {
        "scenarios": [_scenario(record, figures) for record in session.scenarios],
        "totals": _totals(figures),
        "systems": {each.system: _system(each) for each in figures.systems},
    }


def journal_json(session: Session) -> dict[str, Any]:
    """Everything on record, events included. What JSON cannot hold is shown by the name of its type, NaN as null."""
    figures = totals(session)
    everything: dict[str, Any] = to_jsonable_python(
        session, bytes_mode="base64", inf_nan_mode="null", fallback=lambda odd: f"<{type(odd).__name__}>"
    )
    return {"version": VERSION, "session": everything, "totals": _totals(figures)}


def as_text(data: dict[str, Any]) -> str:
    """JSON data as canonical text: keys sorted, the same data always the same text.

    Raises:
        ValueError: A number is NaN or infinite; `session_json` and `journal_json` have none.
    """
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _scenario(record: ScenarioRecord, figures: Totals) -> dict[str, Any]:
    run = worst_run(record)
    others = [each.system for each in figures.systems if record.of(each.system)]
    worst = {name: found for name in others if (found := worst_run(record, name)) is not None}
    return {
        "title": record.title,
        "file": record.file,
        "level": record.level,
        "verdict": record.verdict,
        "reason": record.reason,
        "expected": record.expected,
        "took_s": _number(record.took_s),
        **_run(run or Trial()),
        "seed": None if run is None else run.seed,
        "baseline": None if record.baseline is None else _run(record.baseline),
        "runs": [_run(each) for each in record.of()],
        "systems": {name: _run(each) for name, each in worst.items()},
    }


def _run(run: Trial) -> dict[str, Any]:
    return {
        "seed": run.seed,
        "outcome": run.outcome,
        "goal": run.goal,
        "correct": run.correct,
        "silent": run.silent,
        "undetectable": run.undetectable,
        "duplicate_effects": run.duplicate_effects,
        "budget_breaches": run.budget_breaches,
        "llm_calls": run.llm_calls,
        "tool_calls": run.tool_calls,
        "retries": run.retries,
        "reroutes": run.reroutes,
        "escalations": run.escalations,
        "flaps": run.flaps,
        "cost_usd": _number(run.cost_usd),
        "duration_s": _number(run.duration_s),
        "detect_s": [_number(each) for each in run.detect_s],
        "reroute_s": [_number(each) for each in run.reroute_s],
        "faults": [{"fault": rule.fault, "times": rule.times} for rule in run.faults],
        "violations": list(run.violations),
        "deviations": list(run.deviations),
        "oracle": _oracle(run.oracle),
    }


def _oracle(oracle: OracleView | None) -> dict[str, Any] | None:
    if oracle is None:
        return None
    return {"possible": oracle.possible, "best": oracle.best, "cost_usd": _number(oracle.cost_usd)}


def _totals(figures: Totals) -> dict[str, Any]:
    values = {field.name: getattr(figures, field.name) for field in fields(figures)}
    return {
        **{name: value for name, value in values.items() if isinstance(value, int)},
        "cost_usd": _number(figures.cost_usd),
        "recovery": _share(figures.recovery),
        "cost_ratio": _spread(figures.cost_ratio),
        "detect_s": _spread(figures.detect_s),
        "reroute_s": _spread(figures.reroute_s),
    }


def _system(each: SystemTotals) -> dict[str, Any]:
    return {
        "runs": each.runs,
        "correct": each.correct,
        "silent": each.silent,
        "undetectable": each.undetectable,
        "llm_calls": each.llm_calls,
        "tool_calls": each.tool_calls,
        "duplicates": each.duplicates,
        "recoveries": each.recoveries,
        "recovery_s": _spread(each.recovery_s),
        "cost_usd": _number(each.cost_usd),
    }


def _share(part: Share) -> dict[str, Any]:
    known = part.of > 0
    low, high = (part.low, part.high) if known else (None, None)
    return {"recovered": part.part, "could_be_saved": part.of, "rate": part.rate, "low": low, "high": high}


def _spread(values: Spread) -> dict[str, Any]:
    return {"count": values.count, "p50": values.p50, "p95": values.p95, "p99": values.p99}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
