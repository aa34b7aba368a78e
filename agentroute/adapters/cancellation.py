"""What anyio cannot say of asyncio's own cancellation: whom it was meant for, and that it has to wait."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

import anyio

from agentroute.errors import ToolError

Result = TypeVar("Result")


async def own_failures(call: Awaitable[Result]) -> Result:
    """Await the code of a tool, a probe or a monitor.

    On asyncio, awaiting a task that somebody else cancelled raises the same exception as being cancelled. Taken for the
    latter it would end the run, or all that watches beside it, and nobody had asked for that.

    Raises:
        ToolError: It tried to end the process, or something that it awaited was cancelled and we were not. Nobody
            knows how far it had come.
    """
    try:
        return await call
    except SystemExit as error:
        raise ToolError("raised SystemExit", kind="ambiguous") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling() or anyio.get_current_task().has_pending_cancellation():
            raise
        raise ToolError("something that it awaited was cancelled", kind="ambiguous") from error


async def uninterrupted(work: Coroutine[Any, Any, Result]) -> Result:  # pyright: ignore[reportReturnType]  # a shield that nobody cancels swallows nothing
    """Await something that must not end halfway; whoever is cancelled meanwhile is so once it is done.

    anyio's shields keep out what anyio cancels. They do not keep out ``Task.cancel()``, which is what
    ``asyncio.wait_for``, ``asyncio.timeout`` and most servers end a request with: that reaches whatever a task awaits,
    unless another task does the work.

    Args:
        work: What to do. On asyncio it gets a task of its own, and sees a copy of the context.

    Raises:
        BaseException: Whatever `work` raises; on asyncio the cancellation comes first.
    """
    with anyio.CancelScope(shield=True):
        return await (_in_its_own_task(work) if _on_asyncio() else work)


async def _in_its_own_task(work: Coroutine[Any, Any, Result]) -> Result:
    task, cancelled = asyncio.create_task(work), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:  # passed on below, once and for all
            cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        task.exception()  # or asyncio complains that nobody has looked at it
    raise cancelled


def _on_asyncio() -> bool:
    """Whether a task of asyncio's is asking; trio may run as a guest of its loop, in no task."""
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False
