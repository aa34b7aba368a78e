"""8, across runs: nobody calls a tool that is open or asked to be left alone, except one probe at a time.

The breakers of an agent are shared by its runs, so they are worked out again from the calls of all of them, in the
order in which the injector saw them begin and end.
"""

import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentroute.graph.tool import ToolSpec
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ToolId
from agentroute.routing.health import Health
from agentroute.run.events import AttemptAbandoned, AttemptFailed, AttemptSucceeded, Hedged, Quarantined
from agentroute.testing.faults import Seen
from agentroute.testing.invariants.case import Case, Violation

LONGEST_COOL_DOWN_S = 300.0
MOST_PROBES = 3
GOOD_CONDUCT = 10
PANIC_S = 1.0
LONGEST_WAIT_S = 3600.0
LONGEST_GUESS_S = 60.0

SLACK_S = 1e-9
"""Rounding of differences between times."""

SLACK = 1e-6
"""Rounding of sums of suspicion."""

Outcome = AttemptSucceeded | AttemptFailed | AttemptAbandoned | Hedged


@dataclass(slots=True)
class _Suspicion:
    """How much a sequence of outcomes looks like an outage, by the formulas of the design, in natural logarithms.

    Of two hypotheses, "six of ten calls fail" and "as many fail as usual", the first is weighed against the second; at
    zero and below it is dropped, and what has come until then is what is usual.
    """

    health: Health
    usual: list[float] = field(default_factory=lambda: [0.0, 0.0])  # failed, worked
    lately: list[float] = field(default_factory=lambda: [0.0, 0.0])
    evidence: float = 0.0
    at: float = 0.0

    def outage(self, at: float, risk: float, *, failed: bool) -> bool:
        """Add an outcome; True if it was one failure too many."""
        age, self.at = max(0.0, at - self.at), max(at, self.at)
        self.usual = [count / 2 ** (age / self.health.half_life_s) for count in self.usual]
        fading = 2 ** (age / self.health.burst_half_life_s)
        self.lately = [count / fading for count in self.lately]
        p = min(max((10 * risk + self.usual[0]) / (10 + sum(self.usual)), 0.02), 0.25)
        if failed:
            self.lately[0] += 1
            self.evidence += math.log(0.6) - math.log(p)
        elif self.evidence > 0:
            self.lately[1] += 1
            self.evidence += math.log(0.4) - math.log(1 - p)
        else:
            self.usual[1] += 1
        if self.evidence <= 0:
            self.usual = [one + other for one, other in zip(self.usual, self.lately, strict=True)]
            self.forget()
        if (calls := sum(self.usual)) > 200:
            self.usual = [200 * count / calls for count in self.usual]
        return failed and self.evidence >= self.health.trip_after * math.log(0.6 / 0.02) - SLACK

    def forget(self) -> None:
        """Begin anew."""
        self.lately, self.evidence = [0.0, 0.0], 0.0


@dataclass(slots=True)
class _Refusals:
    """Calls that failed for good, by what the design says: one in ten thousand rows as long as this comes by chance."""

    row: int = 0
    past: list[float] = field(default_factory=lambda: [0.0, 0.0])  # all, and those that another one came after

    def beyond_chance(self) -> bool:
        """Add one; True if the row is too long by now."""
        self.row += 1
        every, again = self.past
        return max(0.3, (3 + again) / (10 + every)) ** self.row <= 1e-4 * (1 + SLACK)

    def over(self) -> None:
        """A call has worked."""
        if self.row:
            every = self.past[0] + self.row
            self.past = [min(every, 200), (self.past[1] + self.row - 1) * min(1, 200 / every)]
        self.row = 0


@dataclass(slots=True)
class _Shadow:
    """A breaker as the design has it, kept beside the real one."""

    health: Health
    suspicion: _Suspicion
    opened_at: float | None = None
    out_since: float = 0.0
    suspect_from: float = float("-inf")
    closed_at: float = float("-inf")
    was_out_s: float = 0.0
    ejections: int = 0
    passed: int = 0
    epoch: int = 0
    probe: tuple[int, float] | None = None
    limited_at: float = float("-inf")
    limited_until: float = float("-inf")
    unsaid: int = 0
    unsaid_at: float = float("-inf")
    refusals: _Refusals = field(default_factory=_Refusals)

    def cool_down(self) -> float:
        """Seconds that it stays open this time."""
        return min(
            self.health.cool_down_s * 2 ** min(max(self.ejections, 1) - 1, 40),
            max(LONGEST_COOL_DOWN_S, self.health.cool_down_s),
        )

    def back(self) -> float:
        """When it lets a probe through; in the past if it is closed."""
        return float("-inf") if self.opened_at is None else self.opened_at + self.cool_down()

    def why_not(self, at: float, *, last_way: bool) -> str | None:
        """Why a call at `at` must not be made; None if it may."""
        if self.limited_at < at - SLACK_S and at < self.limited_until - SLACK_S:
            return f"asked to wait until {self.limited_until:g} s"
        if self.opened_at is None or self.just_opened(at):
            return None
        back = min(self.back(), self.opened_at + PANIC_S) if last_way else self.back()
        if at < back - SLACK_S:
            return f"open until {back:g} s"
        if self.probe is not None and at < self.probe[1] + self.cool_down() - SLACK_S:
            return "half-open, and a probe is out"
        return None

    def just_opened(self, at: float) -> bool:
        """Whether it opened in this very moment: a call may have been let through before."""
        return self.opened_at is not None and at - self.opened_at < SLACK_S

    def begin(self, order: int, at: float) -> int:
        """Note the call's epoch: the one before, if it was let through before the breaker opened."""
        if self.just_opened(at):
            return self.epoch - 1
        if self.opened_at is not None:
            self.probe = (order, at)
        return self.epoch

    def limit(self, call: Seen, end: Outcome | None) -> None:
        """Note that the tool asked to wait, if it did."""
        if isinstance(end, AttemptFailed) and end.kind == "rate_limited":
            at = call.ended or call.at
            wait = self._guess(call.at, at) if end.retry_after_s is None else end.retry_after_s
            self.limited_at = at
            self.limited_until = max(self.limited_until, at + min(wait, LONGEST_WAIT_S))
        elif isinstance(end, AttemptSucceeded):
            self.unsaid = 0

    def _guess(self, begun: float, at: float) -> float:
        """Seconds to wait where nobody says how many: twice as many each time, of calls at the same time once."""
        if begun > self.unsaid_at:
            self.unsaid, self.unsaid_at = self.unsaid + 1, at
        first = self.health.backoff_s
        return min(first * 2 ** min(max(self.unsaid, 1) - 1, 40), max(LONGEST_GUESS_S, first))

    def end(self, call: Seen, epoch: int, risk: float, *, worked: bool | None) -> None:
        """Note how a call ended; if the breaker has changed since it began, that can only speak for the tool."""
        at = call.ended or call.at
        if worked:
            self.refusals.over()
        if epoch != self.epoch:
            if worked and epoch == self.epoch - 1 and call.at >= self.suspect_from:
                self._acquit()
        elif worked is None:
            self.probe = None
        elif self.opened_at is None:
            self._suspect(call, at, risk, failed=not worked)
        elif worked:
            self.passed, self.probe = self.passed + 1, None
            if self.passed >= min(self.ejections, MOST_PROBES):
                self.opened_at, self.closed_at, self.epoch, self.passed = None, at, self.epoch + 1, 0
                self.was_out_s = at - self.out_since
                self.suspicion.forget()
        else:
            self._open(at)

    def _suspect(self, call: Seen, at: float, risk: float, *, failed: bool) -> None:
        """Weigh an outcome; open if it was one failure too many."""
        if failed and self.suspicion.evidence <= 0:
            self.suspect_from = call.at
        if self.suspicion.outage(at, risk, failed=failed):
            if at - self.closed_at >= max(self.was_out_s, GOOD_CONDUCT * self.health.cool_down_s):
                self.ejections = 0
            self.out_since = at
            self._open(at)

    def _acquit(self) -> None:
        """Close again: a call no older than the first that failed was served all the same, so it was only crowded."""
        if self.opened_at is None or self.opened_at != self.out_since:
            return
        self.opened_at, self.probe, self.passed = None, None, 0
        self.ejections, self.epoch = self.ejections - 1, self.epoch + 1
        self.suspicion.forget()

    def _open(self, at: float) -> None:
        self.opened_at, self.probe, self.passed = at, None, 0
        self.ejections, self.epoch = self.ejections + 1, self.epoch + 1


def check_breakers(cases: Sequence[Case], seen: Iterable[Seen]) -> list[Violation]:
    """Check the calls of all runs of one agent, in virtual time (or with a clock that both sides share).

    Args:
        cases: Every run there was.
        seen: The injector's calls.
    """
    if not cases:
        return []
    graph = cases[0].graph
    tiers = {spec.name for specs in graph.tiers.values() for spec in specs} if cases[0].chooses_tiers else set[ToolId]()
    return list(_replay(cases, seen, tiers))


def _ends(cases: Sequence[Case]) -> dict[tuple[str, int], Outcome]:
    """How each attempt ended; one that was abandoned because another way was quicker, as what took too long."""
    ends: dict[tuple[str, int], Outcome] = {}
    for case in cases:
        for record in case.records:
            event = record.event
            if isinstance(event, (AttemptSucceeded, AttemptFailed)) or (isinstance(event, Hedged) and event.unusual):
                ends[case.run, event.attempt] = event
            elif isinstance(event, AttemptAbandoned):
                ends.setdefault((case.run, event.attempt), event)
    return ends


def _put_aside(cases: Sequence[Case]) -> set[ToolId]:
    """Tools that were put aside at some time, for what they charged."""
    events = (record.event for case in cases for record in case.records)
    return {event.tool for event in events if isinstance(event, Quarantined)}


def _replay(cases: Sequence[Case], seen: Iterable[Seen], tiers: Container[ToolId]) -> Iterator[Violation]:
    graph, ends, aside = cases[0].graph, _ends(cases), _put_aside(cases)
    ways, others = graph.routable.values(), [way for name, way in graph.routable.items() if name not in aside]
    shadows = _shadows(graph, cases[0].health)
    epochs: dict[tuple[int, str], int] = {}
    moments = [(call.order, True, call) for call in seen]
    moments += [(call.end_order, False, call) for call in seen if call.end_order is not None]
    for _, begins, call in sorted(moments, key=lambda moment: moment[0]):
        spec = graph.tools[ToolId(call.tool)]
        end = ends.get((call.run, call.attempt))
        last_way = begins and any(_is_last_way(spec, each, shadows, call.at) for each in (ways, others))
        for name in _judged(spec):
            shadow = shadows[name]
            if not begins:
                if name.startswith("tool "):
                    shadow.limit(call, end)
                epoch, worked = epochs[call.order, name], _verdict(end, tier=spec.name in tiers)
                if _is_refused(end) and worked is None and epoch == shadow.epoch:
                    worked = False if shadow.refusals.beyond_chance() else None
                shadow.end(call, epoch, spec.cost.risk, worked=worked)
                continue
            if (why := shadow.why_not(call.at, last_way=last_way)) is not None:
                what = f"attempt {call.attempt} at {call.at:g} s calls {spec.name}; {name} is {why}"
                yield Violation(8, call.run, what)
            epochs[call.order, name] = shadow.begin(call.order, call.at)


def _shadows(graph: ToolGraph, health: Health) -> dict[str, _Shadow]:
    names = {name for spec in graph.tools.values() for name in _judged(spec)}
    return {name: _Shadow(health, _Suspicion(health)) for name in names}


def _judged(spec: ToolSpec) -> list[str]:
    """Whose breakers a call of the tool has to pass."""
    return [f"tool {spec.name}", *([f"provider {spec.provider}"] if spec.provider else [])]


def _is_last_way(spec: ToolSpec, specs: Iterable[ToolSpec], shadows: Mapping[str, _Shadow], at: float) -> bool:
    """Whether all that produce the same are out, and of those only a breaker shuts this one would be back first.

    What must not be done twice is no way to find out whether the only way works again.
    """
    makers = [each for each in specs if set(each.produces) & set(spec.produces)]
    others = [other for other in makers if other is not spec]
    if spec not in makers or (spec.effect == "once" and not others):
        return False
    if spec.effect != "once":
        others = [other for other in others if shadows[f"tool {other.name}"].limited_until <= at + PANIC_S - SLACK_S]
    back = {other.name: max(shadows[name].back() for name in _judged(other)) for other in (spec, *others)}
    everything_out = all(at < when - SLACK_S for when in back.values())
    return everything_out and min(back, key=lambda name: (back[name], name)) == spec.name


def _is_refused(end: Outcome | None) -> bool:
    """Whether a call failed for good, other than by a hard question: for its inputs, or because the tool is ill."""
    return isinstance(end, AttemptFailed) and end.kind == "permanent" and end.error != "Cancelled"


def _verdict(end: Outcome | None, *, tier: bool) -> bool | None:
    """What a call says about its tool: that it works, that it does not, or (None) nothing."""
    if isinstance(end, AttemptFailed):
        refused = tier and end.error == "WrongAnswerError"  # a hard question, and no illness of the tool
        silent = refused or end.error == "Cancelled" or end.kind in ("rate_limited", "permanent")
        return None if silent else False
    if isinstance(end, Hedged):
        return False
    return True if isinstance(end, AttemptSucceeded) else None
