"""What is known of one tool or one provider: all that calls and monitors have said of it."""

from dataclasses import dataclass, field

from agentroute.guard.breaker import INSTANT_S, LONGEST_COOL_DOWN_S, Breaker
from agentroute.guard.retry_budget import RetryBudget
from agentroute.guard.room import Room
from agentroute.routing.headroom import RateLimit
from agentroute.routing.latency import Latency
from agentroute.routing.reliability import Reliability
from agentroute.routing.signals import HealthSignal

PRICED_CALLS = 4.0
"""Calls that the declared price counts for, against those whose price is known."""

RETURNING = 1.25
"""Factor on the weight of a tool that has just come back."""

FADING_PRICE = 0.93
"""What each further call leaves of the weight of the prices before it."""

SLOW = 1.25
"""A call is slow that took so many times what was declared."""

CURIOSITY = 0.25
"""A slow tool is looked at again after this share of the time that it has been slow for: of all that time, no more than
so much is lost once it is well. With half, a tool that was slow for two minutes was missed for up to another one."""


@dataclass(slots=True)
class Price:
    """What calls really cost, as a decaying mean: what is spent is the sum, so here the mean is right."""

    usd: float = 0.0
    calls: float = 0.0

    def paid(self, usd: float) -> None:
        """Note what a call cost, in USD."""
        self.usd = self.usd * FADING_PRICE + usd
        self.calls = self.calls * FADING_PRICE + 1

    def expected(self, declared: float) -> float:
        """What a call is expected to cost, in USD."""
        if not self.calls:
            return declared
        return (PRICED_CALLS * declared + self.usd) / (PRICED_CALLS + self.calls)


@dataclass(slots=True)
class Standing:
    """The record of a tool, or of a provider whose tools fail together.

    Attributes:
        breaker: Whether it is in the graph at all.
        room: Calls at once that it was seen to serve.
        retries: How many of its calls may be retries; of those of a tool that has a provider, the provider's counts.
        reliability: How often calls fail.
        latency: How long calls take: in seconds for a tool, in multiples of what was declared for a provider.
        limit: How much may still be asked.
        price: What calls cost.
        flying: The calls under way, oldest first, by the number of their ticket: when each began, and how many had
            worked by then.
        queued: Numbers of the tickets of calls that wait for a turn among those of all runs, and are not made yet.
        worked: Calls that have worked.
        patience: What four of five calls took before the latest of them were given up; None: the last one was not.
        slow_since: When the first of the slow calls ended that it is taken to be slow for; None: it is not.
        begun_at: When a call last began.
        refused_from: When the first failed call of the burst began.
        trial: Number of the last call that was made to see whether it is still slow.
        signals: The latest word of each monitor.
        down_since: When each of the monitors that see an outage began to see it.
        heard_at: When a call last said something about it; None: never.
        warm_at: When a call first did.
        worked_from: When the latest of the calls that worked began.
        failed_at: When a call last failed.
        overheard: What other processes say.
        published: Failure probability, and the two durations, that the routes of today rest on.
    """

    breaker: Breaker
    room: Room
    retries: RetryBudget
    reliability: Reliability = field(default_factory=Reliability)
    latency: Latency = field(default_factory=Latency)
    limit: RateLimit = field(default_factory=RateLimit)
    price: Price = field(default_factory=Price)
    flying: dict[int, tuple[float, int]] = field(default_factory=dict[int, tuple[float, int]])
    queued: set[int] = field(default_factory=set[int])
    worked: int = 0
    patience: float | None = None
    slow_since: float | None = None
    begun_at: float = float("-inf")
    refused_from: float = float("-inf")
    trial: int | None = None
    signals: dict[str, HealthSignal] = field(default_factory=dict[str, HealthSignal])
    down_since: dict[str, float] = field(default_factory=dict[str, float])
    heard_at: float | None = None
    warm_at: float | None = None
    worked_from: float = float("-inf")
    failed_at: float = float("-inf")
    overheard: HealthSignal | None = None
    published: tuple[float, float, float] | None = None

    def returning(self, now: float) -> float:
        """Factor on the weight of what has just come back: from `RETURNING` to 1, over as long as it had been out."""
        breaker = self.breaker
        if breaker.was_out_s <= 0:
            return 1.0
        return 1.0 + (RETURNING - 1.0) * min(1.0, max(0.0, 1.0 - (now - breaker.closed_at) / breaker.was_out_s))

    def is_worth_a_trial(self, least_s: float, now: float) -> bool:
        """Whether a slow tool has been left alone for so long that a call should find out if it still is.

        Who is only slow is not called, and who is not called would be thought slow for as long as calls are remembered.
        One call is let through after `least_s`, the next ones later and later while it stays slow.
        """
        if self.slow_since is None or self.heard_at is None:
            return False
        pause_s = min(max(least_s, CURIOSITY * (self.heard_at - self.slow_since)), max(least_s, LONGEST_COOL_DOWN_S))
        return now - max(self.heard_at, self.begun_at) >= pause_s - INSTANT_S

    def hear(self, signal: HealthSignal) -> None:
        """Take note of a monitor's word, in place of its last one."""
        self.signals[signal.monitor] = signal
        if not signal.sees_outage:
            self.down_since.pop(signal.monitor, None)
        else:
            self.down_since.setdefault(signal.monitor, signal.at)

    def doubts(self, signal: HealthSignal, now: float, *, curious: bool) -> bool:
        """Whether a monitor's word does not count: it sees an outage that calls do not meet, or might not.

        A call that began after the monitor had begun to see an outage, and worked, shows that it sees something else,
        until it says that the tool is well and sees another. And who is not called for a monitor's word alone would
        never be called again if it was wrong: where somebody is to be `curious`, a call is let through now and then,
        after as long a pause as a breaker makes at most.
        """
        since = self.down_since.get(signal.monitor)
        if since is None:
            return False
        return self.worked_from >= since or (
            curious and now - max(since, self.begun_at) >= LONGEST_COOL_DOWN_S - INSTANT_S
        )

    def acquit(self, generation: int, begun: float, now: float) -> bool:
        """Note that a call from before the breaker opened has worked; True if that shows that the tool is not dead.

        It does if the call came no earlier than the first of those that failed: the tool refused some and served
        others at the same time. Refusals are quicker than answers, so a crowd looks like an outage at first.
        """
        if begun < self.refused_from or not self.breaker.acquit(generation):
            return False
        self.reliability.end_burst()
        self.room.crowded(len(self.flying) + 1, now)
        return True

    def took(
        self, number: int, value: float, expected: float, now: float, *, given_up: bool, slow: float | None = None
    ) -> None:
        """Note how long a call took. A trial that was not slow shows that what is remembered is past."""
        if given_up or value > SLOW * expected:
            self.slow_since = now if self.slow_since is None else self.slow_since
        elif number == self.trial:
            self.latency = Latency(self.latency.half_life_s)
            self.slow_since = None
        if given_up:
            if self.patience is None:
                self.patience = self.latency.quantiles(expected, now, slow=slow)[1]
            self.latency.observe_given_up(value, expected, now)
        else:
            self.patience = None
            self.latency.observe(value, now)
            if self.slow_since is not None and self.latency.quantiles(expected, now, slow=slow)[1] <= SLOW * expected:
                self.slow_since = None  # only now: while it is taken to be slow, somebody has to try it now and then

    def overdue(self, allowed_s: float, now: float) -> tuple[int, int]:
        """How many of the calls under way have taken `allowed_s` or longer, and how many have worked meanwhile."""
        count = meanwhile = 0
        for begun, worked in self.flying.values():
            if now - begun < allowed_s - INSTANT_S:
                break
            if not count:
                meanwhile = self.worked - worked
            count += 1
        return count, meanwhile
