"""Routers as sweeps: from spending little to spending much, what each question would have cost and brought."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.tiers_lab.data import Data, Floats

SETTINGS: Final = 60
"""Settings of a sweep."""


@dataclass(frozen=True)
class Sweep:
    """A router at many settings, from cheap to dear.

    Attributes:
        usd: What each question cost; questions by settings.
        right: How right the answer was; the same shape. Both are means where a router throws dice.
    """

    usd: Floats
    right: Floats


def priced(p: Floats, data: Data) -> Sweep:
    """Least ``cost + worth * (1 - p)`` at every worth: the weights of the step router where steps stand alone."""
    low, high = float(data.usd[data.usd > 0].min()), float(data.usd.max())
    worths = [0.0, *np.geomspace(low / 10, high * 1000, SETTINGS - 1)]
    return _taken(np.stack([np.argmin(data.usd + worth * (1.0 - p), axis=1) for worth in worths], axis=1), data)


def oracle(data: Data) -> Sweep:
    """The same with perfect knowledge: nobody can do better."""
    return priced(data.right, data)


def by_length(known: Data, asked: Data) -> Sweep:
    """The best single tier for long questions, the cheapest for short ones."""
    lengths = np.array([len(text) for text in asked.texts])
    usual = np.array([len(text) for text in known.texts], dtype=np.float64)
    inner: Floats = np.quantile(usual, np.linspace(1, 0, SETTINGS - 2))
    limits: Floats = np.array([np.inf, *map(float, inner), -np.inf])
    best = best_single(known)
    return _taken(np.where(lengths[:, None] > limits[None, :], best, 0), asked)


def random_mix(known: Data, asked: Data) -> Sweep:
    """Dice between the two single tiers that make the best mix at that price, as `known` shows."""
    corners = mixture(known)
    cost, share = known.usd.mean(axis=0)[corners], np.linspace(0, 1, SETTINGS)
    wanted = cost[0] + share * (cost[-1] - cost[0])
    weights = np.zeros((len(asked.tiers), SETTINGS))
    for setting, usd in enumerate(map(float, wanted)):
        after = min(len(corners) - 1, int(np.searchsorted(cost, usd, side="right")))
        before = max(0, after - 1)
        part = 1.0 if after == before else (usd - cost[before]) / (cost[after] - cost[before])
        weights[corners[before], setting] += 1.0 - part
        weights[corners[after], setting] += part
    return Sweep(asked.usd @ weights, asked.right @ weights)


def mixture(known: Data) -> list[int]:
    """Tiers that no mix of two others beats, the cheapest first (the upper hull of price and quality)."""
    cost, right = known.usd.mean(axis=0), known.right.mean(axis=0)
    order = sorted(range(len(cost)), key=lambda tier: (cost[tier], -right[tier]))
    hull: list[int] = []
    for tier in order:
        if hull and right[tier] <= right[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(cost, right, hull[-1], tier) >= _slope(cost, right, hull[-2], hull[-1]):
            hull.pop()
        hull.append(tier)
    return hull


def _slope(cost: Floats, right: Floats, low: int, high: int) -> float:
    return float((right[high] - right[low]) / (cost[high] - cost[low]))


def single(tier: int, data: Data) -> Sweep:
    """One tier for everything."""
    return _taken(np.full((len(data.texts), 1), tier), data)


def best_single(known: Data) -> int:
    return int(np.argmax(known.right.mean(axis=0)))


def cheapest_best(known: Data) -> int:
    """Among the tiers of the lowest price, the one that is right most often."""
    cost = known.usd.mean(axis=0)
    same = np.flatnonzero(cost <= cost.min() * (1 + 1e-9))
    return int(same[np.argmax(known.right.mean(axis=0)[same])])


def sweeps(known: Data, asked: Data, p: Mapping[str, Floats]) -> dict[str, Sweep]:
    """Every router."""
    return {
        **{name: priced(said, asked) for name, said in p.items()},
        "length threshold": by_length(known, asked),
        "random mix": random_mix(known, asked),
        "always cheap": single(cheapest_best(known), asked),
        "always expensive": single(best_single(known), asked),
        "oracle": oracle(asked),
    }


def _taken(choice: NDArray[np.int64], data: Data) -> Sweep:
    rows = np.arange(len(data.texts))[:, None]
    return Sweep(data.usd[rows, choice], data.right[rows, choice])
