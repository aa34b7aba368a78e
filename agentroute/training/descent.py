"""The least value of a smooth convex function: L-BFGS (Nocedal 1980)."""

from collections import deque
from collections.abc import Callable
from math import sqrt
from typing import Final

import numpy as np

from agentroute.training.rows import Floats

Slope = Callable[[Floats], tuple[float, Floats]]
"""Value and gradient at a point."""

MEMORY: Final = 10
"""Steps that the curvature is estimated from."""


def dot(left: Floats, right: Floats) -> float:
    """Product of two vectors.

    On one thread and in one order: the threads of a BLAS wait for each other on a busy machine (six times as long), and
    its last digits depend on how many there are.
    """
    return float(np.sum(left * right))


def least(function: Slope, start: Floats, *, tolerance: float = 1e-2, steps: int = 200) -> Floats:
    """Walk downhill until the gradient is `tolerance` of what it was, or for so many `steps`."""
    point = start
    value, gradient = function(point)
    enough = tolerance * max(1e-12, sqrt(dot(gradient, gradient)))
    past: deque[tuple[Floats, Floats]] = deque(maxlen=MEMORY)
    for _ in range(steps):
        if sqrt(dot(gradient, gradient)) <= enough:
            break
        ahead = _direction(gradient, past)
        moved = _step(function, point, value, gradient, ahead)
        if moved is None:
            break
        after, value, slope = moved
        change, turn = after - point, slope - gradient
        if dot(change, turn) > 1e-12 * dot(turn, turn):
            past.append((change, turn))
        point, gradient = after, slope
    return point


def _direction(gradient: Floats, past: deque[tuple[Floats, Floats]]) -> Floats:
    """Gradient divided by the curvature that the last steps have shown (the two-loop recursion)."""
    ahead = -gradient
    shares: list[float] = []
    for change, turn in reversed(past):
        share = dot(change, ahead) / dot(change, turn)
        shares.append(share)
        ahead = ahead - share * turn
    if past:
        change, turn = past[-1]
        ahead = ahead * (dot(change, turn) / dot(turn, turn))
    else:
        ahead = ahead / max(1.0, sqrt(dot(gradient, gradient)))
    for (change, turn), share in zip(past, reversed(shares), strict=True):
        ahead = ahead + (share - dot(turn, ahead) / dot(change, turn)) * change
    return ahead


def _step(
    function: Slope, point: Floats, value: float, gradient: Floats, ahead: Floats
) -> tuple[Floats, float, Floats] | None:
    """Halve the step until it descends as much as it should (Armijo 1966); None: it does not."""
    promised = dot(gradient, ahead)
    length = 1.0
    for _ in range(30):
        after = point + length * ahead
        reached, slope = function(after)
        if reached <= value + 1e-4 * length * promised:
            return after, reached, slope
        length /= 2
    return None
