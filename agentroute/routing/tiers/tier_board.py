"""What all runs of an agent know of their model tiers, and how they choose among them.

The counterpart of the health board: shared by the runs, without a clock. Chance is an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from agentroute.graph.tool import StepTier
from agentroute.ids import NanoUsd, ToolId, nanos
from agentroute.routing.tiers.accepted import right
from agentroute.routing.tiers.chances import Chances
from agentroute.routing.tiers.outcome import Judgement, Outcome
from agentroute.routing.tiers.pace import Pace, Spending
from agentroute.routing.tiers.policy import Learned, Policy, decide
from agentroute.routing.tiers.question import HEAVIEST, Choice, Question, Tier
from agentroute.routing.tiers.situation import Situation
from agentroute.routing.tiers.verdicts import Verdicts
from agentroute.routing.tiers.weighed import TierWeighed

DECLARED_STRENGTH: Final = 5.0
"""Answers that a declared chance counts for, beside those that were seen."""

MOST_COUNTED: Final = 200.0
"""Answers that are counted; beyond that, older ones count half, so that what is counted is of late."""

MOST_REMEMBERED: Final = 10_000
"""Runs that are remembered, so that what turns out about them takes the place of what was counted."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that could do a step now.

    Attributes:
        tool: Its name.
        tier: Which tier of which step it is.
        cost: What it would weigh if its answers were always right: price, time, risk, energy and health.
        worst: Price of an attempt at its worst.
        usd: Expected price of an attempt, and nothing but that.
    """

    tool: ToolId
    tier: StepTier
    cost: NanoUsd
    worst: NanoUsd
    usd: NanoUsd


@dataclass(slots=True)
class Seen:
    """Answers of a tier to a step that something has checked; shares of one where it cannot tell for certain."""

    right: float = 0.0
    wrong: float = 0.0

    def take(self, right: float) -> None:
        """Count one more that was right with this chance."""
        if self.right + self.wrong >= MOST_COUNTED:
            self.right, self.wrong = self.right / 2, self.wrong / 2
        self.right += right
        self.wrong += 1.0 - right

    def correct(self, before: float, after: float) -> None:
        """Count one otherwise that was counted as right with another chance."""
        moved = max(-self.wrong, min(self.right, before - after))
        self.right, self.wrong = self.right - moved, self.wrong + moved

    def chance(self, declared: float) -> float:
        """Mean of the Beta distribution that what was declared and what was seen make together."""
        return (DECLARED_STRENGTH * declared + self.right) / (DECLARED_STRENGTH + self.right + self.wrong)


@dataclass(slots=True)
class TierBoard:
    """Chooses among the tiers of model steps, for all runs of an agent.

    Chances come from what was learned beforehand; of tiers that it says nothing of, from what was declared and what
    answers have shown since. Worth is paced: runs that take more than was meant make success worth less to later ones.

    Attributes:
        policy: Of all steps but those in `others`.
        others: Policies of single steps, by name.
        chances: Learned beforehand.
        spending: What a step costs on average by what success is worth; None: not known.
        pace: What success is worth now.
        meant: What a run is meant to take, in nano-dollars; None: `pace` stays as it is.
        compound: Whether one wrong step spoils the run.
        version: Grows with everything that is learned.
    """

    policy: Policy
    pace: Pace
    others: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
    chances: Chances = field(default_factory=Chances)
    spending: Spending | None = None
    meant: NanoUsd | None = None
    compound: bool = True
    version: int = 0
    _seen: dict[tuple[str, str], Seen] = field(default_factory=dict[tuple[str, str], Seen])
    _over: dict[str, None] = field(default_factory=dict[str, None])
    _verdicts: dict[str, Verdicts] = field(default_factory=dict[str, Verdicts])

    def policy_of(self, step: str) -> Policy:
        """The policy that chooses for a step."""
        return self.others.get(step, self.policy)

    def explores(self, step: str) -> bool:
        """Whether choices for a step depend on chance."""
        policy = self.policy_of(step)
        return isinstance(policy, Learned) and policy.explore > 0

    def right(self, situation: Situation, offers: Sequence[Offer]) -> dict[ToolId, float]:
        """Chance of each tool to answer right."""
        declared = {offer.tier.tier: self._declared(offer.tier) for offer in offers}
        found = self.chances.of(situation, declared)
        return {offer.tool: found[offer.tier.tier] for offer in offers}

    def _declared(self, tier: StepTier) -> float:
        seen = self._seen.get((tier.step, tier.tier))
        return tier.right if seen is None else seen.chance(tier.right)

    def worth(self, usd_a_step: float | None = None) -> NanoUsd:
        """What success may be worth now; less, if no more than `usd_a_step` is left for each step."""
        worth = self.pace.worth
        if usd_a_step is None or self.spending is None:
            return worth
        return min(worth, nanos(self.spending.worth_for(usd_a_step)))

    def choose(
        self,
        offers: Sequence[Offer],
        right: Mapping[ToolId, float],
        *,
        worth: NanoUsd,
        affordable: frozenset[ToolId] | None = None,
        final: frozenset[ToolId] = frozenset(),
        tried: frozenset[ToolId] = frozenset(),
        draw: float | None = None,
    ) -> Choice:
        """Rank the tiers of one step.

        Args:
            offers: Of the same step, one at least.
            right: Chance of each to answer right.
            worth: What success is worth.
            affordable: Those that may be taken; all, if left out.
            final: Those after which no other could be taken: that their answer was wrong would be noticed in vain.
            tried: Those whose answer to this very step was wrong.
            draw: A random number from [0, 1); None: chance has no part in it.
        """
        tier = offers[0].tier
        question = Question(
            tiers=[Tier(o.tool, o.cost, o.worst, right[o.tool], final=o.tool in final) for o in offers],
            affordable=frozenset(offer.tool for offer in offers) if affordable is None else affordable,
            worth=worth,
            detection=tier.detection,
            compound=self.compound,
            tried=tried,
            draw=draw,
        )
        return decide(self.policy_of(tier.step), question)

    # ---------------------------------------------------------------- what comes of it

    def saw(self, tier: StepTier, *, accepted: bool) -> None:
        """Count an answer that was accepted, or refused, where wrong ones are noticed with some chance.

        Of an accepted one that may be wrong all the same, its chance to be right by what is known counts (the
        expectation step of Dempster, Laird and Rubin 1977), so that in the end it is the tier's own that is known.
        """
        self._count(tier.step, tier.tier, right(self._declared(tier), tier.detection) if accepted else 0.0)

    def judged(
        self, judgement: Judgement, outcomes: Sequence[Outcome], tiers: Mapping[tuple[str, str], StepTier]
    ) -> None:
        """Count what turned out about a run, or one of its steps, in the place of what was counted before.

        Which step spoilt a run that was wrong, nobody knows: each counts with the chance to be right all the same.

        Args:
            judgement: The latest; what was said of a step comes before what was said of its run.
            outcomes: All answers of the run, in order.
            tiers: What is declared of them, by the names of step and tier.
        """
        verdicts = self._verdicts.pop(judgement.run, Verdicts())
        _remember(self._verdicts, judgement.run, verdicts)
        verdicts.take(judgement)
        expected = [self._expected(outcome, tiers.get((outcome.situation.step, outcome.tier))) for outcome in outcomes]
        for place, share in verdicts.shares(outcomes, expected).items():
            outcome = outcomes[place]
            before = verdicts.counted.get(place)
            if before is None and judgement.run in self._over and outcome.detection:
                before = 0.0 if outcome.right == 0 else right(*expected[place])
            verdicts.counted[place] = share
            self._recount(outcome.situation.step, outcome.tier, before, share)

    def _expected(self, outcome: Outcome, tier: StepTier | None) -> tuple[float, float]:
        """Chance that an answer was right, as far as is known now, and that it would have been noticed if not."""
        step = outcome.situation.step
        declared = self._declared(StepTier(step, outcome.tier, outcome.detection) if tier is None else tier)
        return self.chances.of(outcome.situation, {outcome.tier: declared})[outcome.tier], outcome.detection

    def _count(self, step: str, tier: str, share: float) -> None:
        self._recount(step, tier, None, share)

    def _recount(self, step: str, tier: str, before: float | None, share: float) -> None:
        self.version += 1
        seen = self._seen.setdefault((step, tier), Seen())
        if before is None:
            seen.take(share)
        else:
            seen.correct(before, share)

    def ended(self, run: str, usd: NanoUsd) -> None:
        """Take note of a run that is over, and of what it has taken."""
        _remember(self._over, run, None)
        if self.meant is not None:
            self.version += 1
            self.pace = self.pace.after(usd, self.meant)


Kept = TypeVar("Kept")


def _remember(kept: dict[str, Kept], run: str, what: Kept) -> None:
    """Keep something of a run, and forget the oldest one instead if there are too many."""
    kept[run] = what
    while len(kept) > MOST_REMEMBERED:
        del kept[next(iter(kept))]


def weighed(choice: Choice, offers: Sequence[Offer], right: Mapping[ToolId, float]) -> list[TierWeighed]:
    """What tiers weigh among all tools, in the order of a choice; those that cannot be taken come last.

    The first weighs what it costs, as other tools do, of which nobody knows how often they are right: what wrong
    answers would cost counts between the tiers alone. Weights rise along the ranking, and none is below its cost.
    """
    costs, found = {offer.tool: offer.cost for offer in offers}, list[TierWeighed]()
    rest = sorted(costs.keys() - choice.weights.keys(), key=lambda tool: (costs[tool], tool))
    spared = choice.weights[choice.ranking[0]] - costs[choice.ranking[0]] if choice.ranking else 0
    floor = -1
    for tool in (*choice.ranking, *rest):
        floor = min(HEAVIEST, max(floor + 1, costs[tool], choice.weights.get(tool, spared) - spared))
        found.append(TierWeighed(tool, NanoUsd(floor), right[tool], costs[tool], choice.propensities.get(tool, 0.0)))
    return found
