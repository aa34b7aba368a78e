"""When a server that died is started again: soon, then later and later."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Restart:
    """Waiting times before a server is started again.

    Attributes:
        first_s: Seconds before the first new start.
        longest_s: Seconds that are never exceeded.
        settled_s: A server that was up for this many seconds starts over with `first_s`.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    settled_s: float = 60.0

    def delay(self, failures: int, chance: float) -> float:
        """Seconds to wait after `failures` failures in a row, doubled each time.

        Args:
            failures: From 1.
            chance: Drawn from 0 to 1; spreads the delay from a half to the whole, so that the clients of one
                server do not all come back at the same instant.
        """
        whole = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 60))
        return whole * (0.5 + 0.5 * chance)
