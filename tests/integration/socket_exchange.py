"""An exchange over loopback, for tests: processes connect to a hub that sends every line to everybody."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

LONGEST_LINE = 10_000
"""Bytes that are read in search of the end of a line."""


@dataclass
class SocketExchange:
    """One process's part."""

    name: str
    port: int
    _stream: SocketStream | None = field(default=None, init=False)

    async def publish(self, report: str) -> None:
        """Send a line to the hub."""
        if self._stream is None:
            raise ConnectionError("not connected to the hub")
        await self._stream.send(report.encode() + b"\n")

    async def listen(self, take: Callable[[str], None]) -> None:
        """Stay connected, and hand over every line."""
        async with await anyio.connect_tcp("127.0.0.1", self.port) as stream:
            self._stream = stream
            try:
                lines = BufferedByteReceiveStream(stream)
                while True:
                    take((await lines.receive_until(b"\n", LONGEST_LINE)).decode("utf-8", "replace"))
            finally:
                self._stream = None


class Hub:
    """Sends what any connection sends to all of them, the sender's included."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        self._guard = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def say(self, line: bytes) -> None:
        """Send a line to everybody."""
        with self._guard:
            for connection in self.connections:
                with suppress(OSError):  # gone; its own thread notices
                    connection.sendall(line)

    def die(self) -> None:
        """Drop every connection, and take no new ones."""
        with self._guard:
            for one in (self._listener, *self.connections):
                with suppress(OSError):  # it may be closed already
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            self.connections.clear()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._guard:
                self.connections.append(connection)
            threading.Thread(target=self._relay, args=(connection,), daemon=True).start()

    def _relay(self, connection: socket.socket) -> None:
        with suppress(OSError):
            for line in connection.makefile("rb"):
                self.say(line)
        with self._guard:
            if connection in self.connections:
                self.connections.remove(connection)
                connection.close()
