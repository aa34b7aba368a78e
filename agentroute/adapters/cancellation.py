"""Tells a cancellation that was meant for us from one that a tool, a probe or a monitor brought upon itself."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

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
