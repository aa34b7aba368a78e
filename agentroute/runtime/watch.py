"""Monitors beside the runs: a task group in which none of them can take anything down but itself."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

from agentroute.ports import Clock, Monitor
from agentroute.routing.board import HealthBoard
from agentroute.routing.signals import HealthSignal

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Seconds until a monitor that failed is started again: doubled each time, up to a minute."""

MOST_UNHEARD = 100
"""Names that monitors speak of though there is nothing of that name: so many are written to the log, each once."""

_LOGGER = logging.getLogger("agentroute.monitors")

Emit = Callable[[HealthSignal], None]


class Watch:
    """Lets an agent's monitors watch, for as long as somebody is inside."""

    def __init__(
        self,
        monitors: Sequence[Monitor],
        board: HealthBoard,
        clock: Clock,
        *,
        own_failures: Callable[[Awaitable[None]], Awaitable[None]],
    ) -> None:
        """Nothing is watched yet.

        Args:
            monitors: Each watches in a task of its own.
            board: Takes their signals.
            clock: Says when a signal arrives.
            own_failures: Awaits a monitor's own code, and makes an exception of what would end more than it: that it
                tried to end the process, or that something it awaited was cancelled.
        """
        self.monitors = tuple(monitors)
        self._board = board
        self._clock = clock
        self._own_failures = own_failures
        self._turn = anyio.Lock(fast_acquire=True)
        self._unheard: set[str] = set()

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Have the monitors watch during the block. Nested blocks, and those of runs at the same time, share them.

        They run in the task group of one block; when that one ends, the next takes them over.
        """
        if not self.monitors:
            yield
            return
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch_in_turn)
            try:
                yield
            except Exception as error:  # noqa: BLE001  # out of the task group, which would wrap it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _watch_in_turn(self) -> None:
        """Let the monitors watch, as soon as no other block does."""
        async with self._turn, anyio.create_task_group() as tasks:
            for monitor in self.monitors:
                tasks.start_soon(self._supervise, monitor)

    async def _supervise(self, monitor: Monitor) -> None:
        """Let a monitor watch; should it fail or stop, start it again, and write that down."""
        pause = FIRST_PAUSE_S
        while True:
            began = self._clock.now()
            try:
                await self._own_failures(monitor.watch(self._take))
                _LOGGER.warning("monitor %s stopped; it is started again in %g s", monitor.name, pause)
            except Exception:
                _LOGGER.exception("monitor %s failed; it is started again in %g s", monitor.name, pause)
            if self._clock.now() - began > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _take(self, signal: HealthSignal) -> None:
        subject = signal.subject
        if self._board.knows(subject):
            self._board.signal(signal, self._clock.now())
        elif subject not in self._unheard and len(self._unheard) < MOST_UNHEARD:
            self._unheard.add(subject)
            _LOGGER.warning("monitor %s speaks of %r, which is no tool and no provider", signal.monitor, subject)
