"""From an instance to its cheapest set of actions, in steps of which each takes longer and is needed less often."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from agentroute.routing.bounds import Cut, landmark_cuts
from agentroute.routing.branch import affordable, branch_and_bound, on_time
from agentroute.routing.improve import improve, prune
from agentroute.routing.instance import Cap, Instance
from agentroute.routing.labels import max_labels, set_labels, sum_labels
from agentroute.routing.reduction import with_ties
from agentroute.routing.search import Found, search_needs

FIRST_EXPANSIONS = 250
"""States to expand before better bounds are worth their price; nine in ten ordinary graphs need fewer."""


def cheapest_set(instance: Instance, expansions: int) -> Found:
    """Find the cheapest set of actions, limits apart; stop as soon as the bound meets the best set."""
    labels = max_labels(instance, instance.weights)
    best, bound = prune(instance, labels.route(instance)), labels.value[instance.goal]
    if bound == instance.cost(best):
        return Found(best, bound)
    other = prune(instance, sum_labels(instance, instance.weights).route(instance))
    best = min(best, other, key=instance.cost)
    found = Found(best, bound)
    if (order := instance.order) is not None:
        first = min(FIRST_EXPANSIONS, expansions)
        found = _search(instance, order, found, first)
        if is_proven(instance, found):
            return found
    return _close_gap(instance, found, expansions)


def _close_gap(instance: Instance, found: Found, expansions: int) -> Found:
    """Improve the best set, then raise the bound: by cuts alone, or by a search that knows them."""
    starts = prune(instance, set_labels(instance).route(instance)), found.actions or set()
    best = improve(instance, min(starts, key=instance.cost))
    if instance.order is None:
        unlimited = replace(instance, deadline=None, caps=())
        return branch_and_bound(unlimited, best, _nodes(instance, expansions))
    cuts = landmark_cuts(instance, instance.weights) or []
    found = _better(instance, found, Found(best, sum(cut.weight for cut in cuts)))
    if is_proven(instance, found):
        return found
    return _search(instance, instance.order, found, expansions, cuts)


def _search(instance: Instance, order: Sequence[int], found: Found, expansions: int, cuts: Sequence[Cut] = ()) -> Found:
    """Look for a set that is better than the one found, and add what is learned."""
    upper = instance.cost(found.actions or ())
    actions, bound = search_needs(instance, order, upper, expansions, cuts)
    # A search that was cut short may have met a set in which a later choice makes an earlier one superfluous.
    return _better(instance, found, Found(actions and prune(instance, actions), bound))


def cheapest_set_within_limits(instance: Instance, cheapest: set[int], expansions: int) -> Found:
    """Find the cheapest set that keeps the limits; `cheapest` is a set that is cheap but does not.

    No set comes back if none keeps the limits; with limits on what is used also if the search was cut short too early.
    """
    nowhere = Found(None, sum(instance.weights) + 1)
    if not on_time(instance, range(len(instance.inputs))):
        return nowhere
    starts = [cheapest]
    for cap in instance.caps:
        frugal = _frugal_set(instance, cap, expansions)
        if frugal.bound > cap.most:
            return nowhere
        starts.append(frugal.actions or cheapest)
    if instance.deadline is not None:
        fastest = max_labels(instance, instance.latency).route(instance)
        starts = [start | fastest for start in starts] + [fastest]
    pruned = [prune(instance, start, partial(on_time, instance)) for start in starts]
    best = min((actions for actions in pruned if affordable(instance, actions)), key=instance.cost, default=None)
    return branch_and_bound(instance, best, _nodes(instance, expansions))


def _frugal_set(instance: Instance, cap: Cap, expansions: int) -> Found:
    """The set that uses the least of one thing, whatever its weight; the bound is one of what it uses."""
    weights, tie_bits = with_ties(cap.uses, instance.tools)
    priced = replace(instance, weights=weights, tie_bits=tie_bits, deadline=None, caps=())
    actions, bound = cheapest_set(priced, expansions)
    return Found(actions, bound >> tie_bits)


def is_proven(instance: Instance, found: Found) -> bool:
    """Whether no set weighs less than the one found. Ties do not count: they are not worth a search."""
    if found.actions is None:
        return False
    return found.bound >> instance.tie_bits >= instance.cost(found.actions) >> instance.tie_bits


def _better(instance: Instance, one: Found, other: Found) -> Found:
    """What both say together: the cheaper set and the higher bound."""
    sets = [found.actions for found in (one, other) if found.actions is not None]
    return Found(min(sets, key=instance.cost, default=None), max(one.bound, other.bound))


def _nodes(instance: Instance, expansions: int) -> int:
    """How many nodes of branch and bound take as long as so many expansions: a node costs many labellings."""
    return max(1, expansions // len(instance.inputs))
