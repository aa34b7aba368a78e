"""An exchange on its way through the proxy, and what can be done to it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from agentroute.testing.wire.answer import Answer
from agentroute.testing.wire.link import PIECE, Link, LostError
from agentroute.testing.wire.request import Request

Send: TypeAlias = Callable[[bytes], Awaitable[None]]

Connect: TypeAlias = Callable[[], Awaitable[Link]]


class After(Enum):
    """What becomes of the client's connection after an exchange."""

    NEXT = auto()
    """The client may send its next request."""

    CLOSE = auto()
    """It is closed, if it is not yet."""

    TUNNEL = auto()
    """Both sides have begun to speak something else."""


class GoneError(Exception):
    """The client had gone before its fault could be carried out."""


class Postponed:
    """Requests that are held until their client has gone, of all connections of a proxy.

    Attributes:
        clients: Who waits for an answer to one that is held, or has gone and it is not delivered yet.
        now: Set when those whose client has gone are to be delivered without further delay.
    """

    def __init__(self) -> None:
        """There are none."""
        self.clients: set[Link] = set()
        self.now = anyio.Event()


@dataclass(slots=True, kw_only=True)
class Passage:
    """One exchange.

    Attributes:
        request: As it came.
        client: Where it came from.
        connect: Gives the connection to the server that belongs to the client's.
        connect_anew: Gives another one, to be closed by who asked for it.
        postponed: Where requests are entered that are delivered late.
        tasks: What goes on beside the exchange, up to its end.
        done: To be called once its fault is carried out.
        consumed: Set once the request has been received to its end.
        passed_on: Set once the server has been sent all of it.
        gone: Set when the client hangs up.
        patient: Whether it goes on when the client hangs up.
        scope: Cancelled when the client hangs up, unless `patient`.
    """

    request: Request
    client: Link
    connect: Connect
    connect_anew: Connect
    postponed: Postponed
    tasks: TaskGroup
    done: Callable[[], None] = lambda: None
    consumed: anyio.Event = field(default_factory=anyio.Event)
    passed_on: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    patient: bool = False
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _told: bool = False
    _begun: bool = False

    def __post_init__(self) -> None:
        """Nothing need be received of a request that is complete."""
        if self.request.complete:
            self.consumed.set()

    # What is known of the client ----------------------------------------------------------------------------

    async def watch(self) -> None:
        """Notice when the client hangs up: ends its side of the connection, or breaks it. Nothing else waits for that.

        What it sends before it has its answer is kept for later.
        """
        await self.consumed.wait()
        early = bytearray()
        try:
            while len(early) < PIECE:
                piece = await self.client.receive()
                if not piece:
                    self._leave()
                    return
                early += piece
        except LostError:
            self._leave()
        finally:
            self.client.unread(bytes(early))

    def expect_client(self) -> None:
        """Make sure that there is somebody whom a fault can happen to.

        Raises:
            GoneError: There is not.
        """
        if self.gone.is_set() or self.client.hung_up:
            raise GoneError

    def carry_out(self) -> None:
        """Say that the fault happens now.

        Raises:
            GoneError: There is nobody left that it could happen to.
        """
        self.expect_client()
        self.carried_out()

    def carried_out(self) -> None:
        """Say that the fault has happened, whether or not the client is still there."""
        if not self._told:
            self._told = True
            self.done()

    def _leave(self) -> None:
        self.gone.set()
        if not self.patient:
            self.scope.cancel()

    # What is done with the request --------------------------------------------------------------------------

    async def swallow(self) -> None:
        """Receive the rest of the request, and pass nothing on."""

        async def nowhere(_: bytes) -> None:
            pass

        await self._consume(nowhere)

    @property
    def is_half_sent(self) -> bool:
        """Whether the server has been sent some of the request and not the rest, as when it answers too early."""
        return not self.request.complete or (self._begun and not self.passed_on.is_set())

    async def pass_on(self) -> Answer:
        """Begin to pass the request on; nothing of the answer is read yet.

        Raises:
            LostError: The server cannot be reached.
        """
        upstream = await self.connect()
        self._begun = True
        self.tasks.start_soon(self._upload, upstream)
        return Answer(upstream, self.request.head)

    async def _upload(self, upstream: Link) -> None:
        async def send(piece: bytes) -> None:
            with suppress(LostError):  # whoever reads the answer learns it
                await upstream.send(piece)

        await send(self.request.raw)
        await self._consume(send)
        self.passed_on.set()

    async def _consume(self, sink: Send) -> None:
        try:
            async for piece in self.request.rest():
                await sink(piece)
        except LostError:
            self._leave()
        else:
            self.consumed.set()

    # What is done with the answer ---------------------------------------------------------------------------

    async def deliver(self, answer: Answer, send: Send | None = None) -> After:
        """Pass an answer on as it comes, byte for byte.

        Raises:
            LostError: The connection to the server or to the client broke.
        """
        send = send or self.client.send
        await send(answer.take())
        while not answer.over:
            await answer.more()
            await send(answer.take())
        if answer.cut:
            return After.CLOSE
        return After.NEXT if answer.whole else After.TUNNEL
