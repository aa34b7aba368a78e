"""What another policy would have reached, told from what the one that was followed has reached.

Each step counts for ``w``: the chance with which the other policy would have taken the tiers that were taken, over the
chance with which they were taken. Estimates are means over steps, their errors those of sums over runs: steps of one
run are no independent observations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentroute.training.rows import Floats

Z_95: Final = 1.959963984540054
"""Standard errors on either side of an estimate that hold the truth 19 times in 20, of many runs."""

FEWEST_EFFECTIVE: Final = 30.0
"""Steps that an estimate must be worth, or it is none."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """Whether a log says anything about a policy.

    Attributes:
        effective: Steps that the estimate is worth: ``(sum w)^2 / sum w^2`` (Kish 1965).
        matched: Share of the steps where the tiers were taken that the policy would most likely take.
        support: Mean weight with its interval. 1 if the log could have taken whatever the policy would.
    """

    effective: float
    matched: float
    support: Estimate

    @property
    def why_not(self) -> str | None:
        """Why there is no estimate; None: there is one."""
        if self.effective < FEWEST_EFFECTIVE:
            return f"it is worth {self.effective:.0f} steps of this policy, and {FEWEST_EFFECTIVE:.0f} are needed"
        slack = 1.5 * (self.support.high - self.support.low) + 0.02  # three standard errors, and rounding
        if abs(self.support.mean - 1.0) > slack:
            why = "could never take what this policy would" if self.support.mean < 1.0 else "has wrong propensities"
            return f"its steps count {self.support.mean:.2f} each instead of 1, so somewhere it {why}"
        return None


def overlap(weights: Floats, matched: NDArray[np.bool_], runs: NDArray[np.int64]) -> Overlap:
    """Judge the weights of steps; `runs` numbers the run of each."""
    squares = float(np.sum(weights * weights))
    effective = float(np.sum(weights)) ** 2 / squares if squares else 0.0
    return Overlap(effective, float(np.mean(matched)), average(weights, runs))


def average(values: Floats, runs: NDArray[np.int64]) -> Estimate:
    """Mean of what was observed, its error by runs."""
    mean = float(np.mean(values))
    return _interval(mean, values - mean, runs)


def self_normalised(values: Floats, weights: Floats, runs: NDArray[np.int64]) -> Estimate:
    """Mean weighed by inverse propensities, over their sum (Hájek 1971; Swaminathan and Joachims 2015)."""
    total = float(np.sum(weights))
    mean = float(np.sum(weights * values)) / total
    return _interval(mean, weights * (values - mean) * len(values) / total, runs)


def doubly_robust(values: Floats, weights: Floats, said: Floats, planned: Floats, runs: NDArray[np.int64]) -> Estimate:
    """What a model says of the policy, corrected by where it is wrong about the log (Dudík et al. 2011).

    Args:
        values: What was observed.
        weights: Of the steps.
        said: What the model says of the tier that was taken.
        planned: What it says of what the policy would take.
        runs: Number of the run of each step.
    """
    return average(planned + weights * (values - said), runs)


def _interval(mean: float, influence: Floats, runs: NDArray[np.int64]) -> Estimate:
    """Normal interval from the sums of influences by run (Liang and Zeger 1986)."""
    sums = np.bincount(runs, influence)
    count = int(np.sum(np.bincount(runs) > 0))
    if count < 2:
        return Estimate(mean, float("-inf"), float("inf"))
    error = sqrt(float(np.sum(sums * sums)) * count / (count - 1)) / len(influence)
    return Estimate(mean, mean - Z_95 * error, mean + Z_95 * error)


def numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """Number names from 0, equals alike."""
    return np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
