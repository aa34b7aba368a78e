"""How long routing takes: ``python -m tests.benchmarks.bench_routing`` from the root of the repository.

Two tables, each from one run whose contenders take turns, so that a busy machine slows all of them alike. Times are CPU
time of this process. The cheapest *set* of tools: graphs with joins, alternatives and shared tools, everything from
the problem to the route. The reroute: graphs where every tool takes one artifact and returns one (four tools take each
artifact); one tool of the route dies, networkx is given the graph with artifacts as nodes and tools as edges, the form
that suits it best.
"""

import argparse
import gc
import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import pairwise
from typing import TypeVar

import networkx as nx

from agentroute.graph.compiled import compile_graph
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import ToolSpec, artifacts_of
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId
from agentroute.routing.router import Problem, cheapest_route
from tests.properties.routing_cases import random_dag

GOAL = GoalId("goal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="graphs per size (default: 200)")
    parser.add_argument("--largest", type=int, default=1_000, help="largest graph to reroute on (default: 1000)")
    options = parser.parse_args()
    print_sets(options.rounds)
    print()
    print_reroutes(options.rounds, options.largest)


def print_sets(rounds: int) -> None:
    print(f"Cheapest set of tools, proven; {rounds} random DAGs each")
    print(f"{'tools':>8} {'proven':>8} {'p50 ms':>10} {'p99 ms':>10}")
    sizes = {"20": [20], "16-60": range(16, 61), "60": [60], "100": [100]}
    figures: dict[str, list[float]] = {size: [] for size in sizes}
    proven = dict.fromkeys(sizes, 0)
    with no_collection():
        for seed in range(rounds):
            for size, counts in sizes.items():
                problem = random_dag(random.Random(seed), counts[seed % len(counts)]).problem()
                took, route = timed(lambda problem=problem: cheapest_route(problem))
                figures[size].append(took)
                proven[size] += route is not None and route.optimal
    for size, times in figures.items():
        share = f"{proven[size] / rounds:.1%}"
        print(f"{size:>8} {share:>8} {quantile(times, 0.5) * 1e3:10.2f} {quantile(times, 0.99) * 1e3:10.2f}")


def print_reroutes(rounds: int, largest: int) -> None:
    print("Reroute after the death of a tool on the route, chain graphs: p50 / p99 microseconds")
    print(f"{'tools':>8} {'cheapest_route':>22} {'networkx dijkstra':>24}")
    for count in (20, 100, 1_000, 10_000, 100_000):
        if count > largest:
            break
        contest = Contest(count)
        columns: tuple[list[float], list[float]] = ([], [])
        with no_collection():
            while len(columns[0]) < rounds:
                for column, took in zip(columns, contest.take_turns() or (), strict=False):
                    column.append(took)
        print(f"{count:8,} {spread(columns[0]):>22} {spread(columns[1]):>24}", flush=True)


class Contest:
    """One graph, one random tool of the route dying at a time, two ways to find the way around it."""

    def __init__(self, count: int) -> None:
        self.rng = random.Random(count)
        self.tools = chain_tools(self.rng, count)
        self.weights = {tool.name: NanoUsd(self.rng.randrange(1, 1_000_000)) for tool in self.tools}
        self.ends = {tool.name: (*artifacts_of(tool.requires), *tool.produces) for tool in self.tools}
        self.goal = self.tools[-1].produces[0]
        self.graph = compile_graph(self.tools, [GoalSpec(GOAL, (self.goal,))])
        self.network: nx.DiGraph[str] = nx.DiGraph()
        for name, ends in self.ends.items():
            self.network.add_edge(*ends, weight=self.weights[name])

    def take_turns(self) -> list[float] | None:
        """Let a tool die, time both, let it heal; None where there was no route to lose."""
        have = frozenset([self.rng.choice(self.graph.artifacts)])
        before = cheapest_route(Problem(self.graph, GOAL, have, self.weights))
        if before is None or not before.tools:
            return None
        dead = self.rng.choice(before.tools)
        left = {name: weight for name, weight in self.weights.items() if name != dead}
        problem = Problem(self.graph, GOAL, have, left)
        took, after = timed(lambda: cheapest_route(problem))
        times = [took]
        self.network.remove_edge(*self.ends[dead])
        took, length = timed(lambda: self.dijkstra(*have))
        times.append(took)
        self.network.add_edge(*self.ends[dead], weight=self.weights[dead])
        assert length == (None if after is None else after.weight), "the contenders disagree"
        return times

    def dijkstra(self, start: ArtifactId) -> int | None:
        try:
            return sum(
                self.network.edges[edge]["weight"]
                for edge in pairwise(nx.dijkstra_path(self.network, start, self.goal))
            )
        except nx.NetworkXNoPath:
            return None


def chain_tools(rng: random.Random, count: int) -> list[ToolSpec]:
    """`count` tools from one artifact to another, four for each artifact to choose from, no two alike."""
    width = max(5, count // 4)
    ends: set[tuple[int, int]] = set()
    while len(ends) < count:
        start, end = rng.randrange(width), rng.randrange(width)
        if start != end:
            ends.add((start, end))
    return [
        ToolSpec(
            ToolId(f"t{index:06}"),
            requires=(ArtifactId(f"a{start:06}"),),
            produces=(ArtifactId(f"a{end:06}"),),
        )
        for index, (start, end) in enumerate(sorted(ends))
    ]


T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


@contextmanager
def no_collection() -> Generator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def quantile(times: list[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def spread(times: list[float]) -> str:
    return f"{quantile(times, 0.5) * 1e6:,.0f} / {quantile(times, 0.99) * 1e6:,.0f}"


if __name__ == "__main__":
    main()
