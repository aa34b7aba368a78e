"""Circuit breaker: a pure state machine; time is an argument of every transition.

Whether a failure was one too many is for others to say (`agentroute.routing.reliability`).
"""

from dataclasses import dataclass
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]

LONGEST_COOL_DOWN_S = 300.0
"""Seconds that a growing cool-down does not exceed."""

MOST_DOUBLINGS = 32

MOST_PROBES = 3
"""Probes in a row that must work before a breaker closes which has opened again and again."""

GOOD_CONDUCT = 10
"""First cool-downs that a tool has to stay in, and no less than it was out, for its ejections to be forgotten."""

INSTANT_S = 1e-6
"""Moments closer than this are the same moment: the sums behind them are rounded, and nobody can sleep for less."""


@dataclass(slots=True)
class Breaker:
    """Open after a failure that was one too many, then half-open: one call at a time, until enough of them worked.

    It is hard to fool by going up and down: each time it opens soon after the last, it stays open for twice as long,
    and asks for one more call that works before it closes (hysteresis). A probe that does not come back holds its place
    for one cool-down. A generation number discards late outcomes: an attempt that began before the breaker last changed
    says nothing about the present (after sony/gobreaker).

    Attributes:
        cool_down_s: Seconds it stays open the first time; doubled each time it opens again, up to five minutes.
        ejections: Times it opened, since it last stayed closed for long.
        closed_at: When it last closed.
        was_out_s: Seconds it had been out then.
    """

    cool_down_s: float = 5.0
    generation: int = 0
    opened_at: float | None = None
    ejections: int = 0
    probed_at: float | None = None
    passed: int = 0
    closed_at: float = float("-inf")
    was_out_s: float = 0.0
    _out_since: float = 0.0

    def state(self, now: float) -> BreakerState:
        """The state at `now` (monotonic seconds)."""
        if self.opened_at is None:
            return "closed"
        return "open" if now < self.reopens_at() - INSTANT_S else "half-open"

    def cool_down(self) -> float:
        """Seconds that it stays open this time."""
        grown = self.cool_down_s * 2 ** min(max(self.ejections - 1, 0), MOST_DOUBLINGS)
        return min(grown, max(LONGEST_COOL_DOWN_S, self.cool_down_s))

    def reopens_at(self, *, early_s: float = float("inf")) -> float:
        """When the next probe is let through; in the past for a closed breaker.

        Args:
            early_s: Seconds after which one is let through though it is open; for the last way there is.
        """
        return float("-inf") if self.opened_at is None else self.opened_at + min(self.cool_down(), early_s)

    def admits(self, now: float, *, early_s: float = float("inf")) -> bool:
        """Whether a call may be made now: closed, or half-open with no probe under way; `early_s` as above."""
        return self.opened_at is None or (
            now >= self.reopens_at(early_s=early_s) - INSTANT_S and not self._probe_is_out(now)
        )

    def begin(self, now: float) -> int:
        """Note that a call begins; returns the generation to report its outcome with."""
        if self.opened_at is not None:
            self.probed_at = now
        return self.generation

    def succeed(self, generation: int, now: float) -> bool:
        """Note a success: a half-open breaker closes once enough probes in a row have worked; True if it did now."""
        if generation != self.generation or self.opened_at is None:
            return False
        self.passed += 1
        self.probed_at = None
        if self.passed < min(self.ejections, MOST_PROBES):
            return False
        self.was_out_s = now - self._out_since
        self.closed_at = now
        self._change(opened_at=None)
        return True

    def fail(self, generation: int, now: float, *, too_many: bool) -> None:
        """Note a failure: it opens the breaker if it was one `too_many`, or a probe."""
        if generation != self.generation:
            return
        if self.opened_at is None:
            if not too_many:
                return
            self._out_since = now
            if now - self.closed_at >= max(self.was_out_s, GOOD_CONDUCT * self.cool_down_s):
                self.ejections = 0
        self.ejections += 1
        self._change(opened_at=now)

    def acquit(self, generation: int) -> bool:
        """Close again at once, if a call of `generation` was under way when it opened and no probe has failed since.

        For calls that show that it should not have opened. It is as if it had not; True if it did close.
        """
        if self.opened_at is None or generation != self.generation - 1 or self.opened_at != self._out_since:
            return False
        self.ejections -= 1
        self.was_out_s = 0.0
        self._change(opened_at=None)
        return True

    def forget(self, generation: int) -> None:
        """Note that a call ended without saying anything about the tool (it was cancelled)."""
        if generation == self.generation:
            self.probed_at = None

    def _probe_is_out(self, now: float) -> bool:
        """Whether a probe is under way that may still be waited for."""
        return self.probed_at is not None and now < self.probed_at + max(self.cool_down(), INSTANT_S) - INSTANT_S

    def _change(self, *, opened_at: float | None) -> None:
        self.opened_at = opened_at
        self.generation += 1
        self.passed = 0
        self.probed_at = None
