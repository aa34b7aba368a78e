"""The server: the standard library's, in threads of its own.

Not on the caller's event loop, so that it answers on asyncio, on trio and in plain code alike, also while the
code under test blocks its loop; and not on a framework, so that it needs nothing that agentroute does not.
"""

import json
import socket
import struct
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Self, cast

from agentroute.testing.cut_off import CutOff
from agentroute.testing.model_server.reply import Reply, Request, Script

RESET = struct.pack("ii", 1, 0)
"""Linger zero seconds: closing the socket resets the connection."""

POLL_S = 0.01
"""Seconds that closing the server may take."""


class ModelServer:
    """An OpenAI-compatible server on 127.0.0.1 that says what its script says.

    Closed (or killed), it refuses connections, and those still waiting for an answer are reset. A context
    manager, with or without ``async``.

    Args:
        script: One reply for every request, replies in order, or a function from the request to the reply.
        port: Port to listen on; 0 takes a free one.

    Attributes:
        requests: Every completion asked for, in order of arrival.
    """

    def __init__(self, script: Script, *, port: int = 0) -> None:
        """Keep the script; nothing listens yet."""
        self._script = script
        self._port = port
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.requests: list[Request] = []

    @property
    def port(self) -> int:
        """The port; the one that was taken, once it has been."""
        return self._port

    @property
    def base_url(self) -> str:
        """What an OpenAI client calls its base URL."""
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Listen, and answer from now on. A closed server can be started again, on the same port."""
        self._server = server = _Server(self, self._port)
        self._port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(POLL_S,), name="model server", daemon=True).start()

    def close(self) -> None:
        """Stop at once. May be called twice."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def answer(self, request: Request) -> Reply:
        """Note the request and take the reply to it from the script."""
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
        script = self._script
        if isinstance(script, Reply):
            return script
        if callable(script):
            return script(request)
        if number < len(script):
            return script[number]
        return Reply(f"the script has {len(script)} replies, this is request {number + 1}", status=500)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(CutOff, ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, owner: ModelServer, port: int) -> None:
        self.owner = owner
        self.closing = threading.Event()
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            reset(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._owner = cast("_Server", self.server)
        self._owner.connections.add(self.connection)

    def finish(self) -> None:
        self._owner.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.endswith("/chat/completions"):
            self._send(Reply(f"no such path: {self.path}", status=404), Request(self.path, {}, {}))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.path, headers, json.loads(text))
        reply = self._owner.owner.answer(request)
        closed = self._owner.closing.wait(reply.delay_s) if reply.delay_s else False
        if reply.drop or closed:
            reset(self.connection)
            self.close_connection = True
            return
        self._send(reply, request)

    def _send(self, reply: Reply, request: Request) -> None:
        body = reply.body(request)
        self.send_response(reply.status)
        # One request, one connection: a client's pool keeps nothing open to a server that is gone.
        standard = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
        }
        for name, value in (standard | dict(reply.headers)).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Write no access log."""


def reset(connection: socket.socket) -> None:
    """Break a connection so that the other side notices at once."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RDWR)
