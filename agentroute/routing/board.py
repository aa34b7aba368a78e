"""Health: what calls and monitors say about each tool and provider, shared by all runs of an agent."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agentroute.graph.cost import Rates
from agentroute.graph.tool import ToolSpec
from agentroute.guard.breaker import INSTANT_S, Breaker, BreakerState
from agentroute.guard.rate_limits import Headroom
from agentroute.guard.retry_budget import RetryBudget
from agentroute.guard.room import Room
from agentroute.ids import NANOS_PER_USD, NanoUsd, ToolId
from agentroute.routing.expected import Expected, as_declared
from agentroute.routing.factors import Factors
from agentroute.routing.health import Health
from agentroute.routing.latency import Latency
from agentroute.routing.line import Line
from agentroute.routing.reports import Subject
from agentroute.routing.signals import HealthSignal, foremost
from agentroute.routing.standing import Standing

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

SEVERITY: Mapping[BreakerState, int] = {"closed": 0, "half-open": 1, "open": 2}

ROUNDING = 1e-9
"""Sums of suspicion closer than this are the same."""

PANIC_S = 1.0
"""Seconds between calls of the last way there is, when every alternative is out."""


@dataclass(slots=True)  # not frozen: that takes five times as long to make, and one is made for every call
class Ticket:
    """A call under way: whom it says something about, in which generation of their breakers, and what was expected."""

    tool: ToolSpec
    number: int
    begun: float
    standings: tuple[Standing, ...]
    generations: list[int]
    expected: Expected


@dataclass(slots=True)
class Entry:
    """All that the board has on one tool, to be found at once.

    Attributes:
        standings: Its own record first, then its provider's, if it has one.
        declared: What its contract says of a call.
    """

    standings: tuple[Standing, ...]
    declared: Expected


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
            alternatives: Other tools that produce something each tool produces.
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
        entry = self._entry(tool)
        known = expected or entry.declared
        usd, usual, p_fail = self._expectation(tool, known, entry.standings, now)
        risk = known.risk + known.more_risk
        total = rates.total(usd=usd, latency_s=usual, risk=risk, wh=tool.cost.wh)
        price = NANOS_PER_USD * total + FAILED_CALL * p_fail
        if usual > tool.cost.latency_s:
            price += SLOW_SECOND * (usual - tool.cost.latency_s)
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
        return NanoUsd(round(price / (1 - p_fail)))

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
        usd, usual, p_fail = self._expectation(tool, expected or entry.declared, standings, now)
        signal = self._signal(tool, standings, now, also)
        heard = [s.heard_at for s in standings if s.heard_at is not None] + ([] if signal is None else [signal.at])
        declared = rates.price(usd=cost.usd, latency_s=cost.latency_s, risk=cost.risk, wh=cost.wh)
        declared += FAILED_CALL * cost.risk
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
        )

    def latency(self, tool: ToolSpec, now: float, expected: Expected | None = None) -> float:
        """Seconds that four of five calls of the tool take, as far as is known; for deadlines."""
        entry = self._entry(tool)
        return _times(entry.standings, expected or entry.declared, now)[1]

    def overdue_after(self, tool: ToolSpec, now: float, expected: Expected | None = None) -> float | None:
        """Seconds after which a call is overdue.

        None where nothing tells it: neither the contract nor calls say how long one takes, or the first one is not
        over, which may have to wait for a process to start or a connection to be made.
        """
        entry = self._entry(tool)
        most = _tolerated(entry.standings, expected or entry.declared, now, self.latency(tool, now, expected))
        is_known = most > 0 and all(standing.warm_at is not None for standing in entry.standings)
        return OVERDUE * most if is_known else None

    def admits(self, tool: ToolSpec, now: float) -> bool:
        """Whether the tool may be called now: not asked to wait, room for one more, and no breaker in the way."""
        standings, shut = self._entry(tool).standings, False
        for standing in standings:  # a loop, for this is asked of every tool for every route
            limit, breaker = standing.limit, standing.breaker
            if now < limit.counts_until and now < limit.opens_at(now) - INSTANT_S:
                return False
            if breaker.opened_at is not None and not breaker.admits(now):
                shut = True
        own = standings[0]
        if (own.flying or own.queued) and not own.room.admits(len(own.flying) + len(own.queued), now):
            return False
        if not shut:
            return True
        return self._is_last_way(tool, now) and all(s.breaker.admits(now, early_s=PANIC_S) for s in standings)

    def back_at(self, tool: ToolSpec, now: float) -> float:
        """When the tool may be called again (monotonic seconds); `now` if it may already."""
        standings = self._entry(tool).standings
        reopens = max(standing.breaker.reopens_at() for standing in standings)
        if reopens > now and self._is_last_way(tool, now):
            reopens = max(min(s.breaker.reopens_at(), (s.breaker.opened_at or now) + PANIC_S) for s in standings)
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
        self.latest = now
        entry, number, probes = self._entry(tool), next(self._numbers), False
        standings, own = entry.standings, entry.standings[0]
        generations: list[int] = []
        own.flying[number] = now, own.worked
        standings[-1].retries.spend(now, again=again and not own.room.is_known(now))
        for standing in standings:
            breaker = standing.breaker
            if now < standing.limit.counts_until:
                self.version += standing.limit.begin(now)
            if standing.slow_since is not None and standing.is_worth_a_trial(self.settings.cool_down_s, now):
                standing.trial = number
            standing.begun_at = now
            probes = probes or breaker.opened_at is not None
            generations.append(breaker.begin(now))
        self.version += probes  # the one probe is taken: for everybody else the tool is out again
        return Ticket(tool, number, now, standings, generations, expected or entry.declared)

    def queued(self, ticket: Ticket) -> None:
        """Note that a call has to wait for its turn: it has a place with the tool, and cannot be overdue."""
        own = ticket.standings[0]
        if own.flying.pop(ticket.number, None) is not None:
            own.queued.add(ticket.number)

    def delayed(self, ticket: Ticket, now: float) -> Ticket:
        """Note that a call had to wait for its turn and begins only now: the tool is not to blame for that."""
        own = ticket.standings[0]
        own.flying.pop(ticket.number, None)
        own.queued.discard(ticket.number)
        own.flying[ticket.number] = now, own.worked
        return replace(ticket, begun=now)

    def succeed(self, ticket: Ticket, now: float, *, usd: float | None = None, said: Headroom | None = None) -> None:
        """Note that the call worked.

        Args:
            ticket: The call.
            now: Monotonic seconds.
            usd: What it cost, if the tool said so.
            said: What its answer said of a rate limit.
        """
        known = ticket.expected
        took_s = (now - ticket.begun) / known.slower
        self._landed(ticket, now)
        self._timed(ticket, took_s, now, given_up=False)
        ticket.standings[0].worked += 1
        if usd is not None:
            ticket.standings[0].price.paid(usd - known.more_usd)
        if said is not None:
            self.hear(ticket, said, now)
        for standing, generation in zip(ticket.standings, ticket.generations, strict=True):
            standing.worked_from = max(standing.worked_from, ticket.begun)
            breaker = standing.breaker
            if generation != breaker.generation:  # from before the breaker last changed: that may be all it says
                if standing.acquit(generation, ticket.begun, now):
                    self.version += 1
                    self.line.call()
                continue
            if breaker.opened_at is not None:
                self.version += 1
                if breaker.succeed(generation, now):
                    standing.reliability.end_burst()
                    self.line.call()
            else:
                standing.reliability.succeed(known.risk, now, self._fading, shift=known.more_risk)
            self._publish(ticket, standing, now, took_s)

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

        A rate limit is a request to wait, not a fault: it closes the tool for a while and leaves its record alone.

        Args:
            ticket: The call.
            now: Monotonic seconds.
            retry_after_s: Seconds the provider asked to wait.
            rate_limited: It refused for this reason alone.
            timed_out: It was given up: whatever it would have taken, it took at least so long.
        """
        if rate_limited:
            wait = self.settings.backoff_s if retry_after_s is None else retry_after_s
            ticket.standings[0].limit.wait(now + wait)
            self.version += 1
            self.forget(ticket)
            return
        self._landed(ticket, now)
        took_s, known = None, ticket.expected
        if timed_out:
            took_s = (now - ticket.begun) / known.slower
            self._timed(ticket, took_s, now, given_up=True)
        for standing, generation in zip(ticket.standings, ticket.generations, strict=True):
            breaker = standing.breaker
            if generation != breaker.generation:
                continue
            standing.failed_at = now
            if not standing.reliability.suspicion:
                standing.refused_from = ticket.begun
            suspicion = standing.reliability.fail(known.risk, now, self._fading, shift=known.more_risk)
            breaker.fail(generation, now, too_many=suspicion >= self.settings.trip_after - ROUNDING)
            self.version += breaker.generation != generation
            self._publish(ticket, standing, now, took_s)

    def hear(self, ticket: Ticket, said: Headroom, now: float) -> None:
        """Note what an answer said of a rate limit, the provider's if there is one; whether or not the call worked."""
        limit = ticket.standings[-1].limit
        before = limit.factor(now)
        limit.heard(said, now)
        self.version += said.left < 1 or not _alike(limit.factor(now), before)

    def forget(self, ticket: Ticket) -> None:
        """Note that the call ended without saying anything about the tool."""
        self._ended(ticket)
        for standing, generation in zip(ticket.standings, ticket.generations, strict=True):
            self.version += standing.breaker.opened_at is not None
            standing.breaker.forget(generation)

    def still_admits(self, ticket: Ticket, now: float) -> bool:
        """Whether nothing has been learned since the call was admitted that would keep it from being made."""
        pairs = zip(ticket.standings, ticket.generations, strict=True)
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
        standing.hear(signal)
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
        self._ended(ticket)
        for standing in ticket.standings:
            standing.heard_at = now
            if standing.warm_at is None:
                standing.warm_at = now

    def _ended(self, ticket: Ticket) -> None:
        """Note that a call is over: there may be a place for another, of its tool or instead of an alternative."""
        own = ticket.standings[0]
        own.flying.pop(ticket.number, None)
        if own.queued:
            own.queued.discard(ticket.number)
        if self.line:
            name = ticket.tool.name
            self.line.call((name, *[other.name for other in self._alternatives.get(name, ())]))

    def _timed(self, ticket: Ticket, took_s: float, now: float, *, given_up: bool) -> None:
        """Note how long a call took; for the provider, in multiples of what was expected of the tool.

        The first call, and those that began before it was over, may have waited for a process to start or a connection
        to be made: how long they took says nothing of the next ones.
        """
        declared = ticket.expected.latency_s
        value, expected, slow = took_s, declared, ticket.expected.slow_s
        for standing in ticket.standings:  # the tool's own comes first
            if given_up or (standing.warm_at is not None and ticket.begun >= standing.warm_at):
                standing.took(ticket.number, value, expected, now, given_up=given_up, slow=slow)
            if declared <= 0:
                break
            value, expected, slow = took_s / declared, 1.0, 1.0

    def _is_worth_a_trial(self, standings: Sequence[Standing], now: float) -> bool:
        """Whether those of a tool's records that show it to be slow are all old enough to be doubted."""
        worth = False
        for standing in standings:
            if standing.slow_since is not None:
                if not standing.is_worth_a_trial(self.settings.cool_down_s, now):
                    return False
                worth = True
        return worth

    def _expectation(
        self, tool: ToolSpec, known: Expected, standings: Sequence[Standing], now: float
    ) -> tuple[float, float, float]:
        """Price in USD, usual duration in seconds, and share of failing calls that are expected of a call."""
        own = standings[0]
        usual, most = _times(standings, known, now)
        slow = own.slow_since is not None or standings[-1].slow_since is not None
        if slow and tool.effect != "once" and self._is_worth_a_trial(standings, now):
            usual = known.latency_s
        overdue = (0, 0)
        if own.flying and (tolerated := _tolerated(standings, known, now, most)) > 0:
            overdue = own.overdue(OVERDUE * tolerated, now)
        usd = own.price.expected(known.usd) + known.more_usd
        return usd if usd > 0 else 0.0, usual, self._p_fail(tool, known, standings, now, overdue)

    def _p_fail(
        self, tool: ToolSpec, known: Expected, standings: Sequence[Standing], now: float, overdue: tuple[int, int]
    ) -> float:
        """Expected share of failing calls, by the worst record.

        Half-open, a tool whose calls change nothing that could not be done twice weighs as if the outage were over:
        somebody has to find out, and it is one call per cool-down.
        """
        worst, risk, shift, fading = 0.0, known.risk, known.more_risk, self._fading
        late, meanwhile = overdue
        for standing in standings:
            record, breaker = standing.reliability, standing.breaker
            half_open = breaker.opened_at is not None and breaker.state(now) == "half-open"
            if not (record.burst_failed or late) or (half_open and tool.effect != "once"):
                found = record.habit(risk, now, fading, shift=shift)
            else:
                found = record.p_fail(risk, now, fading, shift=shift, overdue=late, meanwhile=meanwhile)
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
        """Whether every alternative of a tool is out too, and this is the one that would be back first.

        The cap on ejections: of several ways to the same artifact, breakers may shut all but one. The last is called
        now and then even so, instead of after a cool-down that may have grown to minutes.
        """
        others = self._alternatives.get(tool.name, ())
        if not others or not all(self.is_open(other, now) for other in others):
            return False
        return min((self._reopens_at(spec), spec.name) for spec in (tool, *others))[1] == tool.name

    def _reopens_at(self, tool: ToolSpec) -> float:
        return max(standing.breaker.reopens_at() for standing in self._entry(tool).standings)

    def _retries(self, tool: ToolSpec) -> RetryBudget:
        """The retry budget of the provider, or of a tool without one."""
        return self._entry(tool).standings[-1].retries

    def _entry(self, tool: ToolSpec) -> Entry:
        """What there is on a tool; opened when it is first asked for."""
        return self._entries.get(tool.name) or self._open(tool)

    def _open(self, tool: ToolSpec) -> Entry:
        standings = (self._new_standing(),)
        self._tools[tool.name] = standings[0]
        if tool.provider is not None:
            shared = self._providers.get(tool.provider)
            if shared is None:
                shared = self._providers[tool.provider] = self._new_standing()
            standings = standings[0], shared
        entry = self._entries[tool.name] = Entry(standings, as_declared(tool.cost))
        return entry

    def _new_standing(self) -> Standing:
        settings = self.settings
        breaker, room = Breaker(settings.cool_down_s), Room(settings.cool_down_s)
        retries = RetryBudget(settings.retry_reserve, settings.retry_share)
        return Standing(breaker, room, retries, latency=Latency(settings.half_life_s))

    def _publish(self, ticket: Ticket, standing: Standing, now: float, took_s: float | None) -> None:
        """Bump the version when a standing has moved enough to matter to a route, or to a deadline."""
        expected = ticket.expected
        p_fail = standing.reliability.p_fail(expected.risk, now, self._fading)
        known, usual_s, most_s = standing.published or (expected.risk, expected.latency_s, expected.latency_s)
        times, moved = (usual_s, most_s), False
        if took_s is not None and not (_lasts(took_s, usual_s) and _lasts(took_s, most_s)):  # else neither moved far
            usual, most = _times(ticket.standings, expected, now)
            times = usual / expected.slower, most / expected.slower
            moved = not (_lasts(times[0], usual_s) and _lasts(times[1], most_s))
        if moved or abs(p_fail - known) > REPUBLISH_AT:
            standing.published = (p_fail, *times)
            self.version += 1


def _times(standings: Sequence[Standing], known: Expected, now: float) -> tuple[float, float]:
    """Seconds that half, and four of five, of a tool's calls take: by its own record or its provider's, the slower."""
    expected, slower = known.latency_s, known.slower
    usual, most = standings[0].latency.quantiles(expected, now, slow=known.slow_s)
    if len(standings) > 1:
        times, most_times = standings[1].latency.quantiles(1.0, now)
        usual, most = max(usual, expected * times), max(most, expected * most_times)
    return slower * usual, slower * most


def _tolerated(standings: Sequence[Standing], known: Expected, now: float, most: float) -> float:
    """Of `most`, the seconds that four of five calls take, what is left without those that were given up last.

    A call that hangs must not make anybody more patient with the others that do.
    """
    own, shared = standings[0], standings[-1]
    if own.patience is None and shared.patience is None:
        return most
    most = own.latency.quantiles(known.latency_s, now, slow=known.slow_s)[1] if own.patience is None else own.patience
    if shared is not own:
        times = shared.latency.quantiles(1.0, now)[1] if shared.patience is None else shared.patience
        most = max(most, known.latency_s * times)
    return known.slower * most


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
