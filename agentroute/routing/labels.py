"""Labels of items, settled in order of value: what each costs, or how long it takes, from what is at hand.

Knuth, "A generalization of Dijkstra's algorithm" (1977); Gallo, Longo, Pallottino & Nguyen, "Directed hypergraphs
and applications" (1993). With `max`, labels over latencies are the exact makespan when everything that is ready runs
at once, and labels over weights a lower bound of the cheapest set. With `sum`, work that is shared counts once per
use: an upper estimate that makes good first routes, never the price of one.
"""

from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from agentroute.routing.instance import REMOVED, Instance

UNREACHED = -1
"""Label of an item that cannot be derived, and number of an item or action that is not there."""


class Labels(NamedTuple):
    """Labels of a whole instance; `UNREACHED` where there is nothing to say.

    Attributes:
        value: The label of each item.
        supporter: The action that gave it: the item's best supporter.
        last: The input that each action waited for longest, which with `max` is its dearest.
    """

    value: list[int]
    supporter: list[int]
    last: list[int]

    def route(self, instance: Instance) -> set[int]:
        """Follow best supporters back from the goal. It must have been reached."""
        supporter, inputs = self.supporter, instance.inputs
        actions: set[int] = set()
        stack = [instance.goal]
        while stack:
            action = supporter[stack.pop()]
            if action not in actions:
                actions.add(action)
                stack.extend(inputs[action])
        return actions


def max_labels(instance: Instance, weights: Sequence[int]) -> Labels:
    """Label items with the dearest chain of tools that leads to them. O(size + actions log actions).

    Args:
        instance: Where to search.
        weights: By action; `REMOVED` for those that must not be used.
    """
    outputs, consumers = instance.outputs, instance.consumers
    pending = instance.pending.copy()
    value = [UNREACHED] * len(instance.producers)
    supporter, last = value.copy(), [UNREACHED] * len(pending)
    heap = [(weights[action], action) for action in instance.sources if weights[action] != REMOVED]
    heapify(heap)
    while heap:
        label, action = heappop(heap)
        for item in outputs[action]:
            if value[item] != UNREACHED:
                continue
            value[item], supporter[item] = label, action
            for consumer in consumers[item]:
                pending[consumer] -= 1
                # Items settle in ascending order: the last input of an action is its dearest.
                if not pending[consumer] and weights[consumer] != REMOVED:
                    last[consumer] = item
                    heappush(heap, (label + weights[consumer], consumer))
    return Labels(value, supporter, last)


def sum_labels(instance: Instance, weights: Sequence[int]) -> Labels:
    """Label items with the sum of all work below them, shared work once per use; stop at the goal.

    Items dearer than the goal stay `UNREACHED`. O(size + actions log actions).
    """
    outputs, consumers, goal = instance.outputs, instance.consumers, instance.goal
    pending = instance.pending.copy()
    value = [UNREACHED] * len(instance.producers)
    supporter, last = value.copy(), [UNREACHED] * len(pending)
    total = list(weights)
    heap = [(weights[action], action) for action in instance.sources if weights[action] != REMOVED]
    heapify(heap)
    while heap and value[goal] == UNREACHED:
        label, action = heappop(heap)
        for item in outputs[action]:
            if value[item] != UNREACHED:
                continue
            value[item], supporter[item] = label, action
            for consumer in consumers[item]:
                pending[consumer] -= 1
                total[consumer] += label
                if not pending[consumer] and weights[consumer] != REMOVED:
                    last[consumer] = item
                    heappush(heap, (total[consumer], consumer))
    return Labels(value, supporter, last)


def set_labels(instance: Instance) -> Labels:
    """Label items with the weight of the *set* of actions below them, shared work once; stop at the goal.

    Set-additive labels (Keyder & Geffner 2008): better first routes than `sum_labels`, at the price of carrying a
    set with every item. Still no bound: the cheapest set for two items need not hold the cheapest of each.
    """
    inputs, outputs, consumers, goal = instance.inputs, instance.outputs, instance.consumers, instance.goal
    weights, pending = instance.weights, instance.pending.copy()
    value = [UNREACHED] * len(instance.producers)
    supporter, last = value.copy(), [UNREACHED] * len(pending)
    chosen = [frozenset[int]()] * len(value)
    heap = [(weights[action], action) for action in instance.sources]
    heapify(heap)
    while heap and value[goal] == UNREACHED:
        label, action = heappop(heap)
        below = frozenset[int]().union(*[chosen[item] for item in inputs[action]]) | {action}
        for item in outputs[action]:
            if value[item] != UNREACHED:
                continue
            value[item], supporter[item], chosen[item] = label, action, below
            for consumer in consumers[item]:
                pending[consumer] -= 1
                if not pending[consumer]:
                    last[consumer] = item
                    union = frozenset[int]().union(*[chosen[other] for other in inputs[consumer]])
                    heappush(heap, (instance.cost(union) + weights[consumer], consumer))
    return Labels(value, supporter, last)


def makespan(instance: Instance, actions: Collection[int]) -> int | None:
    """Nanoseconds until the goal, using these actions only and running what is ready at once; None if unreachable."""
    latency = [REMOVED] * len(instance.inputs)
    for action in actions:
        latency[action] = instance.latency[action]
    reached = max_labels(instance, latency).value[instance.goal]
    return None if reached == UNREACHED else reached
