"""Lower bounds: what no set of tools can undercut, and the sets of tools that prove it."""

from collections.abc import Sequence
from typing import NamedTuple

from agentroute.routing.instance import REMOVED, Instance
from agentroute.routing.labels import UNREACHED, Labels, max_labels


class Cut(NamedTuple):
    """Actions of which every route needs at least one, and the part of their weights spent on saying so."""

    actions: tuple[int, ...]
    weight: int


def landmark_cuts(instance: Instance, weights: Sequence[int], labels: Labels | None = None) -> list[Cut] | None:
    """Find cuts whose weights together are a lower bound of the cheapest route; None if there is no route.

    LM-cut (Helmert & Domshlak, "Landmarks, critical paths and abstractions", 2009): cut the graph of dearest inputs
    just before the part that leads to the goal for nothing; every route crosses the cut. Take its cheapest weight off
    all its actions, label again, until the goal is free. The weights of one action over all cuts never exceed its own,
    so the cuts' weights may be added up. Each cut costs one labelling, and makes at least one action free.

    Args:
        instance: Where to search.
        weights: By action; `REMOVED` for those that must not be used.
        labels: The `max` labels under these weights, if they are known already.
    """
    left = list(weights)
    cuts: list[Cut] = []
    labels = labels or max_labels(instance, left)
    if labels.value[instance.goal] == UNREACHED:
        return None
    while labels.value[instance.goal] > 0:
        actions = _cut(instance, left, labels.last)
        cut = Cut(actions, min([left[action] for action in actions]))
        for action in actions:
            left[action] -= cut.weight
        cuts.append(cut)
        labels = max_labels(instance, left)
    return cuts


def _cut(instance: Instance, weights: Sequence[int], dearest: Sequence[int]) -> tuple[int, ...]:
    """Actions that lead from the near side into the zone from which the goal is free, each by its dearest input."""
    zone = _free_zone(instance, weights, dearest)
    cut: set[int] = set()
    near: set[int] = set()
    ready = [action for action in instance.sources if weights[action] != REMOVED]
    for action in ready:  # grows while we walk it
        for item in instance.outputs[action]:
            if item in zone:
                cut.add(action)
            elif item not in near:
                near.add(item)
                ready.extend([consumer for consumer in instance.consumers[item] if dearest[consumer] == item])
    return tuple(sorted(cut))


def _free_zone(instance: Instance, weights: Sequence[int], dearest: Sequence[int]) -> set[int]:
    zone = {instance.goal}
    stack = [instance.goal]
    while stack:
        for action in instance.producers[stack.pop()]:
            item = dearest[action]
            if weights[action] == 0 and item != UNREACHED and item not in zone:
                zone.add(item)
                stack.append(item)
    return zone
