"""HTTP clients that every HTTP tool of an event loop shares, and answers that are read within bounds."""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import anyio
import httpx
from anyio.lowlevel import RunVar

from agentroute.errors import ToolError

MOST_CONNECTIONS = 100
"""Connections of one event loop at a time."""

CONNECT_TIMEOUT_S = 10.0
"""Longest time to connect; a shorter timeout of the tool shortens it."""


LARGEST_COMPLAINT = 2_000
"""Bytes of an error's body that are looked at."""

COMPLAINT_TIMEOUT_S = 1.0
"""Seconds that the body of an error may take."""


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of one event loop.

    Attributes:
        kept: Reuses connections.
        fresh: Opens one for each request. A kept connection that the server happens to close under a request
            leaves it in doubt, which a tool that must run once cannot afford.
    """

    kept: httpx.AsyncClient
    fresh: httpx.AsyncClient


_clients: RunVar[tuple[Clients, AsyncGenerator[Clients, None]]] = RunVar("agentroute_http_clients")


async def shared_clients() -> Clients:
    """Return the clients of the running event loop; they are closed when it ends.

    Connections belong to the event loop that opened them, and a program may run several, one after the other.
    When a loop ends, asyncio and trio both close the asynchronous generators that are left: the only hook there is.
    """
    try:
        return _clients.get()[0]
    except LookupError:
        keeper = _keep()
    clients = await anext(keeper)
    _clients.set((clients, keeper))
    return clients


async def _keep() -> AsyncGenerator[Clients, None]:
    clients = Clients(kept=_client(MOST_CONNECTIONS // 5), fresh=_client(0))
    try:
        yield clients
    finally:
        await clients.kept.aclose()
        await clients.fresh.aclose()


def _client(keep: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=keep)
    # Tools share the client, but must not share a session that a server has opened for one of them.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    headers = {"user-agent": "agentroute", "accept-encoding": "gzip"}
    return httpx.AsyncClient(limits=limits, cookies=no_cookies, headers=headers, follow_redirects=False)


def time_limits(timeout_s: float) -> httpx.Timeout:
    """Limit connecting only: the attempt as a whole is limited by whoever calls the tool.

    Connecting gets half of the time, so that a server that is not there is reported as such (nothing was sent),
    and not as an attempt that timed out (nobody knows).
    """
    connect = min(CONNECT_TIMEOUT_S, timeout_s / 2)
    return httpx.Timeout(None, connect=connect, pool=connect)


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """Read a body of at most `limit` bytes, compressed or not; what is longer is never held in memory.

    Raises:
        ToolError: It is longer, or its compression is broken or unknown. A breach of contract: an answer came.
        httpx.TransportError: The connection broke.
    """
    too_long = ToolError(f"the answer is longer than {limit:,} bytes (max_bytes)", kind="contract")
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise too_long
    unpack, body = _unpacker(response), bytearray()
    async with _chunks(response) as chunks:
        async for chunk in chunks:
            try:
                body += chunk if unpack is None else unpack.decompress(chunk, limit - len(body) + 1)
            except zlib.error as error:
                raise ToolError(f"the answer cannot be unpacked: {error}", kind="contract") from error
            if len(body) > limit:
                raise too_long
    if unpack is not None and body and not unpack.eof:
        raise ToolError("the answer ends in the middle of its compressed data", kind="contract")
    return bytes(body)


async def read_complaint(response: httpx.Response) -> bytes:
    """Read the beginning of what comes with an error. The status is known, so nothing may get in the way of it."""
    with anyio.move_on_after(COMPLAINT_TIMEOUT_S), suppress(httpx.HTTPError):
        async with _chunks(response) as chunks:
            return (await anext(chunks, b""))[:LARGEST_COMPLAINT]
    return b""


@asynccontextmanager
async def _chunks(response: httpx.Response) -> AsyncGenerator[AsyncIterator[bytes], None]:
    """Give the body piece by piece, and let go of the connection at the end.

    The client's generators are nested, and trio complains of each that is left before its end. So what has already
    arrived is read to the end, which on a closed connection is near.
    """
    chunks = response.aiter_raw()
    try:
        yield chunks
    finally:
        await response.aclose()
        with suppress(httpx.HTTPError, httpx.StreamError, anyio.ClosedResourceError):
            async for _ in chunks:
                pass


def _unpacker(response: httpx.Response) -> "zlib._Decompress | None":  # pyright: ignore[reportPrivateUsage]  # its only name
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip"}:
        return zlib.decompressobj(wbits=31)
    raise ToolError(f"the answer is encoded as {encoding!r}, which was not asked for", kind="contract")
