"""Where a message of HTTP/1.1 begins and ends in a stream of bytes.

h11 parses, and only that: what is passed on are the bytes themselves as they came, which no parser could write again
exactly so. Its limit on the size of a head bounds what is kept of one that does not end.
"""

import re
from collections.abc import Iterable

import h11

METHOD = rb"[!#-'*+.0-9A-Z^_`a-z|~-]"

REQUEST_LINE = re.compile(METHOD + rb"+ [!-~]+ HTTP/1\.[01]\r?")
"""How a request begins, without its line feed."""

BEGUN_LINE = re.compile(METHOD + rb"*(?: [!-~]*(?: [HTP/1.0]*\r?)?)?")
"""What may become such a line."""

MOST_HEAD = 65_536
"""Bytes that a head may have to be understood."""


class Framing:
    """Follows one message through the bytes that carry it.

    Attributes:
        head: Its head, once it is complete; of an answer, the final one.
        ended: Whether the message is complete.
        opaque: Whether what comes is not HTTP/1.1, or not any more: it can only be passed on.
        body: What was read of the body, until somebody takes it.
    """

    def __init__(self, parser: h11.Connection) -> None:
        """Take the parser, in the state in which it expects the message."""
        self._parser = parser
        self.head: h11.Request | h11.Response | None = None
        self.ended = False
        self.opaque = False
        self.body = bytearray()

    def feed(self, raw: bytes) -> None:
        """Go on with the next bytes; none mean that the sender has ended."""
        try:
            self._parser.receive_data(raw)
            while not (self.ended or self.opaque):
                event = self._parser.next_event()
                if event is h11.NEED_DATA:
                    return
                self._note(event)
        except h11.RemoteProtocolError:
            self.opaque = True

    def feed_request(self, raw: bytes) -> None:
        """The same for a request: what does not begin like one is opaque at once, not only when its head would end."""
        self.feed(raw)
        if self.head is None:
            line, ended, _ = self.left_over.removeprefix(b"\r\n").partition(b"\n")
            if (REQUEST_LINE if ended else BEGUN_LINE).fullmatch(line) is None:
                self.opaque = True

    def _note(self, event: object) -> None:
        match event:
            case h11.Request() | h11.Response():
                self.head = event
            case h11.Data():
                self.body += event.data
            case h11.EndOfMessage() | h11.ConnectionClosed():
                self.ended = True
            case h11.InformationalResponse():
                pass  # the final one follows
            case _:  # paused: the two sides have agreed on another protocol
                self.opaque = True

    @property
    def left_over(self) -> bytes:
        """Bytes that came after the message."""
        return self._parser.trailing_data[0]

    @property
    def expects_100(self) -> bool:
        """Whether a client waits for a ``100 Continue`` before it sends the body."""
        return self._parser.they_are_waiting_for_100_continue


def request_framing() -> Framing:
    """Make the framing of a request."""
    return Framing(h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD))


def answer_framing(request: h11.Request) -> Framing:
    """Make the framing of the answer to a request: it depends on the method, and on an upgrade that was asked for."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD)
    upgrade = [(name, value) for name, value in request.headers if name in {b"upgrade", b"connection"}]
    parser.send(h11.Request(method=request.method, target=request.target, headers=[(b"host", b"-"), *upgrade]))
    parser.send(h11.EndOfMessage())
    return Framing(parser)


FRAMING_HEADERS = frozenset({b"content-length", b"transfer-encoding", b"trailer"})


def head_of(answer: h11.Response, framing: tuple[bytes, bytes], *, without: Iterable[bytes] = ()) -> bytes:
    """Write the head of an answer whose body is framed in another way.

    Args:
        answer: The head as it came.
        framing: The header that frames the new body.
        without: Names of further headers to leave out, in lower case.
    """
    dropped = FRAMING_HEADERS.union(without)
    kept = [(name, value) for name, value in answer.headers.raw_items() if name.lower() not in dropped]
    lines = [b"%s: %s\r\n" % header for header in (*kept, framing)]
    status = b"HTTP/%s %d %s\r\n" % (answer.http_version, answer.status_code, answer.reason)
    return status + b"".join(lines) + b"\r\n"
