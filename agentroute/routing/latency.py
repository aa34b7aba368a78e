"""How long calls take: quantiles of the last ones, the older the lighter."""

import math
from collections import deque
from dataclasses import dataclass, field

CALLS = 32
"""Calls that are looked back on."""

LIGHTER = 0.93
"""What each further call leaves of the weight of those before it: the last ten or so decide."""

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

    _seen: deque[tuple[float, float]] = field(default_factory=lambda: deque[tuple[float, float]](maxlen=CALLS))
    _known: tuple[tuple[float, ...], tuple[float, float]] = ((), (1.0, 1.0))  # what was asked last, and the answer
    _calls: int = 0

    def observe(self, value: float, now: float) -> None:
        """Note a call of `value` (see the class), ended at `now` (monotonic seconds)."""
        self._seen.append((now, value))
        self._calls += 1

    def observe_given_up(self, value: float, expected: float, now: float) -> None:
        """Note a call that was given up after `value`: what it would have taken is longer than anything known."""
        self.observe(max((value, expected, *(seen for _, seen in self._seen))), now)

    def quantiles(
        self, expected: float, now: float, half_life_s: float, *, slow: float | None = None
    ) -> tuple[float, float]:
        """Median and 80th percentile at `now`, given what is expected of an unknown call: the same two, if `slow`.

        Time counts in whole seconds here, so that asking often is cheap and asking seldom tells the same.
        """
        late = expected if slow is None else slow
        if not self._seen:
            return expected, late
        asked = (math.floor(now), self._calls, expected, late)
        if self._known[0] != asked:
            self._known = (asked, self._computed(expected, late, asked[0], half_life_s))
        return self._known[1]

    def _computed(self, expected: float, slow: float, now: float, half_life_s: float) -> tuple[float, float]:
        weighed = [(expected, PRIOR_CALLS)]
        if slow != expected:
            weighed = [(expected, PRIOR_CALLS * (1 - SLOW_SHARE)), (slow, PRIOR_CALLS * SLOW_SHARE)]
        lighter = 1.0
        for at, value in reversed(self._seen):
            weighed.append((value, lighter * math.exp2(min(0.0, at - now) / half_life_s)))
            lighter *= LIGHTER
        weighed.sort()
        total = sum(weight for _, weight in weighed)
        return quantile(weighed, total / 2), quantile(weighed, total * 0.8)


def quantile(weighed: list[tuple[float, float]], share: float) -> float:
    """The smallest value that more than `share` of the weight does not exceed."""
    for value, weight in weighed:
        share -= weight
        if share < 0:
            return value
    return weighed[-1][0]
