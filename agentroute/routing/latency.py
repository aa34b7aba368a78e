"""How long calls take: quantiles of the last ones, the older the lighter."""

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

CALLS = 32
"""Calls that are looked back on."""

LIGHTER = 0.93
"""What each further call leaves of the weight of those before it: the last ten or so decide."""

LARGEST_WEIGHT = 1e100
"""Weight from which on all of them are counted anew."""

LARGEST_EXPONENT = 900.0
"""Bound of what grows with time: what is so much lighter counts for nothing anyway."""

_LIGHTER_LOG2, _LARGEST_SCALE = math.log2(LIGHTER), math.exp2(LARGEST_EXPONENT)

PRIOR_CALLS = 1.5
"""Calls that the expected latency counts for: one slow call is chance, two are a sign."""

LATE_SHARE = 0.2
"""Share of calls that take longer than the 80th percentile."""

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
    _arrived: deque[float] = field(default_factory=deque[float])
    _values: list[float] = field(default_factory=list[float])  # the same, sorted; of equals, the older first
    _weights: list[float] = field(default_factory=list[float])  # of those
    _asked: tuple[float, ...] = ()  # what was asked last, and the answer
    _answer: tuple[float, float] = (1.0, 1.0)
    _places: tuple[int, int] = (0, 0)  # where the two quantiles were found last
    _calls: int = 0
    _last_at: float = 0.0
    _frame_calls: int = 0
    _frame_at: float = 0.0

    def observe(self, value: float, now: float) -> None:
        """Note a call of `value` (see the class), ended at `now` (monotonic seconds)."""
        arrived, values, weights = self._arrived, self._values, self._weights
        if not arrived:
            self._frame_calls, self._frame_at, self._last_at = self._calls, now, now
        elif now > self._last_at:
            self._last_at = now
        self._calls += 1
        if len(arrived) == CALLS:
            place = bisect_left(values, arrived.popleft())
            del values[place], weights[place]
        weight, place = self._scale(now), bisect_right(values, value)
        arrived.append(value)
        values.insert(place, value)
        weights.insert(place, weight)
        if weight > LARGEST_WEIGHT:
            self._move_frame(weight, now)

    def observe_given_up(self, value: float, expected: float, now: float) -> None:
        """Note a call that was given up after `value`: what it would have taken is longer than anything known."""
        slowest = self._values[-1] if self._values else 0.0
        self.observe(max(value, expected, slowest), now)

    def quantiles(self, expected: float, now: float, *, slow: float | None = None) -> tuple[float, float]:
        """Median and 80th percentile at `now`, given what is expected of an unknown call: the same two, if `slow`.

        Time counts in whole seconds here, so that asking often is cheap and asking seldom tells the same.
        """
        late = expected if slow is None else slow
        if not self._arrived:
            return expected, late
        asked = (now // 1, self._calls, expected, late)
        if self._asked != asked:
            self._asked, self._answer = asked, self._computed(expected, late, asked[0])
        return self._answer

    def _computed(self, expected: float, slow: float, now: float) -> tuple[float, float]:
        prior = PRIOR_CALLS * self._scale(max(now, self._last_at))
        values, weights = self._values.copy(), self._weights.copy()
        if slow == expected:
            declared = ((expected, prior),)
        else:
            declared = ((expected, prior * (1 - SLOW_SHARE)), (slow, prior * SLOW_SHARE))
        for value, weight in declared:
            place = bisect_left(values, value)
            values.insert(place, value)
            weights.insert(place, weight)
        total, (usual, late) = sum(weights), self._places
        self._places = usual, late = _place(weights, total / 2, usual), _place(weights, total * LATE_SHARE, late)
        return values[usual], values[late]

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
        self._weights = [weight / largest for weight in self._weights]


def _place(weights: Sequence[float], share: float, near: int) -> int:
    """The last place from which on the weights add up to `share` (of their sum, in the same unit).

    It is looked for from `near`, where it was the last time: one call more or less does not move it far.
    """
    above = sum(weights[near:])
    while above < share:
        near -= 1
        above += weights[near]
    while (without := above - weights[near]) >= share:
        above = without
        near += 1
    return near


def quantile(weighed: list[tuple[float, float]], share: float) -> float:
    """The smallest value that more than `share` of the weight does not exceed."""
    for value, weight in weighed:
        share -= weight
        if share < 0:
            return value
    return weighed[-1][0]
