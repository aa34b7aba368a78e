"""The router: the cheapest way from what is at hand to a goal, and a proof that there is none cheaper.

What matters of a problem is kept (`reduction`), labels give first routes and a lower bound (`labels`, `improve`), and
an exact search closes what gap is left: over what is still needed where the graph has no cycles (`search`), by branch
and bound on tools that every route needs one of where it has, or where a limit binds (`branch`).
"""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

from agentroute.ids import NanoUsd, ToolId
from agentroute.routing.branch import keeps_limits
from agentroute.routing.diagnosis import missing
from agentroute.routing.instance import NANOS_PER_SECOND, Instance
from agentroute.routing.labels import makespan
from agentroute.routing.problem import Problem, Route
from agentroute.routing.reduction import reduce
from agentroute.routing.search import Found
from agentroute.routing.solve import cheapest_set, cheapest_set_within_limits, is_proven

__all__ = ["Answer", "Problem", "Route", "answer", "cheapest_route", "missing"]

EXPANSIONS = 10_000
"""States an exact search may expand by default; some 10 microseconds each."""


def cheapest_route(problem: Problem, *, expansions: int = EXPANSIONS) -> Route | None:
    """Find the cheapest set of tools that reaches the goal within the limits, a shared tool paid once.

    Determinism: the answer depends on names, figures and contracts alone, never on the order of declaration. Of routes
    that weigh the same, the one with fewer tools, then the one whose sorted names come first, is returned wherever the
    search ran to its end (with up to 256 relevant tools); where it stopped at a certificate of the weight, or at
    the cap, the route is still always the same. Nothing superfluous is ever in it, weightless tools included.

    Args:
        problem: What is asked.
        expansions: Caps the exact search. Past it the best route found is returned, with ``optimal=False``.

    Returns:
        A route, which keeps the limits and is proven cheapest if `optimal`; None if there is no route. Where the cap
        was met under limits on money, or on what else is used, None can also mean that no route within them was found
        in time; of money alone that has not been seen up to 60 tools.
    """
    return answer(problem, expansions=expansions).route


class Answer(NamedTuple):
    """What a search came to.

    Attributes:
        route: The best that was found.
        final: It is proven to be the cheapest; or there is none, and it is proven that there can be none.
    """

    route: Route | None
    final: bool


def answer(problem: Problem, *, expansions: int = EXPANSIONS) -> Answer:
    """As `cheapest_route`, and whether the search has come to its end."""
    instance = reduce(problem)
    if instance is None:
        return Answer(None, final=True)
    found = cheapest_set(instance, expansions)
    if found.actions is not None and not keeps_limits(instance, found.actions):
        found = cheapest_set_within_limits(instance, found.actions, expansions)
    route = _route(problem, instance, found)
    return Answer(route, found.bound > sum(instance.weights) if route is None else route.optimal)


def _route(problem: Problem, instance: Instance, found: Found) -> Route | None:
    if found.actions is None:
        return None
    # With all joins: which of them the set holds was a matter of weight, and the earliest one is what counts.
    takes = None if problem.latency_s is None else makespan(instance, found.actions | instance.free)
    return Route(
        tools=_executable(instance, found.actions),
        weight=NanoUsd(instance.cost(found.actions) >> instance.tie_bits),
        makespan_s=(takes or 0) / NANOS_PER_SECOND,
        optimal=is_proven(instance, found),
        weights=problem.weights,
    )


def _executable(instance: Instance, actions: set[int]) -> tuple[ToolId, ...]:
    """Sort topologically by items, ties by name: of what is ready, the first by name goes first."""
    pending = {action: len(instance.inputs[action]) for action in actions}
    # Free actions first: a join is there as soon as its inputs are.
    ready = [(action not in instance.free, action) for action, count in pending.items() if not count]
    heapify(ready)
    reached: set[int] = set()
    tools: list[ToolId] = []
    while ready:
        _, action = heappop(ready)
        if (tool := instance.tools[action]) is not None:
            tools.append(tool)
        for item in instance.outputs[action]:
            if item in reached:
                continue
            reached.add(item)
            for consumer in instance.consumers[item]:
                if consumer in pending:
                    pending[consumer] -= 1
                    if not pending[consumer]:
                        heappush(ready, (consumer not in instance.free, consumer))
    return tuple(tools)
