"""Why there is no route, in the names of artifacts."""

from collections.abc import Iterable

from agentroute.ids import ArtifactId
from agentroute.routing.problem import Problem


def missing(problem: Problem) -> tuple[ArtifactId, ...]:
    """Name what is out of reach: the goal's own artifacts first, then what is lacking below them.

    The first are the artifacts of the goal that nothing at hand and no usable tool leads to (of a k-of-n join all that
    are out of reach); the others those below them that no usable tool returns at all. Each part is sorted by name,
    nothing is named twice. Empty if the goal can be derived, limits apart. Linear in the size of the graph.
    """
    reached = _reached(problem)
    goal = problem.graph.goals[problem.goal]
    if goal in reached:
        return ()
    direct = _underivable(problem, reached, [goal], through_tools=False)
    below = _underivable(problem, reached, direct, through_tools=True)
    lacking = {item for item in below if not _usable_producers(problem, item)}
    artifacts = problem.graph.artifacts
    return tuple([artifacts[item] for item in (*sorted(direct), *sorted(lacking - direct))])


def _underivable(problem: Problem, reached: set[int], start: Iterable[int], *, through_tools: bool) -> set[int]:
    """Artifacts out of reach that stand behind `start`: the nearest ones, or all of them."""
    graph, artifact_count = problem.graph, len(problem.graph.artifacts)
    found: set[int] = set()
    stack = list(start)
    seen = set(stack)
    while stack:
        item = stack.pop()
        if item < artifact_count:
            found.add(item)
            if not through_tools:
                continue
        for action in _usable_producers(problem, item):
            fresh = set(graph.inputs[action]) - reached - seen
            seen |= fresh
            stack.extend(fresh)
    return found


def _reached(problem: Problem) -> set[int]:
    """Everything that can be derived from what is at hand."""
    graph = problem.graph
    reached = {graph.item_of[name] for name in problem.have if name in graph.item_of}
    pending = [len(set(items) - reached) for items in graph.inputs]
    ready = [action for action, count in enumerate(pending) if not count and _is_usable(problem, action)]
    for action in ready:  # grows while we walk it
        for item in set(graph.outputs[action]) - reached:
            reached.add(item)
            for consumer in graph.consumers[item]:
                pending[consumer] -= 1
                if not pending[consumer] and _is_usable(problem, consumer):
                    ready.append(consumer)
    return reached


def _usable_producers(problem: Problem, item: int) -> list[int]:
    return [action for action in problem.graph.producers[item] if _is_usable(problem, action)]


def _is_usable(problem: Problem, action: int) -> bool:
    """Free actions always are; a tool is if it has a weight."""
    tools = problem.graph.tools
    return action >= len(tools) or tools[action] in problem.weights
