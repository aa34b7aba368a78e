"""The tool graph in integers: what the router searches.

Items are OR nodes (any producer will do), actions are AND nodes (all inputs needed). Real tools come first, in
order of name; behind them stand *free* actions of weight zero that exist only to express joins and goals:

- a goal is a free action from its artifacts to one item that stands for the goal;
- "at least k of n" is a ladder of free actions: item (i, j) says "j of the first i are there", and follows from
  (i-1, j), or from (i-1, j-1) together with artifact i. It needs n*k items where listing the subsets would need
  n-choose-k actions, and keeps sums, maxima and acyclicity what they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import KOfN, Need, ToolSpec, artifacts_of
from agentroute.ids import ArtifactId, GoalId, ToolId


@dataclass(frozen=True)
class CompiledGraph:
    """A tool graph as adjacency tuples over integers.

    Attributes:
        artifacts: Name of item i, for i < len(artifacts); the items behind them are joins and goals.
        tools: Name of action t, for t < len(tools), sorted; the actions behind them are free.
        inputs: Items that action t needs, all of them, ascending.
        outputs: Items that action t provides, ascending.
        producers: Actions that provide item i, ascending.
        consumers: Actions that need item i, ascending.
        goals: The item that stands for each goal.
        item_of: Item number by artifact name.
        action_of: Action number by tool name.
    """

    artifacts: tuple[ArtifactId, ...]
    tools: tuple[ToolId, ...]
    inputs: tuple[tuple[int, ...], ...]
    outputs: tuple[tuple[int, ...], ...]
    producers: tuple[tuple[int, ...], ...]
    consumers: tuple[tuple[int, ...], ...]
    goals: dict[GoalId, int]
    item_of: dict[ArtifactId, int]
    action_of: dict[ToolId, int]


def compile_graph(tools: Iterable[ToolSpec], goals: Iterable[GoalSpec]) -> CompiledGraph:
    """Number artifacts, tools, joins and goals. Time and space are linear in the size of the contracts."""
    return _Compiler(sorted(tools, key=lambda tool: tool.name), tuple(goals)).compile()


class _Compiler:
    """Collects items and actions; lives only as long as one compilation."""

    def __init__(self, tools: Sequence[ToolSpec], goals: Sequence[GoalSpec]) -> None:
        self.tools = tools
        self.goals = goals
        names = {a for t in tools for a in (*artifacts_of(t.requires), *t.produces)}
        names |= {a for g in goals for a in artifacts_of(g.requires)}
        self.item_of = {name: index for index, name in enumerate(sorted(names))}
        self.item_count = len(self.item_of)
        self.actions: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.joins: dict[KOfN, int] = {}

    def compile(self) -> CompiledGraph:
        pending = [(tool.requires, tuple(self.item_of[a] for a in tool.produces)) for tool in self.tools]
        self.actions = [((), ())] * len(pending)  # tools keep the first numbers; joins are appended meanwhile
        for index, (needs, outputs) in enumerate(pending):
            self.actions[index] = (self._inputs(needs), tuple(sorted(outputs)))
        goals: dict[GoalId, int] = {}
        for goal in self.goals:
            goals[goal.name] = self._new_item()
            self.actions.append((self._inputs(goal.requires), (goals[goal.name],)))
        return self._freeze(goals)

    def _new_item(self) -> int:
        self.item_count += 1
        return self.item_count - 1

    def _inputs(self, needs: Sequence[Need]) -> tuple[int, ...]:
        items = {self._join(need) if isinstance(need, KOfN) else self.item_of[need] for need in needs}
        return tuple(sorted(items))

    def _join(self, need: KOfN) -> int:
        """Item that stands for "k of these", built once however many tools ask for it."""
        if need not in self.joins:
            self.joins[need] = self._ladder([self.item_of[a] for a in sorted(need.of)], need.k)
        return self.joins[need]

    def _ladder(self, items: Sequence[int], k: int) -> int:
        rungs: dict[tuple[int, int], int] = {}
        for i, item in enumerate(items, start=1):
            for j in range(max(1, k - len(items) + i), min(i, k) + 1):
                rungs[i, j] = self._new_item()
                if (i - 1, j) in rungs:
                    self.actions.append(((rungs[i - 1, j],), (rungs[i, j],)))
                below = (rungs[i - 1, j - 1],) if j > 1 else ()
                self.actions.append((tuple(sorted((*below, item))), (rungs[i, j],)))
        return rungs[len(items), k]

    def _freeze(self, goals: dict[GoalId, int]) -> CompiledGraph:
        producers: list[list[int]] = [[] for _ in range(self.item_count)]
        consumers: list[list[int]] = [[] for _ in range(self.item_count)]
        for action, (inputs, outputs) in enumerate(self.actions):
            for item in inputs:
                consumers[item].append(action)
            for item in outputs:
                producers[item].append(action)
        tools = tuple(tool.name for tool in self.tools)
        return CompiledGraph(
            artifacts=tuple(self.item_of),
            tools=tools,
            inputs=tuple(inputs for inputs, _ in self.actions),
            outputs=tuple(outputs for _, outputs in self.actions),
            producers=tuple(map(tuple, producers)),
            consumers=tuple(map(tuple, consumers)),
            goals=goals,
            item_of=self.item_of,
            action_of={name: index for index, name in enumerate(tools)},
        )
