"""Who finishes when more runs come than can be served: ``python -m tests.benchmarks.bench_turns`` from the root.

Plays runs of an agent in virtual time that may make few calls at once, and counts those that reach their goal before
their deadline, beside as many as any order of turns could have had reach it. The same seed gives the same figures.
"""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import anyio
from rich.console import Console
from rich.table import Table

from agentroute import Agent, Budget, Goal
from agentroute.ports import Tool
from agentroute.testing import VirtualClock, fake_tool, run_virtual

CALL_S = 0.1
"""Seconds that each call takes."""


@dataclass(frozen=True)
class Crowd:
    """Runs that come, each with so many steps one after the other.

    Attributes:
        name: For the table.
        steps: How many steps the runs have, in turn.
        runs: How many come.
        per_s: How many come each second, by a Poisson process; infinity: all at the same instant.
        slots: Calls that may be under way at once.
        deadline_s: Seconds that each run has.
    """

    name: str
    steps: tuple[int, ...] = (2,)
    runs: int = 1_000
    per_s: float = math.inf
    slots: int = 16
    deadline_s: float = 5.0

    def arrivals(self, seed: int) -> list[float]:
        """When the runs come, in seconds since the start."""
        drawn, moments, at = Random(f"{seed}/{self.name}"), list[float](), 0.0
        for _ in range(self.runs):
            moments.append(at)
            at += drawn.expovariate(self.per_s) if math.isfinite(self.per_s) else 0.0
        return moments

    def at_best(self, seed: int) -> int:
        """No more runs than so many can finish: slots busy all the time, with calls of the shortest runs."""
        calls = self.slots * round((self.arrivals(seed)[-1] + self.deadline_s) / CALL_S)
        finished, each = 0, self.runs // len(self.steps)
        for steps in sorted(self.steps):
            finished += (more := min(each, calls // steps))
            calls -= more * steps
        return finished


CROWDS: Sequence[Crowd] = (
    Crowd("all at once"),
    Crowd("twice as many as can be served", per_s=160),
    Crowd("a fifth more than can be served", per_s=96),
    Crowd("five steps, twice as many as can be served", steps=(5,), per_s=64),
    Crowd("one step or four, twice as many as can be served", steps=(1, 4), per_s=128),
    Crowd("all are served", per_s=64),
)


@dataclass
class Outcome:
    """What came of a crowd.

    Attributes:
        finished: Runs that reached their goal, by how many steps it takes.
        calls: Calls made in all.
        useful: Calls of runs that reached their goal.
        took: Seconds that those runs took.
    """

    finished: Counter[int] = field(default_factory=Counter[int])
    calls: int = 0
    useful: int = 0
    took: list[float] = field(default_factory=list[float])


def play(crowd: Crowd, seed: int = 1) -> Outcome:
    """Play a crowd to its end."""
    return run_virtual(lambda: _Stage(crowd, seed).play(), seed=seed)


class _Stage:
    def __init__(self, crowd: Crowd, seed: int) -> None:
        self._crowd, self._seed, self._outcome = crowd, seed, Outcome()

    async def play(self) -> Outcome:
        crowd = self._crowd
        origin = anyio.current_time()
        self._agent = Agent(
            name="crowd",
            tools=_chain(max(crowd.steps)),
            goals=[Goal(f"{steps} steps", [f"step-{steps}"], 1.0 / steps) for steps in sorted(set(crowd.steps))],
            budget=Budget(deadline_s=crowd.deadline_s),
            max_concurrency=crowd.slots,
            trace=False,
            clock=VirtualClock(),
            seed=self._seed,
        )
        async with anyio.create_task_group() as runs:
            for number, at in enumerate(crowd.arrivals(self._seed)):
                await anyio.sleep(max(0.0, origin + at - anyio.current_time()))
                runs.start_soon(self._run, number)
        return self._outcome

    async def _run(self, number: int) -> None:
        steps = self._crowd.steps[number % len(self._crowd.steps)]
        result = await self._agent.run(goal=f"{steps} steps", run_id=f"run-{number}", inputs={"step-0": "given"})
        self._outcome.calls += result.tool_calls
        if result.goal == f"{steps} steps" and result.outcome == "succeeded":
            self._outcome.finished[steps] += 1
            self._outcome.useful += result.tool_calls
            self._outcome.took.append(result.duration_s)


def _chain(length: int) -> list[Tool]:
    return [
        fake_tool(f"tool-{step}", [f"step-{step - 1}"], [f"step-{step}"], usd=0.01, seconds=CALL_S, latency_s=CALL_S)
        for step in range(1, length + 1)
    ]


def main() -> None:
    """Play all crowds and print what came of them."""
    table = Table(
        "crowd", "finished", "at best", "calls", "of runs that finished", "p50 of those", title="Who finishes"
    )
    for crowd in CROWDS:
        print(crowd.name, file=sys.stderr)
        outcome = play(crowd)
        finished = " + ".join(f"{count} of {steps}" for steps, count in sorted(outcome.finished.items()))
        took = sorted(outcome.took)
        p50 = f"{took[len(took) // 2]:.2f} s" if took else ""
        share = f"{outcome.useful / outcome.calls:.0%}"
        table.add_row(crowd.name, finished or "none", str(crowd.at_best(1)), str(outcome.calls), share, p50)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 130)
    console.print(table)
    console.print(f"Runs of a deadline of 5 s, 16 calls at a time, {CALL_S} s each. Finished: of so many steps.")


if __name__ == "__main__":
    main()
