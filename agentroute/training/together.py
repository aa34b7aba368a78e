"""Answers of which no more is known than how right they were together: how right each of them is expected to be.

A run that was wrong says that one of its steps was, and not which. To leave such runs out, and to keep those that were
right, would teach that every tier is always right. So each answer counts with the chance that it was right, given what
became of its run: expectation and maximisation in turn (Dempster, Laird and Rubin 1977).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from agentroute.routing.tiers.accepted import answerable
from agentroute.routing.tiers.chances import Chances
from agentroute.routing.tiers.outcome import Outcome

MOST_ROUNDS: Final = 200
"""Rounds until the shares of right answers must have settled."""

SETTLED: Final = 1e-4
"""A round that moves no share by more is the last."""

UNKNOWN: Final = 0.5
"""Chance of a tier of which nothing was learned."""

Kind: TypeAlias = tuple[str, str]
"""Names of step and tier."""

Member: TypeAlias = tuple[Kind, float, float | None]
"""An accepted answer: its kind, the chance that a wrong one is noticed, and how right it was, if that is known."""


def guessed(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Tell how right each answer was by how often its tier is right in its step, as the same outcomes have it."""
    groups = _groups(outcomes)
    if not groups:
        return list(outcomes)
    alike = Counter((tuple(_member(outcomes[at]) for at in group), _verdict(outcomes, group)) for group in groups)
    rates = _rates(outcomes, alike)
    return _told(outcomes, groups, lambda outcome: rates[_kind(outcome)])


def refined(outcomes: Sequence[Outcome], chances: Chances) -> list[Outcome]:
    """Tell how right each answer was by what a model says of its situation."""
    return _told(
        outcomes,
        _groups(outcomes),
        lambda outcome: chances.of(outcome.situation, {outcome.tier: UNKNOWN})[outcome.tier],
    )


def _rates(outcomes: Sequence[Outcome], alike: Mapping[tuple[tuple[Member, ...], float], int]) -> dict[Kind, float]:
    """How often each kind is right: the share that explains best what became of runs."""
    known, count = dict[Kind, float](), Counter(_kind(outcome) for outcome in outcomes)
    for outcome in outcomes:
        if outcome.together is None:
            known[_kind(outcome)] = known.get(_kind(outcome), 0.0) + (outcome.right or 0.0)
    rates = dict.fromkeys(count, UNKNOWN)
    for _ in range(MOST_ROUNDS):
        right = dict(known)
        for (members, verdict), times in alike.items():
            for (kind, _, sure), share in zip(members, _expected(members, verdict, rates), strict=True):
                if sure is None:
                    right[kind] = right.get(kind, 0.0) + times * share
        before, rates = rates, {kind: (right.get(kind, 0.0) + 1.0) / (count[kind] + 2.0) for kind in count}
        if max(abs(rates[kind] - before[kind]) for kind in rates) < SETTLED:
            break
    return rates


def _expected(members: Sequence[Member], verdict: float, rates: Mapping[Kind, float]) -> list[float]:
    return answerable([(rates[k], noticed) if sure is None else (sure, 0.0) for k, noticed, sure in members], verdict)


def _told(
    outcomes: Sequence[Outcome], groups: Sequence[Sequence[int]], chance: Callable[[Outcome], float]
) -> list[Outcome]:
    found = list(outcomes)
    for group in groups:
        here = [outcomes[at] for at in group]
        chances = [
            (chance(each), each.detection) if each.together is not None else (each.right or 0.0, 0.0) for each in here
        ]
        for at, share in zip(group, answerable(chances, _verdict(outcomes, group)), strict=True):
            if outcomes[at].together is not None:
                found[at] = replace(outcomes[at], right=share)
    return found


def _groups(outcomes: Sequence[Outcome]) -> list[list[int]]:
    """Places of the accepted answers of each run that was judged as a whole."""
    runs = dict[str, list[int]]()
    for at, outcome in enumerate(outcomes):
        if outcome.judged:
            runs.setdefault(outcome.run, []).append(at)
    return [group for group in runs.values() if any(outcomes[at].together is not None for at in group)]


def _verdict(outcomes: Sequence[Outcome], group: Sequence[int]) -> float:
    return next(verdict for at in group if (verdict := outcomes[at].together) is not None)


def _member(outcome: Outcome) -> Member:
    return _kind(outcome), outcome.detection, None if outcome.together is not None else outcome.right


def _kind(outcome: Outcome) -> Kind:
    return outcome.situation.step, outcome.tier
