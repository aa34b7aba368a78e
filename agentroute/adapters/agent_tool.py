"""An agent as a tool of another."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import reduce
from typing import Any

from agentroute.attempt import current
from agentroute.errors import DefinitionError, ToolError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.cost import NOTHING, Amounts, Cost
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import Guard, KOfN, ToolSpec, artifacts_of
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget
from agentroute.guard.ledger import Ledger
from agentroute.ids import ArtifactId, NanoUsd, ToolId, dollars
from agentroute.ports import Tool, Values
from agentroute.routing.router import Route
from agentroute.run.result import RunResult

LONGEST_RUN_S = 300.0
"""Timeout of an agent used as a tool, where neither the caller nor the agent's budget says one."""


class AgentTool:
    """Calls another agent's run; its cost is charged to the attempt, its outcome becomes a result or a failure."""

    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    def __init__(
        self,
        spec: ToolSpec,
        types: Mapping[ArtifactId, ArtifactType],
        run: Callable[[Values, Ledger | None], Awaitable[RunResult]],
    ) -> None:
        """Bind the contract and the way to start a run from its inputs, paid from what its caller has reserved."""
        self.spec = spec
        self.types = types
        self._run = run

    async def call(self, inputs: Values) -> Values:
        """Run the agent.

        Raises:
            ToolError: It did not reach the goal. Ambiguous if it left effects behind, else permanent: what could be
                tried, it has tried.
        """
        attempt = current()
        purse = None if attempt.reservation is None else attempt.reservation.carve()
        try:
            result = await self._run(inputs, purse)
        except BaseException:
            if purse is not None:  # a run that broke off has paid for what it called
                attempt.charge(usd=dollars(NanoUsd(purse.spent.usd)))
            raise
        attempt.charge(usd=result.cost_usd)
        if result.outcome != "succeeded":
            kind = "ambiguous" if result.left_behind or result.suspended else "permanent"
            raise ToolError(f"agent run {result.run_id} {result.outcome}: {result.reason}", kind=kind)
        return {name: result.artifacts[name] for name in self.spec.produces}


def agent_tool_spec(  # noqa: PLR0917  # called once, in this order
    name: ToolId, graph: ToolGraph, goal: GoalSpec, route: Route, budget: Budget, timeout_s: float | None
) -> ToolSpec:
    """The contract of an agent's goal: from the inputs of its cheapest route to the goal's artifacts.

    It changes nothing if none of the agent's tools does, else it must run once: another run has other keys. Its worst
    case is the agent's whole budget, or each of its tools called once where it has none; if it has to, it can do with
    the worst case of that route.

    Raises:
        DefinitionError: The goal asks for "at least k of": then nobody could say what the tool produces.
    """
    if any(isinstance(need, KOfN) for need in goal.requires):
        raise DefinitionError(f"goal {goal.name!r}", "asks for k of n artifacts, so a tool of it has no fixed output")
    specs = [graph.tools[tool] for tool in route.tools]
    needed = {artifact for spec in specs for artifact in artifacts_of(spec.requires)} & graph.inputs
    usd = sum(spec.cost.usd for spec in specs)
    everything = sum(dollars(tool.cost.worst) for tool in graph.routable.values())
    worst = everything if budget.usd is None else budget.usd
    return ToolSpec(
        name=name,
        requires=tuple(sorted(needed)),
        optional=tuple(sorted(graph.inputs - needed)),
        produces=tuple(artifacts_of(goal.requires)),
        cost=Cost(
            usd=usd,
            usd_max=max(usd, worst),
            usd_least=min(max(usd, worst), dollars(NanoUsd(sum(spec.least.usd for spec in specs)))),
            latency_s=sum(spec.cost.latency_s for spec in specs),
            wh=sum(spec.cost.wh for spec in specs),
        ),
        effect="read" if all(tool.effect == "read" for tool in graph.routable.values()) else "once",
        timeout_s=timeout_s or budget.deadline_s or LONGEST_RUN_S,
        nested=reduce(Amounts.plus, (spec.needs for spec in specs), NOTHING)._replace(usd=0),
    )
