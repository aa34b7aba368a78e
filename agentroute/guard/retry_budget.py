"""Retry budget: retries may be a share of all calls, and no more, so that an outage does not become a storm."""

from dataclasses import dataclass, field

REFILL_S = 10.0
"""Seconds in which an empty reserve fills up again by itself: whoever comes late finds a few retries left."""


@dataclass(slots=True)
class RetryBudget:
    """A token bucket: a call puts in a share of a token, a retry takes one out (after Twitter's Finagle).

    A single run never notices: the reserve covers its few retries. A thousand runs that fail at once would double or
    triple the load on whoever has just broken down under it; here they wait for their turn, or go elsewhere.

    Attributes:
        reserve: Tokens it holds at most, and begins with.
        share: Tokens put in by each call: 0.2 lets one call in five be a retry.
    """

    reserve: float
    share: float
    tokens: float = field(init=False)
    as_of: float = float("-inf")

    def __post_init__(self) -> None:
        """Begin full."""
        self.tokens = self.reserve

    def allows(self, now: float) -> bool:
        """Whether a retry may be made at `now` (monotonic seconds)."""
        return self._at(now) >= 1

    def allows_at(self, now: float) -> float:
        """When a retry may be made, if nothing happens until then."""
        lacking = 1 - self._at(now)
        return now if lacking <= 0 else now + lacking * REFILL_S / self.reserve

    def spend(self, now: float, *, again: bool) -> None:
        """Note that a call is made; `again`: after a failure of the same tool in the same run.

        A retry that was let through and one that was not counted yet may come together: the bucket never goes below
        nothing.
        """
        if again or self.tokens < self.reserve:  # else it is full, and stays so
            self.tokens = max(0.0, min(self.reserve, self._at(now) + self.share - again))
            self.as_of = max(self.as_of, now)

    def _at(self, now: float) -> float:
        return min(self.reserve, self.tokens + max(0.0, now - self.as_of) * self.reserve / REFILL_S)
