"""What the router is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agentroute.errors import DefinitionError
from agentroute.graph.compiled import CompiledGraph
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId


class Limit(NamedTuple):
    """A limit on what the tools of a route use together, such as money or tokens.

    Attributes:
        uses: What each tool uses at most.
        most: What that may add up to.
        price: A guess at what it costs to use one less, in nano-dollars. A good one makes the search quick, none makes
            it wrong.
    """

    uses: Mapping[ToolId, int]
    most: int
    price: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """One question to the router.

    Attributes:
        graph: What can be done.
        goal: What is wanted; one of the graph's goals.
        have: Artifacts at hand; what they cost is sunk.
        weights: Expected cost of each tool that may be used. A tool that is not in here is removed: down,
            unaffordable, or with a closed guard.
        latency_s: Expected seconds by tool; needed with `within_s`.
        within_s: Deadline left. The makespan of the route (critical path, ready steps in parallel) must not exceed it.
        usd: Expected price by tool; needed with `within_usd`.
        within_usd: Money left. The sum of `usd` over the route must not exceed it.
        also_within: Further limits of that kind.
    """

    graph: CompiledGraph
    goal: GoalId
    have: frozenset[ArtifactId]
    weights: Mapping[ToolId, NanoUsd]
    latency_s: Mapping[ToolId, float] | None = None
    within_s: float | None = None
    usd: Mapping[ToolId, NanoUsd] | None = None
    within_usd: NanoUsd | None = None
    also_within: Sequence[Limit] = ()

    def __post_init__(self) -> None:
        """Refuse a limit on something that is not known.

        Raises:
            DefinitionError: `within_s` without `latency_s`, or `within_usd` without `usd`.
        """
        if self.within_s is not None and self.latency_s is None:
            raise DefinitionError("problem", "within_s limits the makespan, so latency_s must be given")
        if self.within_usd is not None and self.usd is None:
            raise DefinitionError("problem", "within_usd limits the price, so usd must be given")

    @property
    def limited(self) -> list[Limit]:
        """Limits on what the tools of a route use together, money first."""
        money = [] if self.within_usd is None or self.usd is None else [Limit(self.usd, self.within_usd)]
        return [*money, *self.also_within]


@dataclass(frozen=True, slots=True)
class Route:
    """A set of tools that reaches the goal, in an order that can be executed.

    Attributes:
        tools: Each tool's inputs are at hand or come from earlier ones; removing any of them breaks the route.
        weight: Sum of the weights, each tool once.
        makespan_s: Seconds the critical path takes; 0.0 if no latencies were given.
        optimal: Proven: no set of tools that keeps the limits weighs less.
        weights: Those of the problem.
    """

    tools: tuple[ToolId, ...]
    weight: NanoUsd
    makespan_s: float
    optimal: bool
    weights: Mapping[ToolId, NanoUsd]
