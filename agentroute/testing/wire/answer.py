"""An answer, as it comes from the server."""

import h11

from agentroute.testing.wire.framing import answer_framing
from agentroute.testing.wire.link import Link
from agentroute.testing.wire.request import MOST_HELD


class Answer:
    """The answer to one request, read as far as somebody asks for it; at most `MOST_HELD` bytes are held."""

    def __init__(self, upstream: Link, request: h11.Request) -> None:
        """Nothing is read yet."""
        self.upstream = upstream
        self._framing = answer_framing(request)
        self._raw = bytearray()
        self._closed = False

    @property
    def head(self) -> h11.Response | None:
        """Status and headers; None if they have not come, or are not HTTP/1.1."""
        head = self._framing.head
        return head if isinstance(head, h11.Response) else None

    @property
    def body(self) -> bytes:
        """What is held of the body."""
        return bytes(self._framing.body)

    @property
    def over(self) -> bool:
        """Whether the answer cannot be followed any further: it has ended, was cut off, or is not HTTP/1.1."""
        return self._framing.ended or self._framing.opaque

    @property
    def whole(self) -> bool:
        """Whether it has properly ended."""
        return self._framing.ended

    @property
    def cut(self) -> bool:
        """Whether the server has closed the connection before the answer's end."""
        return self._closed and not self._framing.ended

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events (SSE)."""
        kinds = [value for name, value in self.head.headers if name == b"content-type"] if self.head else []
        return any(kind.startswith(b"text/event-stream") for kind in kinds)

    @property
    def is_compressed(self) -> bool:
        """Whether its body is not what it says."""
        encodings = [value for name, value in self.head.headers if name == b"content-encoding"] if self.head else []
        return any(encoding.lower() != b"identity" for encoding in encodings)

    async def more(self) -> None:
        """Receive a piece.

        Raises:
            LostError: The connection to the server broke.
        """
        raw = await self.upstream.receive()
        self._raw += raw
        self._closed = self._closed or not raw
        self._framing.feed(raw)

    async def begin(self) -> None:
        """Wait for the head.

        Raises:
            LostError: The connection to the server broke.
        """
        while self.head is None and not self.over:
            await self.more()

    async def hold(self) -> bool:
        """Wait for the end; False if it is too long to be held, or does not properly end.

        Raises:
            LostError: The connection to the server broke.
        """
        while not self.over and len(self._raw) < MOST_HELD:
            await self.more()
        return self.whole

    async def discard(self) -> None:
        """Wait for the end, and forget what came.

        Raises:
            LostError: The connection to the server broke.
        """
        while not self.over:
            self.take()
            await self.more()

    def take(self) -> bytes:
        """Take the bytes that are held, as they came."""
        raw = bytes(self._raw)
        self._raw.clear()
        self._framing.body.clear()
        return raw

    def take_body(self) -> bytes:
        """Take what is held of the body, decoded from its framing."""
        body = self.body
        self.take()
        return body
