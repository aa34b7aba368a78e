"""Whether chances mean what they say: Platt's calibration, and the reliability diagram."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentroute.training.logistic import chance
from agentroute.training.rows import Floats

BINS: Final = 10
"""Bins of a reliability diagram."""

STEEPEST: Final = 5.0
"""Largest slope of a calibration: more would take a lucky sample for certainty."""


@dataclass(frozen=True, slots=True)
class Platt:
    """Log-odds after calibration: ``slope * odds + offset``; `slope` is never negative, so the order stays."""

    slope: float = 1.0
    offset: float = 0.0


def platt(odds: Floats, right: Floats) -> Platt:
    """Fit slope and offset to outcomes that the odds were not learned from (Platt 1999), by Newton's method.

    Both are drawn to 1 and 0 as by ten outcomes, so that few outcomes change little.
    """
    slope, offset = 1.0, 0.0
    columns = np.stack([odds, np.ones_like(odds)])
    penalty = np.array([10.0, 10.0]) / 4
    for _ in range(50):
        p = chance(slope * odds + offset)
        gradient = columns @ (p - right) + penalty * np.array([slope - 1.0, offset])
        curvature = (columns * (p * (1 - p))) @ columns.T + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        size = min(1.0, 1.0 / max(1e-12, float(np.max(np.abs(step)))))  # no step leaves the region where it holds
        slope, offset = slope - size * float(step[0]), offset - size * float(step[1])
        if float(np.max(np.abs(step))) < 1e-8:
            break
    if 0.0 <= slope <= STEEPEST:
        return Platt(slope, offset)
    return _offset_alone(min(STEEPEST, max(0.0, slope)), odds, right)


def _offset_alone(slope: float, odds: Floats, right: Floats) -> Platt:
    """The best offset for a slope at its bound, by halving: the mean chance rises with it."""
    low, high = -60.0, 60.0
    wanted = (float(np.sum(right)) + 0.5) / (len(right) + 1.0)
    for _ in range(80):
        middle = (low + high) / 2
        if float(np.mean(chance(slope * odds + middle))) < wanted:
            low = middle
        else:
            high = middle
    return Platt(slope, (low + high) / 2)


@dataclass(frozen=True, slots=True)
class Bin:
    """Predictions of about the same chance.

    Attributes:
        count: How many.
        said: Their mean chance.
        came: Share that was right.
    """

    count: int
    said: float
    came: float


def reliability(said: Floats, right: Floats, *, bins: int = BINS) -> Sequence[Bin]:
    """Bins of equal width from 0 to 1, without those that are empty."""
    place = np.minimum((said * bins).astype(np.int64), bins - 1)
    found: list[Bin] = []
    for number in range(bins):
        here = place == number
        if count := int(np.sum(here)):
            found.append(Bin(count, float(np.mean(said[here])), float(np.mean(right[here]))))
    return found


def calibration_error(bins: Sequence[Bin]) -> float:
    """Mean distance between what was said and what came, over predictions (expected calibration error)."""
    count = sum(each.count for each in bins)
    return sum(each.count * abs(each.said - each.came) for each in bins) / count if count else 0.0


def log_loss(said: Floats, right: Floats) -> float:
    """Mean surprise per prediction, in nats."""
    p = np.clip(said, 1e-9, 1 - 1e-9)
    return float(-np.mean(right * np.log(p) + (1 - right) * np.log(1 - p)))


def ranking(said: Floats, right: Floats) -> float | None:
    """Chance that a right answer was given a higher chance than a wrong one: the area under the ROC curve.

    None: all were right, or all were wrong. Equals count half; answers that are half right count as right.
    """
    good = right >= 0.5
    count = int(np.sum(good))
    if not 0 < count < len(good):
        return None
    values, places, times = np.unique(said, return_inverse=True, return_counts=True)
    del values
    ranks = (np.cumsum(times) - (times - 1) / 2)[places]
    return float((np.sum(ranks[good]) - count * (count + 1) / 2) / (count * (len(good) - count)))
