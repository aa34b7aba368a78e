"""What sweeps come to: quality by cost, with intervals from resampled questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tests.benchmarks.tiers_lab.data import Floats
from tests.benchmarks.tiers_lab.routers import Sweep

DRAWS: Final = 400
"""Resamples of the questions of each split."""

SHARES: Final = (0.25, 0.5, 0.75)
"""Shares of the way from the cheap to the expensive cost at which quality is told."""

OURS: Final = "step router"


@dataclass(frozen=True)
class Figures:
    """One router, a value for each resample of each split.

    Attributes:
        area: Mean quality over all costs from always-cheap's to always-expensive's.
        at: Quality at the costs of `SHARES`.
        equal: Cost at which it is as good as always-expensive, as a share of that one's cost; infinite: never.
        nearly: The same for 95% of the gain from cheap to expensive.
    """

    area: Floats
    at: Floats
    equal: Floats
    nearly: Floats


def measured(routers: Mapping[str, Sweep], seed: int) -> dict[str, Figures]:
    """Resample the questions of one split; the same resamples for every router. The first one is the split itself."""
    count = len(next(iter(routers.values())).usd)
    draw = np.random.default_rng(seed)
    times = np.stack([np.ones(count), *draw.multinomial(count, np.full(count, 1 / count), DRAWS)]) / count
    curves = {name: (times @ sweep.usd, times @ sweep.right) for name, sweep in routers.items()}
    cheap, dear = curves["always cheap"], curves["always expensive"]
    found: dict[str, Figures] = {}
    for name, (usd, right) in curves.items():
        rows = [
            _one(usd[n], right[n], (cheap[0][n, 0], cheap[1][n, 0]), (dear[0][n, 0], dear[1][n, 0]))
            for n in range(len(times))
        ]
        table = np.array(rows)
        found[name] = Figures(table[:, 0], table[:, 1:4], table[:, 4], table[:, 5])
    return found


def _one(usd: Floats, right: Floats, cheap: tuple[float, float], dear: tuple[float, float]) -> list[float]:
    order = np.argsort(usd, kind="stable")
    usd, right = usd[order], right[order]
    grid = np.linspace(cheap[0], dear[0], 201)
    height = np.interp(grid, usd, right)
    at = np.interp([cheap[0] + share * (dear[0] - cheap[0]) for share in SHARES], usd, right)
    nearly = cheap[1] + 0.95 * (dear[1] - cheap[1])
    return [
        float(height.mean()),
        *map(float, at),
        *(_cost_of(usd, right, goal) / dear[0] for goal in (dear[1], nearly)),
    ]


def _cost_of(usd: Floats, right: Floats, goal: float) -> float:
    """Least cost at which a quality is reached, between settings in proportion."""
    reached = np.flatnonzero(right >= goal - 1e-12)
    if not len(reached):
        return float("inf")
    at = int(reached[0])
    if at == 0:
        return float(usd[0])
    rise = right[at] - right[at - 1]
    return float(usd[at - 1] + (usd[at] - usd[at - 1]) * (goal - right[at - 1]) / rise)


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean over splits of what was measured, and 95% of the resamples."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """As a table shows it."""
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(splits: Sequence[Floats]) -> Interval:
    """Of the splits' own values (the first of each) the mean, of their resamples the 95% interval.

    Splits share questions, so this tells how much questions and splits matter, not how a new benchmark would come out.
    """
    drawn = np.concatenate([values[1:] for values in splits])
    own = [float(values[0]) for values in splits]
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    return Interval(float(np.mean(own)), float(low), float(high))


def difference(ours: Sequence[Floats], theirs: Sequence[Floats]) -> Interval:
    """How much more the step router has, resample by resample."""
    return interval([mine - other for mine, other in zip(ours, theirs, strict=True)])
