"""The cheapest set of tools on any graph and under limits: branch and bound over tools that every route needs one of.

Where `search_needs` cannot go: tools in a cycle, a deadline, limits on what tools use together.
"""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from agentroute.routing.bounds import Cut, landmark_cuts
from agentroute.routing.improve import achieves, prune
from agentroute.routing.instance import REMOVED, Cap, Instance
from agentroute.routing.labels import makespan
from agentroute.routing.search import Found

NODES_FOR_TIES = 50
"""Nodes to look into for the sake of the tie-break alone."""


class _Node(NamedTuple):
    """Sets of tools that hold all of `chosen` and none of `banned`; none of them weighs less than `bound`."""

    bound: int
    number: int
    chosen: frozenset[int]
    banned: frozenset[int]

    def without(self, actions: AbstractSet[int]) -> "_Node":
        """Ban more actions."""
        return self._replace(banned=self.banned | actions)


def branch_and_bound(instance: Instance, best: set[int] | None, nodes: int) -> Found:
    """Search for a set that keeps the limits and weighs less than `best`. Best first; exponential at worst.

    At each node cuts give a lower bound (`landmark_cuts`). Every route holds a tool of each cut, so the smallest one
    is branched on: its first tool is chosen; or it is banned and the second chosen; and so on. A tool is banned as soon
    as the bound and what the cuts have left of its weight exceed the best set. Where the tools chosen so far derive the
    goal too late, *deadline cuts* name what must still be added to (`_deadline_cut`).

    Where limits have a price, the cuts are of weights to which what a tool uses is added at these prices, and what all
    that may be used costs at them is taken off the bound: a set that keeps the limits weighs no less (a Lagrangian
    relaxation). With good prices that is far closer to what it weighs.

    Args:
        instance: May have cycles.
        best: A set known to keep the limits, if there is one.
        nodes: Nodes to look into at most; each costs some ten labellings.

    Returns:
        The best set known, `best` included, and a bound; no set and a bound above the weight of everything together
        if none keeps the limits.
    """
    return _Tree(instance, best).run(nodes)


class _Tree:
    """One search."""

    def __init__(self, instance: Instance, best: set[int] | None) -> None:
        self.instance = instance
        self.best = best
        self.upper = sum(instance.weights) + 1 if best is None else instance.cost(best)
        self.numbers = count()
        self.figures = [
            weight + sum([cap.price * cap.uses[action] for cap in instance.caps])
            for action, weight in enumerate(instance.weights)
        ]
        self.rebate = sum(cap.price * cap.most for cap in instance.caps)

    def run(self, nodes: int) -> Found:
        heap = [_Node(0, next(self.numbers), frozenset(), frozenset())]
        for looked_into in range(nodes):
            node = heap[0]
            if node.bound >= self.upper or (looked_into >= NODES_FOR_TIES and self._only_ties(node)):
                break
            heappop(heap)
            for child in self._look_into(node):
                heappush(heap, child)
            if not heap:
                break
        return Found(self.best, min(heap[0].bound, self.upper) if heap else self.upper)

    def _only_ties(self, node: _Node) -> bool:
        """Whether what is left can only weigh as much as the best and be smaller, or earlier by name."""
        return node.bound >> self.instance.tie_bits >= self.upper >> self.instance.tie_bits

    def _look_into(self, node: _Node) -> list[_Node]:
        """Bound the node, try the set its bound suggests, ban what has become too dear, and split what is left."""
        instance = self.instance
        for cap in instance.caps:
            priceless = self._unaffordable(node, cap)
            if priceless is None:
                return []
            node = node.without(priceless)
        priced = _price(instance, node, self.figures)
        if priced is None or not on_time(instance, set(range(len(instance.inputs))) - node.banned):
            return []
        cuts, left = priced
        cuts += self._deadline_cuts(left)
        paid = sum(self.figures[action] for action in node.chosen) + sum(cut.weight for cut in cuts) - self.rebate
        bound = max(node.bound, paid)
        self._try({action for action, weight in enumerate(left) if weight == 0})
        if bound >= self.upper or not cuts:
            return []
        # What these cuts have left adds to what they have paid, never to a bound that other cuts gave to a node above.
        dear = {action for action, weight in enumerate(left) if paid + weight >= self.upper}
        return self._split(node.without(dear), cuts, bound)

    def _unaffordable(self, node: _Node, cap: Cap) -> set[int] | None:
        """Actions that no set of this node can pay for; None if no such set keeps to the limit."""
        priced = _price(self.instance, node, cap.uses)
        if priced is None:
            return None
        cuts, left = priced
        used = sum(cap.uses[action] for action in node.chosen) + sum(cut.weight for cut in cuts)
        if used > cap.most:
            return None
        return {action for action, price in enumerate(left) if used + price > cap.most}

    def _deadline_cuts(self, left: list[int]) -> list[Cut]:
        """Cuts for the time's sake, until the actions that `left` gives away derive the goal in time."""
        cuts: list[Cut] = []
        while not on_time(self.instance, free := {action for action, weight in enumerate(left) if weight == 0}):
            cuts.append(_deadline_cut(self.instance, free, left))
            _spend(cuts[-1], left)
        return cuts

    def _try(self, actions: set[int]) -> None:
        """Keep the set, without what is superfluous, if it is better than the best."""
        limited = self.instance.deadline is not None
        found = prune(self.instance, actions, partial(on_time, self.instance) if limited else None)
        weight = self.instance.cost(found)
        if weight < self.upper and affordable(self.instance, found):
            self.best, self.upper = found, weight

    def _split(self, node: _Node, cuts: Sequence[Cut], bound: int) -> list[_Node]:
        """One child per action of the smallest cut: this one chosen, those before it banned."""
        weights = self.instance.weights
        actions = min((set(cut.actions) - node.banned for cut in cuts), key=len)
        ordered = sorted(actions, key=lambda action: (weights[action], action))
        return [
            _Node(bound, next(self.numbers), node.chosen | {action}, node.banned.union(ordered[:index]))
            for index, action in enumerate(ordered)
        ]


def _price(instance: Instance, node: _Node, figures: Sequence[int]) -> tuple[list[Cut], list[int]] | None:
    """Cuts for a node, and what they leave of the figures: any set pays all the cuts, and what is left of its own.

    None if no set of this node derives the goal.
    """
    left = list(figures)
    for action in node.chosen:
        left[action] = 0
    for action in node.banned:
        left[action] = REMOVED
    cuts = landmark_cuts(instance, left)
    if cuts is None:
        return None
    for cut in cuts:
        _spend(cut, left)
    return cuts, left


def _spend(cut: Cut, left: list[int]) -> None:
    for action in cut.actions:
        left[action] -= cut.weight


def _deadline_cut(instance: Instance, free: set[int], left: Sequence[int]) -> Cut:
    """Grow a set that is late as far as it stays late; at least one of the actions left out must be added.

    More actions never make a set later, so any set that is in time holds one of them (after Haslum, Slaney &
    Thiebaux, "Minimal landmarks for optimal delete-free planning", 2012). Cheap ones are let in first, to leave out
    the dear ones: that makes the better bound.
    """
    others = [action for action, weight in enumerate(left) if weight > 0]
    late = set(free)
    missing = _left_out(instance, late, sorted(others, key=lambda action: (left[action], action)))
    return Cut(tuple(missing), min(left[action] for action in missing))


def _left_out(instance: Instance, late: set[int], others: Sequence[int]) -> list[int]:
    """Let others into `late`, in order, and return those that would put it in time. Halving finds them quickly."""
    if not on_time(instance, late.union(others)):
        late.update(others)
        return []
    if len(others) == 1:
        return [*others]
    middle = len(others) // 2
    return _left_out(instance, late, others[:middle]) + _left_out(instance, late, others[middle:])


def keeps_limits(instance: Instance, actions: Collection[int]) -> bool:
    """Whether the set derives the goal by the deadline, and uses no more than it may."""
    return on_time(instance, actions) and affordable(instance, actions)


def on_time(instance: Instance, actions: Collection[int]) -> bool:
    """Whether the set derives the goal, and by the deadline if there is one."""
    if instance.deadline is None:
        return achieves(instance, actions)
    takes = makespan(instance, actions)
    return takes is not None and takes <= instance.deadline


def affordable(instance: Instance, actions: Collection[int]) -> bool:
    """Whether the set uses no more than it may."""
    return all(sum([cap.uses[action] for action in actions]) <= cap.most for cap in instance.caps)
