"""One MCP server, kept connected: started at first use, started again with growing delays after it died.

A connection is owned by one task, `McpConnection.supervise`, because what it is made of must be opened and closed in
the same task; calls come from others. All of it runs on one event loop (see `mcp_hub`).
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from errno import ENOEXEC
from typing import Any, NoReturn, cast

import anyio
from mcp import Client, MCPError
from mcp_types import CONNECTION_CLOSED
from pydantic import ValidationError

from agentroute.adapters.mcp.answers import LONGEST_MESSAGE, Answer, read_answer
from agentroute.adapters.mcp.config import HttpEndpoint, Launch
from agentroute.adapters.mcp.errors import HttpAnswer, answered, explain, http_mark
from agentroute.adapters.mcp.listing import ListedTool, read_listing
from agentroute.adapters.mcp.settings import Settings
from agentroute.adapters.mcp.transport import Mode, log_path, open_client
from agentroute.adapters.probes import UNKNOWN
from agentroute.errors import FailureKind, ToolError
from agentroute.graph.tool import Effect
from agentroute.guard.failures import classify

MOST_PAGES = 100
"""Pages of a server's list of tools that are read."""

MOST_TOOLS = 2_000
"""Tools of one server."""

CLOSING_S = 5.0
"""Seconds that a server has to say goodbye, before its process is told to end and then killed (another 4 s)."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Not started, or not yet started again: the next call starts it."""


@dataclass(frozen=True, slots=True)
class Starting:
    """Being started; calls wait."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Connected. `lost` is set as soon as the server can no longer be heard."""

    client: Client
    tools: dict[str, ListedTool]
    lost: anyio.Event


@dataclass(frozen=True, slots=True)
class Down:
    """Broken; calls fail at once until `until` (seconds of the event loop)."""

    why: str
    until: float
    kind: FailureKind


@dataclass(frozen=True, slots=True)
class Closed:
    """Not to be used any more."""


class McpConnection:
    """Connection to one server; see the module."""

    def __init__(self, launch: Launch, settings: Settings) -> None:
        self.name = launch.name
        self._launch = launch
        self._settings = settings
        self._state: Idle | Starting | Ready | Down | Closed = Idle()
        self._changed = anyio.Event()
        self._wanted = anyio.Event()
        self._life: anyio.CancelScope | None = None
        self._failures = 0
        self._up_since: float | None = None

    # What calls do ------------------------------------------------------------------------------------------

    async def call(
        self, tool: str, arguments: Mapping[str, Any], effect: Effect, patience_s: float, ahead_s: float
    ) -> tuple[Answer, ListedTool]:
        """Call a tool once.

        Args:
            tool: Its name on the server.
            arguments: JSON data.
            effect: What a second call would do; decides what some errors mean.
            patience_s: Seconds to wait for a server that is being started.
            ahead_s: Seconds that the caller's clock is ahead of the system's. It belongs to another event loop, so it
                cannot be asked from here.

        Raises:
            ToolError: With what is known about the failure. Whatever went wrong before the request was sent is
                transient or permanent.
        """
        ready = await self._ready(patience_s)
        listed = await self._find(ready, tool)
        listed.check(arguments)
        if ready.lost.is_set():
            raise ToolError(f"MCP server {self.name!r} has just broken off", kind="transient")
        what = f"MCP tool {self.name}/{tool}"
        try:
            return read_answer(await ready.client.call_tool(tool, dict(arguments))), listed
        except MCPError as error:
            self._note(error, ready)
            raise explain(error, what, effect, time.time() + ahead_s) from error
        except (RuntimeError, ValidationError) as error:  # how the package reports an answer that breaks its schema
            raise ToolError(f"{what} broke its contract: {_first_line(error)}", kind="contract") from error

    async def listing(self, patience_s: float) -> dict[str, ListedTool]:
        """Return the tools of the server by name.

        Raises:
            ToolError: It cannot be reached; nothing has happened.
        """
        return (await self._ready(patience_s)).tools

    async def ping(self) -> object:
        """Ask the server for a sign of life, if it is up. Starts nothing: when to start is not for a ping to say.

        Any answer is one, that it knows no such request included. Older protocols have ``ping`` for this; the one of
        July 2026 has nothing in its place, so its servers are asked for the first page of their tools.

        Returns:
            `UNKNOWN` of a server that is not in use, or is being started.

        Raises:
            ConnectionError: It is down.
            Exception: It cannot be asked any more.
        """
        match self._state:
            case Ready() as ready if not ready.lost.is_set():
                await self._ask(ready)
            case Ready() | Down():
                raise ConnectionError(f"MCP server {self.name!r} is down")
            case _:
                return UNKNOWN
        return True

    async def _ask(self, ready: Ready) -> None:
        session = ready.client.session
        try:
            await (session.list_tools() if session.discover_result is not None else session.send_ping())
        except ValidationError:
            return  # an answer, if not one that can be read
        except MCPError as error:
            self._note(error, ready)
            if not answered(error) or (ready.lost.is_set() and not http_mark(error)):
                raise ConnectionError(f"MCP server {self.name!r}: {_first_line(error)}") from error

    async def _ready(self, patience_s: float) -> Ready:
        with anyio.move_on_after(patience_s):
            while True:
                match self._state:
                    case Ready() as ready if not ready.lost.is_set():
                        return ready
                    case Idle():
                        self._become(Starting())
                        self._wanted.set()
                    case Down() as down:
                        self._refuse(down)
                    case Closed():
                        raise ToolError(f"MCP server {self.name!r} has been closed", kind="transient")
                    case _:
                        pass
                await self._changed.wait()
        raise ToolError(f"MCP server {self.name!r} is still starting after {patience_s:.1f} s", kind="transient")

    def _refuse(self, down: Down) -> NoReturn:
        wait = max(0.0, down.until - anyio.current_time())
        message = f"MCP server {self.name!r} is down ({down.why}); next start in {wait:.1f} s"
        raise ToolError(message, kind=down.kind, retry_after_s=None if down.kind == "permanent" else wait)

    async def _find(self, ready: Ready, tool: str) -> ListedTool:
        """Look a tool up, in a fresh list if need be: servers may add tools."""
        if tool not in ready.tools:
            try:
                ready.tools.update(await _list_tools(ready.client))
            except (MCPError, ValidationError) as error:
                why = f"MCP server {self.name!r} does not list its tools: {_first_line(error)}"
                raise ToolError(why, kind="transient") from error
        if tool not in ready.tools:
            known = ", ".join(sorted(ready.tools)) or "none"
            raise ToolError(f"MCP server {self.name!r} has no tool {tool!r}; it has: {known}", kind="permanent")
        return ready.tools[tool]

    def _note(self, error: MCPError, ready: Ready) -> None:
        """Connect anew where the server has forgotten the session (it was restarted)."""
        if http_mark(error).get("session_lost"):
            ready.lost.set()

    # What the supervisor does -------------------------------------------------------------------------------

    async def supervise(self) -> None:
        """Own the connection until `close` is called."""
        while True:
            await self._wanted.wait()
            was_up = await self._live()
            await self._rest()
            if isinstance(self._state, Closed):
                return
            if not was_up:  # a server that does not even start is tried again when somebody asks for it
                self._wanted = anyio.Event()
                self._become(Idle())

    def close(self) -> None:
        """End the connection and the supervisor; calls in flight fail."""
        was, now = self._state, anyio.current_time()
        self._become(Closed())
        self._wanted.set()
        if isinstance(was, Ready):
            was.lost.set()
        if self._life is not None:
            self._life.deadline = now + CLOSING_S if isinstance(was, Ready) else now

    async def _live(self) -> bool:
        """Start the server and stay connected as long as it lives. Says whether it was ever ready."""
        self._become(Starting())
        was_up, error = await self._serve("auto")
        if not was_up and _hung_up(error):  # as servers do that do not know the question of the newer protocol
            was_up, error = await self._serve("legacy")
        self._go_down(error, was_up=was_up)
        return was_up

    async def _serve(self, mode: Mode) -> tuple[bool, Exception | None]:
        """Be connected once. Says whether it was ready, and what ended it."""
        if isinstance(self._state, Closed):
            return False, None
        lost, was_up = anyio.Event(), False
        limit = self._settings.startup_timeout_s
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + limit) as self._life:
                async with open_client(self._launch, mode, self._settings.log_folder, lost.set) as client:
                    tools = await _list_tools(client)
                    self._life.deadline, was_up = math.inf, True
                    self._up_since = anyio.current_time()
                    self._become(Ready(client, tools, lost))
                    await lost.wait()
                    self._go_down(None, was_up=True)  # before the goodbye, which may take seconds
        except Exception as error:  # noqa: BLE001  # whatever it was: the server is down and will be started again
            return was_up, _first(error)
        finally:
            self._life = None
        return was_up, None if was_up else TimeoutError(f"no list of tools within {limit:g} s of its start")

    def _go_down(self, error: Exception | None, *, was_up: bool) -> None:
        if isinstance(self._state, (Down, Closed)):
            return
        now, restart = anyio.current_time(), self._settings.restart
        settled = self._up_since is not None and now - self._up_since >= restart.settled_s
        self._failures, self._up_since = 1 if settled else self._failures + 1, None
        delay = restart.delay(self._failures, self._settings.chance())
        why = "the connection broke" if error is None else self._explain(error)
        kind, wait = ("transient", None) if was_up or error is None else _outlook(error)
        self._become(Down(why, now + max(delay, wait or 0.0), kind))

    def _explain(self, error: Exception) -> str:
        """Say why the server could not be started, and where to look."""
        said = _first_line(error) or type(error).__name__
        if isinstance(self._launch, HttpEndpoint):
            return f"cannot connect: {said}"
        not_started = isinstance(error, OSError) and not isinstance(error, TimeoutError)
        folder = None if not_started else self._settings.log_folder
        where = "" if folder is None else f"; it may say more in {log_path(self.name, folder)}"
        return f"{self._launch.command!r} cannot be used: {said}{where}"

    async def _rest(self) -> None:
        """Wait until a new start is due, or `close` is called."""
        deadline = self._state.until if isinstance(self._state, Down) else math.inf
        with anyio.CancelScope(deadline=deadline):
            while not isinstance(self._state, Closed):
                await self._changed.wait()

    def _become(self, state: Idle | Starting | Ready | Down | Closed) -> None:
        if isinstance(self._state, Closed):
            return
        self._state = state
        self._changed.set()
        self._changed = anyio.Event()


async def _list_tools(client: Client) -> dict[str, ListedTool]:
    """Read the whole list, page by page."""
    tools: dict[str, ListedTool] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        tools.update((tool.name, read_listing(tool)) for tool in page.tools)
        cursor = page.next_cursor
        if cursor is None or len(tools) >= MOST_TOOLS:
            break
    return tools


def _first(error: Exception) -> Exception:
    """Return the first exception of nested groups: task groups wrap what went wrong in them."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    return error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:LONGEST_MESSAGE]


def _hung_up(error: Exception | None) -> bool:
    return isinstance(error, MCPError) and error.code == CONNECTION_CLOSED and not http_mark(error)


def _outlook(error: Exception) -> tuple[FailureKind, float | None]:
    """Say whether a server that did not start may do so later, and when it asked for that.

    A command that is not there will not be, and a request that was refused will be again. Anything else is
    transient, also what is ambiguous of a call: a start that failed has done nothing. A start serves no attempt, and
    is waited for in real time: it goes by the system's clock.
    """
    if isinstance(error, MCPError) and isinstance(status := http_mark(error).get("status"), int):
        failure = classify(HttpAnswer(status, http_mark(error).get("retry_after")), wall=time.time())
        return "transient" if failure.kind == "ambiguous" else failure.kind, failure.retry_after_s
    not_there = isinstance(error, (FileNotFoundError, NotADirectoryError, PermissionError))
    return "permanent" if not_there or (isinstance(error, OSError) and error.errno == ENOEXEC) else "transient", None
