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

MOST_BARRED: Final = 0.03
"""Share of a policy's steps that the log could not have taken; with more, there is no estimate."""

SURELY: Final = 4.0
"""Standard errors by which the mean weight differs from 1 for a reason: by chance once in some thousand logs."""

UNSEEN: Final = 3.0
"""What never came in `n` steps may come in so many in `n`, at 95% (the rule of three; Hanley and Lippman-Hand 1983)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float

    def within(self, least: float, most: float, effective: float, *, seen: tuple[float, float]) -> "Estimate":
        """Cut off what cannot be, and allow for what was not met.

        A normal interval has no width where all steps have come out alike, however few they are.

        Args:
            least: No value is below it.
            most: No value is above it.
            effective: Steps that the estimate is worth.
            seen: Least and greatest value that a step had, or might have had, in the log.
        """
        missed = min(1.0, UNSEEN / effective) if effective else 1.0
        low = min(self.low, self.mean - missed * (self.mean - seen[0]))
        high = max(self.high, self.mean + missed * (seen[1] - self.mean))
        return Estimate(*(min(most, max(least, value)) for value in (self.mean, low, high)))


@dataclass(frozen=True, slots=True)
class Overlap:
    """Whether a log says anything about a policy.

    Attributes:
        effective: Steps that the estimate is worth: ``(sum w)^2 / sum w^2`` (Kish 1965).
        matched: Share of the steps where the tiers were taken that the policy would most likely take.
        support: Mean weight with its interval. 1 if the log could have taken whatever the policy would.
        barred: Share of what the policy would take that the log could not have taken: chance had no part in it there.
    """

    effective: float
    matched: float
    support: Estimate
    barred: float = 0.0

    @property
    def why_not(self) -> str | None:
        """Why there is no estimate; None: there is one."""
        if self.effective < FEWEST_EFFECTIVE:
            return f"it is worth {self.effective:.0f} steps of this policy, and {FEWEST_EFFECTIVE:.0f} are needed"
        if self.barred > MOST_BARRED:
            return (
                f"in {self.barred:.0%} of its steps it could never take what this policy would, because chance had no "
                "part in them; replay a stretch of it in which all steps were decided with StepRouter(explore=...)"
            )
        if self._off(SURELY):
            return f"{self._counts}, so {self._reason}"
        return None

    @property
    def doubt(self) -> str | None:
        """Why the estimate may be off, although there is one; None: nothing was noticed."""
        if self.why_not is not None or not self._off(Z_95):
            return None
        return f"{self._counts}: perhaps {self._reason}; or that is chance, as in one log of twenty"

    def _off(self, errors: float) -> bool:
        """Whether the mean weight is further from 1 than so many standard errors."""
        error = (self.support.high - self.support.low) / (2 * Z_95)
        return abs(self.support.mean - 1.0) > errors * error + 1e-6  # propensities are written down rounded

    @property
    def _counts(self) -> str:
        return f"its steps count {self.support.mean:.2f} each instead of 1"

    @property
    def _reason(self) -> str:
        low = self.support.mean < 1.0
        return "somewhere it could never take what this policy would" if low else "somewhere it has wrong propensities"


def overlap(weights: Floats, matched: NDArray[np.bool_], runs: NDArray[np.int64], barred: float = 0.0) -> Overlap:
    """Judge the weights of steps; `runs` numbers the run of each."""
    squares = float(np.sum(weights * weights))
    effective = float(np.sum(weights)) ** 2 / squares if squares else 0.0
    return Overlap(effective, float(np.mean(matched)), average(weights, runs), barred)


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
