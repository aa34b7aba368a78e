"""Rate limits: what a provider said of how much may still be asked of it."""

from dataclasses import dataclass

AMPLE = 0.2
"""Share of a limit that is left when it begins to weigh."""

LONGEST_WINDOW_S = 3600.0
"""Seconds that a provider can shut itself off for by saying that nothing is left."""

SCARCEST = 10.0
"""Factor on the weight of a tool of whose limit hardly anything is left."""


@dataclass(frozen=True, slots=True)
class Headroom:
    """What an answer said of a rate limit, for example in its ``x-ratelimit-*`` headers.

    Attributes:
        left: Calls that may still be made in this window.
        limit: Calls in a whole window; 0 if it was not said.
        resets_in_s: Seconds until the next window.
    """

    left: float
    limit: float = 0.0
    resets_in_s: float = 60.0


@dataclass(slots=True)
class RateLimit:
    """How much is left of a limit: what was said last, less the calls begun since.

    Attributes:
        closed_until: Before this moment (monotonic seconds), nothing is to be asked at all.
    """

    closed_until: float = float("-inf")
    _left: float = 0.0
    _limit: float = 0.0
    _until: float = float("-inf")

    def heard(self, said: Headroom, now: float) -> None:
        """Note what an answer said. Nothing left closes the tool until the window ends."""
        self._left, self._limit = said.left, max(said.limit, said.left)
        self._until = now + min(said.resets_in_s, LONGEST_WINDOW_S)

    def wait(self, until: float) -> None:
        """Note that the provider asked to be left alone until then; an earlier, longer request stands."""
        self.closed_until = max(self.closed_until, until)

    def begin(self) -> None:
        """Note a call."""
        self._left -= 1

    def opens_at(self, now: float) -> float:
        """From when on calls are welcome; in the past if they are now."""
        spent = self._until if now < self._until and self._left < 1 else float("-inf")
        return max(self.closed_until, spent)

    def factor(self, now: float) -> float:
        """How much more a call weighs for the scarcity of what is left; 1.0 with ample room or none known."""
        if now >= self._until or self._limit <= 0:
            return 1.0
        share = max(self._left, 0.0) / self._limit
        return 1.0 if share >= AMPLE else min(SCARCEST, AMPLE / max(share, 1e-9))
