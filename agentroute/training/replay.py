"""What a tier policy would have cost, and how often it would have been right, told from the log of another one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentroute.errors import DefinitionError
from agentroute.ids import NanoUsd, ToolId, nanos
from agentroute.routing.tiers.chances import Chances
from agentroute.routing.tiers.outcome import Outcome
from agentroute.routing.tiers.policy import Policy, decide
from agentroute.routing.tiers.question import Question, Tier
from agentroute.training.doubts import offers_that_vary, right_by_declaration
from agentroute.training.estimates import (
    Estimate,
    Overlap,
    average,
    doubly_robust,
    numbered,
    overlap,
    self_normalised,
)
from agentroute.training.rows import Floats
from agentroute.training.together import UNKNOWN
from agentroute.training.train import FOLDS, HOW_TO_JUDGE, learned, samples, settled, speaks
from agentroute.training.whole_steps import WholeSteps

PARTED_BY: Final = 7
"""Which parts of the log a step is predicted from; others than those that chances come from."""

NOTHING_KNOWN: Final = (
    f"no record of the log says whether the answer was right; {HOW_TO_JUDGE}, those of several model steps step by step"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is replayed.

    Attributes:
        policy: Whose decisions.
        worth: What success is worth, in nano-dollars.
        compound: Whether one wrong step spoils the run.
        detection: In place of what each record says; None: that.
    """

    policy: Policy
    worth: NanoUsd = NanoUsd(0)
    compound: bool = True
    detection: float | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What would have come of a policy, a step: however many attempts it takes.

    Attributes:
        records: Records that it is told from.
        steps: Steps that these are attempts of.
        left_out: Those of steps without a verdict of their own on each attempt.
        overlap: Whether the log says anything about it.
        logged_right: How right the steps were in the end, as logged.
        logged_usd: What a step cost with all its attempts, as logged.
        right: How right they would have been, self-normalised; None if the log does not say.
        usd: What a step would have cost.
        robust_right: The same, doubly robust.
        robust_usd: The same.
        tiers: Share of the steps that each tier would have been taken in first.
        doubts: What may make the estimates wrong.
    """

    records: int
    steps: int
    left_out: int
    overlap: Overlap
    logged_right: Estimate
    logged_usd: Estimate
    right: Estimate | None
    usd: Estimate | None
    robust_right: Estimate | None
    robust_usd: Estimate | None
    tiers: Mapping[str, float]
    doubts: Sequence[str] = ()


def replay(
    outcomes: Sequence[Outcome], plan: Plan, *, said: Sequence[Mapping[str, float]], unverified: bool = False
) -> Replayed:
    """Estimate what a policy would have reached.

    Attempts of a step count as one: what is asked again follows from what was asked first, and so does what that costs.
    Steps are taken as they came: that another answer leads to other steps later on is not seen.

    Args:
        outcomes: A log; attempts of a step in order.
        plan: The policy, and what it is told.
        said: Chance of every tier of each record, from a model that has not seen it: see `unseen_chances`.
        unverified: Whether outcomes that nobody has checked count too.

    Raises:
        DefinitionError: No record has a verdict.
    """
    silent = {_key(each) for each in outcomes if each.together is not None or not speaks(each, unverified=unverified)}
    chosen = [each for each in zip(outcomes, said, strict=True) if _key(each[0]) not in silent]
    if not chosen:
        raise DefinitionError("replay", NOTHING_KNOWN)
    steps = _steps(chosen, [_propensities(*each, plan) for each in chosen])
    runs = numbered([step.first.run for step in steps])
    weights = _numbers(step.weight for step in steps)
    right, usd = _Value(_numbers(step.right for step in steps), 1.0), _Value(_numbers(step.usd for step in steps))
    seen = overlap(
        weights,
        _numbers(step.matched for step in steps) > 0,
        runs,
        float(np.mean(_numbers(step.barred for step in steps))),
    )
    independent = float(len(np.unique(runs)))
    result = Replayed(
        records=len(chosen),
        steps=len(steps),
        left_out=len(outcomes) - len(chosen),
        overlap=seen,
        logged_right=right.bounded(average(right.steps, runs), independent),
        logged_usd=usd.bounded(average(usd.steps, runs), independent),
        right=None,
        usd=None,
        robust_right=None,
        robust_usd=None,
        tiers=_shares([step.planned for step in steps]),
        doubts=[
            *right_by_declaration([outcome for outcome, _ in chosen]),
            *offers_that_vary([step.first for step in steps]),
        ],
    )
    if seen.why_not is not None:
        return result
    worth = min(seen.effective, independent)
    return replace(
        result,
        right=right.bounded(self_normalised(right.steps, weights, runs), worth),
        usd=usd.bounded(self_normalised(usd.steps, weights, runs), worth),
        robust_right=right.bounded(_robust(right.steps, steps, weights, runs), worth),
        robust_usd=usd.bounded(_robust(usd.steps, steps, weights, runs), worth),
        doubts=[*result.doubts, *([] if seen.doubt is None else [seen.doubt])],
    )


@dataclass(frozen=True)
class _Value:
    """Something that steps come to, from 0 on."""

    steps: Floats
    most: float = inf

    def bounded(self, estimate: Estimate, effective: float) -> Estimate:
        ends = (0.0, self.most) if isfinite(self.most) else (float(self.steps.min()), float(self.steps.max()))
        return estimate.within(0.0, self.most, effective, seen=ends)


def _robust(values: Floats, steps: "Sequence[_Step]", weights: Floats, runs: NDArray[np.int64]) -> Estimate:
    """Doubly robust, by a model of what whole steps come to: second attempts are the policy's, too."""
    whole = WholeSteps(
        kinds=[step.kind(step.first.tier) for step in steps],
        chances=_numbers(step.said[step.first.tier] for step in steps),
        parts=np.array([step.first.part(FOLDS, PARTED_BY) for step in steps], dtype=np.int64),
    )
    asked = [(number, step.kind(tier), step.said[tier]) for number, step in enumerate(steps) for tier in step.planned]
    shares = _numbers(chance for step in steps for chance in step.planned.values())
    places = np.array([number for number, _, _ in asked], dtype=np.int64)
    planned = np.zeros(len(steps))
    np.add.at(planned, places, shares * whole.predicted(values, asked))
    own = [(number, step.kind(step.first.tier), step.said[step.first.tier]) for number, step in enumerate(steps)]
    return doubly_robust(values, weights, whole.predicted(values, own), planned, runs)


@dataclass(slots=True)
class _Step:
    """The attempts of a step, as one: what another policy would have done first decides what had to be done again.

    Attributes:
        first: The first of them.
        said: Chance of each tier to be right in it.
        planned: With which chance the policy would have taken each tier first.
        weight: Chance of all its choices by the policy, over that by which they were made.
        matched: Whether they are the likeliest of the policy.
        right: How right the last answer was.
        usd: What all of them cost.
        barred: Share of what the policy would have taken that the log could not take.
    """

    first: Outcome
    said: Mapping[str, float]
    planned: Mapping[str, float]
    weight: float = 1.0
    matched: bool = True
    right: float = 0.0
    usd: float = 0.0
    barred: float = 0.0

    def kind(self, tier: str) -> tuple[str, str]:
        """What it would be, had this tier been asked first."""
        return self.first.situation.step, tier

    def take(self, outcome: Outcome, taken: Mapping[str, float]) -> None:
        """Add an attempt."""
        if outcome.propensity == 1.0:
            self.barred += self.weight * (1.0 - taken[outcome.tier])
        self.weight *= taken[outcome.tier] / outcome.propensity
        self.matched = self.matched and _likeliest(taken) == outcome.tier
        self.right = outcome.right or 0.0
        self.usd += outcome.usd


def _steps(known: Sequence[tuple[Outcome, Mapping[str, float]]], taken: Sequence[Mapping[str, float]]) -> list[_Step]:
    """Put records of one step together: one after a failure goes on with what the run did of it before."""
    steps, latest = list[_Step](), dict[tuple[str, str], _Step]()
    for (outcome, said), planned in zip(known, taken, strict=True):
        key = _key(outcome)
        if key not in latest or not outcome.situation.retries:
            latest[key] = _Step(outcome, said, planned)
            steps.append(latest[key])
        latest[key].take(outcome, planned)
    return steps


def _key(outcome: Outcome) -> tuple[str, str]:
    return outcome.run, outcome.situation.step


def unseen_chances(
    outcomes: Sequence[Outcome],
    *,
    unverified: bool = False,
    seed: int = 0,
    tell: Callable[[str], None] = lambda _: None,
) -> list[dict[str, float]]:
    """Chances of the tiers of each record, each from a model of the runs of the other parts of the log.

    So no policy is judged by outcomes that it was learned from.
    """
    part = [outcome.part(FOLDS, seed + 2) for outcome in outcomes]
    models: list[Chances] = []
    for number in range(FOLDS):
        tell(f"learning, part {number + 1} of {FOLDS}")
        others = [
            outcome
            for outcome, here in zip(outcomes, part, strict=True)
            if here != number and speaks(outcome, unverified=unverified)
        ]
        models.append(learned(samples(settled(others), seed)) if others else Chances())
    return [told(models[here], outcome) for outcome, here in zip(outcomes, part, strict=True)]


def told(chances: Chances, outcome: Outcome) -> dict[str, float]:
    """What a model says of every tier of a record."""
    return chances.of(outcome.situation, dict.fromkeys(outcome.tiers, UNKNOWN))


def question_of(outcome: Outcome, said: Mapping[str, float], plan: Plan) -> Question:
    """What the policy would have been asked."""
    tiers = [Tier(ToolId(name), nanos(usd), nanos(usd), said[name]) for name, usd in outcome.tiers.items()]
    return Question(
        tiers=tiers,
        affordable=frozenset(tier.name for tier in tiers),
        worth=plan.worth,
        detection=outcome.detection if plan.detection is None else plan.detection,
        compound=plan.compound,
        tried=frozenset(ToolId(name) for name, times in outcome.situation.tried.items() if times),
        draw=0.0,  # the propensities do not depend on how the dice fall
    )


def _propensities(outcome: Outcome, said: Mapping[str, float], plan: Plan) -> dict[str, float]:
    """With which chance the policy would have taken each tier."""
    propensities = decide(plan.policy, question_of(outcome, said, plan)).propensities
    return {str(name): chance for name, chance in propensities.items()}


def _likeliest(propensities: Mapping[str, float]) -> str:
    return max(propensities, key=lambda tier: propensities[tier])


def _shares(taken: Sequence[Mapping[str, float]]) -> dict[str, float]:
    shares = dict[str, float]()
    for propensities in taken:
        for tier, chance in propensities.items():
            shares[tier] = shares.get(tier, 0.0) + chance / len(taken)
    return dict(sorted(shares.items()))


def _numbers(values: Iterable[float]) -> Floats:
    return np.array(list(values), dtype=np.float64)
