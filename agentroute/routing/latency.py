"""How long calls take: quantiles of the last ones, the older the lighter."""

import bisect
import math
from collections import deque
from dataclasses import dataclass, field

CALLS = 32
"""Calls that are looked back on."""

LIGHTER = 0.93
"""What each further call leaves of the weight of those before it: the last ten or so decide."""

LARGEST_WEIGHT = 1e100
"""Weight from which on all of them are counted anew."""

LARGEST_EXPONENT = 900.0
"""Bound of what grows with time: what is so much lighter counts for nothing anyway."""

_LIGHTER_LOG2 = math.log2(LIGHTER)

PRIOR_CALLS = 1.5
"""Calls that the expected latency counts for: one slow call is chance, two are a sign."""

SLOW_SHARE = 0.3
"""Share of them that count as slow ones, where that is known: enough to be the 80th percentile, not the median."""


@dataclass(slots=True)
class Latency:
    """What calls took lately, as multiples of what was declared (or as seconds, where nothing was).

    Quantiles and not a mean: one call that hung must not look like many that were slow. They are weighted: observations
    lose weight with each call that follows and with time, and what was declared keeps a constant weight among them, so
    a tool that nobody calls is taken to be as fast as declared. A slower call never lowers a quantile, and a call that
    was as fast as declared, or faster, never raises one.
    """

    half_life_s: float = 300.0
    _arrived: deque[tuple[float, float]] = field(default_factory=deque[tuple[float, float]])
    _sorted: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    _known: tuple[tuple[float, ...], tuple[float, float]] = ((), (1.0, 1.0))  # what was asked last, and the answer
    _calls: int = 0
    _last_at: float = 0.0
    _frame: tuple[int, float] = (0, 0.0)

    def observe(self, value: float, now: float) -> None:
        """Note a call of `value` (see the class), ended at `now` (monotonic seconds)."""
        if not self._arrived:
            self._frame = self._calls, now
        self._calls += 1
        self._last_at = max(self._last_at, now) if self._arrived else now
        if len(self._arrived) == CALLS:
            oldest = self._arrived.popleft()
            del self._sorted[bisect.bisect_left(self._sorted, oldest)]
        seen = value, self._scale(now)
        self._arrived.append(seen)
        bisect.insort(self._sorted, seen)
        if seen[1] > LARGEST_WEIGHT:
            self._move_frame(seen[1], now)

    def observe_given_up(self, value: float, expected: float, now: float) -> None:
        """Note a call that was given up after `value`: what it would have taken is longer than anything known."""
        slowest = self._sorted[-1][0] if self._sorted else 0.0
        self.observe(max(value, expected, slowest), now)

    def quantiles(self, expected: float, now: float, *, slow: float | None = None) -> tuple[float, float]:
        """Median and 80th percentile at `now`, given what is expected of an unknown call: the same two, if `slow`.

        Time counts in whole seconds here, so that asking often is cheap and asking seldom tells the same.
        """
        late = expected if slow is None else slow
        if not self._arrived:
            return expected, late
        asked = (math.floor(now), self._calls, expected, late)
        if self._known[0] != asked:
            self._known = (asked, self._computed(expected, late, asked[0]))
        return self._known[1]

    def _computed(self, expected: float, slow: float, now: float) -> tuple[float, float]:
        prior = PRIOR_CALLS * self._scale(max(now, self._last_at))
        weighed = self._sorted.copy()
        if slow == expected:
            bisect.insort(weighed, (expected, prior))
        else:
            bisect.insort(weighed, (expected, prior * (1 - SLOW_SHARE)))
            bisect.insort(weighed, (slow, prior * SLOW_SHARE))
        total = sum([weight for _, weight in weighed])
        return quantile(weighed, total / 2), quantile(weighed, total * 0.8)

    def _scale(self, now: float) -> float:
        """What a call at `now` weighs, where those before it keep the weights they had.

        Instead of making all earlier calls lighter with every call and second, each is made heavier than those before
        (forward decay; Cormode et al. 2009): only the ratios count, and nothing has to be touched again.
        """
        calls, at = self._frame
        heavier = (now - at) / self.half_life_s - (self._calls - calls) * _LIGHTER_LOG2
        return math.exp2(min(heavier, LARGEST_EXPONENT))

    def _move_frame(self, largest: float, now: float) -> None:
        """Begin to count weights from here, before they outgrow what a number can hold."""
        self._frame = self._calls, now
        self._arrived = deque((value, weight / largest) for value, weight in self._arrived)
        self._sorted = sorted(self._arrived)


def quantile(weighed: list[tuple[float, float]], share: float) -> float:
    """The smallest value that more than `share` of the weight does not exceed."""
    for value, weight in weighed:
        share -= weight
        if share < 0:
            return value
    return weighed[-1][0]
