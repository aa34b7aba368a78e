"""Plans: the route a run would take, worked out without calling anything."""

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from agentroute.graph.cost import Rates
from agentroute.graph.tool import ToolSpec
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId, dollars
from agentroute.routing.health import HealthBoard
from agentroute.routing.router import Problem, Route, cheapest_route, missing


class RoutePlan(BaseModel):
    """A route as it would be taken now.

    Attributes:
        goal: What it leads to.
        feasible: Whether there is one.
        tools: Tools to call, in an order that can be executed.
        weight: Expected cost in USD, time and risk included at the agent's rates.
        optimal: Proven to be the cheapest.
        reason: Why there is none.
    """

    model_config = ConfigDict(frozen=True)

    goal: str
    feasible: bool
    tools: list[str] = []
    weight: float = 0.0
    optimal: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Planner:
    """Answers what-if questions about an agent's graph. Reads health, calls nothing."""

    graph: ToolGraph
    board: HealthBoard
    rates: Rates
    budget: Budget

    def plan(self, goal: GoalId, have: frozenset[ArtifactId], without: Collection[ToolId], now: float) -> RoutePlan:
        """The cheapest route to `goal` within the budget of one run, doing without some tools.

        Args:
            goal: What to reach.
            have: Artifacts at hand.
            without: Tools that are down.
            now: Monotonic seconds at which health is judged.
        """
        problem = self._problem(goal, have, without, now)
        route = cheapest_route(problem)
        if route is None:
            return RoutePlan(goal=goal, feasible=False, reason=_why_infeasible(problem))
        return RoutePlan(
            goal=goal, feasible=True, tools=list(route.tools), weight=dollars(route.weight), optimal=route.optimal
        )

    def route(self, goal: GoalId, have: frozenset[ArtifactId]) -> Route | None:
        """The cheapest route with every tool as declared, and no budget."""
        return cheapest_route(self._unlimited(goal, have))

    def missing(self, goal: GoalId, have: frozenset[ArtifactId]) -> tuple[ArtifactId, ...]:
        """What `goal` lacks even if every tool worked; empty if it can be reached."""
        return missing(self._unlimited(goal, have))

    def _unlimited(self, goal: GoalId, have: frozenset[ArtifactId]) -> Problem:
        weights = {spec.name: spec.cost.expected for spec in self.graph.routable.values()}
        return Problem(graph=self.graph.compiled, goal=goal, have=have, weights=weights)

    def _problem(self, goal: GoalId, have: frozenset[ArtifactId], without: Collection[ToolId], now: float) -> Problem:
        budget = self.budget
        specs = [s for s in self.graph.routable.values() if s.name not in without and self._usable(s, now)]
        return Problem(
            graph=self.graph.compiled,
            goal=goal,
            have=have,
            weights={spec.name: NanoUsd(self.board.weight(spec, self.rates, now)) for spec in specs},
            latency_s=None if budget.deadline_s is None else {spec.name: spec.cost.latency_s for spec in specs},
            within_s=budget.deadline_s,
            usd=None if budget.money is None else {spec.name: spec.cost.worst for spec in specs},
            within_usd=budget.money,
        )

    def _usable(self, spec: ToolSpec, now: float) -> bool:
        money = self.budget.money
        affordable = money is None or spec.cost.worst <= money
        return affordable and not (spec.calls_model and self.budget.llm_calls == 0) and self.board.admits(spec, now)


def _why_infeasible(problem: Problem) -> str:
    lacking = missing(problem)
    if lacking:
        return f"nothing at hand and no usable tool provides: {', '.join(lacking)}"
    return "every route is above the budget or the deadline"
