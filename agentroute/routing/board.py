"""Health: what calls and monitors say about each tool and provider, shared by all runs of an agent."""

import itertools
import math
from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Ticket:
    """A call under way: whom it says something about, in which generation of their breakers, and what was expected."""

    tool: ToolSpec
    number: int
    begun: float
    standings: tuple[Standing, ...]
    generations: tuple[int, ...]
    expected: Expected


class HealthBoard:
    """Health of all tools of an agent. Synchronous, on the event loop, time as an argument: no locks.

    A provider stands beside its tools: what one of them meets, all of them are judged by, whichever record is worse.
    `version` changes when a route computed before may no longer be the cheapest. `latest` is when a call last began.
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
        self.line = Line()
        self._alternatives = alternatives or {}
        self._fading = settings.fading
        self._tools: dict[ToolId, Standing] = {}
        self._providers: dict[str, Standing] = {}
        self._retries: dict[ToolId, RetryBudget] = {}
        self._retry_budgets: dict[str, RetryBudget] = {}
        self._numbers = itertools.count()
        self._signalled = False
        self._records: dict[ToolId, tuple[Standing, ...]] = {}
        self._declared: dict[ToolId, Expected] = {}

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
        known, standings = expected or self._as_declared(tool), self._standings(tool)
        usd, usual, p_fail = self._expectation(tool, known, standings, now)
        risk = known.risk + known.more_risk
        price = NANOS_PER_USD * (usd + rates.usd_per_second * usual + rates.usd_per_risk * risk)
        price += SLOW_SECOND * max(0.0, usual - tool.cost.latency_s) + FAILED_CALL * p_fail
        for standing in standings:
            price *= standing.limit.factor(now) * standing.returning(now)
        signal = self._signal(tool, standings, now, also)
        return NanoUsd(round(price / (1 - p_fail) * (1.0 if signal is None else signal.factor_at(now))))

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
        standings, cost = self._standings(tool), tool.cost
        usd, usual, p_fail = self._expectation(tool, expected or self._as_declared(tool), standings, now)
        signal = self._signal(tool, standings, now, also)
        heard = [s.heard_at for s in standings if s.heard_at is not None] + ([] if signal is None else [signal.at])
        declared = rates.price(usd=cost.usd, latency_s=cost.latency_s, risk=cost.risk) + FAILED_CALL * cost.risk
        return Factors(
            tool=tool.name,
            weight=self.weight(tool, rates, now, expected, also=also),
            declared=NanoUsd(round(declared / (1 - min(cost.risk, LIKELIEST_FAILURE)))),
            usd=usd,
            latency_s=usual,
            p_fail=p_fail,
            limit=math.prod(standing.limit.factor(now) for standing in standings),
            returning=math.prod(standing.returning(now) for standing in standings),
            signal=1.0 if signal is None else signal.factor_at(now),
            monitor="" if signal is None else str(signal),
            age_s=now - max(heard) if heard else None,
            breaker=max((standing.breaker.state(now) for standing in standings), key=SEVERITY.__getitem__),
        )

    def latency(self, tool: ToolSpec, now: float, expected: Expected | None = None) -> float:
        """Seconds that four of five calls of the tool take, as far as is known; for deadlines."""
        return self._times(tool, expected or self._as_declared(tool), now)[1]

    def admits(self, tool: ToolSpec, now: float) -> bool:
        """Whether the tool may be called now: not asked to wait, room for one more, and no breaker in the way."""
        standings, shut = self._standings(tool), False
        for standing in standings:  # a loop, for this is asked of every tool for every route
            if now < standing.limit.opens_at(now) - INSTANT_S:
                return False
            shut = shut or not standing.breaker.admits(now)
        own = standings[0]
        if not own.room.admits(len(own.flying), now):
            return False
        if not shut:
            return True
        return self._is_last_way(tool, now) and all(s.breaker.admits(now, early_s=PANIC_S) for s in standings)

    def back_at(self, tool: ToolSpec, now: float) -> float:
        """When the tool may be called again (monotonic seconds); `now` if it may already."""
        standings = self._standings(tool)
        reopens = max(standing.breaker.reopens_at() for standing in standings)
        if reopens > now and self._is_last_way(tool, now):
            reopens = max(min(s.breaker.reopens_at(), (s.breaker.opened_at or now) + PANIC_S) for s in standings)
        return max(now, reopens, *(standing.limit.opens_at(now) for standing in standings))

    def admits_retry(self, tool: ToolSpec, now: float) -> bool:
        """Whether the provider's retry budget allows for one more.

        The budget keeps runs from piling up on a tool of which nobody knows how much it can take. Of one that was
        crowded that is known: within its room, a retry is a call like any other.
        """
        return self._standings(tool)[0].room.is_known(now) or self._retry_budget(tool).allows(now)

    def retry_at(self, tool: ToolSpec, now: float) -> float:
        """When the provider's retry budget allows for one more."""
        return now if self.admits_retry(tool, now) else self._retry_budget(tool).allows_at(now)

    def is_open(self, tool: ToolSpec, now: float) -> bool:
        """Whether a breaker keeps the tool out."""
        return any(standing.breaker.state(now) == "open" for standing in self._standings(tool))

    def is_on_probation(self, tool: ToolSpec) -> bool:
        """Whether a breaker is open or half-open: at best, one call at a time is let through."""
        return any(standing.breaker.opened_at is not None for standing in self._standings(tool))

    # ---------------------------------------------------------------- what calls say

    def begin(self, tool: ToolSpec, now: float, *, again: bool = False, expected: Expected | None = None) -> Ticket:
        """Note that a call begins; `again`: after a failure of the same tool in the same run."""
        self.latest = now
        standings, number = self._standings(tool), next(self._numbers)
        if self.is_on_probation(tool):
            self.version += 1  # the one probe is taken: for everybody else the tool is out again
        self._retry_budget(tool).spend(now, again=again and not standings[0].room.is_known(now))
        standings[0].flying[number] = now, standings[0].worked
        for standing in standings:
            self.version += standing.limit.begin(now)
            standing.begin(number, self.settings.cool_down_s, now)
        generations = tuple([standing.breaker.begin(now) for standing in standings])
        return Ticket(tool, number, now, standings, generations, expected or self._as_declared(tool))

    def delayed(self, ticket: Ticket, now: float) -> Ticket:
        """Note that a call had to wait for its turn and begins only now: the tool is not to blame for that."""
        own = ticket.standings[0]
        own.flying.pop(ticket.number, None)
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

    # ---------------------------------------------------------------- what monitors say

    def signal(self, signal: HealthSignal, now: float) -> None:
        """Take note of a monitor's word, in place of its last one about the same subject.

        An outage that a monitor sees counts until a call works: what calls meet outranks what probes see.
        """
        standing = self._tools.get(ToolId(signal.subject)) or self._providers.get(signal.subject)
        if standing is None or signal.stale(now):
            return
        before = standing.signals.get(signal.monitor)
        if before is not None and before.at > signal.at:
            return  # overtaken on its way
        standing.hear(signal)
        self._signalled = True
        if before is None or before.factor != signal.factor:
            self.version += 1

    def know(self, tools: Sequence[ToolSpec]) -> None:
        """Open a record for each tool, so that monitors can speak of it before it is called."""
        for tool in tools:
            self._standings(tool)

    # ---------------------------------------------------------------- inside

    def _landed(self, ticket: Ticket, now: float) -> None:
        """Note that a call has said something of its tool."""
        self._ended(ticket)
        for standing in ticket.standings:
            standing.heard_at = now
            if standing.warm_at is None:
                standing.warm_at = now

    def _ended(self, ticket: Ticket) -> None:
        """Note that a call is over: there may be a place for another, of its tool or instead of an alternative."""
        ticket.standings[0].flying.pop(ticket.number, None)
        if self.line:
            name = ticket.tool.name
            self.line.call((name, *[other.name for other in self._alternatives.get(name, ())]))

    def _as_declared(self, tool: ToolSpec) -> Expected:
        known = self._declared.get(tool.name)
        if known is None:
            known = self._declared[tool.name] = as_declared(tool.cost)
        return known

    def _timed(self, ticket: Ticket, took_s: float, now: float, *, given_up: bool) -> None:
        """Note how long a call took; for the provider, in multiples of what was expected of the tool.

        The first call, and those that began before it was over, may have waited for a process to start or a connection
        to be made: how long they took says nothing of the next ones.
        """
        declared = ticket.expected.latency_s
        own, *shared = ticket.standings
        notes = [(own, took_s, declared)]
        if declared > 0:
            notes += [(standing, took_s / declared, 1.0) for standing in shared]
        for standing, value, expected in notes:
            if given_up or (standing.warm_at is not None and ticket.begun >= standing.warm_at):
                standing.took(ticket.number, value, expected, now, given_up=given_up)

    def _is_worth_a_trial(self, standings: Sequence[Standing], now: float) -> bool:
        """Whether those of a tool's records that show it to be slow are all old enough to be doubted."""
        worth = False
        for standing in standings:
            if standing.slow_since is not None:
                if not standing.is_worth_a_trial(self.settings.cool_down_s, now):
                    return False
                worth = True
        return worth

    def _times(self, tool: ToolSpec, known: Expected, now: float) -> tuple[float, float]:
        """Seconds that half, and four of five, of its calls take: by its own record or its provider's, the slower."""
        expected = known.latency_s
        own, *shared = self._standings(tool)
        usual, most = own.latency.quantiles(expected, now, slow=known.slow_s)
        for standing in shared:
            times, most_times = standing.latency.quantiles(1.0, now)
            usual, most = max(usual, expected * times), max(most, expected * most_times)
        return known.slower * usual, known.slower * most

    def _expectation(
        self, tool: ToolSpec, known: Expected, standings: Sequence[Standing], now: float
    ) -> tuple[float, float, float]:
        """Price in USD, usual duration in seconds, and share of failing calls that are expected of a call."""
        own = standings[0]
        usual, most = self._times(tool, known, now)
        if tool.effect != "once" and self._is_worth_a_trial(standings, now):
            usual = known.latency_s
        overdue = own.overdue(OVERDUE * most, now) if own.flying and most > 0 else (0, 0)
        usd = max(0.0, own.price.expected(known.usd) + known.more_usd)
        return usd, usual, self._p_fail(tool, known, standings, now, overdue)

    def _p_fail(
        self, tool: ToolSpec, known: Expected, standings: Sequence[Standing], now: float, overdue: tuple[int, int]
    ) -> float:
        """Expected share of failing calls, by the worst record.

        Half-open, a tool whose calls change nothing that could not be done twice weighs as if the outage were over:
        somebody has to find out, and it is one call per cool-down.
        """
        worst, risk, shift = 0.0, known.risk, known.more_risk
        for standing in standings:
            record = standing.reliability
            late, meanwhile = overdue if standing is standings[0] else (0, 0)
            if tool.effect != "once" and standing.breaker.state(now) == "half-open":
                found = record.habit(risk, now, self._fading, shift=shift)
            else:
                found = record.p_fail(risk, now, self._fading, shift=shift, overdue=late, meanwhile=meanwhile)
            worst = max(worst, found)
        return min(worst, LIKELIEST_FAILURE)

    def _signal(
        self, tool: ToolSpec, standings: Sequence[Standing], now: float, also: Sequence[HealthSignal]
    ) -> HealthSignal | None:
        """The monitor's word that counts for a tool, of all about it and its provider."""
        if not also and not self._signalled:
            return None
        curious = tool.effect != "once"
        said = [
            signal
            for standing in standings
            for signal in standing.signals.values()
            if not standing.doubts(signal, now, curious=curious)
        ]
        return foremost((*said, *also), now)

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
        return max(standing.breaker.reopens_at() for standing in self._standings(tool))

    def _retry_budget(self, tool: ToolSpec) -> RetryBudget:
        budget = self._retries.get(tool.name)
        if budget is None:
            owner = f"provider {tool.provider}" if tool.provider is not None else f"tool {tool.name}"
            budget = self._retry_budgets.get(owner) or RetryBudget(
                self.settings.retry_reserve, self.settings.retry_share
            )
            self._retries[tool.name] = self._retry_budgets[owner] = budget
        return budget

    def _standings(self, tool: ToolSpec) -> tuple[Standing, ...]:
        """The tool's own standing and, if it has one, its provider's."""
        found = self._records.get(tool.name)
        if found is not None:
            return found
        own = self._tools[tool.name] = self._new_standing()
        found = (own,)
        if tool.provider is not None:
            shared = self._providers.get(tool.provider)
            if shared is None:
                shared = self._providers[tool.provider] = self._new_standing()
            found = own, shared
        self._records[tool.name] = found
        return found

    def _new_standing(self) -> Standing:
        settings = self.settings
        latency = Latency(settings.half_life_s)
        return Standing(Breaker(settings.cool_down_s), Room(settings.cool_down_s), latency=latency)

    def _publish(self, ticket: Ticket, standing: Standing, now: float, took_s: float | None) -> None:
        """Bump the version when a standing has moved enough to matter to a route, or to a deadline."""
        expected = ticket.expected
        p_fail = standing.reliability.p_fail(expected.risk, now, self._fading)
        known, usual_s, most_s = standing.published or (expected.risk, expected.latency_s, expected.latency_s)
        times = usual_s, most_s
        if took_s is not None and not (_lasts(took_s, usual_s) and _lasts(took_s, most_s)):  # else neither moved far
            usual, most = self._times(ticket.tool, expected, now)
            times = usual / expected.slower, most / expected.slower
        moved = not (_lasts(times[0], usual_s) and _lasts(times[1], most_s))
        if abs(p_fail - known) > REPUBLISH_AT or moved:
            standing.published = (p_fail, *times)
            self.version += 1


def _alike(one: float, other: float) -> bool:
    """Whether two durations or factors differ too little to matter."""
    return max(one, other) <= REPUBLISH_SLOWNESS * min(one, other)


def _lasts(one_s: float, other_s: float) -> bool:
    """Whether two durations differ too little to matter: no route is worth looking for over a millisecond."""
    return abs(one_s - other_s) < MOMENT_S or _alike(one_s, other_s)
