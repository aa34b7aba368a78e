"""From outcomes to a model: fitted, calibrated out of sample, and judged on runs that it has not seen."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from agentroute.errors import DefinitionError
from agentroute.routing.tiers.chances import Chances, TierWeights
from agentroute.routing.tiers.outcome import Outcome
from agentroute.routing.tiers.situation import DIMENSIONS
from agentroute.training.calibration import (
    Bin,
    Platt,
    calibration_error,
    log_loss,
    platt,
    ranking,
    reliability,
)
from agentroute.training.doubts import right_by_declaration
from agentroute.training.logistic import Fitted, Outcomes, chance, fit
from agentroute.training.rows import Floats, Rows
from agentroute.training.together import guessed, refined

FOLDS: Final = 3
"""Parts that calibration is fitted out of: each is predicted by a model of the others."""

FEWEST: Final = 20
"""Outcomes that a tier needs; of fewer, nothing is learned."""

ROUNDS: Final = 3
"""Times that a model tells how right the answers were of which no more is known than what became of their run."""

SILENT: Final = "without a verdict"

HOW_TO_JUDGE: Final = "agentroute budget judge and Agent.judge say how right runs were"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Sample:
    """Outcomes of one tier, as training takes them.

    Attributes:
        rows: Situations.
        right: How right the tier was in each, 0 to 1.
        fold: Which of `FOLDS` parts each belongs to, those of a run together.
    """

    rows: Rows
    right: Floats
    fold: np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class TierReport:
    """How well the chances of a tier are known, on runs that were held out.

    Attributes:
        outcomes: How many the model of the report was learned from.
        held_out: How many it is judged by.
        rate: Share of those that was right.
        log_loss: Mean surprise, in nats.
        base_log_loss: The same for always saying the share that was right among those learned from.
        ranking: Chance that a right answer was given a higher chance than a wrong one; None: all were the same.
        error: Expected calibration error.
        raw_error: The same before calibration.
        bins: The reliability diagram.
    """

    outcomes: int
    held_out: int
    rate: float
    log_loss: float
    base_log_loss: float
    ranking: float | None
    error: float
    raw_error: float
    bins: Sequence[Bin] = field(default=())


@dataclass(frozen=True)
class Trained:
    """What was learned.

    Attributes:
        chances: The model, of all outcomes.
        outcomes: How many there were, by tier.
        reports: How well a model of the outcomes that were not held out does on those that were, by tier.
        left_out: Outcomes that say nothing, by why.
        together: Outcomes of which no more is known than how right their run was.
        doubts: What may make all of it wrong.
    """

    chances: Chances
    outcomes: Mapping[str, int]
    reports: Mapping[str, TierReport]
    left_out: Mapping[str, int]
    together: int = 0
    doubts: Sequence[str] = ()


def train(
    outcomes: Sequence[Outcome],
    *,
    held_out: float = 0.2,
    unverified: bool = False,
    seed: int = 0,
    tell: Tell = lambda _: None,
) -> Trained:
    """Learn the chances of tiers.

    Args:
        outcomes: A log.
        held_out: Share of the runs that the report is made from. The model itself is made from all.
        unverified: Whether outcomes that nobody has checked count too.
        seed: Which runs are held out.
        tell: Is told how it goes.

    Raises:
        DefinitionError: There is nothing to learn from.
    """
    usable, left_out = _usable(outcomes, unverified=unverified)
    if not usable:
        why = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "the log is empty"
        hint = f"; {HOW_TO_JUDGE}" if SILENT in left_out else ""
        raise DefinitionError(
            "training", f"there is nothing to learn from: {why}; a tier needs {FEWEST} outcomes{hint}"
        )
    parts = 1000
    apart = [outcome.part(parts, seed) < held_out * parts for outcome in usable]
    tell(f"{len(usable):,} outcomes; learning from those that are not held out")
    known = samples(settled([outcome for outcome, out in zip(usable, apart, strict=True) if not out]), seed)
    unseen = samples(guessed([outcome for outcome, out in zip(usable, apart, strict=True) if out]), seed)
    reports = judge(known, unseen) if known and unseen else {}
    tell("learning from all of them")
    everything = samples(settled(usable), seed)
    counts = {tier: len(sample.right) for tier, sample in everything.items()}
    together = sum(outcome.together is not None for outcome in usable)
    return Trained(learned(everything), counts, reports, left_out, together, list(right_by_declaration(usable)))


def speaks(outcome: Outcome, *, unverified: bool) -> bool:
    """Whether something can be learned from an outcome."""
    return outcome.together is not None or (outcome.right is not None and (outcome.verified or unverified))


def settled(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Say how right each answer is expected to be where that is known of their run alone."""
    found = guessed(outcomes)
    if any(outcome.together is not None for outcome in outcomes):
        for _ in range(ROUNDS):
            model = fit({tier: Outcomes(each.rows, each.right) for tier, each in samples(found).items()})
            found = refined(outcomes, _chances(model, dict.fromkeys(model.own, Platt())))
    return found


def _usable(outcomes: Sequence[Outcome], *, unverified: bool) -> tuple[list[Outcome], dict[str, int]]:
    """Outcomes to learn from, and how many are none by what they lack."""
    left_out = dict[str, int]()
    usable: list[Outcome] = []
    for outcome in outcomes:
        if speaks(outcome, unverified=unverified):
            usable.append(outcome)
        else:
            why = SILENT if outcome.right is None else "not verified"
            left_out[why] = left_out.get(why, 0) + 1
    counts = dict[str, int]()
    for outcome in usable:
        counts[outcome.tier] = counts.get(outcome.tier, 0) + 1
    for tier in sorted(tier for tier, count in counts.items() if count < FEWEST):
        left_out[f"of tier {tier}, which has too few"] = counts[tier]
    return [outcome for outcome in usable if counts[outcome.tier] >= FEWEST], left_out


def samples(outcomes: Sequence[Outcome], seed: int = 0) -> dict[str, Sample]:
    """Outcomes by tier, as numbers."""
    by_tier = dict[str, list[Outcome]]()
    for outcome in outcomes:
        by_tier.setdefault(outcome.tier, []).append(outcome)
    return {
        tier: Sample(
            rows=Rows.of([[*each.situation.vector, each.situation.again(tier)] for each in here]),
            right=np.array([each.right for each in here], dtype=np.float64),
            fold=np.array([each.part(FOLDS, seed + 1) for each in here], dtype=np.int64),
        )
        for tier, here in sorted(by_tier.items())
    }


def learned(known: Mapping[str, Sample]) -> Chances:
    """Fit to all of the samples, calibrated by models that had not seen what they were asked about."""
    maps = {tier: platt(odds, known[tier].right) for tier, odds in _out_of_fold(known).items()}
    return _chances(fit({tier: Outcomes(sample.rows, sample.right) for tier, sample in known.items()}), maps)


def _out_of_fold(known: Mapping[str, Sample]) -> dict[str, Floats]:
    """Log-odds of each outcome, from a model of the other folds."""
    odds = {tier: np.zeros(len(sample.right)) for tier, sample in known.items()}
    for number in range(FOLDS):
        others = {tier: _part(sample, sample.fold != number) for tier, sample in known.items()}
        model = fit({tier: part for tier, part in others.items() if len(part.right)})
        for tier, sample in known.items():
            here = sample.fold == number
            if tier in model.own and here.any():
                odds[tier][here] = model.odds(tier, _part(sample, here).rows)
    return odds


def _part(sample: Sample, which: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Outcomes:
    return Outcomes(sample.rows.some(which), sample.right[which])


def _chances(model: Fitted, maps: Mapping[str, Platt]) -> Chances:
    return Chances(
        shared=_sparse(model.shared),
        tiers={
            tier: TierWeights(model.base[tier], _sparse(own), maps[tier].slope, maps[tier].offset)
            for tier, own in model.own.items()
        },
    )


def _sparse(weights: Floats) -> dict[int, float]:
    return {int(at): float(weights[at]) for at in np.flatnonzero(weights)}


def judge(known: Mapping[str, Sample], unseen: Mapping[str, Sample]) -> dict[str, TierReport]:
    """Learn from the one and be judged by the other."""
    model = learned(known)
    reports = dict[str, TierReport]()
    for tier in sorted(known.keys() & unseen.keys()):
        sample, own = unseen[tier], model.tiers[tier]
        weights = _dense(model.shared) + _dense(own.own)
        odds = sample.rows @ weights + own.base
        said, raw = chance(own.slope * odds + own.offset), chance(odds)
        usual = np.full(len(said), float(np.mean(known[tier].right)))
        bins = reliability(said, sample.right)
        reports[tier] = TierReport(
            outcomes=len(known[tier].right),
            held_out=len(said),
            rate=float(np.mean(sample.right)),
            log_loss=log_loss(said, sample.right),
            base_log_loss=log_loss(usual, sample.right),
            ranking=ranking(said, sample.right),
            error=calibration_error(bins),
            raw_error=calibration_error(reliability(raw, sample.right)),
            bins=bins,
        )
    return reports


def _dense(weights: Mapping[int, float]) -> Floats:
    dense = np.zeros(DIMENSIONS)
    dense[list(weights)] = list(weights.values())
    return dense
