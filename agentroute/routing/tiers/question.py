"""What a tier policy is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentroute.errors import DefinitionError
from agentroute.ids import NanoUsd, ToolId
from agentroute.routing.tiers.accepted import attempts, loss, right

HEAVIEST = 10**18
"""Largest weight, in nano-dollars: what is declared is smaller, and nothing becomes infinite."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One of the tools that can do a step.

    Attributes:
        name: Its name.
        cost: Expected cost of an attempt in nano-dollars, time, risk and energy included: what the tool would weigh
            if its answers were always right.
        worst: Price of an attempt at its worst, in nano-dollars.
        p: Chance that an answer is right.
        final: Nothing could follow: a wrong answer is noticed in vain.
    """

    name: ToolId
    cost: NanoUsd
    worst: NanoUsd
    p: float
    final: bool = False

    def __post_init__(self) -> None:
        """Refuse what no weight could be computed from.

        Raises:
            DefinitionError: A chance that is none, or a negative price.
        """
        if not 0.0 <= self.p <= 1.0:
            raise DefinitionError(self.name, f"p must be a chance from 0 to 1, not {self.p!r}")
        if self.cost < 0 or self.worst < 0:
            raise DefinitionError(self.name, "cost and worst must not be negative")


@dataclass(frozen=True, slots=True)
class Question:
    """A step that is about to be done.

    Attributes:
        tiers: Those that could do it, in any order.
        affordable: Those that may be taken: the rest of the run can still be paid for after them.
        worth: What success is worth, in nano-dollars: of the run where steps compound, else of the step.
        detection: Chance that a wrong answer is noticed.
        compound: Whether one wrong step spoils the run.
        tried: Tiers whose answer to this very step was found to be wrong.
        draw: A random number from [0, 1) where the policy may experiment; None: it may not.
    """

    tiers: Sequence[Tier]
    affordable: frozenset[ToolId]
    worth: NanoUsd = NanoUsd(0)
    detection: float = 0.0
    compound: bool = True
    tried: frozenset[ToolId] = frozenset()
    draw: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no weight could be computed from.

        Raises:
            DefinitionError: A chance that is none, a negative worth, or a name that is there twice.
        """
        if not 0.0 <= self.detection <= 1.0:
            raise DefinitionError("tiers", f"detection must be a chance from 0 to 1, not {self.detection!r}")
        if self.worth < 0:
            raise DefinitionError("tiers", f"worth must not be negative, not {self.worth}")
        if self.draw is not None and not 0.0 <= self.draw < 1.0:
            raise DefinitionError("tiers", f"draw must be a number from [0, 1), not {self.draw!r}")
        if len({tier.name for tier in self.tiers}) < len(self.tiers):
            raise DefinitionError("tiers", "two of them have the same name")

    @property
    def open(self) -> list[Tier]:
        """The affordable tiers, the cheapest first, equals by name."""
        return sorted(
            (tier for tier in self.tiers if tier.name in self.affordable), key=lambda tier: (tier.cost, tier.name)
        )

    def weight(self, tier: Tier) -> NanoUsd:
        """Expected cost until an answer is accepted, and what is lost if it is wrong, in nano-dollars."""
        noticed = 0.0 if tier.final else self.detection
        paid = tier.cost * attempts(tier.p, noticed)
        lost = self.worth * loss(right(tier.p, noticed), compound=self.compound)
        return NanoUsd(min(HEAVIEST, round(paid + lost)))


@dataclass(frozen=True, slots=True)
class Choice:
    """What a policy makes of it.

    Attributes:
        ranking: The affordable tiers, the one to take first; empty if nothing is affordable.
        weights: Weight of each on the graph, in nano-dollars, rising along the ranking: the cheapest route takes the
            first, and if that is gone, the next.
        propensities: With which chance each would have come first, had the dice fallen otherwise. They sum to 1.
    """

    ranking: tuple[ToolId, ...]
    weights: Mapping[ToolId, NanoUsd]
    propensities: Mapping[ToolId, float]

    @property
    def chosen(self) -> ToolId | None:
        """The tier to take; None if nothing is affordable."""
        return self.ranking[0] if self.ranking else None
