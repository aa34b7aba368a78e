"""Tier policies: which of the tiers of a step is taken, told as weights on the graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeAlias, assert_never

from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.ids import NanoUsd, ToolId
from agentroute.routing.tiers.chances import RAREST
from agentroute.routing.tiers.question import HEAVIEST, Choice, Question, Tier

GREED: Final = 20.0
"""How fast experiments become rarer with what they cost: a twentieth of a success dearer, half as many."""


@dataclass(frozen=True, slots=True)
class AlwaysCheap:
    """Take the tier with the lowest cost."""


@dataclass(frozen=True, slots=True)
class AlwaysExpensive:
    """Take the tier with the highest cost."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Take the cheapest tier whose chance to be right reaches `least`; if none does, the one with the best chance."""

    least: float = 0.7

    def __post_init__(self) -> None:
        """Refuse what is no chance."""
        checked("threshold", "least", self.least, largest=1.0)


@dataclass(frozen=True, slots=True)
class Cascade:
    """Begin with a cheap tier where going on to the next one after a noticed failure is expected to cost less.

    With a verifier that misses nothing, and a dear tier that is always right, that is where
    ``p_cheap > cost_cheap / cost_dear``. What is not noticed is lost; without any verifier this takes one tier, like
    `Learned` for a step that stands alone.
    """


@dataclass(frozen=True, slots=True)
class Learned:
    """Take the tier with the least weight: upgrade while the gain in success per dollar beats ``1 / worth``.

    Attributes:
        explore: At most this share of steps goes to another tier than the best, if wrong answers are noticed there;
            the dearer an experiment, the rarer (inverse gap weighting; Foster and Rakhlin 2020).
    """

    explore: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        checked("learned", "explore", self.explore, largest=1.0)


Policy: TypeAlias = AlwaysCheap | AlwaysExpensive | Threshold | Cascade | Learned

POLICIES: Final[Mapping[str, type[Policy]]] = {
    "always-cheap": AlwaysCheap,
    "always-expensive": AlwaysExpensive,
    "threshold": Threshold,
    "cascade": Cascade,
    "learned": Learned,
}
"""Every policy by the name it goes by on the command line."""


def name_of(policy: Policy) -> str:
    """The name that a policy goes by."""
    return next(name for name, kind in POLICIES.items() if type(policy) is kind)


def decide(policy: Policy, question: Question) -> Choice:
    """Answer a question. The same policy and question give the same answer."""
    if not question.open:
        return Choice((), {}, {})
    ranked, weights = _ranked(policy, question)
    propensities = _propensities(policy, question, ranked, weights)
    first = ranked[0] if question.draw is None else _drawn(propensities, question.draw)
    ranking = (first, *(name for name in ranked if name != first))
    return Choice(ranking, _lifted(ranking, weights), propensities)


def _ranked(policy: Policy, question: Question) -> tuple[list[ToolId], dict[ToolId, NanoUsd]]:
    """The affordable tiers in the order of the policy, and what each weighs by itself."""
    tiers = question.open
    weights = {tier.name: question.weight(tier) for tier in tiers}
    match policy:
        case AlwaysCheap():
            order = tiers
        case AlwaysExpensive():
            order = sorted(tiers, key=lambda tier: (-tier.cost, tier.name))
        case Threshold(least=least):
            order = sorted(tiers, key=lambda tier: (0.0, 0.0) if tier.p >= least else (1.0, -tier.p))
        case Learned():
            order = sorted(tiers, key=lambda tier: (weights[tier.name], tier.name))
        case Cascade():
            weights |= _folded(question)
            order = sorted(tiers, key=lambda tier: (tier.name in question.tried, weights[tier.name], tier.name))
        case _:
            assert_never(policy)
    return [tier.name for tier in order], weights


def _folded(question: Question) -> dict[ToolId, NanoUsd]:
    """What the step costs from each tier on that a cascade calls, and what the others weigh at least.

    From the dearest back: a tier is called first if that, and going on after it, costs less than going on alone.
    """
    untried = [tier for tier in question.open if tier.name not in question.tried]
    costs = dict[ToolId, NanoUsd]()
    left_out: list[Tier] = []
    ahead: float | None = None
    for tier in reversed(untried):
        detection = 0.0 if tier.final else question.detection
        after = question.worth if ahead is None else (1.0 - detection) * question.worth + detection * ahead
        total = tier.cost + (1.0 - max(tier.p, RAREST)) * after
        if ahead is not None and total >= ahead:
            left_out.append(tier)
            continue
        ahead = total
        costs[tier.name] = NanoUsd(min(HEAVIEST, round(total)))
    dearest = max(costs.values(), default=NanoUsd(0))
    return costs | {tier.name: max(dearest, question.weight(tier)) for tier in left_out}


def _propensities(
    policy: Policy, question: Question, ranked: Sequence[ToolId], weights: Mapping[ToolId, NanoUsd]
) -> dict[ToolId, float]:
    """With which chance each tier comes first. Experiments need a verdict, or nothing is learned from them."""
    certain = dict.fromkeys(ranked, 0.0) | {ranked[0]: 1.0}
    if not isinstance(policy, Learned) or question.draw is None or not question.detection or len(ranked) == 1:
        return certain
    unit = max(1, question.worth)
    chances = {
        name: policy.explore / (len(ranked) - 1) / (1.0 + GREED * (weights[name] - weights[ranked[0]]) / unit)
        for name in ranked[1:]
    }
    return {ranked[0]: 1.0 - sum(chances.values())} | chances


def _drawn(propensities: Mapping[ToolId, float], draw: float) -> ToolId:
    """The tier that a number from [0, 1) falls on."""
    names = [name for name, chance in propensities.items() if chance > 0]
    sums = accumulate(propensities[name] for name in names)
    return next((name for name, upto in zip(names, sums, strict=True) if draw < upto), names[-1])


def _lifted(ranking: Sequence[ToolId], weights: Mapping[ToolId, NanoUsd]) -> dict[ToolId, NanoUsd]:
    """Weights that rise along a ranking, none of them below what it was."""
    lifted = dict[ToolId, NanoUsd]()
    floor = -1
    for name in ranking:
        floor = max(floor + 1, weights[name])
        lifted[name] = NanoUsd(floor)
    return lifted


def policy_named(name: str, *, least: float | None = None, explore: float | None = None) -> Policy:
    """Make a policy by its name.

    Raises:
        DefinitionError: There is none of that name, or it does not take what was given.
    """
    if name not in POLICIES:
        raise DefinitionError("policy", f"{name!r} is not one of {', '.join(POLICIES)}")
    given = {key: value for key, value in (("least", least), ("explore", explore)) if value is not None}
    try:
        return POLICIES[name](**given)
    except TypeError:
        raise DefinitionError("policy", f"{name} does not take {', '.join(given)}") from None
