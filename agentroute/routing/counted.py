"""Routes that keep to limits on how often tools and models are called, and how many tokens these read and write."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from agentroute.graph.cost import NOTHING, Amounts
from agentroute.guard.ledger import Limits
from agentroute.ids import NanoUsd, ToolId
from agentroute.routing.problem import Limit
from agentroute.routing.router import Answer, Problem, Route, answer, cheapest_route

FIRST_SEARCH = 1_000
"""States that the search may expand without knowing what the limits cost; enough for ordinary graphs of 60 tools."""

SECOND_SEARCH = 2_500
"""States that it may expand once that is known."""

BISECTIONS = 20
"""Prices tried for what a route uses too much of."""

ORDINARY = 60
"""Tools of a graph of ordinary size. A step of any search takes longer the more there are, so larger graphs get fewer:
the event loop waits meanwhile."""

FEWEST = 6
"""Prices that are tried in any case."""

ROUNDS = 3
"""Times that each limit gets a turn; to keep to one can break another."""

COUNTED = ("tokens", "model_calls", "tool_calls")


@dataclass(frozen=True, slots=True)
class Counts:
    """What may still be used, and what each tool uses at most.

    Attributes:
        left: What is left of each; None where there is no limit. Its money is not looked at: `Problem` limits that.
        uses: What a call of each tool uses; those left out use nothing.
    """

    left: Limits
    uses: Mapping[ToolId, Amounts]

    def exceeded(self, route: Route) -> list[str]:
        """Of what a route uses too much."""
        return [name for name in COUNTED if (left := self.limit(name)) is not None and self.total(name, route) > left]

    def limit(self, name: str) -> int | None:
        """What is left of one."""
        return getattr(self.left, name)

    def limits(self, tools: Iterable[ToolId], prices: Mapping[str, int]) -> list[Limit]:
        """Every limit, as the router takes it."""
        left = ((name, self.limit(name)) for name in COUNTED)
        known = {tool: self.uses.get(tool, NOTHING) for tool in tools}
        return [
            Limit({tool: getattr(uses, name) for tool, uses in known.items()}, most, prices[name])
            for name, most in left
            if most is not None
        ]

    def total(self, name: str, route: Route) -> int:
        """What a route uses of one."""
        return sum(getattr(self.uses.get(tool, NOTHING), name) for tool in route.tools)


def within_counts(problem: Problem, route: Route | None, counts: Counts) -> Route | None:
    """The route if it keeps to the limits, else the cheapest that does; None if there is none, or none was found.

    An exact search comes first. Where it takes too long, a Lagrangian relaxation finds what the limits cost, and a
    second search starts from that. If it takes too long as well, the lightest route known is returned, not proven.
    """
    if route is None or not counts.exceeded(route):
        return route
    prices: dict[str, int] = dict.fromkeys(COUNTED, 0)
    found = _search(problem, counts, prices, FIRST_SEARCH)
    if found.final:
        return found.route
    relaxed = _relaxed(problem, route, counts, prices)
    found = _search(problem, counts, prices, SECOND_SEARCH)
    if found.final or relaxed is None:
        return found.route
    return relaxed if found.route is None or relaxed.weight < found.route.weight else found.route


def _search(problem: Problem, counts: Counts, prices: Mapping[str, int], expansions: int) -> Answer:
    """Find the cheapest route within the limits, given what one of each thing that is counted may cost."""
    limited = replace(problem, also_within=counts.limits(problem.weights, prices))
    return answer(limited, expansions=_scaled(expansions, problem))


def _scaled(steps: int, problem: Problem) -> int:
    """Steps that a search may take on a graph of this size."""
    return steps * ORDINARY // max(ORDINARY, len(problem.weights))


def _relaxed(problem: Problem, route: Route, counts: Counts, prices: dict[str, int]) -> Route | None:
    """The cheapest route that a Lagrangian relaxation finds, by bisection, one limit after the other.

    What is used too much of is made dearer until the cheapest route keeps to its limit; `prices` are left at that. At
    the dearest it costs more than everything else together, so that with one limit, None means that there is no such
    route.
    """
    found: Route | None = route
    for _ in range(ROUNDS):
        for name in counts.exceeded(found):
            found = _cheapest_within(problem, counts, prices, name)
            if found is None:
                return None
        if not counts.exceeded(found):
            weight = NanoUsd(sum(problem.weights[tool] for tool in found.tools))
            return replace(found, weight=weight, weights=problem.weights, optimal=False)
    return None


def _cheapest_within(problem: Problem, counts: Counts, prices: dict[str, int], name: str) -> Route | None:
    """Find the lowest price for one thing at which the cheapest route keeps to its limit, and leave it in `prices`."""
    limit = counts.limit(name)
    low, high = prices[name], sum(_priced(problem, counts, prices | {name: 0}).weights.values()) + 1
    kept: Route | None = None
    extra = high
    for _ in range(max(FEWEST, _scaled(BISECTIONS, problem))):
        found = cheapest_route(_priced(problem, counts, prices | {name: extra}))
        if found is not None and limit is not None and counts.total(name, found) <= limit:
            kept, high = found, extra
        elif kept is None:
            return None
        else:
            low = extra
        extra = (low + high) // 2
    prices[name] = high
    return kept


def _priced(problem: Problem, counts: Counts, prices: Mapping[str, int]) -> Problem:
    """The problem with what tools use added to their weights, at these prices."""
    weights = {
        tool: NanoUsd(weight + sum(price * getattr(counts.uses.get(tool, NOTHING), n) for n, price in prices.items()))
        for tool, weight in problem.weights.items()
    }
    return replace(problem, weights=weights)
