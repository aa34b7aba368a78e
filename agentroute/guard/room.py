"""Room: how many calls at once a tool was seen to serve."""

import math
from dataclasses import dataclass

MOST = 256.0
"""Calls at once from which on a limit is no limit any more."""


@dataclass(slots=True)
class Room:
    """A limit on concurrency that is learned from refusals, and forgotten little by little.

    A tool that refuses some calls while it serves others is not dead, it is crowded. It is asked to serve as many as it
    was serving then; the limit doubles with each `doubles_in_s` that pass without another refusal, so that room that
    is there again is found (multiplicative decrease, cautious increase, as TCP does; Jacobson 1988).

    Attributes:
        doubles_in_s: Seconds.
        calls: Limit as of `as_of`; infinity while nothing was ever refused.
        as_of: When it was learned, in monotonic seconds.
    """

    doubles_in_s: float
    calls: float = math.inf
    as_of: float = float("-inf")

    def admits(self, under_way: int, now: float) -> bool:
        """Whether one more call may be made beside those under way."""
        return not under_way or under_way < self.limit(now)

    def limit(self, now: float) -> float:
        """Calls at once at `now`."""
        if math.isinf(self.calls):
            return math.inf
        doublings = (now - self.as_of) / max(self.doubles_in_s, 1e-9)
        limit = self.calls * math.exp2(min(max(0.0, doublings), 64.0))
        return limit if limit < MOST else math.inf

    def is_known(self, now: float) -> bool:
        """Whether there is a limit at `now`: the calls that it admits are no more than the tool was seen to serve."""
        return math.isfinite(self.limit(now))

    def crowded(self, served: int, now: float) -> None:
        """Note that calls were refused while so many were served."""
        self.calls, self.as_of = float(max(1, served)), now
