"""Hedged calls: what takes too long is not waited for where another way pays.

After Dean and Barroso 2013, "The Tail at Scale".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agentroute.guard.breaker import INSTANT_S
from agentroute.ids import NANOS_PER_USD, AttemptId, GoalId
from agentroute.routing.router import Route
from agentroute.run.events import AttemptStarted, Hedged
from agentroute.run.outlook import Outlook

LATER = 2.0
"""Where a second call does not pay yet, it is looked at again when the first has taken so many times as long."""


@dataclass(slots=True)
class Hedges:
    """Finds calls of one run that are overdue, and ways round them that pay.

    Only calls that change nothing are hedged: the first answer counts, and the other call is abandoned. Each is once;
    the second call is one like any other, with a reservation, a turn and a place among the attempts of its tool.

    A way round pays if waiting for the call until its timeout would leave no time for it, or if the time that is
    likely to be lost with waiting costs more. Of a call that has taken long, as long again is a fair guess.

    Attributes:
        made: When each call under way was really made (seconds since the start of the run); others wait for a turn.
    """

    outlook: Outlook
    made: Mapping[AttemptId, float]
    _looks: dict[AttemptId, float] = field(default_factory=dict[AttemptId, float])

    def due(self, goal: GoalId, now: float) -> tuple[Hedged, Route] | None:
        """The first call, by number, that is overdue and worth a second one, and the way round it."""
        if not self._pays_ever():
            return None
        for flight in self.outlook.state.relied_on:
            if self._is_hedgeable(flight) and self._look_at(flight, now) <= now + INSTANT_S:
                hedge = self._hedge(flight, goal, now)
                if hedge is not None:
                    return hedge
        return None

    def look_at(self, now: float) -> float | None:
        """When a call will be overdue next; None if nothing would follow from it."""
        if not self._pays_ever():
            return None
        looks = [self._look_at(flight, now) for flight in self.outlook.state.relied_on if self._is_hedgeable(flight)]
        return min(looks, default=None)

    def _pays_ever(self) -> bool:
        """Whether time is worth anything."""
        outlook = self.outlook
        priced = outlook.deadline_s is not None or outlook.rates.usd_per_second > 0
        return priced and outlook.board.settings.hedge

    def _is_hedgeable(self, flight: AttemptStarted) -> bool:
        return flight.role == "step" and self.outlook.graph.tools[flight.tool].effect == "read"

    def _look_at(self, flight: AttemptStarted, now: float) -> float:
        """When the call is to be looked at; one that still waits for its turn, as if it were made now, or later.

        The longer it has waited, the later, so that those at the end of a long line do not look all the time.
        """
        begun = self.made.get(flight.attempt)
        if begun is None:
            return now + max(self._allowed_s(flight, now), now - flight.at, INSTANT_S * 2)
        return max(begun + self._allowed_s(flight, begun), self._looks.get(flight.attempt, 0.0))

    def _allowed_s(self, flight: AttemptStarted, begun: float) -> float:
        """Seconds after which the call is overdue.

        Half the time there is, if that is less, so that the other half is left for another way; that is all there is
        to go by where nobody has said how long such calls take.
        """
        half = (self._ends_at(flight, begun) - begun) / 2
        overdue = self.outlook.overdue_after(self.outlook.graph.tools[flight.tool], begun)
        return half if overdue is None else min(overdue, half)

    def _ends_at(self, flight: AttemptStarted, begun: float) -> float:
        end, deadline = begun + self.outlook.graph.tools[flight.tool].timeout_s, self.outlook.deadline_s
        return end if deadline is None else min(end, deadline)

    def _hedge(self, flight: AttemptStarted, goal: GoalId, now: float) -> tuple[Hedged, Route] | None:
        """The way round, if there is one that pays; else the call is left alone for as long again."""
        begun, state = self.made[flight.attempt], self.outlook.state
        route = self.outlook.route_to(goal, now, patient=False, past=flight.attempt)
        why = None if route is None else self._why(flight, route, goal, now)
        if route is None or why is None:
            self._looks[flight.attempt] = begun + LATER * (now - begun)
            return None
        before = tuple(tool for tool in state.route if tool not in state.done)
        reason = f"no answer in {now - begun:.2f} s; {why}"
        unusual = now - begun > self.outlook.usual_s(self.outlook.graph.tools[flight.tool], now)
        facts = (before, route.tools, route.weight, route.optimal, reason, unusual)
        return Hedged(now, flight.attempt, flight.tool, *facts), route

    def _why(self, flight: AttemptStarted, route: Route, goal: GoalId, now: float) -> str | None:
        """Why the way round pays; None if it does not."""
        outlook, begun = self.outlook, self.made[flight.attempt]
        ends = self._ends_at(flight, begun)
        if outlook.deadline_s is not None and ends + route.makespan_s >= outlook.deadline_s - INSTANT_S:
            return "to wait for it could cost the deadline"
        waiting = outlook.rates.usd_per_second * (now - begun) * NANOS_PER_USD
        if not waiting:
            return None
        kept = outlook.route_to(goal, now, patient=False)
        extra = route.weight - (0 if kept is None else kept.weight)
        return "the time costs more than a second call" if extra < waiting else None
