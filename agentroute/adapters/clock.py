"""Clocks: the event loop's own, so that virtual time works wherever the loop has it."""

import time

import anyio


class LoopClock:
    """Time of the running event loop: monotonic seconds on asyncio, virtual ones under trio's ``MockClock``."""

    def now(self) -> float:
        """Seconds of the event loop's clock."""
        return anyio.current_time()

    def wall(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()
