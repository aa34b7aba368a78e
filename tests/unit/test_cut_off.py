"""Servers whose clients break off: silent about that, and about nothing else. Over real sockets."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, cast

import pytest

from agentroute.testing import ModelServer
from agentroute.testing.cut_off import CutOff
from agentroute.testing.model_server.server import RESET
from graphs.providers.server import make_server


class Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        """Write no access log."""


class Flood(Silent):
    """Writes more than fits between the two ends."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(10_000):
            self.wfile.write(b"x" * 65_536)


class Faulty(Silent):
    """Has a mistake of its own, of the same family as a broken connection."""

    error: ClassVar[Exception]

    def do_GET(self) -> None:
        raise self.error


class CutServer(CutOff, ThreadingHTTPServer):
    daemon_threads = True


@contextmanager
def running(server: ThreadingHTTPServer) -> Generator[int, None, None]:
    """Give the port; afterwards every connection has been dealt with."""
    server.daemon_threads = False  # so that closing waits for them
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def break_off(port: int, said: bytes, *, after: int = 0) -> None:
    """Say something, read so many bytes, and reset the connection."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(said)
        while after > 0:
            after -= len(client.recv(after))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        threading.Event().wait(0.05)  # for the server to read what there is


@pytest.mark.parametrize("said", [b"", b"GET /flights HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"])
def test_the_providers_of_the_demonstrations_say_nothing_of_clients_that_break_off(
    said: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(make_server(cast("Any", None), 0)) as port:
        break_off(port, said)
    assert capfd.readouterr().err == ""


def test_nor_does_the_model_server(capfd: pytest.CaptureFixture[str]) -> None:
    with ModelServer([]) as server:
        break_off(server.port, b"POST /v1/chat/com")
        threading.Event().wait(0.05)
    assert capfd.readouterr().err == ""


def test_nor_one_that_is_in_the_middle_of_its_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with running(CutServer(("127.0.0.1", 0), Flood)) as port:
        break_off(port, b"GET / HTTP/1.1\r\n\r\n", after=100_000)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("a mistake"),
        FileNotFoundError("a file of mine"),
        OSError(28, "No space left on device"),
        ConnectionRefusedError("somebody that I asked"),
    ],
    ids=repr,
)
def test_mistakes_of_its_own_are_told(error: Exception, capfd: pytest.CaptureFixture[str]) -> None:
    handler = type("Mistaken", (Faulty,), {"error": error})
    with running(CutServer(("127.0.0.1", 0), handler)) as port:
        break_off(port, b"GET / HTTP/1.1\r\n\r\n")
    said = capfd.readouterr().err
    assert "Traceback" in said
    assert type(error).__name__ in said
