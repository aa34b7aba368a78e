"""Whether replay tells the truth of logs that agents wrote: other agents follow each policy, and that is the truth."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import numpy as np
from click.testing import CliRunner

from agentroute.adapters.outcome_log import read_outcomes
from agentroute.adapters.step_router import StepRouter
from agentroute.cli.main import main as cli
from tests.benchmarks.tiers_lab.agents import POLICIES, Live, Models, agent, answer
from tests.benchmarks.tiers_lab.budgets import Tasks
from tests.benchmarks.tiers_lab.data import Data

EXPLORE: Final = 0.3
"""Share of steps in which the agent that writes the log experiments."""

LOGS: Final = 10
"""Logs that are written, each by other dice."""

WORTH: Final = 1.0
"""What success is worth, in USD."""


@dataclass(frozen=True, slots=True)
class Estimated:
    """What replays said of one number, and what was really so.

    Attributes:
        said: Mean of the estimates.
        so: What agents that followed the policy came to.
        low: Mean lower end of the intervals.
        high: Mean upper end.
        covered: Share of the intervals that hold the truth.
    """

    said: float
    so: float
    low: float
    high: float
    covered: float


@dataclass(frozen=True, slots=True)
class Checked:
    """What replays of several logs said of a policy, and what came of agents that followed it.

    Attributes:
        policy: Which.
        right: Share of steps that were answered right in the end.
        usd: What a step cost with all its attempts, in USD.
        robust_right: The first, doubly robust.
        robust_usd: The second.
        steps: Steps that an estimate is worth, on average.
    """

    policy: str
    right: Estimated
    usd: Estimated
    robust_right: Estimated
    robust_usd: Estimated
    steps: float


def logged(asked: Data, played: Tasks, router: StepRouter, seed: int = 1) -> Live:
    """Run the tasks without limits, in real time: outcomes are written in threads."""

    async def main() -> Live:
        models = Models(asked, played)
        return await answer(models, agent(models, router, None, virtual=False, seed=seed), None)

    return anyio.run(main)


def replayed(log: Path, model: Path) -> dict[str, Any]:
    """What ``agentroute budget replay`` says of every policy."""
    chosen = [part for policy in POLICIES for part in ("--policy", policy)]
    told = CliRunner().invoke(
        cli, ["budget", "replay", str(log), *chosen, "--model", str(model), "--worth", str(WORTH), "--json", "--quiet"]
    )
    assert told.exit_code == 0, told.output
    return json.loads(told.output)


def checked(asked: Data, played: Tasks, model: Path, folder: Path, logs: int = LOGS) -> list[Checked]:
    """Write logs, replay every policy, and follow each of them for comparison."""
    said = [_explored(asked, played, model, folder / f"explored-{seed}.jsonl", seed) for seed in range(logs)]
    found: list[Checked] = []
    for policy in POLICIES:
        own = folder / f"{policy}.jsonl"
        router = StepRouter(policy=policy, learned=model, usd_per_success=WORTH, log=own)
        right, usd = _truth(logged(asked, played, router), own)
        told = [each[policy] for each in said]
        found.append(
            Checked(
                policy,
                _estimated([each["right"] for each in told], right),
                _estimated([each["usd"] for each in told], usd),
                _estimated([each["robust_right"] for each in told], right),
                _estimated([each["robust_usd"] for each in told], usd),
                float(np.mean([each["overlap"]["effective"] for each in told])),
            )
        )
    return found


def _explored(asked: Data, played: Tasks, model: Path, log: Path, seed: int) -> dict[str, Any]:
    """What is said of every policy by the log of an agent that experiments, by dice of its own."""
    router = StepRouter(policy="learned", explore=EXPLORE, learned=model, usd_per_success=WORTH, log=log)
    logged(asked, played, router, seed)
    return replayed(log, model)


def _truth(followed: Live, log: Path) -> tuple[float, float]:
    """Share of the steps that came out right, by the log, and what a step cost, by the tools' own books."""
    answers = list(read_outcomes(log))
    steps = len({(each.run, each.situation.step) for each in answers})
    return sum(each.right or 0.0 for each in answers) / steps, float(followed.usd.sum()) / steps


def _estimated(told: Sequence[Mapping[str, float]], so: float) -> Estimated:
    slack = 1e-12
    said, low, high = (np.array([each[key] for each in told]) for key in ("mean", "low", "high"))
    holds = (low - slack <= so) & (so <= high + slack)
    return Estimated(*(float(values.mean()) for values in (said, np.full(1, so), low, high, holds)))
