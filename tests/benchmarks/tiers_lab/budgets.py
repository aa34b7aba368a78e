"""Strict budgets: tasks of several steps, each with a limit that nothing may break, and one wrong step spoils all.

Tasks are put together from real questions with their real outcomes. A call costs what it costs on average, so that a
budget is a number of calls. To finish is always possible: a tier is affordable only if the cheapest one still is for
every step that is left. A tier that was found to be wrong is not asked again: it would say the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from agentroute.ids import NanoUsd, ToolId, dollars, nanos
from agentroute.routing.tiers.pace import Pace, Spending, spendable
from agentroute.routing.tiers.policy import AlwaysCheap, AlwaysExpensive, Cascade, Learned, Policy, Threshold, decide
from agentroute.routing.tiers.question import Question, Tier
from agentroute.training.spending import spending
from tests.benchmarks.tiers_lab.data import Data, Floats

SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Budgets, as shares of what always-expensive takes."""


@dataclass(frozen=True)
class Tasks:
    """Tasks and what is known of their steps.

    Attributes:
        questions: Numbers of the questions; tasks by steps.
        right: Whether each tier was right in each question.
        p: By predictor, how likely that was said to be.
        prices: Of a call of each tier, in nano-dollars; the cheapest first.
        detection: Chance that a wrong answer is noticed.
        noticed: Whether each tier's answer to each question would be, were it wrong.
    """

    questions: NDArray[np.int64]
    right: NDArray[np.bool_]
    p: Mapping[str, Floats]
    prices: Sequence[NanoUsd]
    detection: float
    noticed: NDArray[np.bool_]

    @property
    def steps(self) -> int:
        return self.questions.shape[1]

    @property
    def dearest(self) -> NanoUsd:
        """What always-expensive takes for a task."""
        return NanoUsd(self.steps * self.prices[-1])


def tasks(asked: Data, p: Mapping[str, Floats], *, steps: int, detection: float, times: int, seed: int) -> Tasks:
    """Put questions together at random, each in `times` tasks."""
    draw = np.random.default_rng(seed)
    whole = len(asked.texts) // steps * steps
    questions = np.concatenate([draw.permutation(len(asked.texts))[:whole].reshape(-1, steps) for _ in range(times)])
    prices = [nanos(float(usd)) for usd in asked.usd.mean(axis=0)]
    noticed = draw.random(asked.right.shape) < detection
    return Tasks(questions, asked.right >= 0.5, p, prices, detection, noticed)


class Way(Protocol):
    """How the tier of a step is chosen."""

    def __call__(self, step: "Step") -> ToolId | None:
        """Name it; None: nothing is affordable."""
        ...

    def over(self, spent: NanoUsd) -> None:
        """Hear what a task took."""
        ...


@dataclass(frozen=True)
class Step:
    """A step that is about to be done; `ends`: the task is over if every answer to it is found to be wrong."""

    tasks: Tasks
    question: int
    ahead: int
    left: NanoUsd
    tried: frozenset[ToolId]
    ends: bool = False

    def ask(self, predictor: str, worth: NanoUsd) -> Question:
        """As a question to a policy."""
        reserve = (self.ahead - 1) * self.tasks.prices[0]
        said = self.tasks.p[predictor][self.question]
        tiers = [
            Tier(ToolId(str(number)), price, price, float(said[number]))
            for number, price in enumerate(self.tasks.prices)
        ]
        affordable = {tier.name for tier in tiers if tier.worst + reserve <= self.left} - self.tried
        if self.ends:
            open_ = [tier for tier in tiers if tier.name in affordable]
            tiers = [replace(tier, final=self._is_last(tier, open_, reserve)) for tier in tiers]
        return Question(tiers, frozenset(affordable), worth, self.tasks.detection, compound=True, tried=self.tried)

    def _is_last(self, tier: Tier, others: Sequence[Tier], reserve: int) -> bool:
        """Whether nothing could be asked after it: there is nothing else, or no money for it."""
        return not any(o.name != tier.name and tier.worst + o.worst + reserve <= self.left for o in others)


class Fixed:
    """A policy whose idea of what success is worth does not move."""

    def __init__(self, policy: Policy, *, predictor: str = "step router", worth: NanoUsd = NanoUsd(0)) -> None:
        self.policy, self.predictor, self.worth = policy, predictor, worth

    def __call__(self, step: Step) -> ToolId | None:
        return decide(self.policy, step.ask(self.predictor, self.worth)).chosen

    def over(self, spent: NanoUsd) -> None:
        pass


class Dice:
    """The dearest affordable tier as often as what is left allows, else the cheapest."""

    def __init__(self, seed: int) -> None:
        self._draw = np.random.default_rng(seed)

    def __call__(self, step: Step) -> ToolId | None:
        cheap, dear = step.tasks.prices[0], step.tasks.prices[-1]
        share = (step.left - step.ahead * cheap) / (step.ahead * (dear - cheap))
        policy = AlwaysExpensive() if self._draw.random() < share else AlwaysCheap()
        return decide(policy, step.ask("step router", NanoUsd(0))).chosen

    def over(self, spent: NanoUsd) -> None:
        pass


class Rationed:
    """Before each step, success is worth what spends what is left by the steps that are left."""

    def __init__(self, policy: Policy, curve: Spending, predictor: str) -> None:
        self.policy, self.curve, self.predictor = policy, curve, predictor

    def __call__(self, step: Step) -> ToolId | None:
        prices = step.tasks.prices
        usable = spendable(step.left, step.ahead, cheap=prices[0], dear=prices[-1])
        worth = self.curve.worth_for(dollars(usable) / step.ahead)
        return decide(self.policy, step.ask(self.predictor, nanos(worth))).chosen

    def over(self, spent: NanoUsd) -> None:
        pass


class Paced:
    """Across tasks, success is worth less after a task that took more than was meant; within a task, the same."""

    def __init__(self, policy: Policy, start: float, meant: NanoUsd) -> None:
        self.policy, self.meant = policy, meant
        self.pace = Pace(start, least=1e-9, most=1e3)

    def __call__(self, step: Step) -> ToolId | None:
        return decide(self.policy, step.ask("step router", self.pace.worth)).chosen

    def over(self, spent: NanoUsd) -> None:
        self.pace = self.pace.after(spent, self.meant)


def success(tasks: Tasks, budget: NanoUsd, way: Way, *, gives_up: bool = False) -> tuple[Floats, Floats]:
    """Whether each task succeeded, and what it took, in USD.

    Args:
        tasks: The tasks.
        budget: Limit of each.
        way: Chooses.
        gives_up: Whether a task is over with a step of which every answer was found to be wrong, and policies know it.

    Raises:
        AssertionError: A task took more than its budget.
    """
    won, took = np.zeros(len(tasks.questions)), np.zeros(len(tasks.questions))
    for number, questions in enumerate(tasks.questions):
        left, good = budget, True
        for place, question in enumerate(questions):
            right, left = _step(tasks, int(question), tasks.steps - place, left, way, ends=gives_up)
            good = good and bool(right)
            if gives_up and right is None:
                break
        assert left >= 0, "a budget was broken"
        won[number], took[number] = good, dollars(budget - left)
        way.over(NanoUsd(budget - left))
    return won, took


def _step(
    tasks: Tasks, question: int, ahead: int, left: NanoUsd, way: Way, *, ends: bool
) -> tuple[bool | None, NanoUsd]:
    """Ask tiers until one is right, or wrong unnoticed, or none is affordable: then there is no answer."""
    tried = frozenset[ToolId]()
    while (chosen := way(Step(tasks, question, ahead, left, tried, ends))) is not None:
        tier = int(chosen)
        left = NanoUsd(left - tasks.prices[tier])
        if tasks.right[question, tier]:
            return True, left
        if not tasks.noticed[question, tier]:
            return False, left
        tried |= {chosen}
    return None, left


def oracle(tasks: Tasks, budget: NanoUsd) -> Floats:
    """Whether a task could have succeeded at all: each step by the cheapest tier that is right."""
    prices = np.array(tasks.prices, dtype=np.float64)
    cheapest = np.where(tasks.right, prices, np.inf).min(axis=1)
    return (cheapest[tasks.questions].sum(axis=1) <= budget).astype(np.float64)


def ways(tasks: Tasks, curves: Mapping[str, Spending], budget: NanoUsd, seed: int) -> dict[str, Way]:
    """Every way to choose, for one budget."""
    each = dollars(budget) / tasks.steps
    start = curves["step router"].worth_for(each)
    found: dict[str, Way] = {
        "step router, rationed": Rationed(Learned(), curves["step router"], "step router"),
        "step router, paced": Paced(Learned(), start, budget),
        "logistic regression, rationed": Rationed(Learned(), curves["logistic regression"], "logistic regression"),
        "k nearest neighbours, rationed": Rationed(Learned(), curves["k nearest neighbours"], "k nearest neighbours"),
        "threshold 0.7": Fixed(Threshold(0.7)),
        "expensive first": Fixed(AlwaysExpensive()),
        "dice": Dice(seed),
        "always cheap": Fixed(AlwaysCheap()),
    }
    if tasks.detection:
        found["cascade, rationed"] = Rationed(Cascade(), curves["step router"], "step router")
    return found


def curve_of(p: Floats, prices: Sequence[NanoUsd], detection: float) -> Spending:
    """What steps cost by what success is worth, on questions of the past."""
    names = [ToolId(str(number)) for number in range(len(prices))]
    every = frozenset(names)
    asked = [
        Question(
            [Tier(*each) for each in zip(names, prices, prices, map(float, row), strict=True)],
            every,
            NanoUsd(0),
            detection,
        )
        for row in p
    ]
    curve = spending(asked)
    assert curve is not None
    return curve


def table(tasks: Tasks, curves: Mapping[str, Spending], seed: int) -> dict[str, list[tuple[Floats, Floats]]]:
    """Successes and costs of every way at every budget of `SHARES`."""
    found: dict[str, list[tuple[Floats, Floats]]] = {}
    for share in SHARES:
        budget = NanoUsd(round(share * tasks.dearest))
        for name, way in ways(tasks, curves, budget, seed).items():
            found.setdefault(name, []).append(success(tasks, budget, way))
        best = oracle(tasks, budget)
        found.setdefault("oracle", []).append((best, np.zeros(len(best))))
    return found
