"""HTTP endpoints as tools: a real server on the loopback, and sockets that misbehave below HTTP."""

import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import anyio
import httpx
import pytest
from pydantic import BaseModel

from agentroute.adapters.http.secret import Secret
from agentroute.adapters.http.tools import HttpTool, Method, http_tool
from agentroute.attempt import Attempt, serving
from agentroute.errors import DefinitionError, FailureKind, ToolError
from agentroute.graph.artifact import Artifact
from agentroute.graph.tool import AtLeast
from agentroute.guard.failures import Failure, classify
from agentroute.ids import ArtifactId, AttemptId, RunId, ToolId

pytestmark = pytest.mark.anyio

SERVER = Path(__file__).with_name("http_endpoints.py")

City = Annotated[str, Artifact("city")]
Page = Annotated[str, Artifact("page")]
Raw = Annotated[bytes, Artifact("raw")]


class Trip(BaseModel):
    to: str
    on: datetime
    seats: int | None = None


class Echo(BaseModel):
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    port: int


class Slow(BaseModel):
    slow: bool


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of the endpoints, and the log of what they were asked."""
    folder = tmp_path_factory.mktemp("endpoints")
    process = subprocess.Popen([sys.executable, str(SERVER), str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}", folder / "log"
    process.kill()
    process.communicate()


@pytest.fixture
def base(server: tuple[str, Path]) -> str:
    return server[0]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@contextmanager
def raw_server(answer: Callable[[socket.socket], object]) -> Generator[str]:
    """A socket that does with each connection what `answer` does."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


def reset(connection: socket.socket) -> None:
    """Break the connection off, as a host does whose process died."""
    connection.recv(65_536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def value(tool: HttpTool, **inputs: Any) -> Any:
    outputs = await tool.call({ArtifactId(name): given for name, given in inputs.items()})
    (artifact, answer), *_ = outputs.items()
    return tool.types[artifact].validate(answer) if artifact in tool.types else answer


async def failure(tool: HttpTool, **inputs: Any) -> Failure:
    """What the guard makes of the error."""
    with pytest.raises((ToolError, httpx.HTTPError)) as caught:
        await tool.call({ArtifactId(name): given for name, given in inputs.items()})
    return classify(caught.value)


def get(url: str, returns: Any = Echo, **options: Any) -> HttpTool:
    return http_tool("get", "GET", url, takes={}, returns=returns, **options)


def post(url: str, returns: Any = Echo, *, takes: dict[str, Any] | None = None, **options: Any) -> HttpTool:
    return http_tool("post", "POST", url, takes=takes or {}, returns=returns, **options)


def allows_zone(zone: str) -> bool:
    return zone != ""


def nothing(_: str) -> None:
    """Read any answer as nothing."""


def attempt(key: str, original_key: str = "") -> Attempt:
    return Attempt(RunId("r"), ToolId("t"), AttemptId(1), key, 0.0, original_key=original_key)


class TestRequests:
    async def test_values_fill_the_url_escaped(self, base: str) -> None:
        url = base + "/echo/{city}/hotels?near={city}&full={full}"
        tool = http_tool("hotels", "GET", url, takes={"city": City, "full": "full"}, returns=Echo)
        said = await value(tool, city="Ürümqi/../../etc?x#y %2e", full=True)
        escaped = "%C3%9Cr%C3%BCmqi%2F..%2F..%2Fetc%3Fx%23y%20%252e"
        assert said.path == f"/echo/{escaped}/hotels"
        assert said.query == f"near={escaped}&full=true"

    async def test_the_rest_goes_into_the_query_of_a_get(self, base: str) -> None:
        tool = http_tool("search", "GET", base + "/echo/?v=1", takes={"trip": Trip, "tags": "tags"}, returns=Echo)
        said = await value(tool, Trip=Trip(to="Rome & back", on=datetime(2026, 11, 22, tzinfo=UTC)), tags=["a", "b"])
        assert said.query == "v=1&to=Rome+%26+back&on=2026-11-22T00%3A00%3A00Z&tags=a&tags=b"

    async def test_the_rest_goes_into_the_body_of_a_post(self, base: str) -> None:
        tool = post(base + "/echo/{city}", takes={"city": City, "trip": Trip, "note": Page | None})
        trip = Trip(to="Rome", on=datetime(2026, 11, 22, tzinfo=UTC), seats=2)
        sent = {"to": "Rome", "on": "2026-11-22T00:00:00Z", "seats": 2}
        assert (await value(tool, city="x", Trip=trip)).body == {"trip": sent}
        assert (await value(tool, city="x", Trip=trip, page="p")).body == {"trip": sent, "note": "p"}

    async def test_one_value_or_a_function_can_be_the_body(self, base: str) -> None:
        trip = Trip(to="Rome", on=datetime(2026, 11, 22, tzinfo=UTC))
        whole = post(base + "/echo/", takes={"trip": Trip}, body="trip")
        assert (await value(whole, Trip=trip)).body["to"] == "Rome"

        def booking(trip: Trip) -> dict[str, Any]:
            return {"destination": trip.to, "when": trip.on}

        made = post(base + "/echo/", takes={"trip": Trip}, body=booking)
        assert (await value(made, Trip=trip)).body == {"destination": "Rome", "when": "2026-11-22T00:00:00Z"}

    async def test_a_join_is_sent_by_artifact(self, base: str) -> None:
        tool = post(base + "/echo/", takes={"quotes": AtLeast(2, of=["a", "b", "c"])})
        assert (await value(tool, a=1, c=3)).body == {"quotes": {"a": 1, "c": 3}}

    @pytest.mark.parametrize(
        ("method", "effect", "keyed"),
        [("GET", "read", False), ("PUT", "idempotent", True), ("DELETE", "idempotent", True), ("POST", "once", True)],
    )
    async def test_the_method_says_the_effect_and_changes_carry_a_key(
        self,
        base: str,
        method: Method,
        effect: str,
        keyed: bool,  # noqa: FBT001  # a case of the table
    ) -> None:
        tool = http_tool("t", method, base + "/echo/", takes={}, returns=Echo)
        assert tool.spec.effect == effect
        with serving(attempt("key-of-this-effect")):
            said = await value(tool)
        assert (said.method, said.headers.get("idempotency-key")) == (method, "key-of-this-effect" if keyed else None)

    async def test_the_key_has_the_name_that_the_provider_wants(self, base: str) -> None:
        with serving(attempt("k")):
            said = await value(post(base + "/echo/", key_header="X-Request-Id"))
            assert said.headers["x-request-id"] == "k"
            assert "idempotency-key" not in (await value(post(base + "/echo/", key_header=None))).headers

    async def test_a_verify_tool_can_ask_by_the_key_of_the_effect_in_doubt(self, base: str) -> None:
        with serving(attempt("", original_key="key-in-doubt")):
            assert (await value(get(base + "/echo/"))).headers["idempotency-key"] == "key-in-doubt"

    async def test_secrets_are_sent_and_shown_nowhere(self, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BOOKING_KEY", "s3cret")
        headers = {"Authorization": Secret("BOOKING_KEY", "Bearer {}"), "X-Other": Secret(lambda: "s3cret")}
        tool = post(base + "/echo/", headers=headers)
        said = await value(tool)
        assert (said.headers["authorization"], said.headers["x-other"]) == ("Bearer s3cret", "s3cret")
        assert "s3cret" not in repr(tool)
        assert "s3cret" not in repr(headers)

    async def test_a_server_gets_no_cookies_back(self, base: str) -> None:
        await value(get(base + "/echo/"))
        assert "cookie" not in (await value(get(base + "/echo/"))).headers

    async def test_tools_that_must_run_once_use_a_fresh_connection(self, base: str) -> None:
        kept = {(await value(get(base + "/echo/"))).port for _ in range(3)}
        fresh = {(await value(post(base + "/echo/"))).port for _ in range(3)}
        assert (len(kept), len(fresh)) == (1, 3)


class TestNothingIsSent:
    @pytest.mark.parametrize("given", ["..", ".", "", None, {"a": 1}])
    async def test_values_that_would_lead_elsewhere(self, server: tuple[str, Path], given: Any) -> None:
        base, log = server
        tool = http_tool("forget", "DELETE", base + "/echo/users/{user}", takes={"user": "user"}, returns="done")
        before = log.read_text() if log.exists() else ""
        assert (await failure(tool, user=given)).kind == "permanent"
        assert (log.read_text() if log.exists() else "") == before

    async def test_what_is_too_deep_for_a_query(self, base: str) -> None:
        tool = http_tool("t", "GET", base + "/echo/", takes={"x": "x"}, returns=Echo)
        assert (await failure(tool, x={"a": {"b": 1}})).kind == "permanent"

    @pytest.mark.parametrize("given", [None, "", "two\nlines", "fünf"])
    async def test_a_secret_that_is_not_there_or_cannot_be_sent(
        self, base: str, monkeypatch: pytest.MonkeyPatch, given: str | None
    ) -> None:
        monkeypatch.delenv("BOOKING_KEY", raising=False)
        if given is not None:
            monkeypatch.setenv("BOOKING_KEY", given)
        told = await failure(post(base + "/echo/", headers={"Authorization": Secret("BOOKING_KEY")}))
        assert told.kind == "permanent"
        assert "'BOOKING_KEY'" in told.message
        assert given is None or len(given) < 2 or given not in told.message


class TestDefinitions:
    @pytest.mark.parametrize(
        ("method", "url", "options", "why"),
        [
            ("FETCH", "http://h/", {}, "method must be one of GET, HEAD, PUT, DELETE, POST, PATCH, not 'FETCH'"),
            ("GET", "h/x", {}, "must start with http:// or https:// and a host that is written out"),
            ("GET", "http://{host}/x", {"takes": {"host": "host"}}, "and a host that is written out"),
            ("GET", "http://h{host}/x", {"takes": {"host": "host"}}, "and a host that is written out"),
            ("GET", "http://h/{x", {}, "has a brace that belongs to no {name}"),
            ("GET", "http://h/{a.b}", {}, "has a brace that belongs to no {name}"),
            ("GET", "http://h/#{a}", {"takes": {"a": "a"}}, "has a fragment, which is never sent"),
            ("GET", "http://h/{a}", {}, "its URL needs a, which it must take as one artifact"),
            ("GET", "http://h/{a}", {"takes": {"a": Page | None}}, "its URL needs a, which it must take as one"),
            ("GET", "http://h/{a}", {"takes": {"a": AtLeast(1, of=["p"])}}, "its URL needs a, which it must take"),
            ("GET", "http://h/", {"takes": {"a": "a"}, "body": "a"}, "GET requests have no body"),
            ("POST", "http://h/", {"body": "a"}, "its body is 'a', which it does not take"),
            ("POST", "http://h/", {"takes": {"a": "a", "b": "b"}, "body": "a"}, "takes b, which neither URL nor body"),
            ("GET", "http://h/", {"when": allows_zone}, "zone is nothing that it takes; use no parameters"),
            ("GET", "http://h/", {"usd": -1}, "usd must be a number from 0"),
        ],
    )
    def test_what_cannot_work_is_refused_by_name(
        self, method: Any, url: str, options: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(DefinitionError) as caught:
            cast("Any", http_tool)("broken", method, url, **{"takes": {}, "returns": "x", **options})
        assert why in str(caught.value)
        assert "'broken'" in str(caught.value)

    def test_contract(self) -> None:
        def there_is(city: str) -> bool:
            return city != "Atlantis"

        refund = http_tool("refund", "POST", "https://pay.example.com/r", takes={}, returns=Echo | None)
        charge = http_tool(
            "charge",
            "POST",
            "https://pay.example.com/c",
            takes={"city": City},
            returns=Echo,
            usd=0.1,
            timeout_s=3,
            verify="find",
            compensate=refund,
            ensure=lambda echo: echo.port > 0,
            when=there_is,
        )
        spec = charge.spec
        assert (spec.provider, spec.verify, spec.compensate, spec.timeout_s) == ("pay.example.com", "find", "refund", 3)
        assert charge.auxiliaries == (refund,)
        assert charge.when is not None
        assert not charge.when.allows({ArtifactId("city"): "Atlantis"})
        assert charge.ensure is not None


class TestAnswers:
    async def test_the_declared_type_says_how_the_answer_is_read(self, base: str) -> None:
        assert await value(get(base + "/text?say=%5B1%5D&type=application/json", Page)) == "[1]"
        assert await value(get(base + "/text?say=%5B1%5D", Raw)) == b"[1]"
        assert await value(get(base + "/text?say=%5B1%5D", Annotated[list[int], Artifact("numbers")])) == [1]
        assert await value(get(base + "/text?say=%5B1%5D&type=application/json", "anything")) == [1]
        assert await value(get(base + "/text?say=%5B1%5D", "anything")) == "[1]"
        assert await value(get(base + "/text?say=4", "anything", parse=int)) == 4

    async def test_several_artifacts_from_one_object(self, base: str) -> None:
        path, query = Annotated[str, Artifact("path")], Annotated[str, Artifact("query")]
        outputs = await get(base + "/echo/a?b", tuple[path, query]).call({})
        assert outputs == {"path": "/echo/a", "query": "b"}

    async def test_nothing_there(self, base: str) -> None:
        assert await get(base + "/status/204", Echo | None).call({}) == {}
        assert await get(base + "/text?say=null", Echo | None, parse=nothing).call({}) == {}
        assert await get(base + "/status/404", Echo | None, absent=[404]).call({}) == {}
        assert (await failure(get(base + "/status/404", Echo | None))).kind == "permanent"

    @pytest.mark.parametrize("returns", [Echo, Annotated[list[int], Artifact("numbers")]])
    async def test_an_answer_of_another_type_breaks_the_contract_and_is_not_quoted(
        self, base: str, returns: Any
    ) -> None:
        told = await failure(get(base + "/text?say=%7B%22path%22:%22hunter2%22%7D", returns))
        assert told.kind == "contract"
        assert "hunter2" not in told.message
        assert (await failure(get(base + "/text?say=nonsense", returns))).kind == "contract"
        assert (await failure(get(base + "/status/204", returns))).kind == "contract"

    async def test_json_that_is_none(self, base: str) -> None:
        assert (await failure(get(base + "/text?say=%7B&type=application/json", "x"))).kind == "contract"
        assert (await failure(get(base + "/text?say=x", "x", parse=int))).kind == "contract"


class TestStatuses:
    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (429, "rate_limited"),
            (503, "transient"),
            (500, "ambiguous"),
            (504, "ambiguous"),
            (404, "permanent"),
            (401, "permanent"),
        ],
    )
    async def test_what_they_say_about_a_change(self, base: str, code: int, kind: FailureKind) -> None:
        told = await failure(post(f"{base}/status/{code}?after=7"))
        assert (told.kind, told.retry_after_s) == (kind, 7)
        assert told.message.startswith(f"HTTP {code} ")
        assert told.message.endswith(": the reason is this")

    async def test_the_words_that_come_with_an_error_are_not_waited_for(self, base: str) -> None:
        started = time.monotonic()
        told = await failure(post(base + "/slow-error"))
        assert told.kind == "transient"
        assert time.monotonic() - started < 3


class TestRedirects:
    METADATA = "http://169.254.169.254/latest/meta-data/"

    @pytest.mark.parametrize("follow", [False, True])
    async def test_never_to_another_host(self, base: str, follow: bool) -> None:  # noqa: FBT001  # both cases
        with_name = base.replace("127.0.0.1", "a@127.0.0.1")
        for target in (self.METADATA, "http://localhost:1/", "//169.254.169.254/", with_name):
            tool = get(f"{base}/redirect?to={target}", follow_redirects=follow)
            with anyio.fail_after(2):
                told = await failure(tool)
            assert told.kind == "permanent"
            assert f"redirected to {target}, which is not followed" in told.message

    async def test_on_the_same_server_only_if_that_is_wanted(self, base: str) -> None:
        url = f"{base}/redirect?to=/echo/there"
        assert (await failure(get(url))).kind == "permanent"
        assert (await value(get(url, follow_redirects=True))).path == "/echo/there"
        assert (await value(post(url + "&code=307", follow_redirects=True))).method == "POST"

    async def test_in_circles(self, base: str) -> None:
        told = await failure(get(base + "/circle", follow_redirects=True))
        assert told.message.startswith("HTTP 302: redirected to /circle, which is not followed")

    @pytest.mark.parametrize(
        ("code", "kind"), [(307, "permanent"), (308, "permanent"), (303, "ambiguous"), (302, "ambiguous")]
    )
    async def test_after_a_change_some_leave_a_doubt(self, base: str, code: int, kind: FailureKind) -> None:
        for follow in (False, True):
            told = await failure(post(f"{base}/redirect?to={self.METADATA}&code={code}", follow_redirects=follow))
            assert told.kind == kind


class TestSizes:
    @pytest.mark.parametrize("told", ["", "&told"])
    async def test_fifty_megabytes_are_not_read(self, base: str, told: str) -> None:
        started = time.monotonic()
        found = await failure(get(f"{base}/large?bytes=52428800{told}", Page))
        assert (found.kind, found.message) == ("contract", "the answer is longer than 10,485,760 bytes (max_bytes)")
        assert time.monotonic() - started < 5

    async def test_the_limit_is_exact(self, base: str) -> None:
        assert len(await value(get(base + "/large?bytes=100000", Page, max_bytes=100_000))) == 100_000
        assert (await failure(get(base + "/large?bytes=100001", Page, max_bytes=100_000))).kind == "contract"
        assert len(await value(get(base + "/packed?bytes=100000", Page, max_bytes=100_000))) == 100_000
        assert (await failure(get(base + "/packed?bytes=100001", Page, max_bytes=100_000))).kind == "contract"

    async def test_a_bomb_is_not_unpacked(self, base: str) -> None:
        import tracemalloc

        tool = get(base + "/packed?bytes=200000000", Page)
        tracemalloc.start()
        try:
            assert (await failure(tool)).kind == "contract"
            assert tracemalloc.get_traced_memory()[1] < 40_000_000
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize("query", ["bytes=1000&cut", "bytes=1000&as=br", "bytes=1000&as=deflate"])
    async def test_broken_or_unknown_packing(self, base: str, query: str) -> None:
        assert (await failure(get(f"{base}/packed?{query}", Page))).kind == "contract"


class TestConnections:
    async def test_refused_is_known_not_to_have_happened(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        assert (await failure(post(f"http://127.0.0.1:{port}/"))).kind == "transient"

    async def test_reset_under_a_request_is_in_doubt(self) -> None:
        with raw_server(reset) as base:
            assert (await failure(post(base))).kind == "ambiguous"

    async def test_hanging_up_without_an_answer_is_in_doubt(self) -> None:
        with raw_server(lambda connection: connection.recv(65_536)) as base:
            assert (await failure(post(base))).kind == "ambiguous"

    async def test_half_an_answer_is_in_doubt(self) -> None:
        def half(connection: socket.socket) -> None:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")

        with raw_server(half) as base:
            assert (await failure(post(base, Page))).kind == "ambiguous"

    async def test_no_http_at_all_is_in_doubt(self) -> None:
        def chatter(connection: socket.socket) -> None:
            connection.recv(65_536)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        with raw_server(chatter) as base:
            assert (await failure(post(base))).kind == "ambiguous"

    async def test_not_connecting_is_noticed_before_the_attempt_times_out(self) -> None:
        """A full backlog does not answer: nothing was sent, and that is what is said."""
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(3)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            tool = post(f"http://127.0.0.1:{full.getsockname()[1]}/", timeout_s=1.0)
            with anyio.fail_after(1.0):
                assert (await failure(tool)).kind == "transient"
            for one in waiting:
                one.close()

    async def test_a_slow_answer_is_waited_for_and_can_be_cancelled(self, base: str) -> None:
        assert await value(get(base + "/slow?seconds=0.3", Slow)) == Slow(slow=True)
        started = time.monotonic()
        with anyio.move_on_after(0.2) as scope:
            await get(base + "/slow?seconds=20", Slow).call({})
        assert scope.cancelled_caught
        assert time.monotonic() - started < 1
        assert (await value(get(base + "/echo/"))).method == "GET"

    async def test_two_hundred_at_once(self, base: str) -> None:
        tool = http_tool("t", "GET", base + "/echo/{n}", takes={"n": "n"}, returns=Echo)
        paths: set[str] = set()

        async def call(number: int) -> None:
            paths.add((await value(tool, n=number)).path)

        async with anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(call, number)
        assert paths == {f"/echo/{number}" for number in range(200)}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_one_event_loop_after_the_other(base: str, backend: str) -> None:
    """Warnings are errors: a connection that a loop leaves open would be one."""
    tool = get(base + "/echo/")

    async def twice() -> int:
        return len({(await value(tool)).port for _ in range(2)})

    assert [anyio.run(twice, backend=backend) for _ in range(3)] == [1, 1, 1]
