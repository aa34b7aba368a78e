"""One provider as an HTTP server: JSON in and out, Idempotency-Key, and death at a chosen moment."""

import json
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from agentroute.testing.cut_off import CutOff
from graphs.providers.domain import Endpoints, match
from graphs.providers.store import RefusedError, Request, Row, connect, remember, remembered, transaction

Moment = Literal["arrives", "done"]
"""A request arrives and nothing has happened yet, or its effect is committed and the answer not sent yet."""


class CutError(Exception):
    """The connection is to be cut without an answer."""


@dataclass(frozen=True, slots=True)
class Blow:
    """Something to do to a provider, once, at an exact moment.

    Attributes:
        endpoint: Method and path, such as ``"POST /refunds"``.
        moment: When, in the life of a request to that endpoint.
        signal: Number of the signal to send; 0 cuts the connection instead, so that no answer arrives.
        victim: Process id; this provider's own, or that of another.
        port: The victim's port.
    """

    endpoint: str
    moment: Moment
    signal: int
    victim: int
    port: int


@dataclass(slots=True)
class Service:
    """What one provider knows and does.

    Attributes:
        name: Name of the provider, recorded with every row.
        database: The domain's database.
        endpoints: By method and path.
        honours_keys: Whether a repeated Idempotency-Key returns the first answer and changes nothing.
    """

    name: str
    database: Path
    endpoints: Endpoints
    honours_keys: bool = True
    blows: list[Blow] = field(default_factory=list[Blow])
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, path: str, fields: Mapping[str, Any], run_id: str, key: str) -> tuple[int, Row]:
        """Answer one request: status and body."""
        found = match(self.endpoints, method, path)
        if found is None:
            return 404, {"error": f"no {method} {path} here"}
        endpoint, placeholders = found
        request = Request(self.name, {**fields, **placeholders}, run_id, key)
        with closing(connect(self.database)) as db:
            call = self._note_arrival(db, endpoint, request)
            self._strike(db, endpoint, "arrives")
            try:
                with transaction(db):
                    status, body = 200, self._effect(db, endpoint, request)
                    db.execute("UPDATE calls SET status = 200 WHERE id = ?", (call,))
            except RefusedError as refusal:
                status, body = refusal.status, {"error": str(refusal)}
                db.execute("UPDATE calls SET status = ? WHERE id = ?", (status, call))
            self._strike(db, endpoint, "done")
        return status, body

    def arm(self, blows: list[Blow]) -> Row:
        """Add blows that are to be dealt, once each; without any, forget those that were added."""
        with self.lock:
            self.blows = [*self.blows, *blows] if blows else []
        return {"armed": len(self.blows)}

    def _note_arrival(self, db: sqlite3.Connection, endpoint: str, request: Request) -> int | None:
        columns = (self.name, endpoint, request.run_id, request.key)
        return db.execute("INSERT INTO calls (provider, endpoint, run_id, key) VALUES (?, ?, ?, ?)", columns).lastrowid

    def _effect(self, db: sqlite3.Connection, endpoint: str, request: Request) -> Row:
        if not (request.key and self.honours_keys and endpoint.startswith("POST ")):
            return self.endpoints[endpoint](db, request)
        if (before := remembered(db, endpoint, request)) is not None:
            return before
        body = self.endpoints[endpoint](db, request)
        remember(db, endpoint, request, body)
        return body

    def _strike(self, db: sqlite3.Connection, endpoint: str, moment: Moment) -> None:
        with self.lock:
            due = [blow for blow in self.blows if (blow.endpoint, blow.moment) == (endpoint, moment)]
            self.blows = [blow for blow in self.blows if blow not in due]
        for blow in sorted(due, key=lambda blow: blow.victim == os.getpid()):
            if blow.signal == 0:
                raise CutError
            if blow.victim == os.getpid():
                os.kill(blow.victim, blow.signal)
            else:
                strike(db, blow.victim, blow.port, blow.signal)


def strike(db: sqlite3.Connection, victim: int, port: int, number: int) -> None:
    """Send a signal to another provider, and wait until it has struck.

    Meanwhile nobody else can hold the database's write lock: a process that was stopped in the middle of a write would
    keep every other provider waiting.
    """
    pause = threading.Event()
    with transaction(db):
        os.kill(victim, number)
        pause.wait(0.01)
    while number == signal.SIGKILL and _listens(port):
        pause.wait(0.001)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP/1.1 for a `Service`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    service: Service

    def do_GET(self) -> None:
        """Answer a question."""
        self._respond({})

    def do_POST(self) -> None:
        """Do something."""
        length = int(self.headers.get("Content-Length") or 0)
        try:
            body = json.loads(self.rfile.read(length) or b"{}")
        except ValueError:
            self._send(400, {"error": "the body is no JSON"})
            return
        self._respond(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Stay silent: every call is in the database."""

    def _respond(self, body: Mapping[str, Any]) -> None:
        url = urlsplit(self.path)
        if url.path == "/-/blows":
            self._send(200, self.service.arm([Blow(**blow) for blow in body["blows"]]))
            return
        fields = {**dict(parse_qsl(url.query)), **body}
        run_id, key = self.headers.get("X-Run-Id") or "", self.headers.get("Idempotency-Key") or ""
        try:
            self._send(*self.service.answer(self.command, url.path, fields, run_id, key))
        except CutError:
            self.close_connection = True

    def _send(self, status: int, body: Row) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(CutOff, ThreadingHTTPServer):
    """A thread per connection; shares its port with the supervisor's placeholder (see `Providers`)."""

    allow_reuse_address = True
    allow_reuse_port = True
    daemon_threads = True
    request_queue_size = 128


def make_server(service: Service, port: int) -> Server:
    """Listen on loopback; port 0 takes a free one."""
    return Server(("127.0.0.1", port), type("BoundHandler", (Handler,), {"service": service}))
