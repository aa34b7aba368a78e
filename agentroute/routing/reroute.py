"""Rerouting on large graphs in time that does not depend on their size.

`cheapest_route` looks at everything behind the goal, which is the right thing to do up to some hundred tools. Where
every tool takes one artifact a route is a path, and what was known before a tool died still guides the search for the
way around it: a handful of steps at any size.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from agentroute.errors import DefinitionError
from agentroute.graph.compiled import CompiledGraph
from agentroute.ids import ArtifactId, GoalId, NanoUsd, ToolId
from agentroute.routing.instance import REMOVED
from agentroute.routing.problem import Problem, Route
from agentroute.routing.router import cheapest_route

UNREACHED = -1


class Router:
    """Answers `cheapest_route` for one goal again and again, while tools die, heal and change their weights.

    Where no action behind the goal takes more than one input (`is_chain`) it keeps the distance of each item to the
    goal, and searches forward with A* on them. Distances that have become too short since stay consistent lower bounds:
    only a weight that falls below what a distance counts on must be worked in at once. Other graphs are routed from
    scratch.

    Of paths that weigh the same it returns one with the fewest tools; of those, going back from the goal, always the
    first by name. The answer depends on the current weights alone, not on how they came about.

    Args:
        graph: What can be done.
        goal: What is wanted.
        weights: Of the tools that may be used; see `Problem`.
    """

    def __init__(self, graph: CompiledGraph, goal: GoalId, weights: Mapping[ToolId, NanoUsd]) -> None:
        self._graph = graph
        self._goal = goal
        self._weights = dict(weights)
        self._paths = _Paths(graph, graph.goals[goal], weights) if is_chain(graph, goal) else None

    def reweigh(self, changes: Mapping[ToolId, NanoUsd | None]) -> None:
        """Take over new weights; None removes a tool. O(changes) unless a weight falls below all it ever was.

        Raises:
            DefinitionError: A weight is negative.
            KeyError: The graph has no such tool.
        """
        for tool, weight in changes.items():
            action = self._graph.action_of[tool]
            if self._paths is not None:
                self._paths.reweigh(action, _checked(tool, weight))
            if weight is None:
                self._weights.pop(tool, None)
            else:
                self._weights[tool] = weight

    def route(self, have: frozenset[ArtifactId]) -> Route | None:
        """Find the cheapest route from what is at hand; None if there is none."""
        if self._paths is None:
            return cheapest_route(Problem(self._graph, self._goal, have, self._weights))
        return self._paths.route(have)

    def refresh(self) -> None:
        """Compute all distances afresh, when there is time: after many deaths detours become long to find."""
        if self._paths is not None:
            self._paths.measure()


def is_chain(graph: CompiledGraph, goal: GoalId) -> bool:
    """Whether every route to the goal is a path: no action behind it takes more than one input. Linear."""
    seen = {graph.goals[goal]}
    stack = list(seen)
    while stack:
        for action in graph.producers[stack.pop()]:
            if len(graph.inputs[action]) > 1:
                return False
            fresh = set(graph.inputs[action]) - seen
            seen |= fresh
            stack.extend(fresh)
    return True


def _checked(tool: ToolId, weight: NanoUsd | None) -> NanoUsd | None:
    if weight is not None and weight < 0:
        raise DefinitionError(f"tool {tool!r}", f"its weight is {weight}; weights must not be negative")
    return weight


class _Paths:
    """Shortest paths to one item. Actions with several inputs may be around, as long as none leads there.

    Weights carry a tie-break in their low bits: each tool counts one there, so that of equal paths the shorter wins.
    Tools that take nothing start from one more item that is always at hand, numbered behind all others.
    """

    def __init__(self, graph: CompiledGraph, goal: int, weights: Mapping[ToolId, NanoUsd]) -> None:
        self.graph, self.goal = graph, goal
        self.tie_bits = len(graph.tools).bit_length()
        self.weights = [REMOVED] * len(graph.tools) + [0] * (len(graph.inputs) - len(graph.tools))
        for tool, weight in weights.items():
            if (action := graph.action_of.get(tool)) is not None:
                self.weights[action] = self._weigh(_checked(tool, weight))
        self.start = len(graph.producers)
        self.source = [items[0] if items else self.start for items in graph.inputs]
        self.consumers = [*graph.consumers, tuple(a for a, items in enumerate(graph.inputs) if not items)]
        self.distance: list[int] = []
        self.measure()

    def _weigh(self, weight: NanoUsd | None) -> int:
        return REMOVED if weight is None else (weight << self.tie_bits) + 1

    def measure(self) -> None:
        """Label all items with their distance to the goal. Dijkstra (1959) backwards, O(size + items log items)."""
        self.distance = [UNREACHED] * (self.start + 1)
        self.distance[self.goal] = 0
        self._shorten([(0, self.goal)])

    def reweigh(self, action: int, weight: NanoUsd | None) -> None:
        """Change a weight. Distances may stay too short; they must not become too long."""
        new = self.weights[action] = self._weigh(weight)
        if new == REMOVED:
            return
        ahead = [self.distance[item] for item in self.graph.outputs[action] if self.distance[item] != UNREACHED]
        if ahead:
            self._shorten(self._shorter(self.source[action], new + min(ahead)))

    def _shorter(self, item: int, distance: int) -> list[tuple[int, int]]:
        """Note a distance if it is news."""
        if self.distance[item] != UNREACHED and self.distance[item] <= distance:
            return []
        self.distance[item] = distance
        return [(distance, item)]

    def _shorten(self, heap: list[tuple[int, int]]) -> None:
        """Carry shorter distances back to whoever they are news for."""
        weights, source, producers = self.weights, self.source, self.graph.producers
        while heap:
            distance, item = heappop(heap)
            if distance > self.distance[item] or item == self.start:
                continue
            for action in producers[item]:
                if weights[action] != REMOVED:
                    for entry in self._shorter(source[action], distance + weights[action]):
                        heappush(heap, entry)

    def route(self, have: frozenset[ArtifactId]) -> Route | None:
        """A* (Hart, Nilsson & Raphael 1968) on distances that may be out of date, but never too long."""
        item_of = self.graph.item_of
        starts = {item_of[name] for name in have if name in item_of} | {self.start}
        spent, last = self._search({item for item in starts if self.distance[item] != UNREACHED})
        if self.goal not in spent:
            return None
        tools = self.graph.tools
        path: list[ToolId] = []
        item = self.goal
        while item not in starts:
            action = last[item]
            if action < len(tools):
                path.append(tools[action])
            item = self.source[action]
        return Route(tuple(path[::-1]), NanoUsd(spent[self.goal] >> self.tie_bits), 0.0, optimal=True)

    def _search(self, starts: set[int]) -> tuple[dict[int, int], dict[int, int]]:
        """Settle items until none is left that could lie on a shortest path; return costs and last actions."""
        distance, weights, outputs = self.distance, self.weights, self.graph.outputs
        spent, last = dict.fromkeys(starts, 0), dict[int, int]()
        heap = [(distance[item], item) for item in starts]
        heapify(heap)
        while heap:
            bound, item = heappop(heap)
            if bound > spent.get(self.goal, bound):
                break  # not at the first arrival: a tie still to come may be first by name
            cost = spent[item]
            if bound > cost + distance[item]:
                continue  # reached more cheaply meanwhile
            usable = [action for action in self.consumers[item] if weights[action] != REMOVED]
            for action, output in [(one, output) for one in usable for output in outputs[one]]:
                now = cost + weights[action]
                known = spent.get(output, now + 1)
                if distance[output] == UNREACHED or known < now:
                    continue
                if now < known:
                    heappush(heap, (now + distance[output], output))
                elif action >= last.get(output, action):
                    continue  # as cheap as what is known, and not before it by name
                spent[output], last[output] = now, action
        return spent, last
