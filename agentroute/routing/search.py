"""The cheapest set of tools on graphs without cycles: A* over what is still needed.

Goal to givens, always resolving the item that stands last in topological order: whoever could need it has been
chosen already, so nothing is ever resolved twice, and a tool that serves several is paid once.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

from agentroute.routing.bounds import Cut
from agentroute.routing.instance import Instance
from agentroute.routing.labels import max_labels

Path: TypeAlias = "tuple[int, Path] | None"
"""Actions chosen so far, the latest first."""


class Found(NamedTuple):
    """What a search came back with.

    Attributes:
        actions: The cheapest set below the upper bound it was given; None if it met none.
        bound: No set weighs less than this.
    """

    actions: set[int] | None
    bound: int


class _Option(NamedTuple):
    """One way to resolve an item; sets of items are bitmasks in topological numbering."""

    weight: int
    needs: int
    gives: int
    cuts: int
    action: int


def search_needs(
    instance: Instance, order: Sequence[int], upper: int, expansions: int, cuts: Sequence[Cut] = ()
) -> Found:
    """Search for a set of actions that weighs less than `upper`. A* (Hart, Nilsson & Raphael 1968).

    A state is what is still needed, and what chosen tools provide beside that. The rest is estimated from below by two
    parts that never count the same money twice: the weight of the cuts (`landmark_cuts`) that no chosen action is part
    of, because every route crosses all of them; and, over the weights the cuts have left, the largest `max` label of
    a needed item. Exponential at worst; `expansions` caps it.

    Args:
        instance: Without cycles.
        order: Its items in topological order (`Instance.order`).
        upper: Weight of the best set known; only better ones are of interest.
        expansions: States to expand at most.
        cuts: Known landmarks; without them the search starts sooner but knows less.
    """
    return _Search(instance, order, cuts).run(upper, expansions)


class _Search:
    """One search. Sets are ints because they are hashed, united and compared at every step of the hot loop."""

    def __init__(self, instance: Instance, order: Sequence[int], cuts: Sequence[Cut]) -> None:
        self.cut_weights = [cut.weight for cut in cuts]
        crossed, left = [0] * len(instance.inputs), instance.weights.copy()
        for number, cut in enumerate(cuts):
            for action in cut.actions:
                crossed[action] |= 1 << number
                left[action] -= cut.weight
        bit = [0] * len(order)
        for rank, item in enumerate(order):
            bit[item] = 1 << rank
        labels = max_labels(instance, left).value
        self.label = [labels[item] for item in order]
        self.options = [
            [
                _Option(
                    instance.weights[action],
                    sum([bit[i] for i in instance.inputs[action]]),
                    sum([bit[i] for i in instance.outputs[action]]),
                    crossed[action],
                    action,
                )
                for action in instance.producers[item]
            ]
            for item in order
        ]
        self.below = self._ancestors()

    def _ancestors(self) -> list[int]:
        """The items each item may be derived from, as bitmasks, itself included."""
        below: list[int] = []
        for rank, options in enumerate(self.options):
            mask = 1 << rank
            for option in options:
                mask |= self._union(option.needs, below)
            below.append(mask)
        return below

    @staticmethod
    def _union(items: int, masks: Sequence[int]) -> int:
        united = 0
        while items:
            top = items.bit_length() - 1
            united |= masks[top]
            items ^= 1 << top
        return united

    def run(self, upper: int, expansions: int) -> Found:
        start = self._start()
        heap, cheapest = [start], {(start.needed, start.provided): 0}
        best: Path = None
        while heap and heap[0].bound < upper:
            state = heappop(heap)
            if state.spent > cheapest[state.needed, state.provided]:
                continue  # reached more cheaply meanwhile
            if not expansions:
                return Found(_actions(best), state.bound)
            expansions -= 1
            for after in self._successors(state):
                key = after.needed, after.provided
                if after.bound >= upper or after.spent >= cheapest.get(key, upper):
                    continue
                if not after.needed:
                    upper, best = after.spent, after.path
                    continue
                cheapest[key] = after.spent
                heappush(heap, after)
        return Found(_actions(best), upper)

    def _start(self) -> "_State":
        rest = sum(self.cut_weights)
        every_cut = (1 << len(self.cut_weights)) - 1
        return _State(self.label[-1] + rest, 1 << (len(self.options) - 1), 0, 0, every_cut, rest, None)

    def _successors(self, state: "_State") -> "Iterator[_State]":
        """Resolve the last needed item in every way there is."""
        top = state.needed.bit_length() - 1
        for weight, needs, gives, cuts, action in self.options[top]:
            needed = (state.needed | needs) & ~(gives | state.provided)
            provided = (state.provided | gives) & ((1 << top) - 1)
            if provided:
                provided &= self._union(needed, self.below)  # what nobody can need any more tells no states apart
            spent = state.spent + weight
            rest = state.rest - self._weight_of(cuts & state.uncrossed)
            bound = max(state.bound, spent + rest + self._dearest(needed, provided))
            yield _State(bound, needed, provided, spent, state.uncrossed & ~cuts, rest, (action, state.path))

    def _dearest(self, needed: int, provided: int) -> int:
        """The largest label of a needed item, less what provided items below it may save at most."""
        label, dearest = self.label, 0
        while needed:
            top = needed.bit_length() - 1
            needed ^= 1 << top
            if label[top] > dearest:
                saved = provided and self.below[top] & provided
                dearest = max(dearest, label[top] - (self._dearest(saved, 0) if saved else 0))
        return dearest

    def _weight_of(self, cuts: int) -> int:
        weight = 0
        while cuts:
            top = cuts.bit_length() - 1
            cuts ^= 1 << top
            weight += self.cut_weights[top]
        return weight


class _State(NamedTuple):
    """What is still needed, and how we came there. Sorted by `bound`, then in a way that is arbitrary but fixed.

    Attributes:
        bound: No route that goes on from here weighs less.
        needed: Items to resolve.
        provided: Items that chosen actions provide and that may still become needed.
        spent: Weight of the actions chosen.
        uncrossed: Cuts that no chosen action is part of.
        rest: Their weight.
        path: The actions chosen.
    """

    bound: int
    needed: int
    provided: int
    spent: int
    uncrossed: int
    rest: int
    path: Path


def _actions(path: Path) -> set[int] | None:
    if path is None:
        return None
    actions: set[int] = set()
    while path is not None:
        action, path = path
        actions.add(action)
    return actions
