"""A request, as the proxy holds it until it is decided what becomes of it."""

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import h11

from agentroute.testing.wire.exchange import Exchange
from agentroute.testing.wire.framing import Framing, request_framing
from agentroute.testing.wire.link import Link, LostError

MOST_HELD = 8 * 2**20
"""Bytes of a request, and of an answer, that the proxy holds in memory at most; what is longer streams through."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

HEAD_END = re.compile(rb"\r?\n\r?\n")

ACCEPT_ENCODING = re.compile(rb"(?im)^accept-encoding:[^\r\n]*")


@dataclass(slots=True)
class Request:
    """A request, or its first `MOST_HELD` bytes if it is longer.

    Attributes:
        client: Where it comes from.
        framing: How far it has come.
        raw: The bytes of it that are held.
    """

    client: Link
    framing: Framing
    raw: bytes

    @property
    def head(self) -> h11.Request:
        """Method, target and headers."""
        assert isinstance(self.framing.head, h11.Request)  # noqa: S101  # a framing of a request that was understood
        return self.framing.head

    @property
    def complete(self) -> bool:
        """Whether the client has sent all of it, and nothing of it is left on the wire."""
        return self.framing.ended

    @property
    def persistent(self) -> bool:
        """Whether the client wants to go on with the connection after this."""
        tokens = [value.lower() for name, value in self.head.headers if name == b"connection"]
        return self.head.http_version == b"1.1" and not any(b"close" in token for token in tokens)

    @property
    def wants_no_body(self) -> bool:
        """Whether the answer has no body, although its head may speak of one."""
        return self.head.method == b"HEAD"

    def exchange(self, server: str) -> Exchange:
        """Describe it to who decides; of a body that is too long, only what is held."""
        headers: dict[str, str] = {}
        for name, value in self.head.headers:
            key, text = name.decode("latin-1"), value.decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
        method, path = self.head.method.decode("latin-1"), self.head.target.decode("latin-1")
        return Exchange(server, method, path, headers, bytes(self.framing.body))

    async def rest(self) -> AsyncGenerator[bytes, None]:
        """Receive what is not held, piece by piece.

        Raises:
            LostError: The client went away.
        """
        while not self.complete:
            self.framing.body.clear()
            raw = await _more(self.client, self.framing)
            if not raw or self.framing.opaque:
                raise LostError("the client broke off within its request")
            yield raw

    def ask_for_plain_text(self) -> None:
        """Have the server not compress its answer, so that it can be rewritten."""
        end = HEAD_END.search(self.raw)
        cut = end.start() if end else len(self.raw)
        self.raw = ACCEPT_ENCODING.sub(b"Accept-Encoding: identity", self.raw[:cut]) + self.raw[cut:]


async def read_request(client: Link) -> Request:
    """Read the next request of a client: all of it, or as much as may be held.

    Who waits for a ``100 Continue`` is given it, since nothing can be decided without the body. Its framing may be
    opaque: then the client does not speak HTTP/1.1.

    Raises:
        LostError: The client went away.
    """
    framing, raw = request_framing(), bytearray()
    while not framing.ended and not framing.opaque and len(raw) < MOST_HELD:
        raw += await _more(client, framing)
        if framing.expects_100 and not framing.ended:
            await client.send(CONTINUE)
    return Request(client, framing, bytes(raw))


async def _more(client: Link, framing: Framing) -> bytes:
    """Receive some of a message, and leave what follows it with the client."""
    raw = await client.receive()
    framing.feed_request(raw)
    left_over = framing.left_over if framing.ended else b""
    client.unread(left_over)
    return raw[: len(raw) - len(left_over)]
