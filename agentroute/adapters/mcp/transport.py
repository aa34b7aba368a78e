"""Opens a client for one MCP server, over the pipes of a child process or over streamable HTTP."""

import logging
import os
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TextIO

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp_types import Implementation

from agentroute.adapters.mcp.answers import LARGEST_ANSWER
from agentroute.adapters.mcp.config import HttpEndpoint, Launch, StdioLaunch
from agentroute.adapters.mcp.http import ContainedClient

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, TransportStreams

LARGEST_LOG = 1_000_000
"""Bytes of a server's log above which it is begun anew at the next start; the one before is kept."""

Mode = Literal["auto", "legacy"]
"""How to find the protocol version: ask first, or use the handshake that every server before 2026 knows."""

# Without a handler of its own, what the package logs would appear on our standard error. Whoever configures
# logging still gets it. ("client" is the name that the package gives the logger of its sessions.)
for _name in ("mcp", "client"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


@asynccontextmanager
async def open_client(
    launch: Launch, mode: Mode, log_folder: Path | None, on_end: Callable[[], None]
) -> AsyncGenerator[Client, None]:
    """Connect to a server, and let go of it (a child process is ended) when the context is left.

    Args:
        launch: How to start or reach the server.
        mode: How to find the protocol version.
        log_folder: Where the standard error of a child goes; None discards it.
        on_end: Called as soon as the server can no longer be heard.

    Raises:
        OSError: The child process cannot be started.
        Exception: The server did not complete the handshake (possibly as a group).
    """
    if isinstance(launch, HttpEndpoint):
        async with (
            ContainedClient(dict(launch.headers)) as http,
            _client(
                streamable_http_client(launch.url, http_client=http, max_sse_event_size=LARGEST_ANSWER),
                mode,
                on_end,
            ) as client,
        ):
            yield client
        return
    with _open_log(launch, log_folder) as log:
        async with _client(stdio_client(_parameters(launch), errlog=log), mode, on_end) as client:
            yield client


def log_path(server: str, folder: Path) -> Path:
    """File that holds the standard error of `server`."""
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', server)[:80]}.log"


def _client(
    transport: "AbstractAsyncContextManager[TransportStreams]", mode: Mode, on_end: Callable[[], None]
) -> Client:
    watched = _watched(transport, on_end)
    identity = Implementation(name="agentroute", version=_version())
    return Client(watched, mode=mode, client_info=identity, cache=None)  # lists are fetched when they are wanted


def _version() -> str:
    try:
        return version("agentroute")
    except PackageNotFoundError:  # run from a source tree
        return "0"


def _parameters(launch: StdioLaunch) -> StdioServerParameters:
    return StdioServerParameters(
        command=launch.command,
        args=list(launch.args),
        env=dict(launch.env),
        cwd=launch.cwd,
        encoding_error_handler="replace",  # a stray byte spoils one message, not the connection
    )


def _open_log(launch: StdioLaunch, folder: Path | None) -> TextIO:
    """Open what the child's standard error is connected to; only we can read it."""
    if folder is None:
        return Path(os.devnull).open("a", encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = log_path(launch.name, folder)
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8")


@asynccontextmanager
async def _watched(
    transport: "AbstractAsyncContextManager[TransportStreams]", on_end: Callable[[], None]
) -> "AsyncGenerator[TransportStreams, None]":
    """Tell `on_end` when the transport's read stream ends: the package itself says nothing between two calls.

    A child process is not abandoned while it is being started: cancelling that leaves its pipes open.
    """
    with anyio.CancelScope(shield=True) as starting:
        async with transport as (read, write):
            starting.shield = False
            yield _WatchedStream(read, on_end), write


class _WatchedStream:
    """A read stream that tells of its end."""

    def __init__(self, inner: "ReadStream[SessionMessage | Exception]", on_end: Callable[[], None]) -> None:
        self._inner = inner
        self._on_end = on_end

    async def receive(self) -> SessionMessage | Exception:
        try:
            return await self._inner.receive()
        except BaseException:
            self._on_end()
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self._inner.__anext__()
        except BaseException:
            self._on_end()
            raise

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)
