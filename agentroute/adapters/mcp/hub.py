"""The thread that owns all connections to MCP servers.

A connection belongs to the event loop and the task that opened it, but an agent is called from many: a program
may run one event loop after the other, on asyncio or trio, and many runs in each. So connections live on an event
loop of their own, in a thread of their own, and calls are handed over. Cancelling a call cancels it there, too.
"""

import atexit
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus
from anyio.from_thread import BlockingPortal, start_blocking_portal

from agentroute.adapters.clock import wall_time
from agentroute.adapters.mcp.config import Launch
from agentroute.adapters.mcp.settings import Settings
from agentroute.adapters.probes import UNKNOWN
from agentroute.errors import ToolError
from agentroute.graph.tool import Effect

if TYPE_CHECKING:
    from concurrent.futures import Future

    from agentroute.adapters.mcp.answers import Answer
    from agentroute.adapters.mcp.connection import McpConnection
    from agentroute.adapters.mcp.listing import ListedTool

_Result = TypeVar("_Result")
_Args = TypeVarTuple("_Args")


class McpHub:
    """Connections by server, opened at first use; after `close` they are opened anew when they are used again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._thread: _Thread | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has been used since it was made or closed."""
        return self._thread is not None

    async def call(
        self, launch: Launch, tool: str, arguments: Mapping[str, Any], effect: Effect, patience_s: float
    ) -> "tuple[Answer, ListedTool]":
        """Call a tool of a server once, from any event loop; see `McpConnection.call`.

        Raises:
            ToolError: With what is known about the failure.
        """
        ahead_s = wall_time() - time.time()

        async def call(connections: _Connections) -> "tuple[Answer, ListedTool]":
            return await connections.to(launch).call(tool, arguments, effect, patience_s, ahead_s)

        return await self._hand_over(call)

    async def ping(self, launch: Launch) -> object:
        """Ask a server for a sign of life, from any event loop; see `McpConnection.ping`. Opens nothing."""
        return UNKNOWN if self._thread is None else await self._hand_over(_Connections.ping, launch)

    async def listing(self, launch: Launch, patience_s: float) -> "dict[str, ListedTool]":
        """Return the tools of a server by name.

        Raises:
            ToolError: It cannot be reached; nothing has happened.
        """
        return await self._hand_over(_Connections.listing, launch, patience_s)

    def close(self) -> None:
        """End all connections and the thread. Blocks for seconds if a server does not listen; may be called twice."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(self.close)
            thread.stop()

    async def _hand_over(
        self, function: "Callable[[_Connections, *_Args], Awaitable[_Result]]", *args: *_Args
    ) -> _Result:
        thread = self._thread or await anyio.to_thread.run_sync(self._open)
        try:
            return await thread.portal.call_async(function, thread.connections, *args, abandon_on_cancel=True)
        except RuntimeError as error:
            if self._thread is thread:
                raise
            raise ToolError("the MCP connections are being closed", kind="transient") from error

    def _open(self) -> "_Thread":
        with self._lock:
            if self._thread is None:
                self._thread = _Thread.start(self._settings)
                atexit.register(self.close)
            return self._thread


@dataclass(frozen=True, slots=True)
class _Thread:
    """A running thread: its portal, what lives in it, and the task that owns that."""

    context: AbstractContextManager[BlockingPortal]
    portal: BlockingPortal
    connections: "_Connections"
    owner: "Future[None]"

    @classmethod
    def start(cls, settings: Settings) -> "_Thread":
        context = start_blocking_portal("asyncio", name="agentroute MCP")
        portal = context.__enter__()
        owner, connections = portal.start_task(_own, settings)
        return cls(context, portal, connections, owner)

    def stop(self) -> None:
        try:
            self.portal.call(self.connections.closing.set)
            self.owner.result()
        finally:
            self.context.__exit__(None, None, None)


async def _own(settings: Settings, *, task_status: "TaskStatus[_Connections]") -> None:
    """Own the task group that all supervisors run in."""
    async with anyio.create_task_group() as tasks:
        connections = _Connections(settings, tasks)
        task_status.started(connections)
        await connections.closing.wait()
        connections.close()


class _Connections:
    """What lives on the thread's event loop; touched there only."""

    def __init__(self, settings: Settings, tasks: TaskGroup) -> None:
        self.closing = anyio.Event()
        self._settings = settings
        self._tasks = tasks
        self._open: dict[str, McpConnection] = {}

    async def ping(self, launch: Launch) -> object:
        connection = self._open.get(launch.name)
        return UNKNOWN if connection is None else await connection.ping()

    async def listing(self, launch: Launch, patience_s: float) -> "dict[str, ListedTool]":
        return await self.to(launch).listing(patience_s)

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def to(self, launch: Launch) -> "McpConnection":
        """Return the connection to a server; a new one connects at its first call."""
        from agentroute.adapters.mcp.connection import McpConnection  # imports `mcp`, which takes a second

        if launch.name not in self._open:
            if self.closing.is_set():
                raise ToolError("the MCP connections are being closed", kind="transient")
            self._open[launch.name] = connection = McpConnection(launch, self._settings)
            self._tasks.start_soon(connection.supervise)
        return self._open[launch.name]
