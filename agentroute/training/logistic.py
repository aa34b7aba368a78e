"""Logistic regression with one set of weights for all tiers and deviations of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentroute.routing.tiers.situation import DIMENSIONS
from agentroute.training.descent import dot, least
from agentroute.training.rows import Floats, Rows

SHARED_PENALTY: Final = 6.0
"""Half of the squared weights that all tiers share counts so much against the likelihood: a Gaussian prior."""

OWN_PENALTY: Final = 6.0
"""The same for the deviations of a tier: with few outcomes, it is taken to be like the others."""


@dataclass(frozen=True)
class Outcomes:
    """What is known of one tier: situations, and how right it was in each, 0 to 1."""

    rows: Rows
    right: Floats


@dataclass(frozen=True)
class Fitted:
    """Log-odds of a tier: ``base + shared * x + own * x``."""

    shared: Floats
    own: Mapping[str, Floats]
    base: Mapping[str, float]

    def odds(self, tier: str, rows: Rows) -> Floats:
        """Log-odds to be right in each situation, not calibrated."""
        return rows @ (self.shared + self.own[tier]) + self.base[tier]


def fit(
    outcomes: Mapping[str, Outcomes], *, shared_penalty: float = SHARED_PENALTY, own_penalty: float = OWN_PENALTY
) -> Fitted:
    """Fit by penalised maximum likelihood; what a tier is right in on the whole is not penalised.

    A ridge on deviations from shared weights pools the tiers partially (Evgeniou and Pontil 2004).
    """
    tiers = sorted(outcomes)
    if not tiers:
        return Fitted(np.zeros(DIMENSIONS), {}, {})
    blocks = len(tiers) + 1
    penalty = np.repeat([shared_penalty, *[own_penalty] * len(tiers)], DIMENSIONS)

    def slope(point: Floats) -> tuple[float, Floats]:
        weights, base = point[: blocks * DIMENSIONS], point[blocks * DIMENSIONS :]
        value = dot(penalty, weights * weights) / 2
        gradient = np.concatenate([penalty * weights, np.zeros(len(tiers))])
        parts = weights.reshape(blocks, DIMENSIONS)
        for number, tier in enumerate(tiers):
            known = outcomes[tier]
            odds = known.rows @ (parts[0] + parts[number + 1]) + base[number]
            value += float(np.sum(np.logaddexp(0.0, odds) - known.right * odds))
            errors = chance(odds) - known.right
            pull = known.rows.transposed(errors)
            gradient[:DIMENSIONS] += pull
            gradient[(number + 1) * DIMENSIONS : (number + 2) * DIMENSIONS] += pull
            gradient[blocks * DIMENSIONS + number] += float(np.sum(errors))
        return value, gradient

    start = np.zeros(blocks * DIMENSIONS + len(tiers))
    start[blocks * DIMENSIONS :] = [_usual(outcomes[tier].right) for tier in tiers]
    found = least(slope, start)
    parts = found[: blocks * DIMENSIONS].reshape(blocks, DIMENSIONS)
    return Fitted(
        shared=parts[0],
        own={tier: parts[number + 1] for number, tier in enumerate(tiers)},
        base={tier: float(found[blocks * DIMENSIONS + number]) for number, tier in enumerate(tiers)},
    )


def chance(odds: Floats) -> Floats:
    """Probability of log-odds; never quite 0 or 1."""
    return 1.0 / (1.0 + np.exp(-np.clip(odds, -30.0, 30.0)))


def _usual(right: Floats) -> float:
    """Log-odds of the share that was right, as if one more had been and one more had not."""
    good = float(np.sum(right)) + 1.0
    return float(np.log(good / (len(right) + 2.0 - good)))
