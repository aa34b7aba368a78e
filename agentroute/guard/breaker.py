"""Circuit breaker: a pure state machine; time is an argument of every transition."""

from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]

LONGEST_COOL_DOWN_S = 300.0
"""Seconds that a growing cool-down does not exceed."""

MOST_DOUBLINGS = 32

INSTANT_S = 1e-6
"""Moments closer than this are the same moment: the sums behind them are rounded, and nobody can sleep for less."""


@dataclass(slots=True)
class Breaker:
    """Opens after consecutive failures, lets one probe through after a cool-down, grows the cool-down if it fails.

    A generation number discards late outcomes: an attempt that began before the breaker last changed says nothing
    about the present (after sony/gobreaker).

    Attributes:
        trip_after: Consecutive failures that open it.
        cool_down_s: Seconds it stays open the first time; doubled each time a probe fails, up to five minutes.
    """

    trip_after: int = 3
    cool_down_s: float = 5.0
    failures: int = 0
    generation: int = 0
    opened_at: float | None = None
    ejections: int = 0
    probe_out: bool = False

    def state(self, now: float) -> BreakerState:
        """The state at `now` (monotonic seconds)."""
        if self.opened_at is None:
            return "closed"
        return "open" if now < self.reopens_at() - INSTANT_S else "half-open"

    def reopens_at(self) -> float:
        """When the next probe is let through; in the past for a closed breaker."""
        if self.opened_at is None:
            return float("-inf")
        grown = self.cool_down_s * 2 ** min(self.ejections - 1, MOST_DOUBLINGS)
        return self.opened_at + min(grown, max(LONGEST_COOL_DOWN_S, self.cool_down_s))

    def admits(self, now: float) -> bool:
        """Whether a call may be made now: closed, or half-open with no probe under way."""
        state = self.state(now)
        return state == "closed" or (state == "half-open" and not self.probe_out)

    def begin(self, now: float) -> int:
        """Note that a call begins; returns the generation to report its outcome with."""
        if self.state(now) == "half-open":
            self.probe_out = True
        return self.generation

    def succeed(self, generation: int) -> None:
        """Note a success: a closed breaker forgets its failures, a half-open one closes."""
        if generation != self.generation:
            return
        self.failures = 0
        if self.opened_at is not None:
            self._change(opened_at=None)
            self.ejections = 0

    def fail(self, generation: int, now: float) -> None:
        """Note a failure: enough of them in a row, or one while half-open, open the breaker."""
        if generation != self.generation:
            return
        self.failures += 1
        if self.opened_at is not None or self.failures >= self.trip_after:
            self.ejections += 1
            self._change(opened_at=now)

    def forget(self, generation: int) -> None:
        """Note that a call ended without saying anything about the tool (it was cancelled)."""
        if generation == self.generation:
            self.probe_out = False

    def _change(self, *, opened_at: float | None) -> None:
        self.opened_at = opened_at
        self.generation += 1
        self.failures = 0
        self.probe_out = False
