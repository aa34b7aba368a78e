"""Whether replay tells the truth: a log is drawn from real outcomes, and its estimates are held against all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from agentroute.ids import nanos
from agentroute.routing.tiers.outcome import Outcome
from agentroute.routing.tiers.policy import AlwaysCheap, AlwaysExpensive, Cascade, Learned, Policy, Threshold, decide
from agentroute.routing.tiers.situation import Situation
from agentroute.training.estimates import Estimate
from agentroute.training.replay import Plan, question_of, replay
from tests.benchmarks.tiers_lab.data import Data, Floats

DRAWS: Final = 20
"""Logs that are drawn from each split."""

POLICIES: Final[Mapping[str, Policy]] = {
    "always cheap": AlwaysCheap(),
    "always expensive": AlwaysExpensive(),
    "threshold 0.7": Threshold(0.7),
    "learned": Learned(),
    "cascade": Cascade(),
}


@dataclass(frozen=True, slots=True)
class Told:
    """Estimates of one policy from several logs, against the truth.

    Attributes:
        policy: Which.
        truth: How right it is in all of the questions.
        error: Mean distance of the self-normalised estimates from that.
        robust_error: The same, doubly robust.
        covered: Share of the self-normalised intervals that hold the truth.
        robust_covered: The same, doubly robust.
        usd_covered: The same for what a step costs, self-normalised.
        effective: Records that an estimate was worth, on average.
        logs: How many logs told anything.
    """

    policy: str
    truth: float
    error: float
    robust_error: float
    covered: float
    robust_covered: float
    usd_covered: float
    effective: float
    logs: int


def told(asked: Data, p: Floats, seed: int) -> list[Told]:
    """Draw logs in which the cheapest tier is taken half of the time and each of the others as often as another."""
    worth = nanos(float(np.median(asked.usd[:, -1])) * 20)
    draw = np.random.default_rng(seed)
    said = [dict(zip(asked.tiers, map(float, row), strict=True)) for row in p]
    logs = [_log(asked, draw) for _ in range(DRAWS)]
    return [_one(name, Plan(policy, worth, compound=False), asked, said, logs) for name, policy in POLICIES.items()]


def _log(asked: Data, draw: np.random.Generator) -> list[Outcome]:
    others = len(asked.tiers) - 1
    chances: list[float] = [0.5, *[0.5 / others] * others]
    taken = [int(tier) for tier in draw.choice(len(asked.tiers), len(asked.texts), p=chances)]
    return [
        Outcome(
            run=str(number),
            situation=Situation(),
            tier=asked.tiers[tier],
            usd=float(asked.usd[number, tier]),
            right=float(asked.right[number, tier]),
            propensity=chances[tier],
            tiers=dict(zip(asked.tiers, map(float, asked.usd[number]), strict=True)),
        )
        for number, tier in enumerate(taken)
    ]


def _one(name: str, plan: Plan, asked: Data, said: list[dict[str, float]], logs: list[list[Outcome]]) -> Told:
    truth, usd = _truth(plan, asked, said, logs[0])
    results = [replay(log, plan, said=said) for log in logs]
    plain = [result.right for result in results if result.right is not None]
    robust = [result.robust_right for result in results if result.robust_right is not None]
    costs = [result.usd for result in results if result.usd is not None]
    return Told(
        policy=name,
        truth=truth,
        error=_error(plain, truth),
        robust_error=_error(robust, truth),
        covered=_covered(plain, truth),
        robust_covered=_covered(robust, truth),
        usd_covered=_covered(costs, usd),
        effective=float(np.mean([result.overlap.effective for result in results])),
        logs=len(plain),
    )


def _truth(plan: Plan, asked: Data, said: list[dict[str, float]], log: list[Outcome]) -> tuple[float, float]:
    """What the policy reaches in all of the questions: here every outcome is known."""
    columns = {tier: number for number, tier in enumerate(asked.tiers)}
    taken = [
        columns[str(decide(plan.policy, question_of(outcome, chances, plan)).chosen)]
        for outcome, chances in zip(log, said, strict=True)
    ]
    rows = np.arange(len(taken))
    return float(asked.right[rows, taken].mean()), float(asked.usd[rows, taken].mean())


def _error(estimates: list[Estimate], truth: float) -> float:
    return float(np.mean([abs(each.mean - truth) for each in estimates])) if estimates else float("nan")


def _covered(estimates: list[Estimate], truth: float) -> float:
    slack = 1e-12
    inside = [each.low - slack <= truth <= each.high + slack for each in estimates]
    return float(np.mean(inside)) if inside else float("nan")
