"""The proxy: a port, a thread with an event loop of its own, and a conversation for each connection."""

import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from agentroute.testing.wire.conversation import Surroundings
from agentroute.testing.wire.exchange import Address, Exchange
from agentroute.testing.wire.listening import Listening
from agentroute.testing.wire.order import Order
from agentroute.testing.wire.port import Port

_here = threading.local()
"""Which proxy this thread belongs to, as `proxy`."""


class Proxy:
    """One TCP proxy on 127.0.0.1 before one HTTP/1.1 server.

    It has a thread and an event loop of its own, so that an agent that blocks its loop is not measured by itself. What
    it does not understand as HTTP/1.1 goes through as bytes, undecided, once the client has said something. A client
    that ends its side of a connection while it waits for an answer has hung up; the server's is closed then, too.

    A client's connection is accepted before the server's is made. While the server is down its clients are therefore
    reset, not refused; whoever knows that it is down says `refuse`.

    Args:
        server: Its name, for `decide`.
        upstream: Where it listens.
        decide: Called in the proxy's thread for each request, before anything of it is passed on. None: it is passed
            on as it is. What this raises (or a function of an `Order`) resets the client, and leaving the context
            raises it again.

    Example::

        def decide(exchange: Exchange) -> Order | None:
            return Order(fault=Fault(type="ack_lost"), dice=Random(1)) if exchange.method == "POST" else None

        with Proxy("shop", ("127.0.0.1", 8000), decide) as proxy:
            httpx.post("http://{}:{}/orders".format(*proxy.address))  # raises, and the order is placed
    """

    def __init__(self, server: str, upstream: Address, decide: Callable[[Exchange], Order | None]) -> None:
        """Nothing is started yet."""
        self._server = server
        self._upstream = upstream
        self._decide = decide
        self._open = ExitStack()
        self._started: _Started | None = None

    def __enter__(self) -> Self:
        """Listen; returns when connections are accepted."""
        with ExitStack() as opening:
            port = opening.enter_context(Port())
            portal = opening.enter_context(start_blocking_portal("asyncio", name=f"proxy {self._server}"))
            listening = Listening(port, Surroundings(server=self._server, upstream=self._upstream, decide=self._decide))
            ended, _ = portal.start_task(listening.run)
            opening.callback(ended.result)
            opening.callback(portal.call, listening.stop)
            portal.call(setattr, _here, "proxy", self)
            self._started = _Started(port.address, portal, listening)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End every connection, drop what would be delivered late, and let go of the port.

        Raises:
            Exception: What a function that was given to us has raised.
        """
        mistakes = self._running.listening.mistakes
        self._open.close()
        self._started = None
        if mistakes and error is None:
            raise mistakes[0]

    @property
    def address(self) -> Address:
        """Where it listens, or refuses to; the same for as long as it is open.

        Raises:
            RuntimeError: It is not open.
        """
        return self._running.address

    def refuse(self, *, yes: bool) -> None:
        """Refuse connections and reset those that are open, or listen again.

        Returns once it is so; in the thread of another proxy, at once. Whoever calls it elsewhere must not hold a lock
        that `decide` takes.
        """
        self._do(self._running.listening.refuse if yes else self._running.listening.listen)

    def sever(self) -> None:
        """Reset every open connection. Returns as `refuse` does."""
        self._do(self._running.listening.sever)

    def settle(self, *, timeout_s: float = 5.0) -> bool:
        """Make the late deliveries now whose client has hung up; whether all were made within so many seconds."""
        running = self._running
        return running.portal.call(running.listening.settle, timeout_s)

    @property
    def _running(self) -> "_Started":
        if self._started is None:
            raise RuntimeError(f"the proxy before {self._server!r} runs inside `with` only")
        return self._started

    def _do(self, function: Callable[[], None]) -> None:
        here = getattr(_here, "proxy", None)
        if here is self:
            function()
        elif here is None:
            self._running.portal.call(function)
        else:  # two proxies that waited for each other would wait for ever
            threading.Thread(target=_hand_over, args=(self._running.portal, function), daemon=True).start()


def _hand_over(portal: BlockingPortal, function: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the proxy was closed meanwhile
        portal.call(function)


class _Started:
    """What is there of a proxy while it is open."""

    def __init__(self, address: Address, portal: BlockingPortal, listening: Listening) -> None:
        self.address = address
        self.portal = portal
        self.listening = listening
