"""Plans: the route a run would take, worked out without calling anything."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, field_serializer

from agentroute.graph.cost import Rates
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget
from agentroute.guard.ledger import Ledger
from agentroute.ids import ArtifactId, GoalId, ToolId, dollars
from agentroute.routing.board import HealthBoard
from agentroute.routing.expected import Expected
from agentroute.routing.factors import Factors
from agentroute.routing.router import Problem, Route, cheapest_route, missing
from agentroute.routing.tiers.tier_board import TierBoard
from agentroute.routing.tiers.weighed import TierWeighed
from agentroute.run.binding import Limited
from agentroute.run.outlook import Outlook
from agentroute.run.state import RunState


class RoutePlan(BaseModel):
    """A route as it would be taken now.

    Attributes:
        goal: What it leads to.
        feasible: Whether there is one.
        tools: Tools to call, in an order that can be executed.
        weight: Expected cost in USD, time, risk and energy included at the agent's rates.
        optimal: Proven to be the cheapest.
        reason: Why there is none: the limit that binds, and what a route would need of it.
        needs: What the route needs at its worst (``usd``, ``llm_calls``, ``tokens``, ``tool_calls``), and how long it
            is expected to take (``deadline_s``).
        warnings: Limits that it keeps, but only just.
        tiers: What the tiers of each model step on the route weigh, by the name of the step, in the order in which its
            policy would take them.
        weighed: What each tool weighs that could have a part in a route, on the route or not, and why; if it was asked
            for.
    """

    model_config = ConfigDict(frozen=True)

    goal: str
    feasible: bool
    tools: list[str] = []
    weight: float = 0.0
    optimal: bool = False
    reason: str = ""
    needs: dict[str, int | float] = {}
    warnings: list[str] = []
    tiers: dict[str, list[TierWeighed]] = {}
    weighed: list[Factors] = []

    @field_serializer("tiers")
    def _tiers_in_usd(self, tiers: dict[str, list[TierWeighed]]) -> dict[str, list[dict[str, Any]]]:
        """As for people: weights and costs in USD."""
        return {
            step: [asdict(tier) | {"weight": dollars(tier.weight), "cost": dollars(tier.cost)} for tier in weighed]
            for step, weighed in tiers.items()
        }

    @field_serializer("weighed")
    def _in_usd(self, weighed: list[Factors]) -> list[dict[str, Any]]:
        """As for people: weights in USD."""
        return [
            asdict(factors) | {"weight": dollars(factors.weight), "declared": dollars(factors.declared)}
            for factors in weighed
        ]


@dataclass(frozen=True, slots=True)
class Planner:
    """Answers what-if questions about an agent's graph: the outlook of a run that has just begun."""

    graph: ToolGraph
    board: HealthBoard
    rates: Rates
    budget: Budget
    learned: Mapping[GoalId, Mapping[ToolId, Expected]] = field(default_factory=dict[GoalId, Mapping[ToolId, Expected]])
    quotas: Sequence[Ledger] = ()
    tiers: TierBoard | None = None

    def plan(self, goal: GoalId, have: frozenset[ArtifactId], without: Collection[ToolId], now: float) -> RoutePlan:
        """The cheapest route to `goal` within the budget of one run, doing without some tools.

        Args:
            goal: What to reach.
            have: Artifacts at hand.
            without: Tools that are down.
            now: Monotonic seconds at which health is judged.
        """
        state = RunState(artifacts=dict.fromkeys(have), closed=dict.fromkeys(without, "down"), limits=self.budget)
        ledger = Ledger(self.budget.limits, above=self.quotas)
        deadline_s = self.budget.deadline_s
        outlook = Outlook(self.graph, state, self.board, ledger, self.rates, now, deadline_s, self.learned, self.tiers)
        route = outlook.route_to(goal, 0.0, patient=False)
        limited = self._limited(outlook, goal, have, now)
        if route is None:
            return RoutePlan(goal=goal, feasible=False, reason=self._why_infeasible(limited, without))
        return RoutePlan(
            goal=goal,
            feasible=True,
            tools=list(route.tools),
            weight=dollars(route.weight),
            optimal=route.optimal,
            needs=limited.needs(route),
            warnings=list(limited.warnings(route)),
            tiers=self._tiers(outlook, route, goal),
        )

    def _tiers(self, outlook: Outlook, route: Route, goal: GoalId) -> dict[str, list[TierWeighed]]:
        """What the tiers of the steps on a route weigh, if policies choose among them."""
        if self.tiers is None:
            return {}
        steps = {step for step, specs in self.graph.tiers.items() if any(spec.name in route.tools for spec in specs)}
        return {step: outlook.foreseen(step, goal, 0.0) for step in sorted(steps)}

    def _limited(self, outlook: Outlook, goal: GoalId, have: frozenset[ArtifactId], now: float) -> Limited:
        """What stands in the way of a run besides tools that are out."""
        free = replace(outlook, ledger=Ledger(), deadline_s=None)
        usable = [s for s in self.graph.routable.values() if free.obstacle(s, 0.0) is None and free.admitted(s, 0.0)]
        seconds = {s.name: self.board.latency(s, now, free.expected(s, goal)) for s in usable}
        deadline_s = self.budget.deadline_s
        return Limited(self.graph, goal, have, outlook.ledger, seconds, deadline_s, outlook.kept_for)

    def explain(self, goal: GoalId, have: frozenset[ArtifactId], now: float) -> list[Factors]:
        """What each tool weighs by which a route from `have` to `goal` could differ, those of the route first."""
        route = self.route(goal, have)
        on_it = () if route is None else route.tools
        rivals = {other.name: None for tool in on_it for other in self.graph.alternatives[tool]}
        specs = [self.graph.tools[name] for name in dict.fromkeys((*on_it, *sorted(rivals)))]
        known = self.learned.get(goal) or {}
        return [self.board.factors(spec, self.rates, now, known.get(spec.name)) for spec in specs]

    def route(self, goal: GoalId, have: frozenset[ArtifactId]) -> Route | None:
        """The cheapest route with every tool as declared, and no budget."""
        return cheapest_route(self._unlimited(goal, have))

    def missing(
        self, goal: GoalId, have: frozenset[ArtifactId], without: Collection[ToolId] = ()
    ) -> tuple[ArtifactId, ...]:
        """What `goal` lacks even if every other tool worked and money were no object; empty if it can be reached."""
        return missing(self._unlimited(goal, have, without))

    def _unlimited(self, goal: GoalId, have: frozenset[ArtifactId], without: Collection[ToolId] = ()) -> Problem:
        weights = {spec.name: spec.cost.expected for spec in self.graph.routable.values() if spec.name not in without}
        return Problem(graph=self.graph.compiled, goal=goal, have=have, weights=weights)

    def _why_infeasible(self, limited: Limited, without: Collection[ToolId]) -> str:
        lacking = self.missing(limited.goal, limited.have, without)
        if lacking:
            return f"nothing at hand and no usable tool provides: {', '.join(lacking)}"
        return "; ".join(limited.obstacles()) or limited.together() or "every route is over a tool that is out"
