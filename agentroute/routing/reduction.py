"""What is left of a routing problem once everything that cannot matter is gone.

Most tools of a graph have nothing to do with a goal, cannot be reached from what is at hand, or are beaten by
another tool in every respect. Dropping them first makes real instances tiny, and the exact search affordable.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import le
from typing import NamedTuple, NoReturn

from agentroute.errors import DefinitionError
from agentroute.ids import ToolId
from agentroute.routing.instance import NANOS_PER_SECOND, Cap, Instance
from agentroute.routing.problem import Problem

NAMED_TIES = 256
"""Up to this many relevant tools, equal routes are told apart by name, at one bit a tool and weight."""


def reduce(problem: Problem) -> Instance | None:
    """Keep what can matter; None if the goal cannot be derived at all.

    Linear in the part of the graph that lies behind the goal, apart from the search for dominated tools, which
    compares tools that share an output.

    Raises:
        KeyError: The graph has no such goal, or a tool has no latency or price although it is limited.
        DefinitionError: A weight is negative.
    """
    return _Reduction(problem).run()


class _Merits(NamedTuple):
    """What an action is judged by. The first two make a strict order of all tools; free actions come before them."""

    weight: int
    name: int
    latency: int
    uses: tuple[int, ...]


class _Reduction:
    """Shrinks a problem in steps; lives only as long as one `reduce`."""

    def __init__(self, problem: Problem) -> None:
        graph = problem.graph
        self.problem = problem
        self.goal = graph.goals[problem.goal]
        self.limited = problem.limited
        self.have = {graph.item_of[name] for name in problem.have if name in graph.item_of}
        self.inputs: dict[int, frozenset[int]] = {}
        self.outputs: dict[int, frozenset[int]] = {}

    def run(self) -> Instance | None:
        self._look_back()
        reachable, reached = self._reachable()
        if self.goal not in reached:
            return None
        if len(reachable) < len(self.inputs):
            self._keep(reachable)
            self._drop_irrelevant()
        if self._drop_dominated():
            self._drop_irrelevant()
        return self._freeze()

    def _look_back(self) -> None:
        """Collect the actions behind the goal, stopping at what is at hand."""
        graph, have, weights = self.problem.graph, self.have, self.problem.weights
        tools, tool_count = graph.tools, len(graph.tools)
        seen = {self.goal}
        stack = list(seen)
        while stack:
            item = stack.pop()
            for action in graph.producers[item]:
                if action in self.inputs or (action < tool_count and tools[action] not in weights):
                    continue
                needed = frozenset(graph.inputs[action]) - have
                if item in needed:
                    continue  # what an action takes it cannot be needed for
                self.inputs[action] = needed
                self.outputs[action] = frozenset(graph.outputs[action]) - have - needed
                stack.extend(needed - seen)
                seen |= needed
        self.outputs = {action: items & seen for action, items in self.outputs.items()}

    def _reachable(self) -> tuple[set[int], set[int]]:
        """The actions that can ever run, and the items they give."""
        consumers: defaultdict[int, list[int]] = defaultdict(list)
        for action, items in self.inputs.items():
            for item in items:
                consumers[item].append(action)
        pending = {action: len(items) for action, items in self.inputs.items()}
        ready = [action for action, count in pending.items() if not count]
        reached: set[int] = set()
        for action in ready:  # grows while we walk it
            fresh = self.outputs[action] - reached
            reached |= fresh
            for consumer in [consumer for item in fresh for consumer in consumers[item]]:
                pending[consumer] -= 1
                if not pending[consumer]:
                    ready.append(consumer)
        return set(ready), reached

    def _drop_irrelevant(self) -> None:
        """Drop actions that lead nowhere near the goal, and outputs nobody takes."""
        producers = self._producers()
        wanted = {self.goal}
        kept: set[int] = set()
        stack = [self.goal]
        while stack:
            for action in producers[stack.pop()]:
                if action not in kept:
                    kept.add(action)
                    stack.extend(self.inputs[action] - wanted)
                    wanted |= self.inputs[action]
        self._keep(kept)
        self.outputs = {action: items & wanted for action, items in self.outputs.items()}

    def _drop_dominated(self) -> bool:
        """Drop actions that another one beats: takes no more, gives no less, costs no more; True if any was.

        Sound for cheapest sets: in any set the better one can stand in for the worse one, whatever else is in it.
        """
        producers = self._producers()
        if all(len(actions) == 1 for actions in producers.values()):
            return False
        merits = {action: self._merits(action) for action in self.inputs}
        beaten = {
            action
            for action, gives in self.outputs.items()
            if any(self._beats(rival, action, merits) for rival in producers[next(iter(gives))])
        }
        if beaten:
            self._keep(self.inputs.keys() - beaten)
        return bool(beaten)

    def _beats(self, rival: int, action: int, merits: Mapping[int, _Merits]) -> bool:
        better, worse = merits[rival], merits[action]
        return (
            better < worse
            and self.inputs[rival] <= self.inputs[action]
            and self.outputs[action] <= self.outputs[rival]
            and better.latency <= worse.latency
            and all(map(le, better.uses, worse.uses))
        )

    def _merits(self, action: int) -> _Merits:
        """Weight and name, and whatever is limited."""
        problem = self.problem
        tool = self._tool(action)
        if tool is None:
            return _Merits(0, -1, 0, (0,) * len(self.limited))
        latency = 0 if problem.within_s is None else self._latency(tool)
        return _Merits(problem.weights[tool], action, latency, tuple([limit.uses[tool] for limit in self.limited]))

    def _producers(self) -> dict[int, list[int]]:
        producers: defaultdict[int, list[int]] = defaultdict(list)
        for action, items in self.outputs.items():
            for item in items:
                producers[item].append(action)
        return producers

    def _keep(self, actions: AbstractSet[int]) -> None:
        self.inputs = {action: items for action, items in self.inputs.items() if action in actions}
        self.outputs = {action: self.outputs[action] for action in self.inputs}

    def _freeze(self) -> Instance:
        """Number what is left; actions keep their order, which is that of their names."""
        actions = sorted(self.inputs)
        producers = self._producers()
        number = {item: index for index, item in enumerate(sorted(producers))}
        place = {action: index for index, action in enumerate(actions)}
        inputs = [tuple(sorted([number[item] for item in self.inputs[action]])) for action in actions]
        consumers: list[list[int]] = [[] for _ in number]
        for index, items in enumerate(inputs):
            for item in items:
                consumers[item].append(index)
        problem, tools = self.problem, [self._tool(action) for action in actions]
        figures = [0 if tool is None else problem.weights[tool] for tool in tools]
        if min(figures) < 0:
            _refuse(tools[figures.index(min(figures))], min(figures))
        weights, tie_bits = with_ties(figures, tools)
        return Instance(
            inputs=inputs,
            outputs=[tuple(sorted([number[item] for item in self.outputs[action]])) for action in actions],
            producers=[tuple(sorted([place[action] for action in producers[item]])) for item in number],
            consumers=[tuple(actions) for actions in consumers],
            goal=number[self.goal],
            weights=weights,
            latency=[0 if tool is None else self._latency(tool) for tool in tools],
            tools=tools,
            tie_bits=tie_bits,
            deadline=None if problem.within_s is None else round(problem.within_s * NANOS_PER_SECOND),
            caps=tuple(
                Cap([0 if tool is None else uses[tool] for tool in tools], most, price << tie_bits)
                for uses, most, price in self.limited
            ),
        )

    def _tool(self, action: int) -> ToolId | None:
        tools = self.problem.graph.tools
        return tools[action] if action < len(tools) else None

    def _latency(self, tool: ToolId) -> int:
        """Whole nanoseconds, so that 0.1 + 0.2 fits into 0.3."""
        latency_s = self.problem.latency_s
        return 0 if latency_s is None else round(latency_s[tool] * NANOS_PER_SECOND)


def _refuse(tool: ToolId | None, weight: int) -> NoReturn:
    raise DefinitionError(f"tool {tool!r}", f"its weight is {weight}; weights must not be negative")


def with_ties(figures: Sequence[int], tools: Sequence[ToolId | None]) -> tuple[list[int], int]:
    """Fold the tie-break into the low bits of each tool's figure; return the weights and the number of bits.

    Two sets of tools then weigh the same only if they are the same: of n tools, the r-th by name adds
    ``2**n - 2**(n-1-r)``. So the smaller set wins, and among sets of one size the one whose sorted names come
    first. It also makes every tool's weight positive: a cheapest set never holds anything superfluous.
    Beyond `NAMED_TIES` tools only their number is counted.
    """
    count = sum(tool is not None for tool in tools)
    unit_bits = count if count <= NAMED_TIES else 0
    tie_bits = unit_bits + count.bit_length()
    weights: list[int] = []
    rank = 0
    for figure, tool in zip(figures, tools, strict=True):
        if tool is None:
            weights.append(0)
            continue
        rank += 1
        weights.append((figure << tie_bits) + (1 << unit_bits) - (1 << (unit_bits - rank) if unit_bits else 0))
    return weights, tie_bits
