"""Runs a plain function in a thread that can be walked away from.

anyio's worker threads are not daemons: one that hangs keeps the process from ever exiting. A tool that blocks for good
is exactly what a run has to survive, so each call gets a daemon thread of its own (tens of microseconds, far below any
call worth a thread).
"""

import contextlib
import contextvars
import threading
from collections.abc import Callable, Generator
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel

from agentroute.attempt import Attempt
from agentroute.errors import ToolError

_in_line = contextvars.ContextVar("agentroute_in_line", default=False)


@contextlib.contextmanager
def in_line() -> Generator[None]:
    """Call plain functions on the event loop within the block, without a thread.

    For virtual time: it would not wait for a thread.
    """
    token = _in_line.set(True)
    try:
        yield
    finally:
        _in_line.reset(token)


async def run_in_thread(function: Callable[[], Any], attempt: Attempt | None = None) -> Any:
    """Call `function` in a thread and wait for it; on cancellation, leave it behind.

    Args:
        function: Sees the caller's context variables.
        attempt: Told when the thread is left behind, and when it ends after all.

    Raises:
        Exception: Whatever `function` raises.
        ToolError: It tried to end the thread or the process (``sys.exit``); nobody knows how far it had come.
    """
    if _in_line.get():
        await anyio.lowlevel.checkpoint()
        return function()
    call = _Call(function, attempt)
    threading.Thread(target=call.work, args=(contextvars.copy_context(),), name="agentroute tool", daemon=True).start()
    return await call.outcome()


class _Call:
    """Hand-over between the thread and the event loop. All fields but the result are touched by the loop only."""

    def __init__(self, function: Callable[[], Any], attempt: Attempt | None) -> None:
        self.function = function
        self.attempt = attempt
        self.done = anyio.Event()
        self.token = anyio.lowlevel.current_token()
        self.abandoned = False
        self.value: Any = None
        self.error: Exception | None = None

    def work(self, context: contextvars.Context) -> None:
        try:
            self.value = context.run(self.function)
        except Exception as error:  # noqa: BLE001  # handed to the waiting task
            self.error = error
        except BaseException as error:  # noqa: BLE001  # a tool does not end its caller's process
            self.error = ToolError(f"raised {type(error).__name__}", kind="ambiguous")
        with contextlib.suppress(RuntimeError, anyio.RunFinishedError):  # the event loop is gone, nobody waits any more
            anyio.from_thread.run_sync(self._deliver, token=self.token)

    def _deliver(self) -> None:
        self.done.set()
        if self.abandoned and self.attempt is not None:
            self.attempt.still_running = False
            if self.attempt.on_late is not None:
                self.attempt.on_late(self.error is None)

    async def outcome(self) -> Any:
        try:
            await self.done.wait()
        except BaseException:
            self.abandoned = True
            if self.attempt is not None:
                self.attempt.still_running = not self.done.is_set()
            raise
        if self.error is not None:
            raise self.error
        return self.value
