"""Health: what calls and monitors say about each tool and provider, shared by all runs of an agent."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from agentroute.graph.cost import Rates
from agentroute.graph.tool import ToolSpec
from agentroute.guard.breaker import INSTANT_S, Breaker, BreakerState
from agentroute.guard.rate_limits import Headroom
from agentroute.guard.retry_budget import RetryBudget
from agentroute.guard.room import Room
from agentroute.ids import NANOS_PER_USD, NanoUsd, ToolId
from agentroute.routing.entry import UNSEEN, Entry, Ticket
from agentroute.routing.expected import Expected, as_declared
from agentroute.routing.factors import Factors
from agentroute.routing.figures import Figures
from agentroute.routing.health import Health
from agentroute.routing.latency import Latency
from agentroute.routing.line import Line
from agentroute.routing.reports import Subject
from agentroute.routing.signals import HealthSignal, foremost
from agentroute.routing.standing import BATCH, FEW, Standing, Taken, usual_up_to

LIKELIEST_FAILURE = 0.95
"""Bound of the failure probability in a weight; what fails more often than that is the breaker's business."""

FAILED_CALL = 1_000
"""Nano-dollars that a failed attempt costs beyond its price, so that health counts between free tools too."""

SLOW_SECOND = 1_000
"""Nano-dollars that a second costs beyond what was declared, so that slowness counts where time has no price."""

REPUBLISH_AT = 0.05
"""Change of a failure probability that makes runs look for another route; smaller ones would only make them flap."""

REPUBLISH_SLOWNESS = 1.25
"""The same for latency, as a factor."""

MOMENT_S = 0.001
"""Seconds that never matter to a route."""

OVERDUE = 5.0
"""A call under way is overdue when it has taken so many times what four of five calls take."""

DEAR = 2.0
"""A call is dear that costs so many times what is expected."""

BEAT_S = 4.0
"""Seconds of a beat: so often is worked out anew what calls that go as planned have come to."""

BEAT_SHARE, SHORTEST_BEAT_S = 0.015, 0.001
"""Share of the half-life that it does not exceed, so that in one beat about a hundredth fades; and its least."""

UPBEAT = 0.381966
"""Share of a beat that is over when the first call ends: beats do not begin at moments that programs and tests are fond
of, such as a whole number of seconds later, as rounding decides what comes first there."""

SEVERITY: Mapping[BreakerState, int] = {"closed": 0, "half-open": 1, "open": 2}

ROUNDING = 1e-9
"""Sums of suspicion closer than this are the same."""

PANIC_S = 1.0
"""Seconds between calls of the last way there is, when every alternative is out."""


class HealthBoard:
    """Health of all tools of an agent. Synchronous, on the event loop, time as an argument: no locks.

    A provider stands beside its tools: what one of them meets, all of them are judged by, whichever record is worse.
    `version` changes when a route computed before may no longer be the cheapest. `latest` is when something was last
    heard of any tool.
    `quarantined` are tools that nobody may call because of what they charged, with the reason.
    `line` is who waits for a tool.
    """

    def __init__(self, settings: Health, *, alternatives: Mapping[ToolId, Sequence[ToolSpec]] | None = None) -> None:
        """Start neutral: every tool as declared.

        Args:
            settings: How quickly trust is lost and regained.
            alternatives: For each tool that makes something, the others that make the same; () for the only way.
        """
        self.settings = settings
        self.version = 0
        self.latest = 0.0
        self.quarantined: dict[ToolId, str] = {}
        self.line = Line()
        self._alternatives = alternatives or {}
        self._fading = settings.fading
        self._tools: dict[ToolId, Standing] = {}
        self._providers: dict[str, Standing] = {}
        self._numbers = itertools.count()
        self._signalled = False
        self._entries: dict[ToolId, Entry] = {}
        self._beat_s = min(BEAT_S, max(SHORTEST_BEAT_S, BEAT_SHARE * settings.half_life_s))
        self._first_beat: float | None = None

    # ---------------------------------------------------------------- what routes ask

    def weight(
        self,
        tool: ToolSpec,
        rates: Rates,
        now: float,
        expected: Expected | None = None,
        *,
        also: Sequence[HealthSignal] = (),
    ) -> NanoUsd:
        """Expected cost until success under current health, in nano-dollars.

        ``cost / (1 - p)`` plus the expected number of failed attempts ``p / (1 - p)`` at `FAILED_CALL` each, times
        what rate limits, a recent outage and monitors say.

        Args:
            tool: The tool.
            rates: Exchange rates into money.
            now: Monotonic seconds.
            expected: What earlier runs have shown of such calls; as declared, if left out.
            also: What monitors of the run itself say, on top of what is known to all.
        """
        entry = self._entries.get(tool.name) or self._open(tool)
        known = expected or entry.declared
        if (  # as nearly always: it was asked before in this beat, and nothing has happened since
            entry.since <= now < entry.until
            and entry.changes == entry.own.changes + entry.shared.changes
            and entry.rates is rates
            and entry.known is known
            and not also
            and not (entry.own.flying and entry.is_late(now))
        ):
            return entry.weight
        if also or not self._renew(entry, known, now) or entry.is_late(now):
            return self._weigh(tool, rates, now, known, also=also)
        price = _price(tool, rates, known, (entry.usd, entry.latency_s, entry.p_fail))
        entry.rates, entry.weight = rates, NanoUsd(round(price / (1 - entry.p_fail)))
        return entry.weight

    def _weigh(
        self, tool: ToolSpec, rates: Rates, now: float, known: Expected, *, also: Sequence[HealthSignal]
    ) -> NanoUsd:
        entry = self._entry(tool)
        expectation = self._expectation(tool, known, entry, now)
        price = _price(tool, rates, known, expectation)
        for standing in entry.standings:
            if now < standing.limit.counts_until:
                price *= standing.limit.factor(now)
            if standing.breaker.was_out_s > 0:
                price *= standing.returning(now)
        if (also or self._signalled) and (signal := self._signal(tool, entry.standings, now, also)) is not None:
            factor = signal.factor_at(now)
            if factor > 1:
                price += FAILED_CALL * (1 - 1 / factor)
            price *= factor
        return NanoUsd(round(price / (1 - expectation[2])))

    def factors(
        self,
        tool: ToolSpec,
        rates: Rates,
        now: float,
        expected: Expected | None = None,
        *,
        also: Sequence[HealthSignal] = (),
    ) -> Factors:
        """The weight of a tool, and why; arguments as for `weight`."""
        entry, cost = self._entry(tool), tool.cost
        standings = entry.standings
        usd, usual, p_fail = self._expectation(tool, expected or entry.declared, entry, now)
        signal = self._signal(tool, standings, now, also)
        heard = [s.heard_at for s in standings if s.heard_at is not None] + ([] if signal is None else [signal.at])
        declared = rates.price(usd=cost.usd, latency_s=cost.latency_s, risk=cost.risk, wh=cost.wh)
        declared += FAILED_CALL * cost.risk
        closed_s = max(standing.limit.opens_at(now) for standing in standings) - now
        return Factors(
            tool=tool.name,
            weight=self.weight(tool, rates, now, expected, also=also),
            declared=NanoUsd(round(declared / (1 - min(cost.risk, LIKELIEST_FAILURE)))),
            usd=usd,
            latency_s=usual,
            wh=cost.wh if rates.usd_per_wh else 0.0,
            p_fail=p_fail,
            limit=math.prod(standing.limit.factor(now) for standing in standings),
            returning=math.prod(standing.returning(now) for standing in standings),
            signal=_factor(signal, now),
            monitor="" if signal is None else str(signal),
            age_s=now - max(heard) if heard else None,
            breaker=max((standing.breaker.state(now) for standing in standings), key=SEVERITY.__getitem__),
            closed_s=closed_s if closed_s > INSTANT_S else 0.0,
            full=not standings[0].has_room(now),
            put_aside=self.quarantined.get(tool.name, ""),
        )

    def latency(self, tool: ToolSpec, now: float, expected: Expected | None = None) -> float:
        """Seconds that four of five calls of the tool take, as far as is known; for deadlines."""
        entry = self._entry(tool)
        return _times(entry, expected or entry.declared, self._beat(now))[1]

    def overdue_after(self, tool: ToolSpec, now: float, expected: Expected | None = None) -> float | None:
        """Seconds after which a call is overdue.

        None where nothing tells it: neither the contract nor calls say how long one takes, or the first one is not
        over, which may have to wait for a process to start or a connection to be made.
        """
        entry = self._entry(tool)
        most = _tolerated(entry, expected or entry.declared, self._beat(now), self.latency(tool, now, expected))
        is_known = most > 0 and all(standing.warm_at is not None for standing in entry.standings)
        return OVERDUE * most if is_known else None

    def admits(self, tool: ToolSpec, now: float) -> bool:
        """Whether the tool may be called now: not asked to wait, room for one more, and no breaker in the way."""
        entry = self._entries.get(tool.name) or self._open(tool)
        if entry.changes == entry.own.changes + entry.shared.changes and now >= entry.since:
            return True  # it was found calm, and nothing has happened since
        standings, shut = entry.standings, False
        for standing in standings:
            limit, breaker = standing.limit, standing.breaker
            if now < limit.counts_until and now < limit.opens_at(now) - INSTANT_S:
                return False
            if breaker.opened_at is not None and not breaker.admits(now):
                shut = True
        own = standings[0]
        if (own.flying or own.queued) and not own.has_room(now):
            return False
        if not shut:
            return True
        return self._is_last_way(tool, now) and all(s.breaker.admits(now, early_s=PANIC_S) for s in standings)

    def back_at(self, tool: ToolSpec, now: float) -> float:
        """When the tool may be called again (monotonic seconds); `now` if it may already."""
        standings = self._entry(tool).standings
        reopens = max(standing.breaker.reopens_at() for standing in standings)
        if reopens > now and self._is_last_way(tool, now):
            reopens = max(standing.breaker.reopens_at(early_s=PANIC_S) for standing in standings)
        return max(now, reopens, *(standing.limit.opens_at(now) for standing in standings))

    def admits_retry(self, tool: ToolSpec, now: float) -> bool:
        """Whether the provider's retry budget allows for one more.

        The budget keeps runs from piling up on a tool of which nobody knows how much it can take. Of one that was
        crowded that is known: within its room, a retry is a call like any other.
        """
        return self._entry(tool).standings[0].room.is_known(now) or self._retries(tool).allows(now)

    def retry_at(self, tool: ToolSpec, now: float) -> float:
        """When the provider's retry budget allows for one more."""
        return now if self.admits_retry(tool, now) else self._retries(tool).allows_at(now)

    def is_open(self, tool: ToolSpec, now: float) -> bool:
        """Whether a breaker keeps the tool out."""
        return any(standing.breaker.state(now) == "open" for standing in self._entry(tool).standings)

    def is_on_probation(self, tool: ToolSpec) -> bool:
        """Whether a breaker is open or half-open: at best, one call at a time is let through."""
        return any(standing.breaker.opened_at is not None for standing in self._entry(tool).standings)

    # ---------------------------------------------------------------- what calls say

    def begin(self, tool: ToolSpec, now: float, *, again: bool = False, expected: Expected | None = None) -> Ticket:
        """Note that a call begins; `again`: after a failure of the same tool in the same run."""
        entry = self._entries.get(tool.name) or self._open(tool)
        own, shared, number, known = entry.own, entry.shared, next(self._numbers), expected or entry.declared
        self.latest, upsets = now, own.upsets + shared.upsets
        if (
            entry.changes == own.changes + shared.changes
            and entry.since <= now < entry.until
            and own.beat == entry.beat == shared.beat
            and len(own.planned.took) < BATCH > len(shared.planned.took)
            and not again
        ):
            own.begun_at = shared.begun_at = now
        else:
            upsets = self._begin(entry, known, number, now, again=again)
        own.flying[number] = now, own.worked
        generations = own.breaker.generation, shared.breaker.generation
        return Ticket(tool, number, now, entry, generations, known, upsets)

    def _begin(self, entry: Entry, known: Expected, number: int, now: float, *, again: bool) -> int:
        """Note a call that begins where something may be out of the ordinary; returns the upsets for its ticket."""
        self._settle(entry, known, self._beat(now), now, most=BATCH)
        own, shared, probes, trial = entry.own, entry.shared, False, False
        shared.retries.spend(now, again=again and not own.room.is_known(now))
        if again:
            shared.changed()
        for standing in entry.standings:
            breaker = standing.breaker
            if now < standing.limit.counts_until:
                self.version += standing.limit.begin(now)
            if standing.slow_since is not None and standing.is_worth_a_trial(self.settings.cool_down_s, now):
                standing.trial, trial = number, True
            standing.begun_at = now
            probes = probes or breaker.opened_at is not None
            breaker.begin(now)
        self.version += probes  # the one probe is taken: for everybody else the tool is out again
        self._renew(entry, known, now)
        return UNSEEN if trial else own.upsets + shared.upsets

    def queued(self, ticket: Ticket) -> None:
        """Note that a call has to wait for its turn: it has a place with the tool, and cannot be overdue."""
        own = ticket.entry.own
        if own.flying.pop(ticket.number, None) is not None:
            own.queued.add(ticket.number)

    def delayed(self, ticket: Ticket, now: float) -> Ticket:
        """Note that a call had to wait for its turn and begins only now: the tool is not to blame for that.

        What comes of it is about the tool as it is now, whatever its breaker was when the call stood in line.
        """
        own, shared = ticket.entry.own, ticket.entry.shared
        own.flying.pop(ticket.number, None)
        own.queued.discard(ticket.number)
        own.flying[ticket.number] = now, own.worked
        return replace(ticket, begun=now, generations=(own.breaker.generation, shared.breaker.generation))

    def succeed(self, ticket: Ticket, now: float, *, usd: float | None = None, said: Headroom | None = None) -> None:
        """Note that the call worked.

        Args:
            ticket: The call.
            now: Monotonic seconds.
            usd: What it cost, if the tool said so.
            said: What its answer said of a rate limit.
        """
        entry, begun, known = ticket.entry, ticket.begun, ticket.expected
        own, shared, took_s = entry.own, entry.shared, (now - begun) / known.slower
        paid = None if usd is None else usd - known.more_usd
        if not (
            ticket.upsets == own.upsets + shared.upsets
            and (
                (
                    entry.changes == own.changes + shared.changes
                    and entry.since <= now < entry.until
                    and entry.known is known
                )
                or self._renew(entry, known, now)
            )
            and took_s <= entry.usual_s
            and said is None
            and (paid is None or paid <= entry.usual_usd)
        ):
            self._succeed(ticket, paid, said, now)
            return
        # from here on: all as planned, as nearly always
        if own.beat != entry.beat or shared.beat != entry.beat:
            self._settle(entry, known, entry.beat, now)
        self.latest = own.heard_at = shared.heard_at = now
        if own.queued or self.line:
            self._ended(ticket)
        else:
            own.flying.pop(ticket.number, None)
        own.worked += 1
        if begun > own.worked_from:  # noqa: PLR1730  # `max` takes longer
            own.worked_from = begun
        own.planned.took.append(took_s)
        if shared is not own:
            if begun > shared.worked_from:  # noqa: PLR1730
                shared.worked_from = begun
            shared.planned.took.append(took_s / known.latency_s if known.latency_s > 0 else None)
        if paid is not None or known.more_risk:
            own.planned.paid += [] if paid is None else [paid]
            own.planned.shift += known.more_risk
            shared.planned.shift += known.more_risk if shared is not own else 0.0

    def _succeed(self, ticket: Ticket, paid: float | None, said: Headroom | None, now: float) -> None:
        """Note a call that worked where something may be out of the ordinary: that counts at once, the rest later."""
        self._landed(ticket, now)
        entry, known, begun, beat = ticket.entry, ticket.expected, ticket.begun, self._beat(now)
        own, number, is_planned = entry.own, ticket.number, list[bool]()
        self._settle(entry, known, beat, now)
        changes = own.changes + entry.shared.changes
        own.worked += 1
        if said is not None:
            self.hear(ticket, said, now)
        taken = [*_taken(known, now - begun), None]
        for standing, generation, measure in zip(entry.standings, ticket.generations, taken, strict=False):
            standing.worked_from = max(standing.worked_from, begun)
            left = None if _is_cold(standing, begun) else measure
            is_planned.append(self._is_planned(ticket, standing, generation, now))
            if left is not None and not (is_planned[-1] and standing.is_usual(number, left, beat)):
                standing.took(number, left, beat, now, given_up=False)
                left = None
            if is_planned[-1]:
                standing.planned.took.append(None if left is None else left.value)
                standing.planned.shift += known.more_risk
        if paid is not None and is_planned[0] and paid <= _dear(own, known, beat):
            own.planned.paid.append(paid)
        elif paid is not None:
            own.figures.price.paid(paid)
            own.changed()
        if own.changes + entry.shared.changes != changes:
            self._publish(entry, known, beat, now)

    def _is_planned(self, ticket: Ticket, standing: Standing, generation: int, now: float) -> bool:
        """Note that a call worked if that counts at once, for it may end an outage or a burst; True if it does not."""
        breaker, known = standing.breaker, ticket.expected
        reliability = standing.figures.reliability
        standing.limit.unsaid = 0
        if standing.refusals.in_a_row:
            standing.refusals.end()
        if generation != breaker.generation:  # from before the breaker last changed: that may be all it says
            if standing.acquit(generation, ticket.begun, now):
                self.version += 1
                self.line.call()
            return False
        if breaker.opened_at is not None:
            standing.changed()
            self.version += 1
            if breaker.succeed(generation, now):
                reliability.end_burst()
                self.line.call()
            return False
        if not reliability.suspicion and reliability.calls >= FEW:
            return True
        standing.changed()
        reliability.succeed(known.risk, now, self._fading, shift=known.more_risk)
        return False

    def fail(
        self,
        ticket: Ticket,
        now: float,
        *,
        retry_after_s: float | None = None,
        rate_limited: bool = False,
        timed_out: bool = False,
    ) -> None:
        """Note that the call failed for reasons that say something about the tool.

        A rate limit is a request to wait, not a fault: it closes the tool for a while and leaves its record alone. If
        nobody says for how long, it is twice as long each time, until a call works.

        Args:
            ticket: The call.
            now: Monotonic seconds.
            retry_after_s: Seconds the provider asked to wait.
            rate_limited: It refused for this reason alone.
            timed_out: It was given up: whatever it would have taken, it took at least so long.
        """
        if rate_limited:
            if retry_after_s is None:
                ticket.entry.own.limit.refuse(ticket.begun, now, self.settings.backoff_s)
            else:
                ticket.entry.own.limit.wait(now + retry_after_s)
            ticket.entry.own.changed()
            self.latest = ticket.entry.own.heard_at = now
            self.version += 1
            self.forget(ticket)
            return
        self._blame(ticket, (True, True), now, timed_out=timed_out)

    def refuse(self, ticket: Ticket, now: float) -> None:
        """Note that the call was refused for good, which another one need not be: for its inputs, as it seems.

        That says nothing of a tool, or of its provider, until there have been too many in a row (`Refusals`); from then
        on, each counts as a failure.
        """
        blamed: list[bool] = []
        for standing, generation in zip(ticket.standings, ticket.generations, strict=False):
            standing.changed()
            blamed.append(generation == standing.breaker.generation and standing.refusals.refuse())
        if any(blamed):
            self._blame(ticket, blamed, now)
        else:
            self.forget(ticket)

    def _blame(self, ticket: Ticket, blamed: Sequence[bool], now: float, *, timed_out: bool = False) -> None:
        """Count a failure for those of the tool's records that are to blame."""
        self._landed(ticket, now)
        entry, known, beat = ticket.entry, ticket.expected, self._beat(now)
        self._settle(entry, known, beat, now)
        if timed_out:
            for standing, taken in zip(entry.standings, _taken(known, now - ticket.begun), strict=False):
                standing.took(ticket.number, taken, beat, now, given_up=True)
        for standing, generation, is_to_blame in zip(entry.standings, ticket.generations, blamed, strict=False):
            breaker, reliability = standing.breaker, standing.figures.reliability
            if not is_to_blame:
                breaker.forget(generation)
            if not is_to_blame or generation != breaker.generation:
                continue
            standing.changed()
            standing.failed_at = now
            if not reliability.suspicion:
                standing.refused_from = ticket.begun
            suspicion = reliability.fail(known.risk, now, self._fading, shift=known.more_risk)
            breaker.fail(generation, now, too_many=suspicion >= self.settings.trip_after - ROUNDING)
            self.version += breaker.generation != generation
        self._publish(entry, known, beat, now)

    def hear(self, ticket: Ticket, said: Headroom, now: float) -> None:
        """Note what an answer said of a rate limit, the provider's if there is one; whether or not the call worked."""
        shared = ticket.entry.shared
        shared.changed()
        limit = shared.limit
        before = limit.factor(now)
        limit.heard(said, now)
        self.version += said.left < 1 or not _alike(limit.factor(now), before)

    def forget(self, ticket: Ticket) -> None:
        """Note that the call ended without saying anything about the tool."""
        self._ended(ticket)
        for standing, generation in zip(ticket.standings, ticket.generations, strict=False):
            self.version += standing.breaker.opened_at is not None
            standing.breaker.forget(generation)

    def still_admits(self, ticket: Ticket, now: float) -> bool:
        """Whether nothing has been learned since the call was admitted that would keep it from being made."""
        pairs = zip(ticket.standings, ticket.generations, strict=False)
        if any(now < standing.limit.closed_until - INSTANT_S for standing in ticket.standings):
            return False
        return all(s.breaker.opened_at is None or s.breaker.generation == generation for s, generation in pairs)

    # ---------------------------------------------------------------- who is not trusted with money

    def quarantine(self, tool: ToolId, reason: str) -> None:
        """Put a tool aside that charges what it should not: no run calls it until somebody reinstates it."""
        self.quarantined.setdefault(tool, reason)
        self.version += 1

    def reinstate(self, tool: ToolId) -> None:
        """Let a tool be called again that was put aside."""
        if self.quarantined.pop(tool, None) is not None:
            self.version += 1

    # ---------------------------------------------------------------- what monitors say

    def signal(self, signal: HealthSignal, now: float) -> None:
        """Take note of a monitor's word, in place of its last one about the same subject.

        An outage that a monitor sees counts until a call works: what calls meet outranks what probes see.
        """
        standing = self._tools.get(ToolId(signal.subject)) or self._providers.get(signal.subject)
        if standing is None or signal.stale(now):
            return
        self.latest = max(self.latest, now)
        if signal.at > now:  # or it would never fade, and none that comes later would be believed
            signal = replace(signal, at=now)
        before = standing.signals.get(signal.monitor)
        if before is not None and before.at > signal.at:
            return  # overtaken on its way
        standing.hear(signal, now)
        standing.changed()
        self._signalled = True
        if before is None or before.factor != signal.factor:
            self.version += 1

    def knows(self, subject: str) -> bool:
        """Whether there is a tool or provider of that name."""
        return subject in self._tools or subject in self._providers

    def overhear(self, subject: Subject, signal: HealthSignal | None) -> None:
        """Take note of what other processes say of a tool or provider, in place of what they said before.

        It is a signal like those of monitors, and outranked by calls of one's own in the same way.
        """
        standing = self.standing_of(subject)
        if standing is None:
            return
        before, standing.overheard = standing.overheard, signal
        standing.changed()
        self._signalled = True
        if (1.0 if before is None else before.factor) != (1.0 if signal is None else signal.factor):
            self.version += 1

    def standing_of(self, subject: Subject) -> Standing | None:
        """The record of a tool or provider; None if there is none of that name."""
        scope, name = subject
        return self._providers.get(name) if scope == "provider" else self._tools.get(ToolId(name))

    def standings(self) -> Iterator[tuple[Subject, Standing]]:
        """The record of every provider and tool."""
        yield from ((Subject("provider", name), standing) for name, standing in self._providers.items())
        yield from ((Subject("tool", name), standing) for name, standing in self._tools.items())

    def know(self, tools: Sequence[ToolSpec]) -> None:
        """Open a record for each tool, so that monitors can speak of it before it is called."""
        for tool in tools:
            self._entry(tool)

    # ---------------------------------------------------------------- inside

    def _landed(self, ticket: Ticket, now: float) -> None:
        """Note that a call has said something of its tool."""
        self.latest = now
        if self._first_beat is None:
            self._first_beat = now - UPBEAT * self._beat_s
        self._ended(ticket)
        for standing in ticket.standings:
            standing.heard_at = now
            if standing.warm_at is None:
                standing.warm_at = now
                standing.changed()  # calls that began before are not timed

    def _ended(self, ticket: Ticket) -> None:
        """Note that a call is over: there may be a place for another, of its tool or instead of an alternative."""
        own = ticket.entry.own
        own.flying.pop(ticket.number, None)
        if own.queued:
            own.queued.discard(ticket.number)
        if self.line:
            name = ticket.tool.name
            self.line.call((name, *[other.name for other in self._alternatives.get(name, ())]))

    def _settle(self, entry: Entry, known: Expected, beat: float, now: float, *, most: float = math.inf) -> None:
        """Count what went as planned before this beat, the first time that something happens in it."""
        expected, slow, is_new = known.latency_s, known.slow_s, False
        for standing in entry.standings:
            if standing.beat != beat or len(standing.planned.took) >= most:
                is_new |= standing.settle(expected, beat, slow=slow)
            expected = slow = 1.0
        if is_new:
            self._publish(entry, known, beat, now)

    def _beat(self, now: float) -> float:
        """When the beat began that a moment is in. Before calls have said anything, nothing depends on it."""
        if self._first_beat is None:
            return now
        return self._first_beat + (now - self._first_beat) // self._beat_s * self._beat_s

    def _renew(self, entry: Entry, known: Expected, now: float) -> bool:
        """Keep what it means for the next calls that all is calm with a tool; False if it is not."""
        own, shared = entry.own, entry.shared
        changes = own.changes + shared.changes
        is_calm = entry.changes == changes and now >= entry.since
        if is_calm and now < entry.until and entry.known is known:
            return True
        entry.rates, entry.changes = None, UNSEEN
        if not is_calm and not (own.is_calm(now) and (shared is own or shared.is_calm(now))):
            return False
        beat = self._beat(now)
        entry.changes, entry.known, entry.beat = changes, known, beat
        entry.since, entry.until = now, beat + self._beat_s
        if own.slow_since is not None or shared.slow_since is not None:
            trial_at = min(standing.trial_at(self.settings.cool_down_s) for standing in entry.standings)
            entry.until = min(entry.until, trial_at - INSTANT_S)
        self._expect(entry, known, beat)
        return now < entry.until

    def _expect(self, entry: Entry, known: Expected, beat: float) -> None:
        """Work out what is expected of the calls of a tool that is calm, and what is not, for the rest of a beat."""
        own, shared, declared = entry.own, entry.shared, known.latency_s
        figures, risk, shift = own.known(beat), known.risk, known.more_risk
        usual, most = figures.latency.quantiles(declared, beat, slow=known.slow_s)
        p_fail = figures.reliability.habit(risk, beat, self._fading, shift=shift)
        usual_s, is_known = usual_up_to(most, MOMENT_S), _is_known(figures, timed=True) and not own.restless
        if shared is not own:
            others = shared.known(beat)
            is_known = is_known and _is_known(others, timed=declared > 0) and not shared.restless
            p_fail = max(p_fail, others.reliability.habit(risk, beat, self._fading, shift=shift))
            if declared > 0:
                times, most_times = others.latency.quantiles(1.0, beat)
                usual, most = max(usual, declared * times), max(most, declared * most_times)
                usual_s = min(usual_s, declared * usual_up_to(most_times, MOMENT_S / declared))
        usd = figures.price.expected(known.usd)
        entry.usd, entry.latency_s = max(usd + known.more_usd, 0.0), known.slower * usual
        entry.p_fail = min(p_fail, LIKELIEST_FAILURE)
        entry.usual_s, entry.usual_usd = usual_s if is_known else -1.0, DEAR * usd
        entry.overdue_s = OVERDUE * known.slower * most - INSTANT_S if most > 0 else math.inf

    def _is_worth_a_trial(self, standings: Sequence[Standing], now: float) -> bool:
        """Whether those of a tool's records that show it to be slow are all old enough to be doubted."""
        worth = False
        for standing in standings:
            if standing.slow_since is not None:
                if not standing.is_worth_a_trial(self.settings.cool_down_s, now):
                    return False
                worth = True
        return worth

    def _expectation(self, tool: ToolSpec, known: Expected, entry: Entry, now: float) -> tuple[float, float, float]:
        """Price in USD, usual duration in seconds, and share of failing calls that are expected of a call."""
        own, beat = entry.own, self._beat(now)
        usual, most = _times(entry, known, beat)
        slow = own.slow_since is not None or entry.shared.slow_since is not None
        if slow and tool.effect != "once" and self._is_worth_a_trial(entry.standings, now):
            usual = known.latency_s
        overdue = (0, 0)
        if own.flying and (tolerated := _tolerated(entry, known, beat, most)) > 0:
            overdue = own.overdue(OVERDUE * tolerated, now)
        usd = own.known(beat).price.expected(known.usd) + known.more_usd
        return usd if usd > 0 else 0.0, usual, self._p_fail(tool, known, entry, now, overdue)

    def _p_fail(self, tool: ToolSpec, known: Expected, entry: Entry, now: float, overdue: tuple[int, int]) -> float:
        """Expected share of failing calls, by the worst record.

        Half-open, a tool whose calls change nothing that could not be done twice weighs as if the outage were over:
        somebody has to find out, and it is one call per cool-down. Open, the only way to what it makes weighs as what
        hardly ever works: it may be called now and then, but there may be other ways to the goal.
        """
        worst, risk, shift, fading, beat = 0.0, known.risk, known.more_risk, self._fading, self._beat(now)
        late, meanwhile = overdue
        for standing in entry.standings:
            record, breaker = standing.known(beat).reliability, standing.breaker
            state = "closed" if breaker.opened_at is None else breaker.state(now)
            if state == "open" and not self._alternatives.get(tool.name, (tool,)):
                return LIKELIEST_FAILURE
            half_open = state == "half-open"
            if not (record.burst_failed or late) or (half_open and tool.effect != "once"):
                found = record.habit(risk, beat, fading, shift=shift)
            else:
                found = record.p_fail(risk, now, fading, beat=beat, shift=shift, overdue=late, meanwhile=meanwhile)
            if found:
                worst = max(worst, found)
            late = meanwhile = 0  # of the tool's own calls, the provider's record says nothing
        return min(worst, LIKELIEST_FAILURE) if worst else worst

    def _signal(
        self, tool: ToolSpec, standings: Sequence[Standing], now: float, also: Sequence[HealthSignal]
    ) -> HealthSignal | None:
        """The word that counts, of all about a tool and its provider: a monitor's, or if worse, what others say."""
        if not also and not self._signalled:
            return None
        curious = tool.effect != "once"
        said = [
            signal
            for standing in standings
            for signal in standing.signals.values()
            if not standing.doubts(signal, now, curious=curious)
        ]
        found = foremost((*said, *also), now)
        for standing in standings:
            heard = standing.overheard
            if heard is not None and not _refuted(heard, standing) and _factor(heard, now) > _factor(found, now):
                found = heard
        return found

    def _is_last_way(self, tool: ToolSpec, now: float) -> bool:
        """Whether everything that could take a tool's place is out too, and this is the one that would be back first.

        The cap on ejections: of all ways to an artifact, breakers may shut all but one. The last, which may be the only
        one there ever was, is called now and then even so, instead of after a cool-down that may have grown to minutes.
        Who was asked to wait, or was put aside, cannot be that one. Tools that must be called once only are no way to
        find out: those are called early only as one of several that breakers have shut.
        """
        others = self._alternatives.get(tool.name)
        if others is None or (tool.effect == "once" and not others):
            return False
        if tool.effect != "once":
            others = [other for other in others if not self._is_kept_out(other, now)]
        if not all(self.is_open(other, now) for other in others):
            return False
        return min((self._reopens_at(spec), spec.name) for spec in (tool, *others))[1] == tool.name

    def _is_kept_out(self, tool: ToolSpec, now: float) -> bool:
        """Whether something else than a breaker keeps a tool out, and for longer than the last way has to wait."""
        if tool.name in self.quarantined:
            return True
        return any(standing.limit.opens_at(now) > now + PANIC_S for standing in self._entry(tool).standings)

    def _reopens_at(self, tool: ToolSpec) -> float:
        return max(standing.breaker.reopens_at() for standing in self._entry(tool).standings)

    def _retries(self, tool: ToolSpec) -> RetryBudget:
        """The retry budget of the provider, or of a tool without one."""
        return self._entry(tool).standings[-1].retries

    def _entry(self, tool: ToolSpec) -> Entry:
        """What there is on a tool; opened when it is first asked for."""
        return self._entries.get(tool.name) or self._open(tool)

    def _open(self, tool: ToolSpec) -> Entry:
        own = self._tools[tool.name] = shared = self._new_standing()
        standings = (own,)
        if tool.provider is not None:
            shared = self._providers.get(tool.provider)
            if shared is None:
                shared = self._providers[tool.provider] = self._new_standing()
            standings = own, shared
        entry = self._entries[tool.name] = Entry(own, shared, standings, as_declared(tool.cost))
        return entry

    def _new_standing(self) -> Standing:
        settings = self.settings
        breaker, room = Breaker(settings.cool_down_s), Room(settings.cool_down_s)
        retries = RetryBudget(settings.retry_reserve, settings.retry_share)
        figures = Figures(self._fading, latency=Latency(settings.half_life_s))
        return Standing(breaker, room, retries, figures)

    def _publish(self, entry: Entry, expected: Expected, beat: float, now: float) -> None:
        """Bump the version when a standing has moved enough to matter to a route, or to a deadline."""
        usual, most = _times(entry, expected, beat)
        usual, most = usual / expected.slower, most / expected.slower
        for standing in entry.standings:
            p_fail = standing.known(beat).reliability.p_fail(expected.risk, now, self._fading, beat=beat)
            known, usual_s, most_s = standing.published or (expected.risk, expected.latency_s, expected.latency_s)
            if abs(p_fail - known) > REPUBLISH_AT or not (_lasts(usual, usual_s) and _lasts(most, most_s)):
                standing.published = p_fail, usual, most
                self.version += 1


def _times(entry: Entry, known: Expected, beat: float) -> tuple[float, float]:
    """Seconds that half, and four of five, of a tool's calls take: by its own record or its provider's, the slower."""
    expected, slower, own, shared = known.latency_s, known.slower, entry.own, entry.shared
    usual, most = own.known(beat).latency.quantiles(expected, beat, slow=known.slow_s)
    if shared is not own:
        times, most_times = shared.known(beat).latency.quantiles(1.0, beat)
        usual, most = max(usual, expected * times), max(most, expected * most_times)
    return slower * usual, slower * most


def _tolerated(entry: Entry, known: Expected, beat: float, most: float) -> float:
    """Of `most`, the seconds that four of five calls take, what is left without those that were given up last.

    A call that hangs must not make anybody more patient with the others that do.
    """
    own, shared = entry.own, entry.shared
    if own.patience is None and shared.patience is None:
        return most
    quantiles = own.known(beat).latency.quantiles(known.latency_s, beat, slow=known.slow_s)
    most = quantiles[1] if own.patience is None else own.patience
    if shared is not own:
        quantiles = shared.known(beat).latency.quantiles(1.0, beat)
        times = quantiles[1] if shared.patience is None else shared.patience
        most = max(most, known.latency_s * times)
    return known.slower * most


def _price(tool: ToolSpec, rates: Rates, known: Expected, expectation: tuple[float, float, float]) -> float:
    """What an attempt costs in nano-dollars: price, time, risk and energy, by what is expected of it."""
    usd, usual, p_fail = expectation
    risk = known.risk + known.more_risk
    total = rates.total(usd=usd, latency_s=usual, risk=risk, wh=tool.cost.wh)
    price = NANOS_PER_USD * total + FAILED_CALL * p_fail
    slower_s = usual - tool.cost.latency_s
    return price + SLOW_SECOND * slower_s if slower_s > 0 else price


def _taken(known: Expected, took_s: float) -> list[Taken]:
    """How long a call took, for the tool's own record and its provider's: there in multiples of what was expected."""
    value, declared = took_s / known.slower, known.latency_s
    own = Taken(value, declared, known.slow_s, MOMENT_S)
    return [own, Taken(value / declared, 1.0, 1.0, MOMENT_S / declared)] if declared > 0 else [own]


def _is_cold(standing: Standing, begun: float) -> bool:
    """Whether how long a call took says nothing of the next ones.

    The first call, and those that began before it was over, may have waited for a process to start or a connection to
    be made.
    """
    return standing.warm_at is None or begun < standing.warm_at


def _is_known(figures: Figures, *, timed: bool) -> bool:
    """Whether one more call that goes as planned tells next to nothing new."""
    return figures.reliability.calls >= FEW and (not timed or figures.latency.calls >= FEW)


def _dear(own: Standing, known: Expected, beat: float) -> float:
    """What a call may cost to be nothing out of the ordinary."""
    return DEAR * own.known(beat).price.expected(known.usd)


def _alike(one: float, other: float) -> bool:
    """Whether two durations or factors differ too little to matter."""
    return one <= REPUBLISH_SLOWNESS * other and other <= REPUBLISH_SLOWNESS * one


def _lasts(one_s: float, other_s: float) -> bool:
    """Whether two durations differ too little to matter: no route is worth looking for over a millisecond."""
    return _alike(one_s, other_s) or abs(one_s - other_s) < MOMENT_S


def _factor(signal: HealthSignal | None, now: float) -> float:
    """What a signal makes of a weight; 1 if there is none."""
    return 1.0 if signal is None else signal.factor_at(now)


def _refuted(signal: HealthSignal, standing: Standing) -> bool:
    """Whether a call has worked that began after another process saw an outage."""
    return signal.kind == "outage" and signal.factor > 1 and standing.worked_from >= signal.at
