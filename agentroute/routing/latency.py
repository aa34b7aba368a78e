"""How long calls take: quantiles of the last ones, the older the lighter."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import itemgetter

CALLS = 32
"""Calls that are looked back on."""

LIGHTER = 0.93
"""What each further call leaves of the weight of those before it: the last ten or so decide."""

LARGEST_WEIGHT = 1e100
"""Weight from which on all of them are counted anew."""

LARGEST_EXPONENT = 900.0
"""Bound of what grows with time: what is so much lighter counts for nothing anyway."""

_LIGHTER_LOG2, _LARGEST_SCALE = math.log2(LIGHTER), math.exp2(LARGEST_EXPONENT)

_SHARES = [LIGHTER**age for age in reversed(range(CALLS))]
"""What each of the last calls weighs, in terms of the latest."""

PRIOR_CALLS = 1.5
"""Calls that the expected latency counts for: one slow call is chance, two are a sign."""

LATE_SHARE = 0.2
"""Share of calls that take longer than the 80th percentile."""

SLOW_SHARE = 0.3
"""Share of them that count as slow ones, where that is known: enough to be the 80th percentile, not the median."""


def _none_seen() -> deque[tuple[float, float]]:
    return deque(maxlen=CALLS)


@dataclass(slots=True)
class Latency:
    """What calls took lately, as multiples of what was declared (or as seconds, where nothing was).

    Quantiles and not a mean: one call that hung must not look like many that were slow. They are weighted: observations
    lose weight with each call that follows and with time, and what was declared keeps a constant weight among them, so
    a tool that nobody calls is taken to be as fast as declared. A slower call never lowers a quantile, and a call that
    was as fast as declared, or faster, never raises one.
    """

    half_life_s: float = 300.0
    _seen: deque[tuple[float, float]] = field(default_factory=_none_seen)  # what calls took and weigh, oldest first
    _asked: tuple[float, ...] = ()  # what was asked last, and the answer
    _answer: tuple[float, float] = (1.0, 1.0)
    _calls: int = 0
    _last_at: float = 0.0
    _frame_calls: int = 0
    _frame_at: float = 0.0

    def observe(self, value: float, now: float) -> None:
        """Note a call of `value` (see the class), ended at `now` (monotonic seconds)."""
        self.observe_all((value,), now)

    def observe_all(self, values: Sequence[float], now: float) -> None:
        """Note several calls at once, in the order in which they ended, as if all had ended at `now`."""
        if not self._seen:
            self._frame_calls, self._frame_at, self._last_at = self._calls, now, now
        elif now > self._last_at:
            self._last_at = now
        self._calls += len(values)
        weight, kept = self._scale(now), values[-CALLS:]
        self._seen.extend(zip(kept, map(weight.__mul__, _SHARES[-len(kept) :]), strict=True))
        if weight > LARGEST_WEIGHT:
            self._move_frame(weight, now)

    @property
    def calls(self) -> int:
        """How many calls are looked back on."""
        return len(self._seen)

    def copy(self) -> "Latency":
        """Another one that has seen the same."""
        frame = self._calls, self._last_at, self._frame_calls, self._frame_at
        return Latency(self.half_life_s, self._seen.copy(), (), (1.0, 1.0), *frame)

    def observe_given_up(self, value: float, expected: float, now: float) -> None:
        """Note a call that was given up after `value`: what it would have taken is longer than anything known."""
        slowest = max(self._seen)[0] if self._seen else 0.0
        self.observe(max(value, expected, slowest), now)

    def quantiles(self, expected: float, now: float, *, slow: float | None = None) -> tuple[float, float]:
        """Median and 80th percentile at `now`, given what is expected of an unknown call: the same two, if `slow`.

        Time counts in whole seconds here, so that asking often is cheap and asking seldom tells the same.
        """
        late = expected if slow is None else slow
        if not self._seen:
            return expected, late
        asked = (now // 1, self._calls, expected, late)
        if self._asked != asked:
            self._asked, self._answer = asked, self._computed(expected, late, asked[0])
        return self._answer

    def _computed(self, expected: float, slow: float, now: float) -> tuple[float, float]:
        prior = PRIOR_CALLS * self._scale(max(now, self._last_at))
        if slow == expected:
            known = sorted([*self._seen, (expected, prior)])
        else:
            known = sorted([*self._seen, (expected, prior * (1 - SLOW_SHARE)), (slow, prior * SLOW_SHARE)])
        quicker = list(accumulate(map(itemgetter(1), known), initial=0.0))  # what those before each weigh
        total = quicker.pop()
        usual, late = bisect_right(quicker, total / 2), bisect_right(quicker, total * (1 - LATE_SHARE))
        return known[usual - 1][0], known[late - 1][0]

    def _scale(self, now: float) -> float:
        """What a call at `now` weighs, where those before it keep the weights they had.

        Instead of making all earlier calls lighter with every call and second, each is made heavier than those before
        (forward decay; Cormode et al. 2009): only the ratios count, and nothing has to be touched again.
        """
        heavier = (now - self._frame_at) / self.half_life_s - (self._calls - self._frame_calls) * _LIGHTER_LOG2
        return math.exp2(heavier) if heavier < LARGEST_EXPONENT else _LARGEST_SCALE

    def _move_frame(self, largest: float, now: float) -> None:
        """Begin to count weights from here, before they outgrow what a number can hold."""
        self._frame_calls, self._frame_at = self._calls, now
        self._seen = deque([(value, weight / largest) for value, weight in self._seen], CALLS)


def quantile(weighed: list[tuple[float, float]], share: float) -> float:
    """The smallest value that more than `share` of the weight does not exceed."""
    for value, weight in weighed:
        share -= weight
        if share < 0:
            return value
    return weighed[-1][0]
