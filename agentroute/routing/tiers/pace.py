"""What success may cost, so that spending keeps to what was meant to be spent."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import exp, log
from typing import Final, Self

from agentroute.errors import DefinitionError
from agentroute.graph.cost import LARGEST
from agentroute.ids import NanoUsd, nanos

FASTEST: Final = 1.0
"""Largest rate: a run that takes twice what was meant divides what success is worth by e."""

MOST_OVER: Final = 10.0
"""What one run took beyond what was meant counts at most so often. With a tighter bound, spending would
settle above what was meant where few runs take much and many take little."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What success is worth now. Paced across runs by what each of them spent.

    A multiplicative dual update (Balseiro, Lu and Mirrokni 2020): who overspends pays less for success next time. The
    worth is the inverse of the dual price of money, and never leaves its bounds, whatever runs report.

    Attributes:
        usd_per_success: What success is worth, in USD.
        least: Its lower bound, above 0.
        most: Its upper bound.
        rate: How fast it moves: 0 never.
    """

    usd_per_success: float
    least: float = 1e-9
    most: float = LARGEST
    rate: float = 0.05

    def __post_init__(self) -> None:
        """Refuse bounds that mean nothing.

        Raises:
            DefinitionError: Of which of them.
        """
        if not 0 < self.least <= self.usd_per_success <= self.most <= LARGEST:
            why = f"0 < least <= usd_per_success <= most <= {LARGEST:g} does not hold of {self}"
            raise DefinitionError("pace", why)
        if not 0 <= self.rate <= FASTEST:
            raise DefinitionError("pace", f"rate must be a number from 0 to {FASTEST:g}, not {self.rate!r}")

    @property
    def worth(self) -> NanoUsd:
        """What success is worth, in nano-dollars."""
        return nanos(self.usd_per_success)

    def after(self, spent: NanoUsd, meant: NanoUsd) -> Self:
        """What success is worth after a run that took `spent` where `meant` was meant to be taken."""
        over = min(MOST_OVER, spent / meant - 1.0) if meant > 0 else float(spent > 0)
        moved = self.usd_per_success * exp(-self.rate * over)
        return replace(self, usd_per_success=min(self.most, max(self.least, moved)))


@dataclass(frozen=True, slots=True)
class Spending:
    """What a step costs on average, by what success is worth: learned from steps of the past.

    Attributes:
        points: Worth and expected cost of a step, both in USD, both rising, the worths above 0.
    """

    points: Sequence[tuple[float, float]]

    def __post_init__(self) -> None:
        """Refuse a curve that falls.

        Raises:
            DefinitionError: It does, or it is empty.
        """
        worths = [worth for worth, _ in self.points]
        costs = [cost for _, cost in self.points]
        rising = all(a < b for a, b in pairwise(worths)) and costs == sorted(costs)
        if not self.points or worths[0] <= 0 or not rising:
            raise DefinitionError("spending", "points must be rising pairs of a worth above 0 and a cost")

    def worth_for(self, usd: float) -> float:
        """What success may be worth, so that a step costs `usd` on average; of what is out of reach, the nearest.

        Asked again before each step with what is left by the steps that are left, it paces a run with a hard limit.
        """
        costs = [cost for _, cost in self.points]
        after = bisect_right(costs, usd)
        if after == 0:
            return self.points[0][0]
        if after == len(costs):
            return self.points[-1][0]
        (low, cheap), (high, dear) = self.points[after - 1], self.points[after]
        share = (usd - cheap) / (dear - cheap)
        return min(high, max(low, exp(log(low) + share * (log(high) - log(low)))))


def spendable(left: NanoUsd, steps: int, *, cheap: NanoUsd, dear: NanoUsd) -> NanoUsd:
    """What of the money left the steps that are left can really take: each has a call of the cheap or the dear tier.

    The rest of a division buys nothing, and whoever counts on it spends too much on the first steps.
    """
    floor = steps * cheap
    if left <= floor or dear <= cheap:
        return NanoUsd(min(left, floor))
    upgrades = min(steps, (left - floor) // (dear - cheap))
    return NanoUsd(floor + upgrades * (dear - cheap))
