"""One scenario on real servers: what is to be done to each request, and the ledger of what was done."""

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import Any

from agentroute.adapters.clock import LoopClock
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ToolId
from agentroute.testing.faults import Fault, Schedule, Seen, Strike, Triggered
from agentroute.testing.faults.falsehoods import FALSEHOODS
from agentroute.testing.scenario.record import Level
from agentroute.testing.scenario.servers.outages import Outage
from agentroute.testing.scenario.servers.processes import AGENT, Processes
from agentroute.testing.scenario.testbed import Exchange, Testbed
from agentroute.testing.wire import REWRITTEN, Order

NEVER = float("inf")

BY_THE_CLOCK = frozenset({"down", "flap"})
"""Faults that are made by the clock, not by a request: see `agentroute.testing.scenario.servers.outages`."""

SLACK_S = 0.25
"""How far a fault on the wire may lie beyond the call that it befell: a proxy's thread is not the agent's."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A fault that was really made: when, on which tool's request (or server), by which rule."""

    at: float
    tool: str
    strike: Strike


class Showing:
    """One scenario on the servers: decides about each request, and keeps the ledger. Used by many threads."""

    def __init__(
        self,
        schedule: Schedule,
        *,
        run: str,
        planned: Sequence[Outage],
        processes: Processes,
        testbed: Testbed,
        level: Level,
        origin: float,
    ) -> None:
        """Begin.

        Args:
            schedule: The rules.
            run: Name of the run, which the dice depend on.
            planned: Outages by the clock.
            processes: Who sends signals.
            testbed: Knows which tool a request belongs to.
            level: At ``process`` a hang is a stopped process.
            origin: Seconds of the event loop's clock that count as second 0.
        """
        self._schedule = schedule
        self._run = run
        self._outages = list(planned)
        self.processes = processes
        self._testbed = testbed
        self._level = level
        self._origin = origin
        self._clock = LoopClock()
        self._lock = threading.Lock()
        self._numbers: Counter[str] = Counter()
        self._made: list[_Made] = []
        self._before: dict[str, Any] = {}  # answers, for those that are stale

    def decide(self, exchange: Exchange) -> Order | None:
        """What is to be done to a request."""
        tool = self._testbed.tool_of(exchange)
        if tool is None:
            return None
        at = self._clock.now() - self._origin
        with self._lock:
            self._numbers[tool] += 1
            number = self._numbers[tool]
        strikes = self._schedule.strikes(self._run, tool, number, at, provider=exchange.server, without=BY_THE_CLOCK)
        if not strikes:
            return None
        first = [self._order(strike, tool, exchange.server, number) for strike in strikes[:-1]]  # latencies
        return replace(self._order(strikes[-1], tool, exchange.server, number), first=first)

    def _order(self, strike: Strike, tool: str, server: str, number: int) -> Order:
        fault = strike.fault
        options: dict[str, Any] = {"point": fault.point}
        victim = fault.victim or server
        if fault.type == "crash":
            options["strike"] = partial(self._kill, strike, victim)
            if victim not in (server, AGENT):  # somebody else dies, and this request goes well
                fault = replace(fault, type="hang")
        elif fault.type == "hang" and self._level == "process":
            options["strike"] = partial(self.processes.stop, victim, fault.latency_s)
        elif fault.type in REWRITTEN and fault.type != "secret_echo":
            options["rewrite"] = partial(self._rewrite, fault, tool)
        befallen = tool if victim == server else victim
        dice = Random(f"{self._schedule.seed}/{strike.index}/{tool}/{number}/wire")
        return Order(fault=fault, dice=dice, done=partial(self._note, strike, befallen), **options)

    def _kill(self, strike: Strike, victim: str) -> None:
        at = self._clock.now() - self._origin
        self.processes.kill(victim)
        with self._lock:
            self._outages.append(Outage(strike.index, victim, at, NEVER, killed=True))

    def _rewrite(self, fault: Fault, tool: str, body: Any) -> Any:
        if fault.type == "empty":
            return {}
        if fault.type == "stale":
            with self._lock:
                before = self._before.get(tool, body)
                self._before[tool] = body
            return before
        false = FALSEHOODS[fault.type](fault, body)
        return body if false is None else false

    def _note(self, strike: Strike, tool: str) -> None:
        with self._lock:
            self._made.append(_Made(self._clock.now(), tool, strike))

    # ---------------------------------------------------------------- the ledger

    def times(self) -> dict[int, int]:
        """How often each rule was made, by its number; an outage by the clock counts once."""
        with self._lock:
            made = Counter(made.strike.index for made in self._made)
            return dict(made + Counter({outage.rule for outage in self._outages} - made.keys()))

    def ledger(self, seen: Sequence[Seen], graph: ToolGraph) -> list[Triggered]:
        """What was made, each with the attempt that it befell, as far as there is one."""
        return sorted([*self._on_the_wire(seen), *self._by_outages(seen, graph)], key=lambda entry: entry.at)

    def _on_the_wire(self, seen: Sequence[Seen]) -> list[Triggered]:
        taken: set[tuple[int, str, int]] = set()
        found: list[Triggered] = []
        for made in self._made:
            rule = made.strike.index
            calls = [
                s for s in seen if s.tool == made.tool and s.at <= made.at and (rule, s.run, s.attempt) not in taken
            ]
            late = made.strike.fault.type == "late_success"
            within = [call for call in calls if late or made.at <= (call.ended or NEVER) + SLACK_S]
            call = within[-1] if within else None
            if call is not None:
                taken.add((rule, call.run, call.attempt))
            run, attempt = ("", 0) if call is None else (call.run, call.attempt)
            found.append(Triggered(made.at, run, made.tool, attempt, made.strike.fault, rule))
        return found

    def _by_outages(self, seen: Sequence[Seen], graph: ToolGraph) -> list[Triggered]:
        """Calls that failed at a server that was down, or went down meanwhile."""
        found: list[Triggered] = []
        struck = {(entry.run, entry.attempt) for entry in self._on_the_wire(seen)}
        for outage in self._outages:
            start, end = outage.start + self._origin, outage.end + self._origin
            for call in seen:
                serves = graph.tools[ToolId(call.tool)].provider == outage.server
                overlaps = call.at < end and (call.ended or NEVER) > start
                if serves and overlaps and call.outcome != "answered" and (call.run, call.attempt) not in struck:
                    down = replace(self._schedule.faults[outage.rule], type="down")
                    found.append(Triggered(call.at, call.run, call.tool, call.attempt, down, outage.rule))
        return found
