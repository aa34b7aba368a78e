"""Health: what the calls so far say about each tool and provider, shared by all runs of an agent."""

import math
from dataclasses import dataclass, field

from agentroute.errors import DefinitionError
from agentroute.graph.cost import Rates, checked
from agentroute.graph.tool import ToolSpec
from agentroute.guard.breaker import Breaker
from agentroute.ids import NanoUsd, ToolId

PRIOR_STRENGTH = 2.0
"""Calls that the declared risk counts for, before there are calls to learn from."""

LIKELIEST_FAILURE = 0.95
"""Bound of the failure probability in a weight; what fails more often than that is the breaker's business."""

FAILED_CALL = 1_000
"""Nano-dollars that a failed attempt costs beyond its price, so that health counts between free tools too."""

REPUBLISH_AT = 0.05
"""Relative change of a weight that makes runs look for another route; smaller ones would only make them flap."""


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
class ToolHealth:
    """Decaying counts of one tool, and its breaker.

    The failure probability is the mean of a Beta distribution whose prior is the declared risk; observations decay
    with the half-life, so that an unused tool drifts back to what was declared of it.
    """

    breaker: Breaker
    failed: float = 0.0
    worked: float = 0.0
    as_of: float = 0.0
    limited_until: float = float("-inf")
    published: float = -1.0

    def decay(self, now: float, half_life_s: float) -> None:
        """Let the counts fade to what they are worth at `now`."""
        if (self.failed or self.worked) and now > self.as_of:
            kept = math.exp2((self.as_of - now) / half_life_s)
            self.failed *= kept
            self.worked *= kept
        self.as_of = max(self.as_of, now)

    def p_fail(self, prior: float) -> float:
        """Expected share of failing attempts, given the declared `prior`."""
        total = PRIOR_STRENGTH + self.failed + self.worked
        return (PRIOR_STRENGTH * prior + self.failed) / total


@dataclass(slots=True)
class Ticket:
    """A call under way: which generation of which breakers it belongs to."""

    tool: ToolSpec
    generations: tuple[tuple[Breaker, int], ...] = field(default=())


class HealthBoard:
    """Health of all tools of an agent. Synchronous, on the event loop, time as an argument: no locks.

    `version` changes when a route computed before may no longer be the cheapest. `latest` is when a call last began.
    """

    def __init__(self, settings: Health) -> None:
        """Start neutral: every tool as declared."""
        self.settings = settings
        self.version = 0
        self.latest = 0.0
        self._tools: dict[ToolId, ToolHealth] = {}
        self._providers: dict[str, Breaker] = {}

    def weight(self, tool: ToolSpec, rates: Rates, now: float) -> NanoUsd:
        """Expected cost until success under current health, in nano-dollars.

        ``cost / (1 - p)``, plus the expected number of failed attempts ``p / (1 - p)`` at `FAILED_CALL` each.
        """
        p_fail = min(self._current(tool, now).p_fail(tool.cost.risk), LIKELIEST_FAILURE)
        cost = rates.price(usd=tool.cost.usd, latency_s=tool.cost.latency_s, risk=tool.cost.risk)
        return NanoUsd(round((cost + FAILED_CALL * p_fail) / (1 - p_fail)))

    def admits(self, tool: ToolSpec, now: float) -> bool:
        """Whether the tool may be called now: not asked to wait, and no breaker in the way."""
        known = self._tools.get(tool.name)
        if known is not None and (now < known.limited_until or not known.breaker.admits(now)):
            return False
        shared = self._providers.get(tool.provider) if tool.provider else None
        return shared is None or shared.admits(now)

    def back_at(self, tool: ToolSpec, now: float) -> float:
        """When the tool may be called again (monotonic seconds); `now` or earlier if it may already."""
        known = self._tools.get(tool.name)
        shared = self._providers.get(tool.provider) if tool.provider else None
        times = [now]
        if known is not None:
            times += [known.limited_until, known.breaker.reopens_at()]
        if shared is not None:
            times.append(shared.reopens_at())
        return max(times)

    def begin(self, tool: ToolSpec, now: float) -> Ticket:
        """Note that a call begins."""
        self.latest = now
        return Ticket(tool, tuple((breaker, breaker.begin(now)) for breaker in self._breakers(tool)))

    def succeed(self, ticket: Ticket, now: float) -> None:
        """Note that the call worked."""
        health = self._current(ticket.tool, now)
        health.worked += 1
        for breaker, generation in ticket.generations:
            was_open = breaker.opened_at is not None
            breaker.succeed(generation)
            self.version += was_open
        self._publish(ticket.tool, health)

    def fail(
        self, ticket: Ticket, now: float, *, retry_after_s: float | None = None, rate_limited: bool = False
    ) -> None:
        """Note that the call failed for reasons that say something about the tool.

        A rate limit is a request to wait, not a fault: it closes the tool for a while and leaves its record alone.
        """
        health = self._current(ticket.tool, now)
        if rate_limited:
            wait = self.settings.backoff_s if retry_after_s is None else retry_after_s
            health.limited_until = max(health.limited_until, now + wait)
            self.forget(ticket)
        else:
            health.failed += 1
            for breaker, generation in ticket.generations:
                breaker.fail(generation, now)
        self.version += 1

    def still_admits(self, ticket: Ticket) -> bool:
        """Whether nothing has been learned since the call was admitted that would keep it from being made."""
        return all(b.generation == generation or b.opened_at is None for b, generation in ticket.generations)

    def forget(self, ticket: Ticket) -> None:
        """Note that the call ended without saying anything about the tool."""
        for breaker, generation in ticket.generations:
            breaker.forget(generation)

    def _current(self, tool: ToolSpec, now: float) -> ToolHealth:
        health = self._tools.get(tool.name)
        if health is None:
            health = ToolHealth(self._new_breaker(), as_of=now)
            self._tools[tool.name] = health
        else:
            health.decay(now, self.settings.half_life_s)
        return health

    def _breakers(self, tool: ToolSpec) -> list[Breaker]:
        known = self._tools.get(tool.name)
        if known is None:
            known = self._tools[tool.name] = ToolHealth(self._new_breaker())
        breakers = [known.breaker]
        if tool.provider is not None:
            if tool.provider not in self._providers:
                self._providers[tool.provider] = self._new_breaker()
            breakers.append(self._providers[tool.provider])
        return breakers

    def _new_breaker(self) -> Breaker:
        return Breaker(self.settings.trip_after, self.settings.cool_down_s)

    def _publish(self, tool: ToolSpec, health: ToolHealth) -> None:
        """Bump the version when the tool's standing has moved enough to matter to a route."""
        p_fail = health.p_fail(tool.cost.risk)
        if health.published < 0:
            health.published = tool.cost.risk
        if abs(p_fail - health.published) > REPUBLISH_AT:
            health.published = p_fail
            self.version += 1
