"""What health costs: ``python -m tests.benchmarks.bench_health_cpu`` from the root of the repository.

Everything that a step of a run asks of the board while it goes as planned, and nothing else. When the route is chosen:
whether each tool that might be called may be, and what it weighs. Before the call: whether it still may be. Then that
it begins, and that it worked. A step counts either with one tool that can make it, or with a choice of two. What is
not in it: the search for the route, and what failures and monitors say, which is seldom.

CPU microseconds a call (time of the process, garbage collection off), after 10,000 calls of history; the median of
several repeats, and the least. Microseconds drift with the machine by a factor of two within minutes; so the bytecodes
are counted too, which do not: they are what to compare two versions by, under the same Python.
"""

import argparse
import gc
import sys
import time
from random import Random
from statistics import median
from types import FrameType
from typing import Any

from agentroute.graph.cost import Cost, Rates
from agentroute.graph.tool import ToolSpec
from agentroute.ids import ArtifactId, ToolId
from agentroute.routing.board import HealthBoard
from agentroute.routing.health import Health

RATES = Rates(usd_per_second=0.01)

HISTORY = 10_000
"""Calls before the clock starts."""

CALLS = 5_000
"""Calls in a repeat."""


COUNTED = 500
"""Calls whose bytecodes are counted."""


class Caller:
    """Somebody who calls the lightest of some tools, over and over. Calls take 0.14 to 0.28 s, whatever is declared."""

    def __init__(self, tools: int, provider: str | None, failing: float, *, declared_s: float = 0.2) -> None:
        self.declared_s = declared_s
        self.tools = [self._tool(f"tool-{number}", 0.01 * (1 + number), provider) for number in range(tools)]
        others = {tool.name: [other for other in self.tools if other is not tool] for tool in self.tools}
        self.board = HealthBoard(Health(), alternatives=others)
        self.dice = Random(1)
        self.failing = failing
        self.now = 0.0

    def _tool(self, name: str, usd: float, provider: str | None) -> ToolSpec:
        cost = Cost(usd=usd, latency_s=self.declared_s)
        return ToolSpec(ToolId(name), produces=(ArtifactId("answer"),), cost=cost, effect="read", provider=provider)

    def live(self, calls: int) -> None:
        """Make a history: calls that take now this long, now that, and of which some fail."""
        board, dice = self.board, self.dice
        for _ in range(calls):
            ticket = board.begin(self._lightest(), self.now)
            self.now += 0.2 * dice.uniform(0.7, 1.4)
            if dice.random() < self.failing:
                board.fail(ticket, self.now)
            else:
                board.succeed(ticket, self.now)
            self.now += 0.05

    def measure(self, calls: int) -> float:
        """CPU microseconds for each of so many calls that work."""
        took = self._durations(calls)
        start = time.process_time()
        self._call(took)
        return (time.process_time() - start) / calls * 1e6

    def count(self, calls: int) -> float:
        """Bytecodes for each of so many calls that work."""
        took, bytecodes = self._durations(calls), 0

        def trace(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal bytecodes
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            bytecodes += event == "opcode" and frame.f_globals["__name__"].startswith("agentroute.")
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            self._call(took)
        finally:
            sys.settrace(before)
        return bytecodes / calls

    def _durations(self, calls: int) -> list[float]:
        return [0.2 * self.dice.uniform(0.7, 1.4) for _ in range(calls)]

    def _call(self, took: list[float]) -> None:
        board = self.board
        for seconds in took:
            tool = self._lightest()
            if board.admits(tool, self.now):
                ticket = board.begin(tool, self.now)
                self.now += seconds
                board.succeed(ticket, self.now)

    def idle(self, calls: int) -> float:
        """What of that is the loop's own."""
        took = [0.2] * calls
        start = time.process_time()
        for seconds in took:
            self.now += seconds
        return (time.process_time() - start) / calls * 1e6

    def _lightest(self) -> ToolSpec:
        """What choosing a route asks the board."""
        board, now = self.board, self.now
        least, lightest = float("inf"), self.tools[0]
        for tool in self.tools:
            if board.admits(tool, now) and (weight := board.weight(tool, RATES, now)) < least:
                least, lightest = weight, tool
        return lightest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print(f"a call: CPU microseconds, median (least) of {options.repeats} repeats of {CALLS:,} calls; bytecodes")
    for tools in (1, 2):
        for provider in (None, "shared"):
            for failing in (0.0, 0.02):
                choice = "one tool" if tools == 1 else f"choice of {tools}"
                whose = "with a provider" if provider else "no provider"
                print(f"{choice:12}{whose:17}{failing:4.0%} had failed", end="", flush=True)
                caller = Caller(tools, provider, failing)
                caller.live(HISTORY)
                gc.collect()
                gc.disable()
                figures = [caller.measure(CALLS) - caller.idle(CALLS) for _ in range(options.repeats)]
                gc.enable()
                print(f"{median(figures):8.1f} ({min(figures):.1f}){caller.count(COUNTED):8,.0f}", flush=True)


if __name__ == "__main__":
    main()
