"""What knowledge of earlier runs saves in the first runs of a new process, and whether it pays to keep it by goal.

``python tests/benchmarks/bench_priors.py [--seeds 20]`` plays three small worlds in virtual time. In each, an agent
without priors makes 100 runs far apart. Then three new agents make 20 runs each, in the same trouble: one that knows
nothing, one that knows what the tools do, and one that knows what they do for each goal.

The three worlds differ in what goals have to do with failures:

- apart: a cheap reader fails nearly always for scans and hardly ever for mails;
- alike: it fails three times in five, for both;
- sparse: as apart, but only one earlier run in 25 was for scans, so little is known of them.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import anyio

from agentroute import Agent, Goal, Health, Priors, Rates, ToolError
from agentroute.ports import Tool, Values
from agentroute.runtime.services import DirectCalls
from agentroute.testing import VirtualClock, run_virtual
from agentroute.testing.fakes import fake_tool

EARLIER, FIRST = 100, 20
APART_S = 3_600.0
"""Seconds between two earlier runs: health has forgotten the one by the time of the other."""


@dataclass(frozen=True)
class World:
    """How often the cheap reader fails by goal, and how many of the earlier runs were for scans."""

    scans: float
    mails: float
    share_of_scans: float = 0.5


WORLDS = {"apart": World(0.9, 0.02), "alike": World(0.6, 0.6), "sparse": World(0.9, 0.02, 0.04)}


@dataclass(frozen=True)
class Bill:
    """What some runs took."""

    failed: float
    usd: float
    seconds: float


class Trouble:
    """Lets the cheap reader fail as often as it does in this world. A failed call is paid like one that works."""

    def __init__(self, world: World, seed: int) -> None:
        self.failed = 0
        self._world, self._random, self._calls = world, Random(seed), DirectCalls()

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Make a call, or fail."""
        answer = await self._calls.call(tool, inputs)
        risk = self._world.scans if "scans" in inputs.values() else self._world.mails
        if tool.spec.name == "cheap" and self._random.random() < risk:
            self.failed += 1
            raise ToolError("unreadable", kind="transient")
        return answer


def reader(trouble: Trouble, priors: Priors | None, seed: int) -> Agent:
    """Two readers of pages, one cheap and one dear; two goals that need what they read."""
    tools = [
        fake_tool("cheap", ["page"], ["text"], usd=0.004, price=0.004, latency_s=1.0, seconds=1.0),
        fake_tool("dear", ["page"], ["text"], usd=0.010, price=0.010, latency_s=1.0, seconds=1.0),
        fake_tool("file_scan", ["text"], ["scan"], latency_s=0.1, seconds=0.1),
        fake_tool("file_mail", ["text"], ["mail"], latency_s=0.1, seconds=0.1),
    ]
    return Agent(
        name="reader",
        tools=tools,
        goals=[Goal("scans", ["scan"]), Goal("mails", ["mail"])],
        rates=Rates(usd_per_second=0.001),
        health=Health(),
        clock=VirtualClock(),
        executor=trouble,
        priors=priors,
        seed=seed,
        trace=False,
    )


async def play(agent: Agent, trouble: Trouble, goals: Sequence[str], pause_s: float) -> Bill:
    """Make one run after the other."""
    failed, usd, seconds = trouble.failed, 0.0, 0.0
    for goal in goals:
        result = await agent.run(goal=goal, inputs={"page": goal})
        usd, seconds = usd + result.cost_usd, seconds + result.duration_s
        await anyio.sleep(pause_s)
    return Bill(trouble.failed - failed, usd, seconds)


KNOWS: dict[str, Callable[[Priors], Priors | None]] = {
    "nothing": lambda _: None,
    "tools": lambda known: Priors(known.calls, known.tools),
    "goals": lambda known: known,
}


async def compare(world: World, seed: int) -> dict[str, Bill]:
    """What the first runs of a new process take, by what its agent knows."""
    chance, trouble = Random(seed), Trouble(world, seed)
    earlier = ["scans" if chance.random() < world.share_of_scans else "mails" for _ in range(EARLIER)]
    teacher = reader(trouble, None, seed)
    await play(teacher, trouble, earlier, APART_S)
    known = await teacher.learned()
    first = [chance.choice(["scans", "mails"]) for _ in range(FIRST)]
    bills: dict[str, Bill] = {}
    for name, keep in KNOWS.items():
        trouble = Trouble(world, seed + 1)
        bills[name] = await play(reader(trouble, keep(known), seed), trouble, first, 1.0)
    return bills


def main() -> None:
    """Print one line for each world and agent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    os.environ["AGENTROUTE_TRACE"] = "off"
    print(f"mean of {len(seeds)} seeds over the first {FIRST} runs, after {EARLIER} earlier ones")
    print(f"{'world':8}{'knows':10}{'failed calls':>14}{'USD':>10}{'seconds':>10}")
    for name, world in WORLDS.items():
        found = [run_virtual(compare, world, seed, seed=seed) for seed in seeds]
        for knows in KNOWS:
            bills = [bill[knows] for bill in found]
            failed, usd, seconds = (
                statistics.mean(getattr(bill, each) for bill in bills) for each in ("failed", "usd", "seconds")
            )
            print(f"{name:8}{knows:10}{failed:14.2f}{usd:10.4f}{seconds:10.1f}")


if __name__ == "__main__":
    main()
