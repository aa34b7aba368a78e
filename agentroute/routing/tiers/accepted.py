"""What a chance to be right comes to, once wrong answers that are noticed are asked for again.

An attempt is right with chance ``p``. A wrong one is noticed with chance ``D`` (a schema, a verifier, an ``ensure=``)
and asked for again; what is not noticed is accepted. So of the attempts, ``1 - D (1 - p)`` are accepted.
"""

from math import log

from agentroute.routing.tiers.chances import RAREST


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
