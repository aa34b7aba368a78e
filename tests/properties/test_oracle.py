"""The oracle agrees with whoever tries everything, and no run does better than it says."""

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from agentroute.graph.goal import Goal
from agentroute.graph.tool import AtLeast, KOfN, Need, ToolSpec
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ArtifactId, NanoUsd, dollars, nanos
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
from agentroute.testing.scenario.oracle import Foresight, foresee
from tests.properties.run_cases import Played, Scenario, fault_draws, play, scenarios

# -------------------------------------------------------------------- trying everything, tick by tick

TICKS = 4
"""Ticks in a second. Everything takes whole seconds, deadlines lie half a second beside them, and what is cut off at
the moment in which it begins, at the very deadline, ends a tick later."""

SEEN: dict[str, tuple[str, bool]] = {
    "down": ("again", False),
    "rate_limit": ("again", False),
    "reset": ("unknown", False),
    "timeout": ("silence", False),
    "late_success": ("silence", True),
    "error": ("closed", False),
    "malformed": ("broken", True),
    "ack_lost": ("unknown", True),
}
"""What a caller sees, and whether the tool runs. Every ``error`` here is a 404."""


class Use(NamedTuple):
    """Where one tool stands."""

    number: int = 1
    tries: int = 0
    hung_up: int = 0
    free_at: int = 0
    ends: int = -1
    ending: str = ""
    charge: int = 0
    happened: int = -1
    doubt: str = ""
    check: int = 1
    checks: int = 0
    checked_at: int = 0
    unchecked: bool = False
    undo: int = 1
    undos: int = 0
    closed: bool = False


class Stand(NamedTuple):
    """Where a run stands."""

    time: int
    hand: frozenset[str]
    uses: tuple[Use, ...]


@dataclass
class TryEverything:
    """Every sequence of calls and waits, on a grid of ticks, cheapest first."""

    known: Foresight

    def __post_init__(self) -> None:
        self.tools = list(self.known.graph.routable.values())
        self.deadline = math.inf if self.known.deadline_s is None else _ticks(self.known.deadline_s)
        self.grace_end = self.deadline + TICKS * self.known.grace_s
        self.last_change = _ticks(max(self.known.moments, default=0.0))
        self.budget = math.inf if self.known.budget is None else self.known.budget

    def least_cost(self, needs: Sequence[Need]) -> int | None:
        order = itertools.count()
        start = Stand(0, frozenset(self.known.have), tuple(Use() for _ in self.tools))
        queue, done = [(0, next(order), start)], set[Stand]()
        while queue:
            cost, _, stand = heapq.heappop(queue)
            if stand in done:
                continue
            done.add(stand)
            if _met(stand.hand, needs):
                return cost
            for price, after in self._moves(stand):
                if cost + price <= self.budget:
                    heapq.heappush(queue, (cost + price, next(order), after))
        return None

    def _moves(self, stand: Stand) -> Iterator[tuple[int, Stand]]:
        for index, use in enumerate(stand.uses):
            if use.ending and use.ends == stand.time:  # first of all, what is over is over
                yield self._end(stand, index)
                return
        yield from self._wait(stand)
        for index, use in enumerate(stand.uses):
            if use.doubt:
                yield from self._look_into(stand, index)
            else:
                yield from self._call(stand, index)

    def _call(self, stand: Stand, index: int) -> Iterator[tuple[int, Stand]]:
        """Begin a call, or hang up on the one under way."""
        tool, use, known = self.tools[index], stand.uses[index], self.known
        if use.ending:
            if tool.effect == "read" and use.hung_up < known.hang_ups:
                yield tool.cost.worst, _put(stand, index, Use(use.number + 1, use.tries, use.hung_up + 1))
        elif self._callable(stand, index):
            yield 0, _put(stand, index, self._begin(tool, use, stand.time))

    def _callable(self, stand: Stand, index: int) -> bool:
        tool, use, time = self.tools[index], stand.uses[index], stand.time
        allowed = not use.closed and use.tries < self.known.max_attempts and use.free_at <= time <= self.deadline
        return allowed and _met(stand.hand, tool.requires)

    def _wait(self, stand: Stand) -> Iterator[tuple[int, Stand]]:
        """Wait for the next full second, or for whatever comes before it."""
        pending = [at for use in stand.uses for at in (use.ends, use.free_at, use.happened, use.checked_at)]
        later = [at for at in (*pending, self.last_change) if at > stand.time]
        if later and stand.time < self.grace_end:
            yield 0, stand._replace(time=min(*later, stand.time - stand.time % TICKS + TICKS))

    def _begin(self, tool: ToolSpec, use: Use, time: int) -> Use:
        faults = self.known.strikes(tool.name, use.number, time / TICKS)
        takes = sum(_ticks(fault.latency_s) for fault in faults if fault.type == "latency")
        wrong = [fault for fault in faults if fault.type != "latency"]
        ending, runs = SEEN[wrong[0].type] if wrong else ("done", True)
        takes += _ticks(self.known.seconds(tool.name)) if runs else 0
        limit = int(max(1, min(_ticks(tool.timeout_s), self.deadline - time)))
        happened = time + takes if runs and ending != "done" else -1
        if ending == "silence":
            takes, happened = limit, time + limit + _ticks(wrong[0].latency_s) if runs else -1
        elif takes > limit:
            takes, ending, happened = limit, "unknown", time + limit if runs and self.known.goes_on else -1
        ending = "unknown" if ending == "silence" else ending
        asked = _asked_to_wait(wrong[0]) if ending == "again" else 0
        charges = {"done": self.known.prices(tool.name), "unknown": tool.cost.worst}
        charges["broken"] = NanoUsd(min(tool.cost.expected, charges["done"]))
        charge = charges.get(ending, 0)
        return use._replace(
            ends=time + takes,
            ending=ending,
            charge=charge,
            happened=happened,
            free_at=time + takes + asked,
        )

    def _end(self, stand: Stand, index: int) -> tuple[int, Stand]:
        tool, use = self.tools[index], stand.uses[index]
        after = use._replace(ends=-1, ending="", charge=0, number=use.number + 1, tries=use.tries + 1)
        if use.ending == "done":
            return use.charge, _put(stand, index, after, found=tool)
        if tool.effect == "once" and use.ending in {"unknown", "broken"}:
            after = after._replace(doubt=use.ending, checks=0, undos=0, unchecked=False)
        elif use.ending in {"closed", "broken"}:
            after = after._replace(closed=True)
        return use.charge, _put(stand, index, after if after.doubt else after._replace(happened=-1))

    def _look_into(self, stand: Stand, index: int) -> Iterator[tuple[int, Stand]]:
        tool, use, time = self.tools[index], stand.uses[index], stand.time
        settled = use._replace(doubt="", happened=-1, checked_at=0, closed=use.doubt == "broken")
        in_time = time <= self.grace_end
        if in_time and tool.verify and use.checks < 6 and use.checked_at <= time and not use.unchecked:
            again = use._replace(check=use.check + 1, checks=use.checks + 1)
            faults = self.known.strikes(tool.verify, use.check, time / TICKS)
            match SEEN[faults[0].type][0] if faults else "done":
                case "done" if 0 <= use.happened <= time:
                    yield 0, _put(stand, index, again._replace(doubt="", closed=True), found=tool)
                case "done":
                    yield 0, _put(stand, index, settled._replace(check=again.check))
                case "again":
                    yield (
                        0,
                        _put(stand, index, again._replace(checked_at=time + _asked_to_wait(faults[0]))),
                    )
                case _:
                    yield 0, _put(stand, index, again._replace(unchecked=True))
        if in_time and tool.compensate and use.undos < 6:
            faults = self.known.strikes(tool.compensate, use.undo, time / TICKS)
            again = use._replace(undo=use.undo + 1, undos=use.undos + 1)
            yield 0, _put(stand, index, again if faults else settled._replace(undo=again.undo))


def _ticks(seconds: float) -> int:
    return round(TICKS * seconds)


def _asked_to_wait(fault: Fault) -> int:
    return _ticks(fault.retry_after_s or 0.0) if fault.type == "rate_limit" else 0


def _put(stand: Stand, index: int, use: Use, *, found: ToolSpec | None = None) -> Stand:
    uses = (*stand.uses[:index], use, *stand.uses[index + 1 :])
    return Stand(stand.time, stand.hand | frozenset(() if found is None else found.produces), uses)


def _met(hand: frozenset[str], needs: Sequence[Need]) -> bool:
    return all(
        sum(name in hand for name in need.of) >= need.k if isinstance(need, KOfN) else need in hand for need in needs
    )


# -------------------------------------------------------------------- tiny graphs


@st.composite
def tiny_tools(draw: st.DrawFn, name: str, makes: tuple[str, ...]) -> list[ToolSpec]:
    effect = draw(st.sampled_from(("read", "idempotent", "once", "once")))
    verify = f"{name}-verify" if effect == "once" and draw(st.booleans()) else None
    undo = f"{name}-undo" if effect == "once" and draw(st.integers(0, 3)) == 0 else None
    needs = draw(st.sampled_from((("s",), ("a",), ("b",))))
    needs = ("s",) if set(needs) & set(makes) else needs
    usd = draw(st.sampled_from((0.0, 1.0, 2.0, 3.0)))
    found = [
        fake_tool(
            name,
            needs,
            makes,
            effect=effect,
            usd=usd,
            usd_max=usd + draw(st.sampled_from((0.0, 1.0))),
            timeout_s=draw(st.sampled_from((1.0, 2.0))),
            verify=verify,
            compensate=undo,
        ).spec
    ]
    found += [fake_tool(verify, ["s"], makes).spec] if verify else []
    found += [fake_tool(undo, ["s"], [], effect="idempotent").spec] if undo else []
    return found


@st.composite
def tiny_faults(draw: st.DrawFn, tools: Sequence[ToolSpec]) -> Fault:
    target = draw(st.sampled_from([tool.name for tool in tools]))
    if target.endswith("-undo"):
        kinds = ["down"]
    elif target.endswith("-verify"):
        kinds = ["down", "rate_limit", "error", "malformed"]
    else:
        kinds = [*SEEN, "latency", "latency"]
    first = draw(st.sampled_from((None, 1, 1, 1, 2)))
    return Fault(
        type=draw(st.sampled_from(kinds)),  # pyright: ignore[reportArgumentType]  # drawn from those there are
        target=target,
        status=404,
        latency_s=draw(st.sampled_from((1.0, 2.0))),
        retry_after_s=draw(st.sampled_from((None, 1.0, 2.0))),
        attempts=None if first is None else (first, draw(st.sampled_from((first, first, first + 1)))),
        from_s=draw(st.sampled_from((0.0, 0.0, 1.0))),
        until_s=draw(st.sampled_from((None, 1.0, 2.0, 3.0))),
    )


@st.composite
def tiny_runs(draw: st.DrawFn) -> Foresight:
    more = draw(st.lists(st.sampled_from((("a",), ("b",), ("a", "b"), ("c",))), max_size=2))
    made = {f"t{index}": makes for index, makes in enumerate((("a",), ("b",), *more))}
    names = list(made)
    tools = [spec for name, makes in made.items() for spec in draw(tiny_tools(name, makes))]
    faults = draw(st.lists(tiny_faults(tools), min_size=2, max_size=5))
    takes = {name: draw(st.sampled_from((0.0, 1.0))) for name in names}
    extra = {name: draw(st.sampled_from((0, 0, 0, -1, 1))) for name in names}
    needs = draw(st.sampled_from((["b"], ["a", "b"], [AtLeast(2, ["a", "b", "c"])])))
    graph = ToolGraph(tools, [Goal("full", needs).spec, Goal("less", ["a"], utility=0.5).spec])

    def price(tool: str) -> NanoUsd:
        cost = next(spec.cost for spec in tools if spec.name == tool)
        return NanoUsd(max(0, min(cost.worst, cost.expected + nanos(extra.get(tool, 0)))))

    return Foresight(
        graph=graph,
        have=frozenset({ArtifactId("s")}),
        strikes=lambda tool, number, at: _first(fault for fault in faults if fault.hits(tool, number, at)),
        seconds=lambda tool: takes.get(tool, 0.0),
        prices=price,
        max_attempts=draw(st.sampled_from((2, 2, 1))),
        budget=draw(st.sampled_from((None, NanoUsd(3 * 10**9), NanoUsd(6 * 10**9)))),
        deadline_s=draw(st.sampled_from((None, 0.5, 1.5, 2.5, 4.5))),
        moments=sorted({edge for fault in faults for edge in (fault.from_s, fault.until_s) if edge}),
        grace_s=draw(st.sampled_from((0.75, 2.75))),
        goes_on=draw(st.booleans()),
        hang_ups=draw(st.sampled_from((0, 0, 1))),
    )


def _first(hits: Iterator[Fault]) -> list[Fault]:
    """Latencies, and the first of all others: as `FaultyCalls` documents it."""
    every = list(hits)
    return [f for f in every if f.type == "latency"] + [f for f in every if f.type != "latency"][:1]


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow])
@given(tiny_runs())
def test_the_oracle_agrees_with_trying_everything(known: Foresight) -> None:
    expected = [TryEverything(known).least_cost(goal.requires) for goal in known.graph.goals.values()]
    view = foresee(known, "full")
    event(f"possible: {view.possible}")
    assert view.possible == (expected[0] is not None)
    best = next(((name, cost) for name, cost in zip(("full", "less"), expected, strict=True) if cost is not None), None)
    assert (view.best, view.cost_usd) == (("", None) if best is None else (best[0], dollars(best[1])))


# -------------------------------------------------------------------- against the runtime


def foresight(scenario: Scenario, graph: ToolGraph, *, goes_on: bool = True, hang_ups: int = 2) -> Foresight:
    """What there is to know of the run of a drawn scenario."""
    draws = {draw.name: draw for draw in scenario.tools}

    def strikes(tool: str, number: int, at: float) -> list[Fault]:
        dice = (Random(f"{scenario.seed}/{index}/run-0/{tool}/{number}") for index in itertools.count())
        rolled = zip(scenario.faults, dice, strict=False)
        return _first(f for f, die in rolled if f.hits(tool, number, at) and die.random() < f.toxicity)

    def price(tool: str) -> NanoUsd:
        draw = draws.get(tool)
        return nanos(0.0 if draw is None else draw.usd if draw.price is None else draw.price)

    return Foresight(
        graph=graph,
        have=frozenset({ArtifactId("start")}),
        strikes=strikes,
        seconds=lambda tool: draws[tool].seconds if tool in draws else 0.01,
        prices=price,
        # A guard that reads what the tool does not need may come too late to close it.
        closed=frozenset(d.name for d in scenario.tools if d.guard in {(need, False) for need in ("start", *d.needs)}),
        max_attempts=scenario.health.max_attempts,
        budget=None if scenario.budget_usd is None else nanos(scenario.budget_usd),
        deadline_s=scenario.deadline_s,
        moments=sorted({edge for fault in scenario.faults for edge in (fault.from_s, fault.until_s) if edge}),
        goes_on=goes_on,
        hang_ups=hang_ups,
    )


@st.composite
def single_runs(draw: st.DrawFn) -> Scenario:
    """Draw one run that nobody cuts off; in every other draw, trouble that it can hardly miss."""
    drawn = replace(draw(scenarios()), starts=(0.0,), cancel_at=None)
    if draw(st.booleans()):
        return drawn
    faults = draw(st.lists(fault_draws(drawn.tools), min_size=2, max_size=5))
    hits = [
        replace(fault, attempts=draw(st.sampled_from(((1, 1), (1, 2)))), from_s=0.0, toxicity=1.0) for fault in faults
    ]
    return replace(drawn, faults=tuple(hits), budget_usd=draw(st.sampled_from((None, 0.3))))


def worse_than_foreseen(scenario: Scenario, played: Played, known: Foresight) -> list[str]:
    """What the run reached that the oracle says could not be reached, or not for so little."""
    result, view = played.results["run-0"], foresee(known, "full")
    if view.possible is None or result.outcome not in {"succeeded", "demoted"}:
        return []
    rungs = [str(goal) for goal in played.graph.goals]
    event(f"possible: {view.possible}, the run {result.outcome}")
    if view.best == "" or rungs.index(view.best) > rungs.index(result.goal or ""):
        return [f"reached {result.goal!r}, foreseen: {view}"]
    if view.best == result.goal and (view.cost_usd or 0.0) > result.cost_usd + 1e-12:
        return [f"for {result.cost_usd} USD, foreseen: {view}"]
    return []


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(single_runs())
def test_no_run_reaches_more_or_pays_less_than_the_oracle_foresees(scenario: Scenario) -> None:
    played = play(scenario)
    for goes_on in (True, False):  # in virtual time, what is given up midway does not go on
        known = foresight(scenario, played.graph, goes_on=goes_on)
        assert worse_than_foreseen(scenario, played, known) == [], played.story()
