"""The figures of a play, from the records of providers and callers alone: the board is not asked."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.benchmarks.health_lab.loads import LOST_USD, USD_PER_SECOND
from tests.benchmarks.health_lab.oracle import Saved
from tests.benchmarks.health_lab.play import Play, Run
from tests.benchmarks.health_lab.providers import Call

WINDOW = 20
"""Calls in a row that a share is told from."""

LEFT_ALONE = 0.1
"""A tool has been left when a smaller share of new calls goes to it."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a load.

    Attributes:
        load: Its name.
        mode: Whether health was on.
        detect_s: Seconds from the first bad call of a bad tool until less than a tenth of the new calls went to bad
            tools; None: that never came while they were bad.
        wasted: Bad calls of bad tools after the first.
        refused: Calls that other tools refused or did not answer.
        return_s: Seconds from healing until most new calls went to the primaries again; None: that never came.
        flaps: Times that most runs began to begin with a primary, or ceased to, after the first.
        primary: Share of the runs that began with a primary.
        cost_ratio: What the runs cost, time included and `LOST_USD` for each that did not reach the goal, against the
            same for the oracle.
        saved: Runs that the oracle saved.
        succeeded: Runs that reached the goal.
        demoted: Runs that reached a lesser one.
        escalated: Runs that reached none.
        p50_s: Median duration of the runs.
        p99_s: 99th percentile of it.
        attempts: Calls for each run.
    """

    load: str
    mode: str
    detect_s: float | None
    wasted: int
    refused: int
    return_s: float | None
    flaps: int
    primary: float
    cost_ratio: float
    saved: int
    succeeded: int
    demoted: int
    escalated: int
    p50_s: float
    p99_s: float
    attempts: float


def figures(played: Play, saved: Mapping[str, Saved]) -> Figures:
    """Work out the figures of a play; `saved` is what the oracle did with the same runs."""
    load, calls, runs = played.load, played.calls, played.runs
    bad = [call for call in calls if call.tool in load.bad and call.bad]
    outcomes = Counter(run.outcome for run in runs)
    first = first_calls(calls)
    durations = sorted(run.ended - run.came for run in runs)
    return Figures(
        load=load.name,
        mode=played.mode,
        detect_s=_detected_in(played, bad[0].at) if bad else None,
        wasted=max(0, len(bad) - 1),
        refused=sum(call.bad for call in calls if call.tool not in load.bad),
        return_s=None if load.heals_at is None else _back_in(played, load.heals_at),
        flaps=_flaps(first, load.primaries()),
        primary=_share(first, load.primaries()),
        cost_ratio=_cost_ratio(runs, saved),
        saved=sum(math.isfinite(each.cost) for each in saved.values()),
        succeeded=outcomes["succeeded"],
        demoted=outcomes["demoted"],
        escalated=outcomes["escalated"],
        p50_s=durations[len(durations) // 2],
        p99_s=durations[min(len(durations) - 1, int(len(durations) * 0.99))],
        attempts=len(calls) / len(runs),
    )


def _detected_in(played: Play, since: float) -> float | None:
    bad, heals_at = played.load.bad, played.load.heals_at or math.inf
    calls = [call for call in played.calls if since <= call.at < heals_at]
    return _seconds_until(calls, since, lambda window: _share(window, bad) < LEFT_ALONE)


def _back_in(played: Play, healed_at: float) -> float | None:
    primaries = played.load.primaries()
    calls = [call for call in played.calls if call.at >= healed_at]
    return _seconds_until(calls, healed_at, lambda window: _share(window, primaries) > 0.5)


def _seconds_until(calls: Sequence[Call], since: float, holds: Callable[[Sequence[Call]], bool]) -> float | None:
    """Seconds until the first call from which on something holds of a window of calls."""
    for begin in range(len(calls) - WINDOW + 1):
        if holds(calls[begin : begin + WINDOW]):
            return calls[begin].at - since
    return None


def _share(calls: Sequence[Call], tools: Collection[str]) -> float:
    return sum(call.tool in tools for call in calls) / len(calls)


def first_calls(calls: Sequence[Call]) -> list[Call]:
    """The call that each run began with, in order."""
    return list({call.run: call for call in reversed(calls)}.values())[::-1]


def _flaps(first: Sequence[Call], primaries: Collection[str]) -> int:
    """Changes, after the first, between primaries and others as what most of `WINDOW` runs begin with."""
    windows = [first[begin : begin + WINDOW] for begin in range(0, len(first) - WINDOW + 1, WINDOW)]
    majority = [_share(window, primaries) > 0.5 for window in windows]
    return max(0, sum(before != after for before, after in pairwise(majority)) - 1)


def _cost_ratio(runs: Sequence[Run], saved: Mapping[str, Saved]) -> float:
    paid = sum(run.usd + USD_PER_SECOND * (run.ended - run.came) for run in runs)
    lost = LOST_USD * sum(run.outcome != "succeeded" for run in runs)
    return (paid + lost) / sum(min(each.cost, LOST_USD) for each in saved.values())
