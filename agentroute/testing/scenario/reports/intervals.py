"""Figures of few measurements, said honestly: a share with its interval, and percentiles that were really measured."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

Z_95: Final = 1.959963984540054
"""Standard deviations on either side of the mean that hold 95% of a normal distribution."""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, and between what bounds the true share lies.

    Attributes:
        part: How many.
        of: Of how many.
        low: Lower bound of the 95% interval, 0 to 1.
        high: Upper bound. Of nothing, anything may be true: 0 to 1.
    """

    part: int
    of: int
    low: float
    high: float

    @property
    def rate(self) -> float | None:
        """The share, 0 to 1; None of nothing."""
        return self.part / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Spread:
    """Percentiles by nearest rank: each is a value that was really measured, None if there is none.

    Attributes:
        count: Values measured.
        p50: Half of them are no greater.
        p95: 95% of them are no greater; of fewer than 20 values, the greatest.
        p99: 99% of them are no greater; of fewer than 100 values, the greatest.
    """

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


def share(part: int, of: int) -> Share:
    """Put the 95% score interval around a share (Wilson 1927), which also holds for few trials and shares near 1.

    Raises:
        ValueError: The part is less than nothing or more than the whole.
    """
    if not 0 <= part <= of:
        raise ValueError(f"{part} is no part of {of}")
    if of == 0:
        return Share(0, 0, 0.0, 1.0)
    rate, square = part / of, Z_95 * Z_95 / of
    middle = (rate + square / 2) / (1 + square)
    half = Z_95 * math.sqrt(rate * (1 - rate) / of + square / (4 * of)) / (1 + square)
    # Rounding must not leave the share outside of its own interval.
    low = 0.0 if part == 0 else max(0.0, min(rate, middle - half))
    high = 1.0 if part == of else min(1.0, max(rate, middle + half))
    return Share(part, of, low, high)


def spread(values: Iterable[float]) -> Spread:
    """Take the percentiles of what was measured; what is no finite number was not measured."""
    ranked = sorted(value for value in values if math.isfinite(value))
    if not ranked:
        return Spread(0)
    p50, p95, p99 = (ranked[math.ceil(percent * len(ranked) / 100) - 1] for percent in (50, 95, 99))
    return Spread(len(ranked), p50, p95, p99)
