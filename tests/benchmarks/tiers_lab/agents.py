"""Strict budgets once more, by what users run: agents whose model steps answer as the real models did.

A task is a run of five model steps, each given a question and the answer to the one before. Every step has two tiers:
tools that take the price of a call and are right or wrong as the data says, and a postcondition that notices the same
wrong answers as in `budgets`. So the pure policies and the runtime are given the same tasks, prices, chances and
luck, and what differs is what the runtime makes of them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from agentroute.adapters.memory_journal import MemoryJournal
from agentroute.adapters.step_router import StepRouter
from agentroute.adapters.tier_model import TierModel
from agentroute.agent import Agent
from agentroute.attempt import current
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.goal import Goal
from agentroute.graph.tool import Guard, StepTier, ToolSpec
from agentroute.guard.budget import Budget
from agentroute.ids import ArtifactId, NanoUsd, dollars, nanos
from agentroute.ports import Tool, Values
from agentroute.routing.tiers.outcome import Outcome
from agentroute.routing.tiers.policy import Cascade, Learned, policy_named
from agentroute.routing.tiers.situation import Situation, sketch
from agentroute.run.result import RunResult
from agentroute.run.tier_choices import BYTES_PER_TOKEN
from agentroute.testing.fakes import fake_tool
from agentroute.testing.virtual_time import VirtualClock, run_virtual
from agentroute.training.replay import Plan, question_of, told
from agentroute.training.spending import spending
from agentroute.training.train import learned, samples
from tests.benchmarks.tiers_lab import budgets
from tests.benchmarks.tiers_lab.budgets import Fixed, Rationed, Tasks, Way
from tests.benchmarks.tiers_lab.data import Data, Floats

STEPS: Final = 5
"""Questions of a task."""

SHARES: Final = (0.1, 0.3, 0.5, 0.7, 1.0)
"""Budgets, as shares of what always-expensive takes; the tens after the odd ones buy no call more."""

POLICIES: Final = ("always-cheap", "always-expensive", "threshold", "cascade", "learned")

NO_OBJECT: Final = 100.0
"""What success is worth where the budget alone limits what is paid for it, in USD."""

MOST_ASKED: Final = 2_000
"""Steps that the curve of spending is told from, as ``agentroute budget train`` does."""


# ------------------------------------------------------------------------- what is learned beforehand


def situation(place: int, text: str) -> Situation:
    """What an agent knows of the step at a place, from 0, before its first attempt."""
    context = len(text.encode()) // BYTES_PER_TOKEN
    return Situation(step=f"step-{place}", text=sketch(text), depth=place, context=context)


def history(known: Data, detection: float, seed: int) -> list[Outcome]:
    """A log of tasks of the past in which every tier was asked every question."""
    order = np.random.default_rng(seed).permutation(len(known.texts))
    prices = dict(zip(known.tiers, map(float, known.usd.mean(axis=0)), strict=True))
    return [
        Outcome(
            run=f"past-{place // STEPS}",
            situation=known_as,
            tier=tier,
            usd=prices[tier],
            right=float(known.right[question, number]),
            tiers=prices,
            detection=detection,
        )
        for place, question in enumerate(map(int, order))
        for known_as in [situation(place % STEPS, known.texts[question])]
        for number, tier in enumerate(known.tiers)
    ]


def models(known: Data, detections: Sequence[float], folder: Path, seed: int) -> dict[float, Path]:
    """Model files, one for each chance that a wrong answer is noticed: what a step costs follows from it."""
    chances = learned(samples(history(known, 0.0, seed), seed))
    found: dict[float, Path] = {}
    for detection in detections:
        past = history(known, detection, seed)
        asked = past[:: max(1, len(past) // MOST_ASKED)]
        plan = Plan(policy_named("learned"))
        curve = spending([question_of(each, told(chances, each), plan) for each in asked])
        found[detection] = folder / f"tiers-{detection}.json"
        TierModel(chances, spending=curve).save(found[detection])
    return found


def tasks(asked: Data, model: TierModel, *, detection: float, count: int, seed: int) -> Tasks:
    """Tasks in which no question comes twice, with the chances that the model gives each question in its place."""
    whole = budgets.tasks(asked, {}, steps=STEPS, detection=detection, times=1, seed=seed)
    played = replace(whole, questions=whole.questions[:count])
    said = np.full(asked.right.shape, np.nan)
    otherwise = dict.fromkeys(asked.tiers, 0.5)
    for questions in played.questions:
        for place, question in enumerate(map(int, questions)):
            chances = model.chances.of(situation(place, asked.texts[question]), otherwise)
            said[question] = [chances[tier] for tier in asked.tiers]
    return replace(played, p={"step router": said})


# ------------------------------------------------------------------------- agents


@dataclass
class Models:
    """The models of the data, as an agent's tools see them.

    Attributes:
        asked: Questions and outcomes.
        tasks: What is asked of agents.
        paid: What each run was charged, in nano-dollars, by the tools' own books.
        calls: Answers of each run.
    """

    asked: Data
    tasks: Tasks
    paid: "Counter[str]" = field(default_factory=Counter[str])
    calls: "Counter[str]" = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        """Find questions by their text: that is all a model is given."""
        self._number = {text: number for number, text in enumerate(self.asked.texts)}

    def answer(self, tier: int, text: str, run: str) -> str:
        """Answer, and take the price: ``right``, ``wrong``, or ``noticed`` for a wrong one that will be."""
        question, price = self._number[text], self.tasks.prices[tier]
        current().charge(usd=dollars(price))
        self.paid[run] += price
        self.calls[run] += 1
        if self.tasks.right[question, tier]:
            return "right"
        return "noticed" if self.tasks.noticed[question, tier] else "wrong"

    def tools(self) -> list[Tool]:
        """The tiers of every step."""
        return [
            AnsweringTool(self._spec(place, number, tier), self, number, place)
            for place in range(STEPS)
            for number, tier in enumerate(self.asked.tiers)
        ]

    def _spec(self, place: int, number: int, tier: str) -> ToolSpec:
        before = [f"answer-{place - 1}"] if place else []
        return fake_tool(
            f"{tier}-{place}",
            [f"question-{place}", *before],
            [f"answer-{place}"],
            usd=dollars(self.tasks.prices[number]),
            tier=StepTier(f"step-{place}", tier, detection=self.tasks.detection),
        ).spec

    def inputs(self, task: int) -> dict[str, str]:
        """The questions of a task, as artifacts."""
        return {
            f"question-{place}": self.asked.texts[int(question)]
            for place, question in enumerate(self.tasks.questions[task])
        }


@dataclass(frozen=True, slots=True)
class AnsweringTool:
    """One tier of one step."""

    spec: ToolSpec
    models: Models
    tier: int
    place: int
    when: Guard | None = None
    auxiliaries: Sequence[Tool] = ()

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """Questions and answers are text."""
        names = [*self.spec.produces, *(need for need in self.spec.requires if isinstance(need, str))]
        return {ArtifactId(name): ArtifactType(ArtifactId(name), str) for name in names}

    def asked(self, inputs: Values) -> str:
        """The question: what chances are told from."""
        return self._question(inputs)

    def ensure(self, answer: Any) -> bool:
        """Notice what is to be noticed."""
        return answer != "noticed"

    async def call(self, inputs: Values) -> Values:
        """Answer as the data says."""
        return {self.spec.produces[0]: self.models.answer(self.tier, self._question(inputs), current().run_id)}

    def _question(self, inputs: Values) -> str:
        return str(inputs[ArtifactId(f"question-{self.place}")])


def agent(models: Models, router: StepRouter, budget: NanoUsd | None, *, virtual: bool = True, seed: int = 1) -> Agent:
    """An agent that answers the questions of a task, one after the other."""
    return Agent(
        name="exam",
        tools=models.tools(),
        goals=[Goal("answered", [f"answer-{place}" for place in range(STEPS)])],
        budget=Budget(usd=None if budget is None else dollars(budget)),
        step_router=router,
        journal=MemoryJournal(),
        clock=VirtualClock() if virtual else None,
        seed=seed,
        trace=False,
    )


@dataclass(frozen=True)
class Live:
    """What became of tasks that agents ran.

    Attributes:
        won: Whether each task succeeded: all of its answers are right.
        usd: What the tools charged for it.
        calls: Answers that were asked for.
        overspent: Runs that were charged more than their budget, or other than the runtime says.
    """

    won: Floats
    usd: Floats
    calls: Floats
    overspent: int


async def answer(models: Models, who: Agent, budget: NanoUsd | None) -> Live:
    """Let an agent run every task."""
    results = [
        await who.run(inputs=models.inputs(task), run_id=f"task-{task}") for task in range(len(models.tasks.questions))
    ]
    paid = [models.paid[result.run_id] for result in results]
    wrong = [
        (budget is not None and took > budget) or took != nanos(result.cost_usd)
        for took, result in zip(paid, results, strict=True)
    ]
    return Live(
        np.array([float(_is_right(result)) for result in results]),
        np.array([dollars(NanoUsd(took)) for took in paid]),
        np.array([float(models.calls[result.run_id]) for result in results]),
        sum(wrong),
    )


def _is_right(result: RunResult) -> bool:
    answers = [result.artifacts.get(f"answer-{place}") for place in range(STEPS)]
    return result.outcome == "succeeded" and answers == ["right"] * STEPS


def live(asked: Data, played: Tasks, policy: str, model: Path, budget: NanoUsd) -> Live:
    """Run the tasks through a new agent, in virtual time."""
    router = StepRouter(policy=policy, learned=model, usd_per_success=NO_OBJECT)

    async def main() -> Live:
        models = Models(asked, played)
        return await answer(models, agent(models, router, budget), budget)

    return run_virtual(main)


# ------------------------------------------------------------------------- beside the pure policies


def way(policy: str, model: TierModel) -> Way:
    """The same policy without a runtime."""
    if policy in {"cascade", "learned"}:
        assert model.spending is not None
        return Rationed(Cascade() if policy == "cascade" else Learned(), model.spending, "step router")
    return Fixed(policy_named(policy))


@dataclass(frozen=True)
class Compared:
    """Tasks of one chance of detection: what agents and the pure policies made of them, by policy and budget.

    Attributes:
        agents: What agents made of them.
        lab: What the policies alone did: successes, and what they took.
        dearest: What always-expensive takes for a task, in USD.
    """

    agents: Mapping[str, Sequence[Live]]
    lab: Mapping[str, Sequence[tuple[Floats, Floats]]]
    dearest: float


def compared(asked: Data, played: Tasks, model: Path) -> Compared:
    """Run everything twice: by agents, and by the policies alone."""
    known = TierModel.load(model)
    agents, lab = dict[str, list[Live]](), dict[str, list[tuple[Floats, Floats]]]()
    for policy in POLICIES:
        for share in SHARES:
            budget = NanoUsd(round(share * played.dearest))
            agents.setdefault(policy, []).append(live(asked, played, policy, model, budget))
            lab.setdefault(policy, []).append(budgets.success(played, budget, way(policy, known), gives_up=True))
    return Compared(agents, lab, dollars(played.dearest))
