"""Good sets of tools, fast: drop what is superfluous, then search nearby."""

from collections import Counter
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import partial
from typing import TypeAlias

from agentroute.routing.instance import REMOVED, Instance
from agentroute.routing.labels import UNREACHED, sum_labels

Test: TypeAlias = Callable[[AbstractSet[int]], bool]
"""Whether a set of actions does what is wanted. Adding actions must never make it fail."""


def achieves(instance: Instance, actions: Iterable[int]) -> bool:
    """Whether these actions alone derive the goal. Linear in what they take and give, if sorted; else quadratic."""
    inputs, outputs, goal = instance.inputs, instance.outputs, instance.goal
    reached: set[int] = set()
    waiting = list(actions)
    while goal not in reached:
        blocked: list[int] = []
        for action in waiting:
            if reached.issuperset(inputs[action]):
                reached.update(outputs[action])
            else:
                blocked.append(action)
        if len(blocked) == len(waiting):
            return False
        waiting = blocked
    return True


def prune(instance: Instance, actions: AbstractSet[int], test: Test | None = None) -> set[int]:
    """Drop what is superfluous, dearest first, until no action can be removed.

    Args:
        instance: Where the actions come from.
        actions: A set that passes the test.
        test: What must still hold; that the goal is derived, if left out.
    """
    passes = test or partial(achieves, instance)
    kept, shrinking = set(actions), True
    while shrinking:
        shrinking = False
        candidates = kept if test else _replaceable(instance, kept)
        for action in sorted(candidates, key=lambda a: (-instance.weights[a], a)):
            kept.remove(action)
            if passes(kept):
                shrinking = True
            else:
                kept.add(action)
    return kept


def _replaceable(instance: Instance, actions: AbstractSet[int]) -> set[int]:
    """Actions whose outputs, as far as anyone takes them, all come from elsewhere too: the only ones to test."""
    taken = {item for action in actions for item in instance.inputs[action]} | {instance.goal}
    sources = Counter([item for action in actions for item in instance.outputs[action]])
    return {
        action for action in actions if all(sources[item] > 1 for item in instance.outputs[action] if item in taken)
    }


def improve(instance: Instance, route: AbstractSet[int]) -> set[int]:
    """Forbid each tool of the route in turn, make the rest of it free, route again; until that helps no more.

    A local search after the fashion of Steiner trees; each step costs one labelling.
    """
    best, cost = set(route), instance.cost(route)
    improved = True
    while improved:
        improved = False
        for banned in sorted(best - instance.free, key=lambda action: (-instance.weights[action], action)):
            detour = _detour(instance, best, banned)
            if detour is not None and (price := instance.cost(detour)) < cost:
                best, cost, improved = detour, price, True
                break
    return best


def _detour(instance: Instance, route: AbstractSet[int], banned: int) -> set[int] | None:
    weights = instance.weights.copy()
    for action in route:
        weights[action] = 0
    weights[banned] = REMOVED
    found = sum_labels(instance, weights)
    return None if found.value[instance.goal] == UNREACHED else prune(instance, found.route(instance))
