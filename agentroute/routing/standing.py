"""What is known of one tool or one provider: all that calls and monitors have said of it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from agentroute.guard.breaker import INSTANT_S, LONGEST_COOL_DOWN_S, Breaker
from agentroute.guard.retry_budget import RetryBudget
from agentroute.guard.room import Room
from agentroute.routing.figures import Figures, Planned
from agentroute.routing.headroom import RateLimit
from agentroute.routing.latency import Latency
from agentroute.routing.refusals import Refusals
from agentroute.routing.signals import HealthSignal

RETURNING = 1.25
"""Factor on the weight of a tool that has just come back."""

SLOW = 1.25
"""A call is slow that took so many times what was declared."""

FEW = 8
"""From so many calls on, one more that goes as planned tells next to nothing new, and need not count at once."""

BATCH = 32
"""Calls that may have gone as planned without being counted yet. More of them would: failures do not wait."""

RESTLESS = 12
"""Calls after one that took long whose durations count at once: enough to move the median, if they are slow as well."""

LONG = 2.0
"""A call took out of the ordinary long that took so many times what four of five take."""

MOST_MONITORS = 32
"""Monitors whose words about one tool or provider are kept."""

CURIOSITY = 0.25
"""A slow tool is looked at again after this share of the time that it has been slow for: of all that time, no more than
so much is lost once it is well. With half, a tool that was slow for two minutes was missed for up to another one."""


class Taken(NamedTuple):
    """How long a call took, in the unit of a record: seconds, or multiples of what was expected.

    Attributes:
        value: That.
        expected: What was expected of it.
        slow: What four of five calls were expected to take.
        leeway: How much longer is no matter, however quick calls are.
    """

    value: float
    expected: float
    slow: float
    leeway: float


@dataclass(slots=True)
class Standing:
    """The record of a tool, or of a provider whose tools fail together.

    Attributes:
        breaker: Whether it is in the graph at all.
        room: Calls at once that it was seen to serve.
        retries: How many of its calls may be retries; of those of a tool that has a provider, the provider's counts.
        figures: What calls have come to, but for those that are `planned`.
        limit: How much may still be asked.
        refusals: Calls in a row that were refused for good.
        planned: Calls of the latest beat that went as planned. They count from the next beat on, all at once, or when
            a call begins and there are `BATCH` of them.
        beat: When that beat began (`HealthBoard`).
        restless: Calls that still count at once, however long they take, because one took long. Or else the first slow
            ones would make those after them nothing out of the ordinary.
        changes: How often what was worked out before did not hold any more.
        upsets: How often that was because of something out of the ordinary.
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
    figures: Figures
    limit: RateLimit = field(default_factory=RateLimit)
    refusals: Refusals = field(default_factory=Refusals)
    planned: Planned = field(default_factory=Planned)
    beat: float = float("-inf")
    restless: int = 0
    changes: int = 0
    upsets: int = 0
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
    _next: tuple[int, Figures] | None = None  # what will be known in the next beat: with so many of the planned ones

    def known(self, beat: float) -> Figures:
        """What is known in the beat that begins then. To ask about another one changes nothing."""
        return self.figures if self.beat == beat or not self.planned.took else self._following()

    def _following(self) -> Figures:
        """What will be known in the next beat."""
        count = len(self.planned.took)
        if self._next is None or self._next[0] != count:
            self._next = count, self.figures.counting(self.planned, self.beat)
        return self._next[1]

    def changed(self) -> None:
        """Note that something out of the ordinary has happened: it counts at once, and who has looked looks again."""
        self.changes += 1
        self.upsets += 1
        self._next = None

    def is_calm(self, now: float) -> bool:
        """Whether its figures are all there is to say of it: it can be called, and nothing else makes it heavier."""
        breaker, reliability, retries = self.breaker, self.figures.reliability, self.retries
        return (
            breaker.opened_at is None
            and now - breaker.closed_at >= breaker.was_out_s
            and not reliability.suspicion
            and not reliability.burst_failed
            and self.patience is None
            and now >= self.limit.counts_until
            and not self.limit.unsaid
            and not self.refusals.in_a_row
            and retries.tokens >= retries.reserve
            and not self.room.is_known(now)
            and self.overheard is None
            and all(signal.factor == 1 or signal.stale(now) for signal in self.signals.values())
        )

    def has_room(self, now: float) -> bool:
        """Whether it was seen to serve one more call than are under way, or wait for their turn."""
        return self.room.admits(len(self.flying) + len(self.queued), now)

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
        return now >= self.trial_at(least_s) - INSTANT_S

    def trial_at(self, least_s: float) -> float:
        """When it comes to that, if nobody calls it until then; infinity for a tool that is not slow."""
        if self.slow_since is None or self.heard_at is None:
            return float("inf")
        pause_s = min(max(least_s, CURIOSITY * (self.heard_at - self.slow_since)), max(least_s, LONGEST_COOL_DOWN_S))
        return max(self.heard_at, self.begun_at) + pause_s

    def hear(self, signal: HealthSignal, now: float) -> None:
        """Take note of a monitor's word, in place of its last one.

        Of more monitors than `MOST_MONITORS` those are forgotten whose words have faded, or else the oldest: some name
        themselves anew with each incident.
        """
        self.signals[signal.monitor] = signal
        if len(self.signals) > MOST_MONITORS:
            faded = [name for name, word in self.signals.items() if word.stale(now)]
            others = (name for name in self.signals if name != signal.monitor)
            oldest = min(others, key=lambda name: (self.signals[name].at, name))
            for name in faded or [oldest]:
                del self.signals[name]
                self.down_since.pop(name, None)
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
        self.changed()
        self.figures.reliability.end_burst()
        self.room.crowded(len(self.flying) + 1, now)
        return True

    def is_usual(self, number: int, taken: Taken, beat: float) -> bool:
        """Whether how long a call took is nothing out of the ordinary, as far as is known in this beat."""
        latency = self.known(beat).latency
        if self.patience is not None or number == self.trial or self.restless or latency.calls < FEW:
            return False
        return taken.value <= usual_up_to(latency.quantiles(taken.expected, beat, slow=taken.slow)[1], taken.leeway)

    def took(self, number: int, taken: Taken, beat: float, now: float, *, given_up: bool) -> None:
        """Count at once how long a call took. A trial that was not slow shows that what is remembered is past."""
        self.changed()
        value, expected, slow, leeway = taken
        if self.figures.latency.calls >= FEW and not given_up:
            most = self.figures.latency.quantiles(expected, beat, slow=slow)[1]
            self.restless = RESTLESS if value > usual_up_to(most, leeway) else max(0, self.restless - 1)
        if given_up or value > SLOW * expected:
            self.slow_since = now if self.slow_since is None else self.slow_since
        elif number == self.trial:
            latency = self.figures.latency
            if latency.quantiles(expected, beat, slow=slow)[0] > expected:  # else good calls would be forgotten, too
                self.figures.latency = Latency(latency.half_life_s)
            self.slow_since = None
        if given_up:
            if self.patience is None:
                self.patience = self.figures.latency.quantiles(expected, beat, slow=slow)[1]
            self.figures.latency.observe_given_up(value, expected, now)
        else:
            self.patience = None
            self.figures.latency.observe(value, now)
            self._reconsider(expected, beat, slow=slow)

    def settle(self, expected: float, beat: float, *, slow: float) -> bool:
        """Begin another beat: what went as planned before is counted for good; True if something was."""
        if not self.planned.took:
            self.beat = beat
            return False
        known, before, self.beat = self._following(), self.beat, beat
        if self.slow_since is None and max(self.planned.timed(), default=0.0) > SLOW * expected:
            self.slow_since = before
        self.figures, self._next, self.planned = known, None, Planned()
        self.changes += 1
        self._reconsider(expected, beat, slow=slow)
        return True

    def _reconsider(self, expected: float, beat: float, *, slow: float) -> None:
        """Take a tool for slow no longer if it is not.

        Only by what is known of all calls: while it is taken to be slow, somebody has to try it now and then.
        """
        if (
            self.slow_since is not None
            and self.figures.latency.quantiles(expected, beat, slow=slow)[1] <= SLOW * expected
        ):
            self.slow_since = None

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


def usual_up_to(most: float, leeway: float) -> float:
    """What a call may take to be nothing out of the ordinary, where four of five take `most` at most."""
    return max(LONG * most, most + leeway)
