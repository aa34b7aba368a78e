"""One TCP connection, down to what HTTP libraries keep to themselves: resetting it, and seeing that the peer left."""

import socket
import struct
from contextlib import suppress

import anyio
from anyio.lowlevel import checkpoint

from agentroute.testing.wire.exchange import Address

PIECE = 65_536
"""Bytes that are read at a time."""

LINGER_ZERO = struct.pack("ii", 1, 0)
"""With it, closing a socket resets the connection."""


class LostError(Exception):
    """The connection broke, or was closed on our side."""


class Link:
    """A TCP connection. One task may receive and one may send at a time.

    Not a stream of anyio: those end politely, with a FIN before everything else, and a client would see an answer that
    ended where it should see a connection that broke.
    """

    def __init__(self, connection: socket.socket) -> None:
        """Take over the socket."""
        connection.setblocking(False)
        with suppress(OSError):  # on some systems, if the peer has left already
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._unread = b""

    @classmethod
    async def to(cls, address: Address) -> "Link":
        """Connect.

        Raises:
            LostError: Nobody listens there.
        """
        connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        try:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                connection.connect(address)
            await anyio.wait_writable(connection)
            failed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        except OSError as error:
            failed = error.errno
        except BaseException:
            connection.close()
            raise
        if failed:
            connection.close()
            raise LostError(f"cannot connect to {address}: error {failed}")
        return cls(connection)

    async def receive(self) -> bytes:
        """Wait for bytes; none mean that the peer sends no more.

        Raises:
            LostError: The connection broke.
        """
        await checkpoint()
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        try:
            while True:
                try:
                    return self._socket.recv(PIECE)
                except BlockingIOError:
                    await anyio.wait_readable(self._socket)
        except (OSError, anyio.ClosedResourceError) as error:
            raise LostError from error

    def unread(self, data: bytes) -> None:
        """Put bytes back in front of all that is still to be received."""
        self._unread = data + self._unread

    async def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            LostError: The connection broke.
        """
        rest = memoryview(data)
        try:
            while rest:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._socket)
        except (OSError, anyio.ClosedResourceError) as error:
            raise LostError from error

    def end(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    @property
    def closed(self) -> bool:
        """Whether it was closed or reset on our side."""
        return self._socket.fileno() < 0

    @property
    def hung_up(self) -> bool:
        """Whether the peer has ended or broken the connection, as far as is known at this moment."""
        return self._next == b""

    @property
    def has_more(self) -> bool:
        """Whether there is something to be received at this moment."""
        return bool(self._unread or self._next)

    @property
    def _next(self) -> bytes | None:
        """The next byte; none if there will be no more; None if it has not come."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def close(self) -> None:
        """End the connection once everything is sent. May be called twice; whoever waits gets a `LostError`."""
        if not self.closed:
            anyio.notify_closing(self._socket)
            self._socket.close()

    def reset(self) -> None:
        """Break the connection at once; the peer gets an RST. May be called twice, and after `close`."""
        if not self.closed:
            with suppress(OSError):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
            self.close()
