"""The oracle: it knows every fault beforehand, and says whether a run could have succeeded, and at what least cost.

It is an upper bound of what anybody could have saved. It never calls impossible what a run can reach, and never names
a cost above what a run can pay. Where exactness would be dear it is kinder than the world:

- It waits as long as it likes within the deadline, knows no breakers and no patience, and calls at once after a
  failure unless the provider asked to wait. (A run gives a goal up when every way is out for longer than
  `Health.patience_s` and something lesser is feasible; the oracle does not.)
- Any number of tools run at the same time. Money is paid when it is due: a worst case is never held back.
- A verifier or compensator that several tools share always works at once and for nothing.
- What dies in a crash stays dead for the tool that was called, but not for others of the same provider.
- False answers that keep their contract are successes; so are answers that may or may not break it, such as
  bombs. Jitter that `strikes` has not settled is as lucky as it can be.
- No limit of model calls.

Two things it leaves out on purpose: calls hung up on midway (see `Foresight.hang_ups`), and answers that break their
contract in a way that their types do not see.
"""

import heapq
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import KOfN, Need, ToolSpec, artifacts_of
from agentroute.ids import ArtifactId, GoalId, dollars
from agentroute.testing.scenario.oracle.calls import Foresight, UnforeseeableError
from agentroute.testing.scenario.oracle.ways import Frontier, Way, Ways, meets
from agentroute.testing.scenario.record import OracleView

__all__ = ["Foresight", "foresee"]

_Times: TypeAlias = tuple[float, ...]
_Point: TypeAlias = tuple[int, int, int, int, _Times]


def foresee(known: Foresight, goal: str) -> OracleView:
    """Say whether `goal` can be reached, else the best rung below it that can, and what that costs at least.

    `OracleView.possible` is None where the oracle cannot say: a fault it does not know, or too many combinations.

    Example:
        >>> from agentroute.graph.goal import Goal
        >>> from agentroute.graph.toolgraph import ToolGraph
        >>> from agentroute.testing.fakes import fake_tool
        >>> from agentroute.testing.faults import Fault
        >>> graph = ToolGraph([fake_tool("look", ["trip"], ["flights"], usd=0.5).spec], [Goal("g", ["flights"]).spec])
        >>> known = Foresight(
        ...     graph=graph,
        ...     have=frozenset({"trip"}),
        ...     strikes=lambda tool, number, at: [Fault(type="down")] if number == 1 else [],
        ...     seconds=lambda tool: 0.1,
        ...     prices=lambda tool: graph.tools[tool].cost.expected,
        ... )
        >>> foresee(known, "g")
        OracleView(possible=True, best='g', cost_usd=0.5)
    """
    graph = known.graph
    asked = graph.goals[GoalId(goal)]
    try:
        ways = Ways(known)
        for rung in (asked, *graph.below(asked.name)):
            cost = _Search(known, ways, rung).least_cost()
            if cost is not None:
                return OracleView(possible=rung is asked, best=rung.name, cost_usd=dollars(cost))
    except UnforeseeableError:
        return OracleView(possible=None)
    return OracleView(possible=False)


class _Search:
    """Best-first search (A*, Hart, Nilsson & Raphael, 1968) over what is at hand and since when.

    A point is a cost and, for each artifact that the goal may need, the time from which it is there. One that is as
    cheap and has everything as soon as another makes that other superfluous: whatever follows it, follows this one.
    That holds although a tool may be used again in the search, to have its products sooner for more money: doing so
    at once is cheaper, and is looked at too.

    What is still to be paid is bounded from below by landmarks: artifacts without which there is no way to the goal.
    Each costs at least the cheapest of its makers, whose price is shared among all that it makes.

    Exact, and exponential in the number of tools at worst; `Ways.work` bounds it.
    """

    def __init__(self, known: Foresight, ways: Ways, goal: GoalSpec) -> None:
        self.ways = ways
        self.goal = goal
        self.budget = math.inf if known.budget is None else known.budget
        # Without a deadline nothing changes any more after the last moment, so any time after it is as good.
        self.latest = max(known.moments, default=0.0) if known.deadline_s is None else math.inf
        self.tools = _relevant(known, goal, ways)
        names = {a for tool in self.tools for a in (*tool.produces, *artifacts_of(tool.requires))}
        self.artifacts = sorted(names | set(artifacts_of(goal.requires)))
        self.index = {name: index for index, name in enumerate(self.artifacts)}
        self.start = tuple(0.0 if name in known.have else math.inf for name in self.artifacts)
        self.landmarks = self._landmarks(known.have)

    def least_cost(self) -> int | None:
        """Nano-dollars; None if the goal cannot be reached."""
        if self._since(self.goal.requires, self._soonest()) == math.inf:
            return None
        frontier, queue = Frontier(), [self._point(0, 0, self.start)]
        while queue:
            *_, cost, counted, times = heapq.heappop(queue)
            if self._since(self.goal.requires, times) < math.inf:
                return cost
            self.ways.work(1 + len(frontier) // 10)  # each is compared with all others
            if not frontier.admits(None, (cost, counted, *times)):
                continue
            for tool in self.tools:
                for way, sooner in self._steps(tool, times):
                    if counted + way.counted <= self.budget:
                        heapq.heappush(queue, self._point(cost + way.cost, counted + way.counted, sooner))
        return None

    def _soonest(self) -> _Times:
        """Since when everything could be there at best, whatever it costs."""
        times, before = self.start, None
        while times != before:
            before = times
            for tool in self.tools:
                for _, sooner in self._steps(tool, times):
                    times = tuple(map(min, times, sooner))
        return times

    def _point(self, cost: int, counted: int, times: _Times) -> _Point:
        """Those that may be cheapest first; of these, what has most."""
        due = sum(cheapest for index, cheapest in self.landmarks if times[index] == math.inf)
        return cost + due, times.count(math.inf), cost, counted, times

    def _steps(self, tool: ToolSpec, times: _Times) -> Iterator[tuple[Way, _Times]]:
        """Ways of using a tool, and since when everything is there then."""
        ready = self._since(tool.requires, times)
        products = [self.index[name] for name in tool.produces]
        if ready == math.inf or all(times[product] <= ready for product in products):
            return
        for way in self.ways.of(tool, ready):
            self.ways.work()
            sooner = list(times)
            for product in products:
                sooner[product] = min(times[product], way.finish, self.latest)
            yield way, tuple(sooner)

    def _since(self, needs: Sequence[Need], times: _Times) -> float:
        """From when on all of `needs` are met."""
        since = 0.0
        for need in needs:
            if isinstance(need, KOfN):
                since = max(since, sorted(times[self.index[name]] for name in need.of)[need.k - 1])
            else:
                since = max(since, times[self.index[need]])
        return since

    def _landmarks(self, have: frozenset[ArtifactId]) -> list[tuple[int, int]]:
        """Artifacts without which there is no way to the goal, and what each costs at least."""
        found: list[tuple[int, int]] = []
        for name in self.artifacts:
            if name not in have and not meets(_within_reach(self.tools, have, without=name), self.goal.requires):
                makers = [tool for tool in self.tools if name in tool.produces]
                shares = [self.ways.of(tool, 0.0)[0].cost // len(tool.produces) for tool in makers]
                found.append((self.index[name], min(shares, default=0)))
        return found


def _relevant(known: Foresight, goal: GoalSpec, ways: Ways) -> list[ToolSpec]:
    """Tools that may stand on a way to the goal, in order of name."""
    wanted: set[ArtifactId] = set(artifacts_of(goal.requires))
    usable = [tool for name, tool in known.graph.routable.items() if name not in known.closed]
    found: dict[str, ToolSpec] = {}
    pending = True
    while pending:
        pending = False
        for tool in usable:
            if tool.name not in found and wanted.intersection(tool.produces) - known.have and ways.of(tool, 0.0):
                found[tool.name] = tool
                wanted.update(artifacts_of(tool.requires))
                pending = True
    return [found[name] for name in sorted(found)]


def _within_reach(tools: Iterable[ToolSpec], have: frozenset[ArtifactId], *, without: ArtifactId) -> set[ArtifactId]:
    """What can be had at all if there were no such thing as `without`."""
    reached, waiting = set(have), list(tools)
    while ready := [tool for tool in waiting if meets(reached, tool.requires)]:
        waiting = [tool for tool in waiting if tool not in ready]
        reached.update(name for tool in ready for name in tool.produces if name != without)
    return reached
