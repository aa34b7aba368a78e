"""What a chance to be right comes to, once wrong answers that are noticed are asked for again.

An attempt is right with chance ``p``. A wrong one is noticed with chance ``D`` (a schema, a verifier, an ``ensure=``)
and asked for again; what is not noticed is accepted. So of the attempts, ``1 - D (1 - p)`` are accepted.
"""

from collections.abc import Sequence
from math import log, prod
from typing import Final

from agentroute.routing.tiers.chances import RAREST

SUREST: Final = 1.0 - 1e-9
"""Largest chance of an answer that somebody has found fault with: something must be to blame."""


def attempts(p: float, detection: float) -> float:
    """Expected number of attempts until one is accepted, from 1 to ``1 / RAREST``."""
    return 1.0 / (1.0 - detection * (1.0 - max(p, RAREST)))


def right(p: float, detection: float) -> float:
    """Chance that what is accepted is right: ``q = p / (1 - D (1 - p))``."""
    p = max(p, RAREST)
    return min(1.0, p / (1.0 - detection * (1.0 - p)))


def loss(q: float, *, compound: bool) -> float:
    """What is lost by a step that is right with chance `q`, in units of a success.

    Where steps compound, the chance of a run is the product of theirs: losses ``-log q`` add up along a route as
    chances multiply. Where a step stands alone, what is lost is ``1 - q``. Near 1 the two are the same.
    """
    return -log(q) if compound else 1.0 - q


def answerable(chances: Sequence[tuple[float, float]], verdict: float) -> list[float]:
    """Chance of each accepted answer of a run to be right, once it is known how right they were together.

    Of answers that are all right with chance ``prod q``, and were not, the ``i``-th is right all the same with
    ``q_i (1 - prod of the others) / (1 - prod)``: Bayes, and the expectation step of Dempster, Laird and Rubin (1977).
    So a run that was wrong says something of each of its steps, as one that was right does; to count only the latter
    would make every tier look as if it were always right.

    Args:
        chances: Of each, to be right before it was accepted, and that a wrong one would have been noticed.
        verdict: How right they were together, 0 to 1.
    """
    found = [min(SUREST, right(p, detection)) for p, detection in chances]
    if min(found, default=0.0) == SUREST:  # a wrong answer came through where none could: it was not noticed
        found = [min(SUREST, right(p, 0.0)) for p, _ in chances]
    missed = 1.0 - prod(found)
    return [
        verdict + (1.0 - verdict) * q * (1.0 - prod(found[:place] + found[place + 1 :])) / missed
        for place, q in enumerate(found)
    ]
