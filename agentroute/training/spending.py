"""What a step costs on average, by what success is worth."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from agentroute.ids import NANOS_PER_USD, NanoUsd
from agentroute.routing.tiers.accepted import attempts
from agentroute.routing.tiers.pace import Spending
from agentroute.routing.tiers.policy import Learned, decide
from agentroute.routing.tiers.question import Question

POINTS: Final = 40
"""Worths that are tried, evenly by their logarithm."""

Asked = Sequence[Question]


def spending(questions: Asked, *, points: int = POINTS) -> Spending | None:
    """Put many questions at many worths, and see what the answers cost; what `worth` they have does not count.

    Returns:
        The curve, from where nothing but the cheapest is taken to where price hardly counts; None if there is nothing
        to choose.
    """
    gaps = [tier.cost for question in questions for tier in question.tiers if tier.cost]
    if not gaps:
        return None
    worths = np.geomspace(min(gaps) / 10, 1000 * max(gaps), points)
    curve: list[tuple[float, float]] = []
    for worth in worths:
        usd = sum(_cost(question, NanoUsd(round(float(worth)))) for question in questions) / len(questions)
        floor = curve[-1][1] if curve else 0.0  # rounding alone could make it fall
        curve.append((float(worth) / NANOS_PER_USD, max(floor, usd)))
    return Spending(tuple(curve))


def _cost(question: Question, worth: NanoUsd) -> float:
    """Expected cost until an answer is accepted, in USD."""
    asked = Question(question.tiers, question.affordable, worth, question.detection, question.compound, question.tried)
    chosen = decide(Learned(), asked).chosen
    taken = next(tier for tier in question.tiers if tier.name == chosen)
    return taken.cost * attempts(taken.p, question.detection) / NANOS_PER_USD
