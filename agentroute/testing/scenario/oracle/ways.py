"""All ways to get one tool to work: how soon, at what cost, from a moment at which its inputs are there."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentroute.graph.tool import KOfN, Need, ToolSpec
from agentroute.ids import ArtifactId, ToolId
from agentroute.testing.scenario.oracle.calls import (
    INSTANT_S,
    Foresight,
    Outcome,
    UnforeseeableError,
    outcomes,
    refused,
)

MOST_WORK = 50_000
"""Calls and combinations looked at before the oracle gives up on a run."""

MOST_REMEDIES = 6
"""Attempts to verify or undo one effect."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to end up with what a tool produces.

    Attributes:
        finish: Seconds since the start of the run.
        cost: Nano-dollars.
        counted: The same as the budget counts it: of a price beyond the declared worst case, no more than that.
    """

    finish: float
    cost: int
    counted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """Between two calls of one tool. Of two that differ only in time and money, the sooner and cheaper is as good."""

    at: float
    cost: int = 0
    counted: int = 0
    number: int = 1
    tries: int = 0
    hung_up: int = 0
    verified: int = 1  # number of the verifier's next call
    undone: int = 1  # number of the compensator's next call
    down_until: float = 0.0

    @property
    def key(self) -> tuple[Any, ...]:
        return self.number, self.tries, self.hung_up, self.verified, self.undone, self.down_until


class Frontier:
    """Points of which none is as good as another in every respect, apart by key."""

    def __init__(self) -> None:
        """Start empty."""
        self._points: dict[Any, list[tuple[float, ...]]] = {}

    def __len__(self) -> int:
        """How many there are."""
        return sum(map(len, self._points.values()))

    def admits(self, key: Any, point: tuple[float, ...]) -> bool:
        """Take in a point; False if one that is there already is as good in every respect."""
        points = self._points.setdefault(key, [])
        if any(all(a <= b for a, b in zip(other, point, strict=True)) for other in points):
            return False
        points.append(point)
        return True


class Ways:
    """Finds and remembers the ways of all tools of one run."""

    def __init__(self, known: Foresight) -> None:
        """Take what is known; nothing is worked out yet."""
        self._known = known
        self._moments = sorted(set(known.moments))
        self._ways: dict[tuple[ToolId, float], Sequence[Way]] = {}
        self._work = 0
        subjects = Counter(name for tool in known.graph.tools.values() for name in (tool.verify, tool.compensate))
        self._shared = {name for name, times in subjects.items() if times > 1}

    def of(self, tool: ToolSpec, ready: float) -> Sequence[Way]:
        """Ways to have `tool` succeed when its inputs are there at `ready`; none is as good as another.

        Raises:
            UnforeseeableError: A fault is not known, or it would take too long.
        """
        known = self._ways.get((tool.name, ready))
        if known is None:
            known = self._ways[tool.name, ready] = _best(self._search(tool, ready))
        return known

    def work(self, amount: int = 1) -> None:
        """Count work done.

        Raises:
            UnforeseeableError: It was too much.
        """
        self._work += amount
        if self._work > MOST_WORK:
            raise UnforeseeableError(f"more than {MOST_WORK} combinations")

    def _search(self, tool: ToolSpec, ready: float) -> Iterator[Way]:
        frontier, waiting = Frontier(), [_Moment(at=ready)]
        while waiting:
            now = waiting.pop()
            if not frontier.admits(now.key, (now.at, now.cost, now.counted)):
                continue
            for after in self._called(tool, now):
                if isinstance(after, Way):
                    yield after
                elif after.tries < self._known.max_attempts:
                    waiting.append(after)

    def _called(self, tool: ToolSpec, now: _Moment) -> Iterator[_Moment | Way]:
        """Where the next call of a tool leads, at once or at any later moment that makes a difference."""
        for at in self._starts(now.at, step=True):
            self.work()
            for outcome in [refused(at)] if at < now.down_until else outcomes(self._known, tool, now.number, at):
                yield from self._after(tool, _paid(now, outcome, tool), outcome)
                if tool.effect == "read" and outcome.ended > at and now.hung_up < self._known.hang_ups:
                    yield self._hung_up(tool, now, at)

    def _after(self, tool: ToolSpec, spent: _Moment, outcome: Outcome) -> Iterator[_Moment | Way]:
        """What can follow the end of a call."""
        again = outcome.kind in {"transient", "rate_limited"} or (outcome.kind == "ambiguous" and tool.effect != "once")
        if outcome.kind is None:
            yield Way(outcome.ended, spent.cost, spent.counted)
        elif again:
            down_until = max(spent.down_until, outcome.down_until)
            yield replace(_next(spent), at=outcome.again_at, down_until=down_until)
        elif tool.effect == "once" and outcome.kind != "permanent":
            yield from self._settled(tool, spent, outcome)

    def _hung_up(self, tool: ToolSpec, now: _Moment, at: float) -> _Moment:
        """Given up midway: it counts as no try, and costs what it may have cost."""
        cost, counted = now.cost + tool.cost.worst, now.counted + tool.cost.worst
        return replace(now, at=at, cost=cost, counted=counted, number=now.number + 1, hung_up=now.hung_up + 1)

    # ---------------------------------------------------------------- effects in doubt

    def _settled(self, tool: ToolSpec, spent: _Moment, outcome: Outcome) -> Iterator[_Moment | Way]:
        """Find out what happened, or undo it; without either nothing follows. What broke its contract stays closed."""
        again = replace(_next(spent), down_until=max(spent.down_until, outcome.down_until))
        if tool.verify is not None and self._can_help(tool.verify, tool):
            happened_at = outcome.happened_at
            for start in {outcome.ended, outcome.ended if happened_at is None else max(outcome.ended, happened_at)}:
                for done in self._remedied(tool.verify, replace(spent, at=start), spent.verified):
                    if happened_at is not None and done.at >= happened_at:
                        yield Way(done.at, done.cost, done.counted)
                    else:  # a broken answer never comes here: what answers has happened
                        yield replace(again, at=done.at, cost=done.cost, counted=done.counted, verified=done.number)
        if outcome.kind == "ambiguous" and tool.compensate is not None and self._can_help(tool.compensate, tool):
            for done in self._remedied(tool.compensate, replace(spent, at=outcome.ended), spent.undone):
                yield replace(again, at=done.at, cost=done.cost, counted=done.counted, undone=done.number)

    def _can_help(self, name: ToolId, subject: ToolSpec) -> bool:
        """Whether a remedy can be called at all: while it is unknown what its subject did, nobody has its products."""
        graph = self._known.graph
        return meets(graph.artifacts - set(subject.produces), graph.tools[name].requires)

    def _remedied(self, name: ToolId, spent: _Moment, number: int) -> Iterator[_Moment]:
        """When, at what cost, and after how many calls a verifier or compensator has done its work.

        Whose number nobody can know, because several tools share it, always works at once.
        """
        if name in self._shared:
            yield replace(spent, number=number)
            return
        remedy = self._known.graph.tools[name]
        frontier, waiting = Frontier(), [replace(spent, number=number, tries=0)]
        while waiting:
            now = waiting.pop()
            if now.tries == MOST_REMEDIES or not frontier.admits(now.number, (now.at, now.cost, now.counted)):
                continue
            for at in self._starts(now.at, step=False):
                self.work()
                for outcome in outcomes(self._known, remedy, now.number, at, step=False):
                    paid = replace(_next(_paid(now, outcome, remedy)), at=outcome.again_at)
                    if outcome.kind is None:
                        yield replace(paid, at=outcome.ended)
                    elif outcome.kind not in {"permanent", "contract"}:
                        waiting.append(paid)

    def _starts(self, at: float, *, step: bool) -> Iterator[float]:
        """Moments to begin a call: now, and whenever the faults change."""
        end = self._known.end(step=step) + INSTANT_S
        for moment in (at, *self._moments[bisect_right(self._moments, at) :]):
            if moment > end:
                return
            yield moment


def meets(at_hand: Iterable[ArtifactId], needs: Iterable[Need]) -> bool:
    """Whether these artifacts meet all of `needs`."""
    there = set(at_hand)
    return all(
        len(there.intersection(need.of)) >= need.k if isinstance(need, KOfN) else need in there for need in needs
    )


def _paid(now: _Moment, outcome: Outcome, tool: ToolSpec) -> _Moment:
    counted = now.counted + min(outcome.charge, tool.cost.worst)
    return replace(now, cost=now.cost + outcome.charge, counted=counted)


def _next(spent: _Moment) -> _Moment:
    return replace(spent, number=spent.number + 1, tries=spent.tries + 1)


def _best(ways: Iterable[Way]) -> list[Way]:
    """Those that no other is as good as, cheapest first."""
    frontier = Frontier()
    order = sorted(ways, key=lambda way: (way.cost, way.finish, way.counted))
    return [way for way in order if frontier.admits(None, (way.finish, way.cost, way.counted))]
