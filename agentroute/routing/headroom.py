"""Rate limits: how much may still be asked of a provider, and what that makes of a tool's weight."""

from dataclasses import dataclass

from agentroute.guard.rate_limits import LONGEST_WINDOW_S, USUAL_WINDOW_S, Headroom

MOST_DOUBLINGS = 32

AMPLE = 0.2
"""Share of a limit that is left when it begins to weigh."""

SCARCEST = 10.0
"""Factor on the weight of a tool of whose limit hardly anything is left."""


@dataclass(slots=True)
class RateLimit:
    """How much is left of a limit: what was said last, less the calls begun since, and what has come back.

    Attributes:
        closed_until: Before this moment (monotonic seconds), nothing is to be asked at all.
        counts_until: From this moment on, it is as if nothing had ever been said.
        unsaid: Refusals since a call last worked that did not say for how long.
    """

    closed_until: float = float("-inf")
    counts_until: float = float("-inf")
    unsaid: int = 0
    _unsaid_at: float = float("-inf")
    _left: float = 0.0
    _limit: float = 0.0
    _until: float = float("-inf")
    _heard_at: float = 0.0
    _refill_per_s: float = 0.0

    def heard(self, said: Headroom, now: float) -> None:
        """Note what an answer said. Nothing left closes the tool until some is back, at most until the window ends."""
        self._left, self._limit = said.left, max(said.limit, said.left)
        self._heard_at, self._refill_per_s = now, said.refill_per_s
        self._until = now + min(said.resets_in_s, LONGEST_WINDOW_S)
        self.counts_until = max(self.closed_until, self._until)

    def wait(self, until: float) -> None:
        """Note that the provider asked to be left alone until then; an earlier, longer request stands."""
        self.closed_until = max(self.closed_until, until)
        self.counts_until = max(self.closed_until, self._until)

    def refuse(self, begun: float, now: float, first_s: float) -> None:
        """Note a refusal that did not say for how long: a moment, and twice as long each time, up to a minute.

        Of calls that were under way at the same time, one counts: the others could not have waited.

        Args:
            begun: When the call began.
            now: Monotonic seconds.
            first_s: Seconds to wait the first time, and no less later.
        """
        if begun > self._unsaid_at:
            self.unsaid, self._unsaid_at = self.unsaid + 1, now
        doublings = min(max(self.unsaid - 1, 0), MOST_DOUBLINGS)
        self.wait(now + min(first_s * 2**doublings, max(USUAL_WINDOW_S, first_s)))

    def begin(self, now: float) -> bool:
        """Note a call; says whether it was the last there was room for."""
        before = self._left_at(now)
        self._left -= 1
        return now < self._until and before >= 1 > before - 1

    def opens_at(self, now: float) -> float:
        """From when on calls are welcome; in the past if they are now."""
        if now >= self._until:
            return self.closed_until
        lacking = 1 - self._left_at(now)
        if lacking <= 0:
            return self.closed_until
        back = now + lacking / self._refill_per_s if self._refill_per_s > 0 else self._until
        return max(self.closed_until, min(back, self._until))

    def factor(self, now: float) -> float:
        """How much more a call weighs for the scarcity of what is left; 1.0 with ample room or none known."""
        if now >= self._until or self._limit <= 0:
            return 1.0
        share = max(self._left_at(now), 0.0) / self._limit
        return 1.0 if share >= AMPLE else min(SCARCEST, AMPLE / max(share, 1e-9))

    def _left_at(self, now: float) -> float:
        return self._left + self._refill_per_s * (now - self._heard_at)
