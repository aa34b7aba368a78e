"""Pairwise (2-way) covering arrays: few combinations in which every two values of two axes meet at least once.

Most failures need one or two conditions at once, so covering the pairs finds most of what covering everything would,
with a fraction of the combinations. Greedy, after AETG (Cohen, Dalal, Fredman and Patton, 1997): each next combination
is the best of several candidates, each of which is filled axis by axis with the value that covers most new pairs.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

from agentroute.testing.scenario.drawing.dice import Dice

Axes: TypeAlias = Mapping[str, Sequence[str]]
"""Values by axis."""

Combination: TypeAlias = Mapping[str, str]
"""A value for each axis, or for some."""

Allowed: TypeAlias = Callable[[Combination], bool]
"""Whether what is chosen so far can be. What it refuses, it refuses with more chosen, too."""

Pair: TypeAlias = tuple[tuple[str, str], tuple[str, str]]
"""Two values of two axes, in the order of the axes."""

CANDIDATES = 4
"""Combinations of which the best is taken."""


def pairs_of(combination: Combination) -> list[Pair]:
    """The pairs that a combination covers."""
    return list(combinations(combination.items(), 2))


def possible_pairs(axes: Axes, allowed: Allowed) -> list[Pair]:
    """Every pair that is in some combination that is allowed, in a fixed order."""
    values = [[(axis, value) for value in axes[axis]] for axis in axes]
    pairs = [(a, b) for one, other in combinations(values, 2) for a in one for b in other]
    return [pair for pair in pairs if completed(dict(pair), axes, allowed) is not None]


def completed(chosen: Combination, axes: Axes, allowed: Allowed) -> dict[str, str] | None:
    """The first combination with all that is chosen in it; None if there is none. Depth first."""
    if not allowed(chosen):
        return None
    axis = next((axis for axis in axes if axis not in chosen), None)
    if axis is None:
        return {name: chosen[name] for name in axes}
    found = (completed({**chosen, axis: value}, axes, allowed) for value in axes[axis])
    return next((whole for whole in found if whole is not None), None)


def covering(axes: Axes, allowed: Allowed, dice: Dice) -> Iterator[dict[str, str]]:
    """Combinations that are allowed and together cover every pair that is possible, as few as greed finds.

    Example:
        >>> axes = {"fault": ("down", "late"), "scope": ("tool", "provider"), "runs": ("one", "many")}
        >>> found = list(covering(axes, lambda chosen: True, Dice(7)))
        >>> len(found) < 2 * 2 * 2
        True
        >>> {pair for one in found for pair in pairs_of(one)} == set(possible_pairs(axes, lambda chosen: True))
        True
    """
    left = dict.fromkeys(possible_pairs(axes, allowed))
    while left:
        candidates = [_candidate(axes, allowed, left, dice) for _ in range(CANDIDATES)]
        best = max(candidates, key=lambda whole: sum(pair in left for pair in pairs_of(whole)))
        for pair in pairs_of(best):
            left.pop(pair, None)
        yield best


def _candidate(axes: Axes, allowed: Allowed, left: Mapping[Pair, None], dice: Dice) -> dict[str, str]:
    """Begin with a pair that is not covered yet, and fill the other axes in any order."""
    chosen: dict[str, str] = dict(dice.pick(list(left)))
    for axis in dice.shuffled([axis for axis in axes if axis not in chosen]):
        gains = {value: _gain(axes, chosen, axis, value, left) for value in dice.shuffled(axes[axis])}
        best = sorted(gains, key=lambda value: -gains[value])
        chosen[axis] = next(value for value in best if completed({**chosen, axis: value}, axes, allowed) is not None)
    return {axis: chosen[axis] for axis in axes}


def _gain(axes: Axes, chosen: Combination, axis: str, value: str, left: Mapping[Pair, None]) -> int:
    """How many new pairs a value covers with those chosen so far."""
    order = list(axes)
    gain = 0
    for other, known in chosen.items():
        first, second = (other, known), (axis, value)
        gain += ((first, second) if order.index(other) < order.index(axis) else (second, first)) in left
    return gain
