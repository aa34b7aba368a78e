"""How likely each tier is to be right in a situation: a calibrated logistic model, evaluated without any library."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp
from typing import Final

from agentroute.routing.tiers.situation import DIMENSIONS, Situation

RAREST: Final = 0.001
"""Least chance that is told: one in a thousand answers is right by luck, and no weight becomes infinite."""


@dataclass(frozen=True, slots=True)
class TierWeights:
    """What is learned of one tier.

    Attributes:
        base: Log-odds to be right in a situation of which nothing is known.
        own: Deviations of its weights from those that all tiers share, by position in the vector.
        slope: Calibration (Platt 1999): of the log-odds, so many count. Never negative, so it keeps the order.
        offset: Calibration: added to them.
    """

    base: float
    own: Mapping[int, float]
    slope: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Chances:
    """What outcomes have shown of the tiers of an agent's model steps.

    Attributes:
        shared: Weights of the vector that all tiers share, by position.
        tiers: What is particular to each of them.
    """

    shared: Mapping[int, float] = field(default_factory=dict[int, float])
    tiers: Mapping[str, TierWeights] = field(default_factory=dict[str, TierWeights])
    _sums: "dict[str, array[float]]" = field(default_factory=dict[str, "array[float]"], compare=False, repr=False)

    def of(self, situation: Situation, otherwise: Mapping[str, float]) -> dict[str, float]:
        """Chance of each tier to be right.

        Args:
            situation: What is known of the step.
            otherwise: The tiers that are asked about, with the chance of those of which nothing was learned.

        Returns:
            By tier, from `RAREST` to 1. Takes time proportional to the words of the situation and the tiers.
        """
        vector = situation.vector
        found = dict[str, float]()
        for tier, declared in otherwise.items():
            known = self.tiers.get(tier)
            if known is None:
                found[tier] = min(1.0, max(RAREST, declared))
                continue
            weights = self._weights(tier, known)
            position, much = situation.again(tier)
            odds = known.base + much * weights[position]
            for at, value in vector:
                odds += weights[at] * value
            found[tier] = calibrated(odds, known.slope, known.offset)
        return found

    def _weights(self, tier: str, known: TierWeights) -> "array[float]":
        """Shared weights and own deviations, added up once."""
        sums = self._sums.get(tier)
        if sums is None:
            sums = array("d", bytes(8 * DIMENSIONS))
            for weights in (self.shared, known.own):
                for at, weight in weights.items():
                    sums[at] += weight
            self._sums[tier] = sums
        return sums


def calibrated(odds: float, slope: float, offset: float) -> float:
    """Chance of log-odds after calibration, from `RAREST` to 1."""
    return max(RAREST, 1.0 / (1.0 + exp(-min(30.0, max(-30.0, slope * odds + offset)))))
