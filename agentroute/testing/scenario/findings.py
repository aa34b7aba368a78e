"""Whether expectations hold: each that does not, as a sentence."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pydantic_core import to_jsonable_python

from agentroute.run.result import RunResult
from agentroute.testing.faults import Seen, Triggered
from agentroute.testing.scenario.expectations import Expectations
from agentroute.testing.scenario.measures import flaps, known_age
from agentroute.testing.scenario.play import Play
from agentroute.testing.scenario.testbed import Row

T = TypeVar("T", Seen, Triggered)

OF_RESULT = ("attempts", "retries", "reroutes", "escalations", "llm_calls", "cost_usd", "duration_s")
"""Numbers that a result has itself."""


OF_ALL_RUNS = ("outcome", "truth", "triggered", "undetectable", "refused")
"""Expectations that need no result: they are about the end, the ground truth or the faults."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What expectations are held against, of one run.

    Attributes:
        run: Its id.
        result: What its caller was told.
        calls: Calls of it, as the injector saw them.
        effects: Standing effects by tool.
        unclear: Calls by tool that may have had an effect, and nobody knows.
        flaps: See `Expectations`.
        known_age_s: See `Expectations`.
    """

    run: str
    result: RunResult
    calls: Sequence[Seen]
    effects: Mapping[str, int]
    unclear: Mapping[str, int]
    flaps: int
    known_age_s: float


def deviations(expected: Expectations, played: Play, *, undetectable: int, under_faults: bool) -> list[str]:
    """What is expected of every run and is not so.

    Args:
        expected: The expectations.
        played: What came of the runs.
        undetectable: False answers that nobody could have seen.
        under_faults: Whether there were faults that should have triggered.
    """
    found = [f"run {run} ended with an exception: {crash}" for run, crash in played.crashes.items()]
    found += _without_result(expected, played)
    seen = by_run(played.seen)
    for run, result in played.results.items():
        calls = seen.get(run, [])
        effects = Counter(row.tool for row in played.world.standing(run))
        unclear = Counter(tool for at, tool, _ in played.world.unclear if at == run)
        records = played.records[run]
        facts = Facts(run, result, calls, effects, unclear, flaps(records), known_age(records))
        prefix = f"{run}: " if len(played.results) > 1 else ""
        found += [prefix + sentence for sentence in _of_run(expected, facts)]
    found += _of_all(expected, played, undetectable)
    if under_faults:
        found += _triggered(expected, sum(played.counts))
    return found


def by_run(entries: Iterable[T]) -> dict[str, list[T]]:
    """What the injector wrote down, by the run that it is about."""
    sorted_out: dict[str, list[T]] = {}
    for entry in entries:
        sorted_out.setdefault(entry.run, []).append(entry)
    return sorted_out


def claims_falsely(outcomes: Iterable[str], missed: Iterable[str]) -> bool:
    """Whether somebody claims to have reached a goal, and the ground truth is another: a silent failure."""
    claims = any(outcome in ("succeeded", "demoted") for outcome in outcomes)
    return claims and any(line.startswith("truth.") for line in missed)


def _without_result(expected: Expectations, played: Play) -> Iterator[str]:
    """What is expected of a run that told its caller nothing: nothing but how it ended can be held against it."""
    for run in played.records:
        if run in played.results or run in played.crashes:
            continue
        ended = "killed" if played.killed else "cancelled"
        if expected.outcome is not None and ended not in expected.outcome:
            yield f"outcome: {ended}, expected {' or '.join(expected.outcome)}"
        for key, _ in expected.given():
            if key not in OF_ALL_RUNS:
                yield f"{key} cannot be told of run {run}, which was {ended} and returned nothing"


def _triggered(expected: Expectations, times: int) -> Iterator[str]:
    if expected.triggered is None and times == 0:
        yield "no fault was triggered, so nothing was put to the test"
    elif expected.triggered is not None and not expected.triggered.hold(times):
        yield f"triggered: {times}, expected {expected.triggered}"


def _of_all(expected: Expectations, played: Play, undetectable: int) -> Iterator[str]:
    if expected.undetectable is not None and not expected.undetectable.hold(undetectable):
        yield f"undetectable: {undetectable}, expected {expected.undetectable}"
    for table, rows in (expected.truth or {}).items():
        yield from rows_missed(table, rows, played.truth or {})


def _of_run(expected: Expectations, facts: Facts) -> Iterator[str]:
    result = facts.result
    if expected.outcome is not None and result.outcome not in expected.outcome:
        yield f"outcome: {result.outcome}, expected {' or '.join(expected.outcome)} ({result.reason})"
    if expected.goal is not None and result.goal != expected.goal:
        yield f"goal: {result.goal}, expected {expected.goal}"
    if expected.left_behind is not None and sorted(expected.left_behind) != sorted(result.left_behind):
        left = ", ".join(result.left_behind) or "nothing"
        yield f"left_behind: {left}, expected {', '.join(expected.left_behind) or 'nothing'}"
    yield from _numbers(expected, facts)
    for name, value in (expected.artifacts or {}).items():
        if not _matches(value, to_jsonable_python(result.artifacts.get(name), fallback=repr)):
            yield f"artifacts.{name}: {result.artifacts.get(name)!r}, expected {value!r}"


def _numbers(expected: Expectations, facts: Facts) -> Iterator[str]:
    measured: dict[str, float] = {name: getattr(facts.result, name) for name in OF_RESULT}
    measured |= {"flaps": facts.flaps, "known_age_s": facts.known_age_s}
    for name, value in measured.items():
        bounds = getattr(expected, name)
        if bounds is not None and not bounds.hold(value):
            yield f"{name}: {value:g}, expected {bounds}"
    calls = Counter(call.tool for call in facts.calls)
    for tool, bounds in (expected.calls or {}).items():
        if not bounds.hold(calls[tool]):
            yield f"calls.{tool}: {calls[tool]}, expected {bounds}"
    for tool, bounds in (expected.effects or {}).items():
        least, more = facts.effects.get(tool, 0), facts.unclear.get(tool, 0)
        if not bounds.hold(least) or not bounds.hold(least + more):
            unclear = f", or up to {least + more}, as calls raised that may have done it" if more else ""
            yield f"effects.{tool}: {least}{unclear}, expected {bounds}"


def rows_missed(table: str, wanted: Sequence[Mapping[str, Any]], truth: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    """Match each row that is expected to one that is there, in any order."""
    if table not in truth:
        yield f"truth.{table}: there is no such table; there is: {', '.join(truth) or 'none'}"
        return
    left = list(truth[table])
    for row in sorted(wanted, key=len, reverse=True):  # the choosiest first, so that none takes another's place
        found = next((there for there in left if _matches(row, there)), None)
        if found is None:
            yield f"truth.{table}: no row like {dict(row)!r}"
        else:
            left.remove(found)
    for row in left:
        yield f"truth.{table}: a row that was not expected: {_shortened(row)}"


def _shortened(row: Row) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in row.items() if key not in ("id", "run_id", "key", "at"))


def _matches(wanted: Any, there: Any) -> bool:
    """Whether a value is the one that was wanted; of a mapping, the keys that matter."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        keys, found = cast("Mapping[str, Any]", wanted), cast("Mapping[str, Any]", there)
        return all(key in found and _matches(value, found[key]) for key, value in keys.items())
    return bool(wanted == there)
