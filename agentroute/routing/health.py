"""Health: what the calls so far say about each tool and provider, shared by all runs of an agent."""

import math
from dataclasses import dataclass

from agentroute.errors import DefinitionError
from agentroute.graph.cost import Rates, checked
from agentroute.graph.tool import ToolSpec
from agentroute.guard.breaker import INSTANT_S, Breaker
from agentroute.ids import NanoUsd, ToolId

PRIOR_STRENGTH = 2.0
"""Calls that the declared risk counts for, before there are calls to learn from."""

LIKELIEST_FAILURE = 0.95
"""Bound of the failure probability in a weight; what fails more often than that is the breaker's business."""

FAILED_CALL = 1_000
"""Nano-dollars that a failed attempt costs beyond its price, so that health counts between free tools too."""

REPUBLISH_AT = 0.05
"""Change of a failure probability that makes runs look for another route; smaller ones would only make them flap."""


@dataclass(frozen=True, slots=True)
class Health:
    """How quickly an agent loses and regains trust in a tool.

    Attributes:
        trip_after: Consecutive failures that open a tool's circuit breaker.
        cool_down_s: Seconds until an open breaker lets a probe through; grows while probes fail.
        max_attempts: Attempts of one tool within one run.
        backoff_s: Seconds before the second attempt of a tool; doubled for each further one, with jitter.
        patience_s: Longest wait for a tool that asks for one, when there is no other way.
        half_life_s: Seconds after which an observation counts half.
    """

    trip_after: int = 3
    cool_down_s: float = 5.0
    max_attempts: int = 3
    backoff_s: float = 0.05
    patience_s: float = 30.0
    half_life_s: float = 300.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing could ever be called."""
        for name in ("trip_after", "max_attempts"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DefinitionError("health", f"{name} must be a whole number from 1, not {value!r}")
        for name in ("cool_down_s", "backoff_s", "patience_s"):
            checked("health", name, getattr(self, name))
        if checked("health", "half_life_s", self.half_life_s) == 0:
            raise DefinitionError("health", "half_life_s must be above 0")


@dataclass(slots=True)
class Standing:
    """What is known of one tool or one provider: decaying counts, and its breaker.

    The failure probability is the mean of a Beta distribution whose prior is the declared risk; observations decay
    with the half-life, so that what is not used drifts back to what was declared of it.
    """

    breaker: Breaker
    failed: float = 0.0
    worked: float = 0.0
    as_of: float = 0.0
    limited_until: float = float("-inf")
    published: float | None = None

    def decay(self, now: float, half_life_s: float) -> None:
        """Let the counts fade to what they are worth at `now`."""
        if (self.failed or self.worked) and now > self.as_of:
            kept = math.exp2((self.as_of - now) / half_life_s)
            self.failed *= kept
            self.worked *= kept
        self.as_of = max(self.as_of, now)

    def p_fail(self, prior: float) -> float:
        """Expected share of failing attempts, given the declared `prior`."""
        return (PRIOR_STRENGTH * prior + self.failed) / (PRIOR_STRENGTH + self.failed + self.worked)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A call under way: whom it says something about, and in which generation of their breakers it began."""

    tool: ToolSpec
    standings: tuple[Standing, ...]
    generations: tuple[int, ...]


class HealthBoard:
    """Health of all tools of an agent. Synchronous, on the event loop, time as an argument: no locks.

    A provider stands beside its tools: what one of them meets, all of them are judged by, whichever record is worse.
    `version` changes when a route computed before may no longer be the cheapest. `latest` is when a call last began.
    """

    def __init__(self, settings: Health) -> None:
        """Start neutral: every tool as declared."""
        self.settings = settings
        self.version = 0
        self.latest = 0.0
        self._tools: dict[ToolId, Standing] = {}
        self._providers: dict[str, Standing] = {}

    def weight(self, tool: ToolSpec, rates: Rates, now: float) -> NanoUsd:
        """Expected cost until success under current health, in nano-dollars.

        ``cost / (1 - p)``, plus the expected number of failed attempts ``p / (1 - p)`` at `FAILED_CALL` each.
        """
        p_fail = 0.0
        for standing in self._standings(tool):
            standing.decay(now, self.settings.half_life_s)
            p_fail = max(p_fail, standing.p_fail(tool.cost.risk))
        p_fail = min(p_fail, LIKELIEST_FAILURE)
        cost = rates.price(usd=tool.cost.usd, latency_s=tool.cost.latency_s, risk=tool.cost.risk)
        return NanoUsd(round((cost + FAILED_CALL * p_fail) / (1 - p_fail)))

    def admits(self, tool: ToolSpec, now: float) -> bool:
        """Whether the tool may be called now: not asked to wait, and no breaker in the way."""
        return all(now >= s.limited_until - INSTANT_S and s.breaker.admits(now) for s in self._standings(tool))

    def back_at(self, tool: ToolSpec, now: float) -> float:
        """When the tool may be called again (monotonic seconds); `now` if it may already."""
        return max(now, *(max(s.limited_until, s.breaker.reopens_at()) for s in self._standings(tool)))

    def begin(self, tool: ToolSpec, now: float) -> Ticket:
        """Note that a call begins."""
        self.latest = now
        standings = self._standings(tool)
        if any(standing.breaker.opened_at is not None for standing in standings):
            self.version += 1  # the one probe is taken: for everybody else the tool is out again
        return Ticket(tool, standings, tuple([standing.breaker.begin(now) for standing in standings]))

    def succeed(self, ticket: Ticket, now: float) -> None:
        """Note that the call worked."""
        for standing, generation in zip(ticket.standings, ticket.generations, strict=True):
            standing.decay(now, self.settings.half_life_s)
            standing.worked += 1
            self.version += standing.breaker.opened_at is not None
            standing.breaker.succeed(generation)
            self._publish(standing, ticket.tool.cost.risk)

    def fail(
        self, ticket: Ticket, now: float, *, retry_after_s: float | None = None, rate_limited: bool = False
    ) -> None:
        """Note that the call failed for reasons that say something about the tool.

        A rate limit is a request to wait, not a fault: it closes the tool for a while and leaves its record alone.
        """
        self.version += 1
        if rate_limited:
            wait = self.settings.backoff_s if retry_after_s is None else retry_after_s
            own = ticket.standings[0]
            own.limited_until = max(own.limited_until, now + wait)
            self.forget(ticket)
            return
        for standing, generation in zip(ticket.standings, ticket.generations, strict=True):
            standing.decay(now, self.settings.half_life_s)
            standing.failed += 1
            standing.breaker.fail(generation, now)
            standing.published = standing.p_fail(ticket.tool.cost.risk)

    def forget(self, ticket: Ticket) -> None:
        """Note that the call ended without saying anything about the tool."""
        for standing, generation in zip(ticket.standings, ticket.generations, strict=True):
            self.version += standing.breaker.probe_out
            standing.breaker.forget(generation)

    def still_admits(self, ticket: Ticket, now: float) -> bool:
        """Whether nothing has been learned since the call was admitted that would keep it from being made."""
        pairs = zip(ticket.standings, ticket.generations, strict=True)
        if any(now < standing.limited_until - INSTANT_S for standing in ticket.standings):
            return False
        return all(s.breaker.opened_at is None or s.breaker.generation == generation for s, generation in pairs)

    def _standings(self, tool: ToolSpec) -> tuple[Standing, ...]:
        """The tool's own standing and, if it has one, its provider's."""
        own = self._tools.get(tool.name)
        if own is None:
            own = self._tools[tool.name] = self._new_standing()
        if tool.provider is None:
            return (own,)
        shared = self._providers.get(tool.provider)
        if shared is None:
            shared = self._providers[tool.provider] = self._new_standing()
        return own, shared

    def _new_standing(self) -> Standing:
        return Standing(Breaker(self.settings.trip_after, self.settings.cool_down_s))

    def _publish(self, standing: Standing, prior: float) -> None:
        """Bump the version when a standing has moved enough to matter to a route."""
        p_fail = standing.p_fail(prior)
        known = prior if standing.published is None else standing.published
        if abs(p_fail - known) > REPUBLISH_AT:
            standing.published = p_fail
            self.version += 1
