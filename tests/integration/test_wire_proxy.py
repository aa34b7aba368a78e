"""The proxy that breaks HTTP: real servers, real clients, what either of them sees, and what is claimed to be done."""

import gzip
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any, Self, cast
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest

from agentroute.testing.cut_off import CutOff
from agentroute.testing.faults import CANARY, Fault
from agentroute.testing.scenario.testbed import Address, Exchange
from agentroute.testing.wire import MOST_HELD, REWRITTEN, WIRE, Order, Proxy

ENDPOINTS = Path(__file__).with_name("http_endpoints.py")

# -------------------------------------------------------------------- servers


class Origin(CutOff, ThreadingHTTPServer):
    """The real server.

    Attributes:
        hits: Method, path and body of each request that arrived in full.
        ports: Of the connections they came on.
        left: Set when a client is found to have left a stream.
        closed: Ports of the connections that were closed.
        go_on: Released once for each further event of a stream.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.peers: dict[Any, int] = {}
        self.forget()

    def forget(self) -> None:
        self.hits: list[tuple[str, str, bytes]] = []
        self.ports: list[int] = []
        self.left = threading.Event()
        self.closed: set[int] = set()
        self.go_on = threading.Semaphore(0)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.peers[request] = client_address[1]
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.closed.add(self.peers.pop(request))

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.hits]


EVENTS = [
    b"event: message\r\ndata: \r\n\r\n",
    b'event: message\r\nid: 7\r\ndata: {"number": 1,\r\ndata:  "name": "Ada"}\r\n\r\n',
    b'data:{"number": 2, "name": "Bob"}\n\n',
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        origin = cast("Origin", self.server)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        origin.hits.append((self.command, self.path, body))
        origin.ports.append(self.client_address[1])
        url = urlsplit(self.path)
        wishes = {name: value for name, (value, *_) in parse_qs(url.query).items()}
        time.sleep(float(wishes.get("wait", 0)))
        getattr(self, f"say_{url.path.strip('/')}")(body, wishes)

    do_POST = do_HEAD = do_GET  # noqa: N815  # the base class looks for these names

    def say(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def say_json(self, body: bytes, wishes: dict[str, str]) -> None:
        data = json.dumps({"number": int(wishes.get("number", 1)), "name": "Ada"}).encode()
        self.say(data, int(wishes.get("status", 200)), content_type="application/json")

    def say_text(self, body: bytes, wishes: dict[str, str]) -> None:
        self.say(b"plain words", content_type="text/plain")

    def say_echo(self, body: bytes, wishes: dict[str, str]) -> None:
        self.say(body)

    def say_nothing(self, body: bytes, wishes: dict[str, str]) -> None:
        self.send_response(int(wishes["status"]))
        self.end_headers()

    def say_packed(self, body: bytes, wishes: dict[str, str]) -> None:
        data = b'{"number": 1}'
        if "gzip" in self.headers.get("accept-encoding", "") or "always" in wishes:
            self.say(gzip.compress(data), content_encoding="gzip")
        else:
            self.say(data)

    def say_events(self, body: bytes, wishes: dict[str, str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        try:
            for event in EVENTS:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
                self.wfile.flush()
                cast("Origin", self.server).go_on.acquire(timeout=float(wishes.get("pause", 0)))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            cast("Origin", self.server).left.set()
            raise

    def say_leave(self, body: bytes, wishes: dict[str, str]) -> None:
        """Close the connection a while after the answer."""
        self.say(b"bye")
        self.wfile.flush()
        cast("Origin", self.server).go_on.acquire(timeout=5)
        self.close_connection = True

    def say_drip(self, body: bytes, wishes: dict[str, str]) -> None:
        """Go on until the client leaves."""
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.02)
        except OSError:
            cast("Origin", self.server).left.set()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name is the base class's
        pass


class Exact:
    """A server that notes every byte and says what it is told to, byte for byte; one connection after the other."""

    def __init__(self, *answers: bytes, ends: bool = False, resets: bool = False) -> None:
        self.answers = answers
        self.ends = ends
        self.resets = resets
        self.received: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: Address = self._listener.getsockname()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(10)
            for answer in self.answers:
                self.received.append(connection.recv(65_536))
                connection.sendall(answer)
            if self.resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            while not self.ends and (data := connection.recv(65_536)):
                self.received.append(data)


# -------------------------------------------------------------------- the proxy before them


class Lab:
    """A proxy before a server, what it is to do to the next exchanges, and what came of it."""

    def __init__(self, server: Address) -> None:
        self.orders: deque[Order | None] = deque()
        self.seen: list[Exchange] = []
        self.done: list[str] = []
        self.proxy = Proxy("origin", server, self.decide)

    def decide(self, exchange: Exchange) -> Order | None:
        self.seen.append(exchange)
        return self.orders.popleft() if self.orders else None

    def order(
        self,
        kind: Any,
        *,
        rewrite: Callable[[Any], Any] | None = None,
        strike: Callable[[], None] | None = None,
        point: Any = "arrives",
        first: Sequence[Order] = (),
        **numbers: Any,
    ) -> None:
        """Have the next exchange that has no order yet go wrong."""
        fault = Fault(type=kind, **numbers)
        done = lambda: self.done.append(kind)  # noqa: E731
        self.orders.append(
            Order(fault=fault, dice=Random(1), rewrite=rewrite, strike=strike, point=point, done=done, first=first)
        )

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.proxy.address)


@pytest.fixture(scope="module")
def running_origin() -> Iterator[Origin]:
    server = Origin()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def origin(running_origin: Origin) -> Origin:
    running_origin.forget()
    return running_origin


@pytest.fixture
def lab(origin: Origin) -> Iterator[Lab]:
    made = Lab(cast("Address", origin.server_address))
    with made.proxy:
        yield made


@pytest.fixture
def client(lab: Lab) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=lab.url, timeout=10, trust_env=False) as made:
        yield made


def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def took(act: Callable[[], Any]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def port_of(response: httpx.Response) -> int:
    """Our end of the connection that it came on."""
    return response.extensions["network_stream"].get_extra_info("client_addr")[1]


def raw(address: Address) -> socket.socket:
    connection = socket.create_connection(address, timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (piece := connection.recv(size - len(data))):
        data += piece
    return data


# -------------------------------------------------------------------- passed on as it is


def test_what_is_decided_on_is_the_whole_request_and_nothing_is_changed(
    origin: Origin, lab: Lab, client: httpx.Client
) -> None:
    body = Random(1).randbytes(5_000_000)
    answer = client.post("/echo?a=b%20c", content=body, headers={"X-Twice": "1", "Idempotency-Key": "k"})
    assert answer.content == body
    assert origin.hits == [("POST", "/echo?a=b%20c", body)]
    (seen,) = lab.seen
    assert (seen.server, seen.method, seen.path, seen.body) == ("origin", "POST", "/echo?a=b%20c", body)
    assert seen.headers["idempotency-key"] == "k"
    assert seen.headers["content-length"] == "5000000"


def test_a_body_that_is_too_long_to_be_held_streams_through(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    body = Random(2).randbytes(MOST_HELD + 4_000_000)
    assert client.post("/echo", content=body).content == body
    assert origin.hits == [("POST", "/echo", body)]
    assert MOST_HELD - 1_000 < len(lab.seen[0].body) < MOST_HELD + 200_000
    assert body.startswith(lab.seen[0].body)
    assert client.get("/json").json()["number"] == 1


def test_a_stream_of_events_comes_as_it_is_sent(origin: Origin, client: httpx.Client) -> None:
    read: list[bytes] = []
    with client.stream("GET", "/events?pause=10") as answer:
        for piece in answer.iter_raw():  # each further event is sent only once the one before was read
            read.append(piece)
            origin.go_on.release()
    assert read == EVENTS


REQUEST = (
    b"pOsT /a%20b?c=d HTTP/1.1\r\nhOST:shop\r\nX-Odd:   spaces  \r\nx-odd: again\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n06\r\n world\r\n0\r\nx-trailer: t\r\n\r\n"
)
ANSWER = (
    b"HTTP/1.1 299 Rather Fine\r\nsErver:  odd\r\ntransfer-ENCODING: chunked\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n"
    b"003;x\r\nabc\r\n2\r\nde\r\n000\r\nX-Sum: 5\r\n\r\n"
)


def exchange_bytes(request: bytes, *answers: bytes, ends: bool = False) -> tuple[bytes, bytes, Lab]:
    """Send bytes through a proxy; what the server got, and what the client got."""
    with Exact(*answers, ends=ends) as exact:
        lab = Lab(exact.address)
        with lab.proxy, raw(lab.proxy.address) as connection:
            connection.sendall(request)
            got = receive(connection, sum(map(len, answers)))
    return b"".join(exact.received), got, lab


def test_every_byte_of_a_request_and_of_its_answer_is_passed_on() -> None:
    sent, got, lab = exchange_bytes(REQUEST, ANSWER)
    assert sent == REQUEST
    assert got == ANSWER
    assert lab.seen[0].body == b"hello world"
    assert lab.seen[0].headers["x-odd"] == "spaces, again"


@pytest.mark.parametrize(
    ("request_head", "answer"),
    [
        (b"HEAD / HTTP/1.1\r\nHost: s\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nHost: s\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nHost: s\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        (b"GET / HTTP/1.1\r\nHost: s\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 Done\r\n\r\n"),
    ],
    ids=["HEAD", "204", "304", "103"],
)
def test_an_answer_without_a_body_ends_with_its_head(request_head: bytes, answer: bytes) -> None:
    with Exact(answer, answer) as exact:
        lab = Lab(exact.address)
        with lab.proxy, raw(lab.proxy.address) as connection:
            for _ in range(2):
                connection.sendall(request_head)
                assert receive(connection, len(answer)) == answer
    assert exact.received == [request_head, request_head]
    assert len(lab.seen) == 2


def test_an_answer_that_ends_with_its_connection_is_passed_on_with_its_end() -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\nuntil the end"
    with Exact(answer, ends=True) as exact:
        lab = Lab(exact.address)
        with lab.proxy, raw(lab.proxy.address) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert receive(connection, 1_000) == answer


def test_requests_sent_ahead_are_answered_one_after_the_other(origin: Origin, lab: Lab) -> None:
    with raw(lab.proxy.address) as connection:
        connection.sendall(b"".join(b"GET /json?number=%d HTTP/1.1\r\nHost: s\r\n\r\n" % n for n in range(3)))
        data = b""
        while data.count(b'"name"') < 3:
            data += connection.recv(65_536)
    assert origin.paths == ["/json?number=0", "/json?number=1", "/json?number=2"]
    assert len(lab.seen) == 3


def test_who_waits_for_a_hundred_continue_gets_it(origin: Origin, lab: Lab) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: s\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    with raw(lab.proxy.address) as connection:
        connection.sendall(head)
        assert receive(connection, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        data = b""
        while not data.endswith(b"\r\n\r\nbody"):
            data += connection.recv(65_536)
    assert origin.hits == [("POST", "/echo", b"body")]
    assert lab.seen[0].body == b"body"


def test_another_protocol_goes_through_undecided() -> None:
    with Exact(b"SSH-2.0-server\r\n", b"more") as exact:
        lab = Lab(exact.address)
        with lab.proxy, raw(lab.proxy.address) as connection:
            connection.sendall(b"SSH-2.0-client\r\n")
            assert receive(connection, 16) == b"SSH-2.0-server\r\n"
            connection.sendall(b"\x00\x01GET / HTTP/1.1\r\n\r\n")
            assert receive(connection, 4) == b"more"
            connection.shutdown(socket.SHUT_WR)
            assert not connection.recv(1)
    assert exact.received == [b"SSH-2.0-client\r\n", b"\x00\x01GET / HTTP/1.1\r\n\r\n"]
    assert lab.seen == []


def test_an_upgrade_makes_it_a_tunnel() -> None:
    switch = b"HTTP/1.1 101 Switching\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n"
    with Exact(switch + b"hello", b"again") as exact:
        lab = Lab(exact.address)
        with lab.proxy, raw(lab.proxy.address) as connection:
            connection.sendall(b"GET /chat HTTP/1.1\r\nHost: s\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\n")
            assert receive(connection, len(switch) + 5) == switch + b"hello"
            connection.sendall(b"\xff\xfe")
            assert receive(connection, 5) == b"again"
    assert exact.received[-1] == b"\xff\xfe"
    assert len(lab.seen) == 1


def test_a_server_that_breaks_off_is_seen_to_break_off() -> None:
    with Exact(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ends=True) as exact:
        lab = Lab(exact.address)
        with lab.proxy, pytest.raises(httpx.RemoteProtocolError, match="received 4 bytes, expected 10"):
            httpx.get(lab.url, trust_env=False)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_a_server_that_resets_is_seen_to_reset(answer: bytes) -> None:
    with Exact(answer, resets=True) as exact:
        lab = Lab(exact.address)
        with lab.proxy, pytest.raises(httpx.ReadError, match="reset"):
            httpx.get(lab.url, trust_env=False)


def test_a_server_may_answer_before_it_has_read_everything() -> None:
    answer = b"HTTP/1.1 413 Too Much\r\nContent-Length: 0\r\n\r\n"
    head = b"POST / HTTP/1.1\r\nHost: s\r\nContent-Length: 50000000\r\n\r\n"
    with Exact(answer) as exact:
        lab = Lab(exact.address)
        with lab.proxy, raw(lab.proxy.address) as connection:
            connection.sendall(head + bytes(MOST_HELD))
            assert receive(connection, len(answer) + 1) == answer  # and the connection is closed
    assert exact.received[0].startswith(head)


def test_a_server_that_is_down_resets_its_clients() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address: Address = nobody.getsockname()
    lab = Lab(address)
    lab.order("latency", latency_s=0)
    with lab.proxy, pytest.raises(httpx.ReadError):
        httpx.get(lab.url, trust_env=False)
    assert lab.done == []


def test_a_client_that_hangs_up_is_not_kept_from_the_server(origin: Origin, client: httpx.Client) -> None:
    with client.stream("GET", "/drip") as answer:
        assert next(answer.iter_raw())
    assert origin.left.wait(5)


# -------------------------------------------------------------------- connections


def test_a_connection_is_kept_and_only_the_exchange_meant_goes_wrong(
    origin: Origin, lab: Lab, client: httpx.Client
) -> None:
    lab.orders.append(None)
    lab.order("error", status=500)
    answers = [client.get(f"/json?number={number}") for number in range(4)]
    assert [answer.status_code for answer in answers] == [200, 500, 200, 200]
    assert origin.paths == ["/json?number=0", "/json?number=2", "/json?number=3"]
    assert len({port_of(answer) for answer in answers}) == len(set(origin.ports)) == 1
    assert lab.done == ["error"]


def test_a_server_may_close_a_connection_that_its_client_uses_again(origin: Origin, lab: Lab) -> None:
    ask = b"GET /leave HTTP/1.1\r\nHost: s\r\n\r\n"
    with raw(lab.proxy.address) as connection, ThreadPoolExecutor(1) as threads:
        connection.sendall(ask)
        assert connection.recv(65_536).endswith(b"bye")
        assert lab.proxy._started is not None
        held, go_on = threading.Event(), threading.Event()
        threads.submit(lab.proxy._started.portal.call, lambda: (held.set(), go_on.wait(5)))
        assert held.wait(5)
        origin.go_on.release(2)
        connection.sendall(ask)
        until(lambda: origin.ports[0] in origin.closed)
        go_on.set()  # the proxy hears of both at once
        assert connection.recv(65_536).endswith(b"bye")
        assert not connection.recv(1)
    assert len(set(origin.ports)) == 2


def test_refused_connections_are_refused_and_then_not(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    address = lab.proxy.address
    assert client.get("/json").status_code == 200
    for _ in range(3):
        lab.proxy.refuse(yes=True)
        lab.proxy.refuse(yes=True)
        for _ in range(2):
            with pytest.raises(httpx.ConnectError, match="refused"):
                client.get("/json")
        lab.proxy.refuse(yes=False)
        lab.proxy.refuse(yes=False)
        assert client.get("/json").status_code == 200
        assert lab.proxy.address == address
    assert len(origin.hits) == 4


def test_nobody_else_is_given_the_port_while_it_refuses(lab: Lab) -> None:
    lab.proxy.refuse(yes=True)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(lab.proxy.address)


@pytest.mark.parametrize("how", ["sever", "refuse"])
def test_open_exchanges_are_reset(how: str, origin: Origin, lab: Lab, client: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.get, "/json?wait=1")
        until(lambda: origin.hits)
        lab.proxy.sever() if how == "sever" else lab.proxy.refuse(yes=True)
        error = waiting.exception(timeout=0.9)
    assert isinstance(error, httpx.ReadError)
    assert "reset" in str(error)


def test_a_proxy_can_be_told_to_refuse_from_within_its_own_decision(origin: Origin) -> None:
    def decide(_: Exchange) -> None:
        proxy.refuse(yes=True)
        with pytest.raises(ConnectionRefusedError):  # at once
            raw(proxy.address).close()

    proxy = Proxy("origin", cast("Address", origin.server_address), decide)
    with proxy, httpx.Client(base_url="http://{}:{}".format(*proxy.address), trust_env=False) as client:
        with pytest.raises(httpx.ReadError):
            client.get("/json")
        with pytest.raises(httpx.ConnectError):
            client.get("/json")
    assert origin.hits == []


def test_two_proxies_can_make_each_other_refuse(origin: Origin) -> None:
    server = cast("Address", origin.server_address)
    together = threading.Barrier(2)

    def decide(exchange: Exchange) -> None:
        together.wait(5)
        (second if exchange.server == "first" else first).refuse(yes=True)

    first, second = Proxy("first", server, decide), Proxy("second", server, decide)
    with first, second, ThreadPoolExecutor(2) as threads:
        urls = ["http://{}:{}/json".format(*proxy.address) for proxy in (first, second)]
        calls = [threads.submit(httpx.get, url, trust_env=False) for url in urls]
        for call in calls:
            call.exception(timeout=5)
        for url in urls:
            until(lambda url=url: is_refused(url))


def is_refused(url: str) -> bool:
    try:
        httpx.get(url, trust_env=False)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        return False
    return False


def test_fifty_exchanges_at_once(origin: Origin, lab: Lab) -> None:
    for number in range(50):
        lab.order("latency", latency_s=0.5) if number % 2 else lab.order("error")
    statuses: list[int] = []

    async def call(client: httpx.AsyncClient, number: int) -> None:
        answer = await client.get(f"/json?number={number}")
        statuses.append(answer.status_code)
        assert answer.status_code == 503 or answer.json()["number"] == number

    async def call_all() -> None:
        limits = httpx.Limits(max_connections=50)
        many = httpx.AsyncClient(base_url=lab.url, timeout=20, limits=limits, trust_env=False)
        async with many as client, anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, client, number)

    assert took(lambda: anyio.run(call_all)) < 8
    assert sorted(statuses) == [200] * 25 + [503] * 25
    assert sorted(lab.done) == ["error"] * 25 + ["latency"] * 25
    assert len(origin.hits) == 25


def test_closing_ends_what_hangs_and_leaves_nothing(origin: Origin) -> None:
    before = set(threading.enumerate())
    lab = Lab(cast("Address", origin.server_address))
    kinds = ("timeout", "hang", "late_success", "latency")
    with ThreadPoolExecutor(len(kinds)) as threads:
        with lab.proxy:
            url = lab.url
            for kind in kinds:
                lab.order(kind, latency_s=60)
            calls = [threads.submit(httpx.get, f"{url}/json", trust_env=False, timeout=30) for _ in kinds]
            until(lambda: len(lab.seen) == len(kinds))
            until(lambda: len(origin.hits) == 2)
            begin = time.monotonic()
        assert time.monotonic() - begin < 2
        assert all(isinstance(call.exception(timeout=5), httpx.TransportError) for call in calls)
    until(lambda: {thread for thread in threading.enumerate() if "proxy" in thread.name} <= before)
    assert is_refused(url)
    with pytest.raises(RuntimeError, match="inside `with`"):
        _ = lab.proxy.address


def test_a_mistake_in_a_decision_is_not_passed_over(origin: Origin) -> None:
    def decide(exchange: Exchange) -> None:
        raise KeyError(exchange.path)

    proxy = Proxy("origin", cast("Address", origin.server_address), decide)
    with pytest.raises(KeyError, match="/json"), proxy, pytest.raises(httpx.ReadError):
        httpx.get("http://{}:{}/json".format(*proxy.address), trust_env=False)
    assert origin.hits == []


# -------------------------------------------------------------------- orders


def nothing() -> None:
    """Strike nobody."""


def same(value: Any) -> Any:
    return value


def zero(_: Any) -> int:
    return 0


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("price_change", {}, "the wire cannot do 'price_change'; it can do ack_lost, bandwidth"),
        ("down", {}, "Proxy.refuse"),
        ("wrong", {}, "'wrong' needs rewrite"),
        ("error", {"rewrite": same}, "'error' takes no rewrite"),
        ("crash", {}, "'crash' needs strike"),
        ("latency", {"strike": nothing}, "'latency' takes no strike; it is for crash, hang"),
        ("error", {"first": [Order(fault=Fault(type="error"), dice=Random(1))]}, "only be orders of 'latency'"),
    ],
)
def test_an_order_that_could_not_be_carried_out_is_refused(kind: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Order(fault=Fault(type=kind), dice=Random(1), **options)


def test_every_fault_of_the_wire_can_be_ordered() -> None:
    for kind in cast("set[Any]", set(WIRE - {"down"})):
        rewrite = same if kind in REWRITTEN else None
        strike = nothing if kind in {"crash", "hang"} else None
        assert Order(fault=Fault(type=kind), dice=Random(1), rewrite=rewrite, strike=strike).fault.type == kind


# -------------------------------------------------------------------- refused, lost, late


def test_an_error_is_answered_without_the_server(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("error", status=502)
    answer = client.post("/json", json={"big": "x" * 100_000})
    assert (answer.status_code, answer.reason_phrase) == (502, "Bad Gateway")
    assert answer.json() == {"error": {"code": 502, "message": "injected: Bad Gateway"}}
    assert (origin.hits, lab.done) == ([], ["error"])


def test_an_error_is_framed_for_who_asks(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    for _ in range(5):
        lab.order("error", status=599)
    assert client.head("/json").content == b""
    refused = client.post("/json", content=b"x" * (MOST_HELD + 1_000_000))
    assert refused.json()["error"]["code"] == 599
    assert port_of(client.get("/json")) == port_of(refused)
    assert client.get("/json", headers={"connection": "close"}).headers["connection"] == "close"
    with raw(lab.proxy.address) as connection:
        connection.sendall(b"GET /json HTTP/1.0\r\n\r\n")
        assert receive(connection, 10_000).endswith(b"}}")
    assert origin.hits == []


@pytest.mark.parametrize(("wait_s", "header"), [(None, None), (2.0, "2"), (1.2, "2")])
def test_a_rate_limit_says_when(
    wait_s: float | None, header: str | None, origin: Origin, lab: Lab, client: httpx.Client
) -> None:
    lab.order("rate_limit", retry_after_s=wait_s)
    answer = client.get("/json")
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, header)
    assert (origin.hits, lab.done) == ([], ["rate_limit"])


def test_a_reset_comes_instead_of_an_answer(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("reset")
    with pytest.raises(httpx.ReadError, match="reset"):
        client.post("/json", json={})
    assert (origin.hits, lab.done) == ([], ["reset"])
    assert client.get("/json").status_code == 200


@pytest.mark.parametrize(("kind", "hits"), [("timeout", 0), ("hang", 1)])
def test_nothing_is_heard_until_the_client_has_enough(
    kind: str, hits: int, origin: Origin, lab: Lab, client: httpx.Client
) -> None:
    lab.order(kind, latency_s=0.05)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/json", json={}, timeout=0.4)
    assert len(origin.hits) == hits
    assert lab.done == [kind]


def test_an_acknowledgement_is_lost_after_the_effect(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("ack_lost")
    with pytest.raises(httpx.ReadError, match="reset"):
        client.post("/json?wait=0.2", json={})
    assert (origin.paths, lab.done) == (["/json?wait=0.2"], ["ack_lost"])


def test_an_answer_comes_later(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("latency", latency_s=0.3)
    assert 0.3 <= took(lambda: client.get("/json")) < 2
    lab.order("latency", latency_s=0.3, jitter_s=0.3)
    expected = 0.3 + 0.3 * (2 * Random(1).random() - 1)
    assert expected <= took(lambda: client.get("/json")) < expected + 1
    assert (len(origin.hits), lab.done) == (2, ["latency"] * 2)


def test_latencies_come_on_top_of_other_faults(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    def late(seconds: float) -> Order:
        fault = Fault(type="latency", latency_s=seconds)
        return Order(fault=fault, dice=Random(1), done=lambda: lab.done.append("latency"))

    lab.order("error", first=[late(0.1), late(0.2)])
    assert 0.3 <= took(lambda: client.get("/json")) < 2
    assert (origin.hits, lab.done) == ([], ["latency", "latency", "error"])
    lab.order("error", first=[late(0.1), late(5), late(0.1)])
    with pytest.raises(httpx.ReadTimeout):
        client.get("/json", timeout=0.8)
    assert lab.done[3:] == ["latency", "latency"]


@pytest.mark.parametrize("kind", ["latency", "ack_lost", "malformed", "truncated", "wrong"])
def test_nothing_is_claimed_that_befell_nobody(kind: str, origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order(kind, rewrite=zero if kind == "wrong" else None)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/json?wait=0.7", timeout=0.4)
    time.sleep(0.5)
    assert (len(origin.hits), lab.done) == (1, [])


@pytest.mark.parametrize("kind", ["error", "reset", "timeout", "late_success", "crash"])
def test_nothing_befalls_a_client_that_left_before_it_was_decided(kind: str, origin: Origin) -> None:
    arrived, left = threading.Event(), threading.Event()

    def decide(_: Exchange) -> Order:
        arrived.set()
        assert left.wait(5)
        strike = (lambda: done.append("strike")) if kind == "crash" else None
        return Order(fault=Fault(type=cast("Any", kind)), dice=Random(1), strike=strike, done=lambda: done.append(kind))

    done: list[str] = []
    proxy = Proxy("origin", cast("Address", origin.server_address), decide)
    with proxy:
        with raw(proxy.address) as connection:
            connection.sendall(b"GET /json HTTP/1.1\r\nHost: s\r\n\r\n")
            assert arrived.wait(5)
        left.set()
        assert proxy.settle()
        time.sleep(0.1)
    assert (origin.hits, done) == ([], [])


def test_a_late_success_happens_after_the_client_has_given_up(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("late_success", latency_s=0.3)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/json", json={"order": 1}, timeout=0.3)
    time.sleep(0.1)
    assert (origin.hits, lab.done) == ([], [])
    until(lambda: lab.done == ["late_success"], 2)
    assert origin.hits == [("POST", "/json", b'{"order":1}')]


def test_late_successes_need_not_be_waited_for(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    assert lab.proxy.settle()
    for _ in range(2):
        lab.order("late_success", latency_s=60)
        with pytest.raises(httpx.ReadTimeout):
            client.post("/json?wait=0.1", json={}, timeout=0.3)
        assert lab.proxy.settle()
        assert lab.done == ["late_success"] * len(origin.hits)
    assert len(origin.hits) == 2
    lab.order("late_success", latency_s=60)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/json?wait=1", json={}, timeout=0.3)
    assert not lab.proxy.settle(timeout_s=0.1)


def test_a_request_is_delivered_twice_and_answered_once(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("duplicate_delivery")
    assert client.post("/echo", content=b"once").content == b"once"
    assert origin.hits == [("POST", "/echo", b"once")] * 2
    assert lab.done == ["duplicate_delivery"]
    assert client.get("/json").status_code == 200


def test_a_second_delivery_is_made_also_if_the_client_leaves(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("duplicate_delivery")
    with pytest.raises(httpx.ReadTimeout):
        client.post("/echo?wait=0.6", content=b"x", timeout=1)
    until(lambda: lab.done == ["duplicate_delivery"])
    assert len(origin.hits) == 2


# -------------------------------------------------------------------- how the answer is sent


def test_an_answer_comes_in_slices(lab: Lab, client: httpx.Client) -> None:
    lab.order("slice", bytes=64, latency_s=0.05)
    with raw(lab.proxy.address) as connection:
        connection.sendall(b"GET /json HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
        begin, pieces = time.monotonic(), list[bytes]()
        while piece := connection.recv(65_536):
            pieces.append(piece)
    assert b"".join(pieces).endswith(b'{"number": 1, "name": "Ada"}')
    assert {len(piece) for piece in pieces[:-1]} == {64}
    assert time.monotonic() - begin >= 0.05 * (len(pieces) - 1)
    assert lab.done == ["slice"]


def test_an_answer_that_is_one_slice_is_not_sliced(lab: Lab, client: httpx.Client) -> None:
    lab.order("slice", bytes=65_536, latency_s=5)
    assert took(lambda: client.get("/json")) < 2
    assert lab.done == []


def test_an_answer_comes_at_a_bandwidth(lab: Lab, client: httpx.Client) -> None:
    body = Random(3).randbytes(20_000)
    lab.order("bandwidth", bytes_per_s=40_000)
    begin = time.monotonic()
    assert client.post("/echo", content=body).content == body
    assert 0.5 <= time.monotonic() - begin < 2.5
    assert lab.done == ["bandwidth"]


@pytest.mark.parametrize("kind", ["slice", "bandwidth", "latency", "hang"])
def test_the_client_may_leave_within_a_slow_answer(kind: str, origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order(kind, bytes=1, bytes_per_s=1, latency_s=30)
    with pytest.raises(httpx.TimeoutException):
        client.get("/drip", timeout=0.2)
    assert origin.left.wait(5)
    assert lab.done == [kind]


@pytest.mark.parametrize("path", ["/json", "/json?status=404", "/text"])
def test_a_truncated_answer_ends_in_the_middle(path: str, lab: Lab, client: httpx.Client) -> None:
    lab.order("truncated")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        client.get(path)
    assert lab.done == ["truncated"]


def test_a_truncated_stream_ends_within_its_first_message(lab: Lab, client: httpx.Client) -> None:
    lab.order("truncated")
    read: list[bytes] = []
    with client.stream("GET", "/events") as answer, pytest.raises(httpx.RemoteProtocolError):
        read.extend(answer.iter_raw())
    assert b"".join(read) == EVENTS[0] + EVENTS[1][: len(EVENTS[1]) // 2]
    assert lab.done == ["truncated"]


@pytest.mark.parametrize("kind", ["truncated", "malformed", "wrong"])
@pytest.mark.parametrize("path", ["/nothing?status=204", "/nothing?status=304"])
def test_there_is_nothing_to_break_in_an_answer_without_a_body(
    kind: str, path: str, lab: Lab, client: httpx.Client
) -> None:
    lab.order(kind, rewrite=same if kind == "wrong" else None)
    assert client.get(path).content == b""
    lab.order(kind, rewrite=same if kind == "wrong" else None)
    assert client.head("/json").headers["content-length"] == "28"
    assert client.get("/json").status_code == 200
    assert lab.done == []


# -------------------------------------------------------------------- what the answer says


def test_a_malformed_answer_is_well_framed(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("malformed")
    answer = client.get("/json")
    assert answer.headers["content-type"] == "application/json"
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert port_of(client.get("/json")) == port_of(answer)
    assert (len(origin.hits), lab.done) == (2, ["malformed"])


@pytest.mark.parametrize("kind", sorted(REWRITTEN))
def test_an_answer_is_rewritten(kind: str, origin: Origin, lab: Lab, client: httpx.Client) -> None:
    def rewrite(value: Any) -> Any:
        value["name"] += " Lovelace" * 1_000
        return value

    lab.order(kind, rewrite=rewrite)
    answer = client.get("/json")
    assert answer.json() == {"number": 1, "name": "Ada" + " Lovelace" * 1_000}
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert client.get("/json").json() == {"number": 1, "name": "Ada"}
    assert (len(origin.hits), lab.done) == (2, [kind])


def test_a_change_of_type_alone_is_a_change(lab: Lab, client: httpx.Client) -> None:
    lab.order("type_change", rewrite=lambda value: value | {"number": True})
    assert client.get("/json").json()["number"] is True
    assert lab.done == ["type_change"]


@pytest.mark.parametrize(
    ("path", "rewrite"),
    [
        ("/text", zero),
        ("/json?status=409", zero),
        ("/packed?always=1", zero),
        ("/json", same),
    ],
    ids=["no JSON", "an error", "compressed", "the same"],
)
def test_what_cannot_be_rewritten_is_left_and_not_claimed(
    path: str, rewrite: Callable[[Any], Any], lab: Lab, client: httpx.Client
) -> None:
    true = client.get(path)
    lab.order("wrong", rewrite=rewrite)
    left = client.get(path)
    assert (left.content, left.status_code) == (true.content, true.status_code)
    assert lab.done == []


def test_a_server_that_could_compress_is_asked_not_to(lab: Lab, client: httpx.Client) -> None:
    assert client.get("/packed").headers["content-encoding"] == "gzip"
    lab.order("wrong", rewrite=lambda value: value["number"] + 1)
    assert client.get("/packed").json() == 2
    assert lab.done == ["wrong"]


def test_every_message_of_a_stream_is_rewritten_as_it_comes(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("wrong", rewrite=lambda value: {**value, "number": value["number"] + 10})
    read: list[bytes] = []
    with client.stream("GET", "/events?pause=10") as answer:
        for piece in answer.iter_raw():
            read.append(piece)
            origin.go_on.release()
    assert read == [
        EVENTS[0],
        b'event: message\r\nid: 7\r\ndata: {"number": 11, "name": "Ada"}\n\r\n',
        b'data: {"number": 12, "name": "Bob"}\n\n',
    ]
    assert lab.done == ["wrong"]
    assert client.get("/json").status_code == 200


def test_the_messages_of_a_malformed_stream_are_no_json(lab: Lab, client: httpx.Client) -> None:
    lab.order("malformed")
    lines = client.get("/events").text.splitlines()
    said = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert said[0] == ""
    assert len(said) == 3
    for text in said[1:]:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    assert lab.done == ["malformed"]


def test_a_secret_can_be_given_away_in_an_error(origin: Origin, lab: Lab, client: httpx.Client) -> None:
    lab.order("secret_echo", status=401)
    answer = client.get("/json")
    assert answer.status_code == 401
    assert CANARY in answer.json()["error"]["message"]
    assert (origin.hits, lab.done) == ([], ["secret_echo"])


# -------------------------------------------------------------------- processes


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Lab, Path]]:
    command = [sys.executable, str(ENDPOINTS), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        lab = Lab(("127.0.0.1", int(running.stdout.readline())))
        with lab.proxy:
            yield running, lab, tmp_path / "log"
        running.kill()


@pytest.mark.parametrize("point", ["arrives", "answered"])
def test_a_server_is_killed_at_the_moment_that_was_ordered(
    point: str, process: tuple[subprocess.Popen[str], Lab, Path]
) -> None:
    running, lab, log = process
    lab.order("crash", strike=running.kill, point=point)
    with pytest.raises(httpx.ReadError, match="reset"):
        httpx.post(f"{lab.url}/echo/x", json={}, trust_env=False)
    assert running.wait(5) == -signal.SIGKILL
    assert log.exists() == (point == "answered")
    assert lab.done == ["crash"]


@pytest.mark.parametrize("point", ["arrives", "answered"])
def test_a_server_hangs_from_the_moment_that_was_ordered(
    point: str, process: tuple[subprocess.Popen[str], Lab, Path]
) -> None:
    running, lab, log = process
    lab.order("hang", strike=lambda: os.kill(running.pid, signal.SIGSTOP), point=point)
    with httpx.Client(base_url=lab.url, timeout=0.4, trust_env=False) as client:
        if point == "answered":
            assert client.post("/echo/x", json={}, timeout=10).status_code == 200
        with pytest.raises(httpx.ReadTimeout):
            client.post("/echo/x", json={})
        assert log.exists() == (point == "answered")
        os.kill(running.pid, signal.SIGCONT)
        assert client.get("/echo/y", timeout=10).status_code == 200
    assert lab.done == ["hang"]


def test_a_strike_that_fails_is_a_mistake_and_not_a_fault(origin: Origin) -> None:
    def strike() -> None:
        raise ProcessLookupError

    lab = Lab(cast("Address", origin.server_address))
    lab.order("crash", strike=strike)
    with pytest.raises(ProcessLookupError), lab.proxy, pytest.raises(httpx.ReadError):
        httpx.get(f"{lab.url}/json", trust_env=False)
    assert (origin.hits, lab.done) == ([], [])
