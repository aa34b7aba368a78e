"""What monitors say, and which of them is listened to."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked

SignalKind = Literal["outage", "risk", "intent", "progress", "rate-limit", "latency", "deadline", "budget"]
"""What a signal is about; the kind decides its priority."""

PRIORITIES: Mapping[SignalKind, float] = {
    "outage": 0.99,
    "risk": 0.95,
    "intent": 0.9,
    "progress": 0.8,
    "rate-limit": 0.7,
    "latency": 0.6,
    "deadline": 0.5,
    "budget": 0.4,
}
"""Of several signals about one subject that change something, the one of highest priority counts (Self-Healing Router,
section 3)."""

LARGEST_FACTOR = 100.0

FRESH_S = 60.0
"""Seconds until a signal that nobody repeats counts for nothing."""


@dataclass(frozen=True, slots=True)
class HealthSignal:
    """What a monitor has to say about a tool or a provider.

    Attributes:
        subject: Name of a tool, or of a provider.
        kind: What it is about.
        monitor: Who says so.
        reason: Why, for people.
        factor: On the weight: above 1 to be avoided, below 1 to be preferred, 1 for "all is well". A signal never
            removes a tool: that is for the breaker, which goes by calls.
        at: When it was measured (monotonic seconds), which may be long before it arrives; when it arrives, if left out
            or later than that, as by the wall clock.
        fresh_s: Seconds from then on after which it counts for nothing, unless it is repeated.
        whole: Share of them that it counts whole for; in the rest it fades.
    """

    subject: str
    kind: SignalKind
    monitor: str
    reason: str = ""
    factor: float = 1.0
    at: float = math.inf
    fresh_s: float = FRESH_S
    whole: float = 0.5

    def __post_init__(self) -> None:
        """Refuse what could not be weighed."""
        owner = f"signal of {self.monitor!r} about {self.subject!r}"
        if self.kind not in PRIORITIES:
            raise DefinitionError(owner, f"kind must be one of {', '.join(PRIORITIES)}, not {self.kind!r}")
        if checked(owner, "factor", self.factor, largest=LARGEST_FACTOR) < 1 / LARGEST_FACTOR:
            raise DefinitionError(owner, f"factor must be from {1 / LARGEST_FACTOR:g} to {LARGEST_FACTOR:g}")
        if checked(owner, "fresh_s", self.fresh_s) == 0:
            raise DefinitionError(owner, "fresh_s must be above 0")
        checked(owner, "whole", self.whole, largest=1.0)
        if math.isnan(self.at):  # no moment is later than that, and none earlier
            raise DefinitionError(owner, "at must be a number, not nan")

    def __str__(self) -> str:
        """Who says what."""
        return f"{self.monitor}: {self.reason}" if self.reason else self.monitor

    @property
    def priority(self) -> float:
        """Rank among signals about the same subject, 0 to 1."""
        return PRIORITIES[self.kind]

    def factor_at(self, now: float) -> float:
        """The factor at `now`: whole for the first part of its time, then it fades to 1."""
        left, fading = 1.0 - max(0.0, now - self.at) / self.fresh_s, 1.0 - self.whole
        if left >= fading:
            return self.factor if left > 0 else 1.0
        return self.factor ** max(0.0, left / fading)

    @property
    def is_neutral(self) -> bool:
        """Whether it says that all is well, which changes no weight."""
        return self.factor == 1

    @property
    def sees_outage(self) -> bool:
        """Whether it says that the subject is down, which calls can show to be wrong."""
        return self.kind == "outage" and self.factor > 1

    def stale(self, now: float) -> bool:
        """Whether nothing is left of it."""
        return now - self.at >= self.fresh_s


def foremost(signals: Iterable[HealthSignal], now: float) -> HealthSignal | None:
    """The one signal that counts: fresh, of highest priority; of equals the worse now, then by the monitor's name.

    That all is well is nothing to attend to: who says so ends its own earlier word, and outranks nobody else's.
    """
    fresh = [signal for signal in signals if not signal.stale(now)]
    return min(fresh, key=lambda signal: (signal.is_neutral, *_rank(signal, now)), default=None)


def _rank(signal: HealthSignal, now: float) -> tuple[float, float, str]:
    return -signal.priority, -signal.factor_at(now), signal.monitor
