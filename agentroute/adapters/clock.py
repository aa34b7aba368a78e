"""Clocks: the event loop's own, so that virtual time works wherever the loop has it."""

import asyncio
import time

import anyio

from agentroute.attempt import current
from agentroute.errors import AgentrouteError


class LoopClock:
    """Time of the running event loop: monotonic seconds on asyncio, virtual ones under trio's ``MockClock``."""

    def now(self) -> float:
        """Seconds of the event loop's clock."""
        try:
            return asyncio.get_running_loop().time()  # a fifth of what finding out about the loop costs
        except RuntimeError:
            return anyio.current_time()

    def wall(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()


class SystemClock:
    """The system's time, for whoever has no event loop."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, UTC."""
        return time.time()


def wall_time() -> float:
    """Seconds since 1970, UTC: by the clock of the agent whose attempt is being served, else by the system's."""
    try:
        wall = current().wall
    except AgentrouteError:
        wall = None
    return time.time() if wall is None else wall()
