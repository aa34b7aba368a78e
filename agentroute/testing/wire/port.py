"""A port that stays ours, whether or not anybody listens on it."""

import socket
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from agentroute.testing.wire.exchange import Address

LOOPBACK = "127.0.0.1"

BACKLOG = 128


class Port:
    """A free port of 127.0.0.1, kept until its context is left.

    A socket of our own is bound to it and never listens: while nothing else does, connections are refused, and no
    other process is given the port.
    """

    def __init__(self) -> None:
        """Take a free one."""
        self._placeholder = _bound(0)
        self.address: Address = self._placeholder.getsockname()

    def listen(self) -> socket.socket:
        """Make a socket that accepts connections."""
        listener = _bound(self.address[1])
        listener.setblocking(False)
        listener.listen(BACKLOG)
        return listener

    def __enter__(self) -> Self:
        """It is taken already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        self._placeholder.close()


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        raise
    return bound
