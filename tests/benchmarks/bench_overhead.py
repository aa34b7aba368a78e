"""What a step costs beside the work itself: CPU microseconds per no-op step, against peers, in one interleaved run.

``python tests/benchmarks/bench_overhead.py [--rounds 5]`` starts one child process per system and round, in turn, so
that a machine whose speed drifts treats all alike. Each child warms up, then measures CPU time (not wall time): linear
flows of 20 async steps that do nothing, a fan-out to 100 such steps and a join, and 1,000 runs at once.
"""

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from peers import STEPS, WIDTH, Flow, burr, langgraph

MANY = 1_000


# ------------------------------------------------------------------ the systems


def plain() -> tuple[Flow, Flow]:
    """Nothing but await: the lower bound of anything."""

    async def step() -> int:
        return 1

    async def linear() -> None:
        for _ in range(STEPS):
            await step()

    async def fan_out() -> None:
        await asyncio.gather(*(step() for _ in range(WIDTH)))

    return linear, fan_out


def anyio_floor() -> tuple[Flow, Flow]:
    """A task with a timeout for every step: the least that can be cancelled and cannot hang."""
    import anyio

    async def step() -> None:
        with anyio.fail_after(30):  # noqa: ASYNC100  # a step that does nothing is what is measured
            pass

    async def linear() -> None:
        for _ in range(STEPS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(step)

    async def fan_out() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(WIDTH):
                tasks.start_soon(step)

    return linear, fan_out


def agentroute() -> tuple[Flow, Flow]:
    """Health, budget, journal in memory, timeouts; no trace sink."""
    os.environ["AGENTROUTE_TRACE"] = "off"
    from typing import Annotated

    from agentroute import Agent, Artifact, Budget, Goal, tool

    def typed(name: str) -> Any:
        return Annotated[int, Artifact(name)]

    def make(name: str, takes: dict[str, str], gives: str) -> Any:
        async def step(**_: int) -> int:
            return 1

        parameters = ", ".join(takes)
        scope: dict[str, Any] = {"step": step}
        exec(f"async def {name}({parameters}): return 1", scope)  # noqa: S102  # a function with named parameters
        function = scope[name]
        function.__annotations__ = {key: typed(value) for key, value in takes.items()} | {"return": typed(gives)}
        return tool(usd=0.001, effect="read")(function)

    def agent(tools: list[Any], goal: str) -> Agent:
        return Agent(name="bench", tools=tools, goals=[Goal("end", requires=[goal])], budget=Budget(usd=10.0))

    chain = agent([make(f"step{i:02d}", {"x": f"a{i}"}, f"a{i + 1}") for i in range(STEPS)], f"a{STEPS}")
    branches = [make(f"branch{i:03d}", {"x": "a0"}, f"b{i}") for i in range(WIDTH)]
    fan = agent([*branches, make("join", {f"p{i}": f"b{i}" for i in range(WIDTH)}, "end")], "end")

    async def linear() -> None:
        result = await chain.run(inputs={"a0": 0})
        assert result.outcome == "succeeded", result.reason

    async def fan_out() -> None:
        result = await fan.run(inputs={"a0": 0})
        assert result.outcome == "succeeded", result.reason

    return linear, fan_out


SYSTEMS: dict[str, Callable[[], tuple[Flow, Flow | None]]] = {
    "plain await": plain,
    "anyio task + timeout": anyio_floor,
    "agentroute": agentroute,
    "burr": burr,
    "langgraph": langgraph,
}


# ------------------------------------------------------------------ one child


async def measure(flows: tuple[Flow, Flow | None]) -> dict[str, float]:
    """CPU per step and per fan-out, and runs per CPU second with 1,000 at once."""
    linear, fan_out = flows
    figures = {"step_us": await per_call(linear, least_s=0.5) / STEPS * 1e6}
    if fan_out is not None:
        figures["fan_ms"] = await per_call(fan_out, least_s=0.3) * 1e3
    started = time.process_time()
    await asyncio.gather(*(linear() for _ in range(MANY)))
    figures["runs_per_s"] = MANY / (time.process_time() - started)
    return figures


async def per_call(flow: Flow, *, least_s: float) -> float:
    """Median CPU seconds of one call, over batches that together take at least `least_s`."""
    for _ in range(3):
        await flow()
    samples: list[float] = []
    begun = time.process_time()
    while time.process_time() - begun < least_s or len(samples) < 5:
        started = time.process_time()
        for _ in range(10):
            await flow()
        samples.append((time.process_time() - started) / 10)
    return statistics.median(samples)


def child(name: str) -> None:
    """Measure one system and print its figures."""
    started = time.process_time()
    flows = SYSTEMS[name]()
    loaded = time.process_time() - started
    figures = asyncio.run(measure(flows))
    figures["load_ms"] = loaded * 1e3
    figures["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(figures))


# ------------------------------------------------------------------ the table


def main() -> None:
    """Run the systems in turn and print medians and the ratio to the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", choices=SYSTEMS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    results: dict[str, list[dict[str, float]]] = {name: [] for name in SYSTEMS}
    for number in range(options.rounds):
        for name in SYSTEMS:
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            command = [sys.executable, __file__, "--child", name]
            results[name].append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    floor = statistics.median(r["step_us"] for r in results["anyio task + timeout"])
    print(f"{'':22}{'us/step':>9}{'x floor':>9}{'fan-out ms':>12}{'runs/s':>9}{'load ms':>9}{'RSS MiB':>9}")
    for name, rounds in results.items():
        figures = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
        fan = f"{figures['fan_ms']:.1f}" if "fan_ms" in figures else "-"
        print(
            f"{name:22}{figures['step_us']:9.1f}{figures['step_us'] / floor:9.2f}{fan:>12}"
            f"{figures['runs_per_s']:9.0f}{figures['load_ms']:9.0f}{figures['rss_mib']:9.0f}"
        )


if __name__ == "__main__":
    main()
