"""What health costs: ``python -m tests.benchmarks.bench_health_cpu`` from the root of the repository.

CPU microseconds for each call of a tool: what one routing decision asks of the board about the tool and its
alternative (whether they may be called, and what they weigh), the call's beginning and its success. Measured after
10,000 calls of history; the median of several repeats, with the least of them.
"""

import argparse
import gc
import time
from random import Random
from statistics import median

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


class Caller:
    """Somebody who calls the lighter of two tools, over and over."""

    def __init__(self, provider: str | None, failing: float) -> None:
        self.pair = (self._tool("primary", 0.01, provider), self._tool("backup", 0.02, provider))
        self.board = HealthBoard(
            Health(), alternatives={tool.name: [o for o in self.pair if o is not tool] for tool in self.pair}
        )
        self.dice = Random(1)
        self.failing = failing
        self.now = 0.0

    @staticmethod
    def _tool(name: str, usd: float, provider: str | None) -> ToolSpec:
        cost = Cost(usd=usd, latency_s=0.2)
        return ToolSpec(ToolId(name), produces=(ArtifactId("answer"),), cost=cost, effect="read", provider=provider)

    def live(self, calls: int) -> None:
        """Make a history: calls that take now this long, now that, and of which some fail."""
        board, dice = self.board, self.dice
        for _ in range(calls):
            ticket = board.begin(self._lighter(), self.now)
            self.now += 0.2 * dice.uniform(0.7, 1.4)
            if dice.random() < self.failing:
                board.fail(ticket, self.now)
            else:
                board.succeed(ticket, self.now)
            self.now += 0.05

    def measure(self, calls: int) -> float:
        """CPU microseconds for each of so many calls that work."""
        board = self.board
        took = [0.2 * self.dice.uniform(0.7, 1.4) for _ in range(calls)]
        start = time.process_time()
        for seconds in took:
            ticket = board.begin(self._lighter(), self.now)
            self.now += seconds
            board.succeed(ticket, self.now)
        return (time.process_time() - start) / calls * 1e6

    def idle(self, calls: int) -> float:
        """What of that is the loop's own."""
        took = [0.2] * calls
        start = time.process_time()
        for seconds in took:
            self.now += seconds
        return (time.process_time() - start) / calls * 1e6

    def _lighter(self) -> ToolSpec:
        """What a routing decision asks the board."""
        board, now = self.board, self.now
        admitted = [tool for tool in self.pair if board.admits(tool, now)] or self.pair
        weights = [board.weight(tool, RATES, now) for tool in admitted]
        return admitted[weights.index(min(weights))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    print(f"CPU microseconds a call, median (least) of {options.repeats} repeats of {CALLS:,} calls")
    for label, provider, failing in (
        ("without provider", None, 0.0),
        ("with provider", "shared", 0.0),
        ("without provider, 2% had failed", None, 0.02),
        ("with provider, 2% had failed", "shared", 0.02),
    ):
        caller = Caller(provider, failing)
        caller.live(HISTORY)
        gc.collect()
        gc.disable()
        figures = [caller.measure(CALLS) - caller.idle(CALLS) for _ in range(options.repeats)]
        gc.enable()
        print(f"{label:32} {median(figures):6.1f} ({min(figures):.1f})", flush=True)


if __name__ == "__main__":
    main()
