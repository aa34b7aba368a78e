"""Which limit stands between a run and its goal, and how close a route comes to one. Nothing is called or reserved."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentroute.graph.tool import ToolSpec
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.ledger import Ledger
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId, dollars
from agentroute.routing.router import Problem, Route, cheapest_route


@dataclass(frozen=True, slots=True)
class Resource:
    """Something that ledgers limit, and how people speak of it."""

    field: str
    key: str
    say: Callable[[int], str]


RESOURCES: Sequence[Resource] = (
    Resource("usd", "usd", lambda n: f"{dollars(NanoUsd(n)):.6f} USD"),
    Resource("tokens", "tokens", lambda n: f"{n:,} tokens"),
    Resource("model_calls", "llm_calls", lambda n: f"{n:,} model call{'' if n == 1 else 's'}"),
    Resource("tool_calls", "tool_calls", lambda n: f"{n:,} tool call{'' if n == 1 else 's'}"),
)


@dataclass(frozen=True, slots=True)
class Limited:
    """What is limited, seen from the start of a run.

    Attributes:
        graph: What can be done.
        goal: What is wanted.
        have: Artifacts at hand.
        ledger: Of a run that has not begun, with its quotas above it.
        seconds: How long a call of each tool that can be called now is expected to take.
        deadline_s: Seconds from the start; None without one.
        least: What of `Amounts.usd` has to be left for a tool, in nano-dollars: the share of it that is kept.
    """

    graph: ToolGraph
    goal: GoalId
    have: frozenset[ArtifactId]
    ledger: Ledger
    seconds: Mapping[ToolId, float]
    deadline_s: float | None
    least: Callable[[ToolSpec], int]

    def needs(self, route: Route) -> dict[str, int | float]:
        """What a route needs at its worst, and how long it is expected to take, by the fields of `Budget`."""
        specs = [self.graph.tools[tool] for tool in route.tools]
        found = {each.key: sum(_worst(each, spec) for spec in specs) for each in RESOURCES}
        timed = cheapest_route(self._problem(dict.fromkeys(route.tools, 0), within_s=None))
        return found | {"usd": dollars(NanoUsd(found["usd"])), "deadline_s": timed.makespan_s if timed else 0.0}

    def obstacles(self) -> Iterator[str]:
        """Each limit that no route keeps, whatever the others are, with what the most modest route needs of it."""
        left = self.ledger.left
        for each in RESOURCES:
            limit: int | None = getattr(left, each.field)
            if limit is None or (modest := self._most_modest(each)) is None:
                continue
            if (needed := self._used(each, modest)) > limit:
                way = " -> ".join(modest.tools)
                yield f"{self._whose(each)}, and the least that a route needs is {each.say(needed)} ({way})"
        if self.deadline_s is not None and cheapest_route(self._problem(self._weights(), self.deadline_s)) is None:
            cheapest = cheapest_route(self._problem(self._weights(), within_s=None))
            if cheapest is not None:
                way, takes = " -> ".join(cheapest.tools), f"{cheapest.makespan_s:.3g} s"
                yield f"the deadline is {self.deadline_s:g} s, and the cheapest route takes {takes} ({way})"

    def together(self) -> str:
        """What the cheapest route needs more of than there is, where each limit alone could be kept."""
        cheapest = cheapest_route(self._problem(self._weights(), within_s=None))
        if cheapest is None:
            return ""
        left = self.ledger.left
        over = [
            f"{each.say(used)} of {each.say(limit)}"
            for each in RESOURCES
            if (limit := getattr(left, each.field)) is not None and (used := self._used(each, cheapest)) > limit
        ]
        if self.deadline_s is not None and cheapest.makespan_s > self.deadline_s:
            over.append(f"{cheapest.makespan_s:.3g} s of {self.deadline_s:g} s")
        needs = f"the cheapest one ({' -> '.join(cheapest.tools)}) needs {', '.join(over)}" if over else ""
        return "no route keeps all limits at once" + (f"; {needs}" if needs else "")

    def warnings(self, route: Route) -> Iterator[str]:
        """Limits that a route keeps but only just: no second call of the tool on it that needs most would be paid."""
        left = self.ledger.left
        for each in RESOURCES:
            limit = getattr(left, each.field)
            uses = [(_worst(each, self.graph.tools[tool]), tool) for tool in route.tools]
            most, tool = max(uses, default=(0, ""))
            total = sum(used for used, _ in uses)
            if limit is None or not most or limit - total >= most:
                continue
            need = f"{self._whose(each)}, and the route may need {each.say(total)}"
            if total > limit:
                yield f"{need}: it may have to end before the goal, as finish_share allows"
            else:
                yield f"{need}: should {tool} fail, it may be too little for a second call"

    def _whose(self, each: Resource) -> str:
        """What is left, and who leaves no more: the budget, quotas, or those who hold what quotas have."""
        own, left = getattr(self.ledger.limits, each.field), getattr(self.ledger.left, each.field)
        if own is not None and own <= left:
            return f"the budget is {each.say(own)}"
        once_freed = getattr(self.ledger.left_once_freed(), each.field)
        held = f" (other runs hold {each.say(once_freed - left)} that they may give back)" if once_freed > left else ""
        return f"the quotas leave {each.say(left)} now{held}"

    def _used(self, each: Resource, route: Route) -> int:
        return sum(self._least(each, self.graph.tools[tool]) for tool in route.tools)

    def _least(self, each: Resource, spec: ToolSpec) -> int:
        return self.least(spec) if each.field == "usd" else getattr(spec.needs, each.field)

    def _most_modest(self, each: Resource) -> Route | None:
        weights = {tool: self._least(each, self.graph.tools[tool]) for tool in self.seconds}
        return cheapest_route(self._problem(weights, within_s=None))

    def _weights(self) -> dict[ToolId, int]:
        return {tool: self.graph.tools[tool].cost.expected for tool in self.seconds}

    def _problem(self, weights: Mapping[ToolId, int], within_s: float | None) -> Problem:
        return Problem(
            graph=self.graph.compiled,
            goal=self.goal,
            have=self.have,
            weights={tool: NanoUsd(weight) for tool, weight in weights.items()},
            latency_s={tool: self.seconds[tool] for tool in weights},
            within_s=within_s,
        )


def _worst(each: Resource, spec: ToolSpec) -> int:
    """What a tool needs at its worst; of an agent behind it, what can be foreseen."""
    return getattr(spec.worst, each.field) + getattr(spec.nested, each.field)
