"""One client's connection, from its first request to its end, and the server's connection that belongs to it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio

from agentroute.testing.wire.actions import ACTIONS
from agentroute.testing.wire.delays import wait_first
from agentroute.testing.wire.exchange import Address, Exchange
from agentroute.testing.wire.link import Link, LostError
from agentroute.testing.wire.order import Order
from agentroute.testing.wire.passage import After, GoneError, Passage, Postponed
from agentroute.testing.wire.request import Request, read_request


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What the conversations of a proxy have in common.

    Attributes:
        server: Name of the server.
        upstream: Where it listens.
        decide: Says what is to be done to an exchange.
        postponed: Requests that are delivered late.
        mistakes: Errors of functions that were given to us, to be raised where somebody sees them.
    """

    server: str
    upstream: Address
    decide: Callable[[Exchange], Order | None]
    postponed: Postponed = field(default_factory=Postponed)
    mistakes: list[Exception] = field(default_factory=list[Exception])


class Conversation:
    """One client's connection; see the module."""

    def __init__(self, client: Link, surroundings: Surroundings) -> None:
        """The server is not called before there is something to be passed on."""
        self._client = client
        self._surroundings = surroundings
        self._upstream: Link | None = None

    async def run(self) -> None:
        """Go on until either side closes its connection, or both break."""
        try:
            await self._converse()
        except LostError:
            self._client.reset()
        finally:
            self.close()

    def close(self) -> None:
        """End both connections."""
        for link in (self._client, self._upstream):
            if link is not None:
                link.close()

    def sever(self) -> None:
        """Break both connections."""
        for link in (self._client, self._upstream):
            if link is not None:
                link.reset()

    async def _converse(self) -> None:
        while await self._is_wanted():
            request = await read_request(self._client)
            if request.framing.opaque:
                self._client.unread(request.raw)
                await self._tunnel()
                return
            if request.framing.head is None:  # the client has ended
                return
            match await self._exchange(request):
                case After.NEXT:
                    continue
                case After.TUNNEL:
                    await self._tunnel()
                case After.CLOSE:
                    pass
            return

    async def _is_wanted(self) -> bool:
        """Wait until the client asks for something; False if it or the server closes its connection first."""
        upstream = self._upstream
        if upstream is None:
            return True
        idle = _Idle(self._client, upstream)
        async with anyio.create_task_group() as tasks:
            idle.scope = tasks.cancel_scope
            tasks.start_soon(idle.wait_for_client)
            tasks.start_soon(idle.wait_for_server)
        if idle.closed or upstream.hung_up:
            upstream.close()
            self._upstream = None
        return idle.asked or (idle.closed and self._client.has_more)

    async def _exchange(self, request: Request) -> After:
        after = After.CLOSE
        async with anyio.create_task_group() as tasks:
            passage = Passage(
                request=request,
                client=self._client,
                connect=self._connect,
                connect_anew=self._connect_anew,
                postponed=self._surroundings.postponed,
                tasks=tasks,
            )
            tasks.start_soon(passage.watch)
            after = await self._act(passage)
            if passage.is_half_sent:
                after = After.CLOSE
            tasks.cancel_scope.cancel()
        return after

    async def _act(self, passage: Passage) -> After:
        """Let happen what is decided. Ends early, with the connection closed, when the client hangs up."""
        try:
            with passage.scope:
                order = self._surroundings.decide(passage.request.exchange(self._surroundings.server))
                if order is None:
                    return await passage.deliver(await passage.pass_on())
                passage.done = order.done
                await wait_first(passage, order)
                return await ACTIONS[order.fault.type](passage, order)
        except GoneError:
            pass
        except LostError:
            self._client.reset()
        except Exception as mistake:  # noqa: BLE001  # of a function that was given to us; the proxy raises it in the end
            self._surroundings.mistakes.append(mistake)
            self._client.reset()
        return After.CLOSE

    async def _connect(self) -> Link:
        if self._upstream is None:
            self._upstream = await self._connect_anew()
        if self._client.closed:  # severed, perhaps by who decided: nothing more is passed on
            raise LostError
        return self._upstream

    async def _connect_anew(self) -> Link:
        return await Link.to(self._surroundings.upstream)

    async def _tunnel(self) -> None:
        """Pass bytes on in both directions, whatever they are, until both sides have ended."""
        upstream = await self._connect()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pump, self._client, upstream)
            tasks.start_soon(_pump, upstream, self._client)


async def _pump(source: Link, sink: Link) -> None:
    try:
        while data := await source.receive():
            await sink.send(data)
        sink.end()
    except LostError:
        source.reset()
        sink.reset()


class _Idle:
    """The time between two exchanges.

    Attributes:
        scope: Ends it; cancelled by either.
        asked: Whether the client has sent something.
        closed: Whether the server has closed its connection.
    """

    def __init__(self, client: Link, upstream: Link) -> None:
        """Nothing has been heard yet."""
        self._client = client
        self._upstream = upstream
        self.scope = anyio.CancelScope()
        self.asked = False
        self.closed = False

    async def wait_for_client(self) -> None:
        with suppress(LostError):
            data = await self._client.receive()
            self._client.unread(data)
            self.asked = bool(data)
        self.scope.cancel()

    async def wait_for_server(self) -> None:
        """Pass on what it says without being asked, such as 408 before it closes a connection."""
        with suppress(LostError):
            while data := await self._upstream.receive():
                await self._client.send(data)
        self.closed = True
        self.scope.cancel()
