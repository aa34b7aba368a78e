"""MCP servers over streamable HTTP: a real server in a child process that refuses, breaks off and comes back."""

import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentroute.adapters.mcp.restart import Restart
from agentroute.adapters.mcp.servers import McpServers
from agentroute.attempt import Attempt, serving
from agentroute.errors import ToolError
from agentroute.ids import ArtifactId, AttemptId, RunId, ToolId
from tests.integration.mcp_cases import failure, until, value

pytestmark = pytest.mark.anyio

SERVER = Path(__file__).with_name("http_mcp_server.py")


class Remote:
    """A server in a child process that can be killed and started again in the same place."""

    def __init__(self, folder: Path, habits: list[str]) -> None:
        self.folder = folder
        self.habits = habits
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [sys.executable, str(SERVER), str(self.folder), str(self.port), *self.habits]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mcp"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The connections have an event loop of their own; other tests show that any loop can use them."""
    return "asyncio"


@pytest.fixture(scope="module", params=[[], ["json"], ["legacy"], ["legacy", "json"]], ids="-".join)
def process(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    running = Remote(tmp_path_factory.mktemp("remote"), request.param)
    yield running
    running.kill()


@pytest.fixture
def remote(process: Remote) -> Remote:
    """The server as new; it takes seconds to start one."""
    for path in process.folder.iterdir():
        path.unlink()
    if process.process.returncode is not None:
        process.start()
    return process


@pytest.fixture
async def servers(remote: Remote) -> AsyncGenerator[McpServers, None]:
    entry = {"type": "http", "url": remote.url, "headers": {"Authorization": "Bearer ${REMOTE_KEY:-none}"}}
    opened = McpServers.from_dict({"mcpServers": {"remote": entry}}, restart=Restart(first_s=0.2), chance=lambda: 1.0)
    async with opened:
        yield opened


async def add(servers: McpServers) -> Any:
    return await value(servers.tool("remote", "add", takes={"a": "a", "b": "b"}, effect="read"), a=1, b=2)


async def add_fails(servers: McpServers) -> ToolError:
    return await failure(servers.tool("remote", "add", takes={"a": "a", "b": "b"}, effect="read"), a=1, b=2)


async def test_contract_call_and_concurrency(servers: McpServers) -> None:
    tools = {str(tool.spec.name): tool for tool in await servers.tools("remote")}
    assert [(name, tool.spec.requires, tool.spec.effect) for name, tool in tools.items()] == [
        ("add", ("a", "b"), "read"),
        ("slow", ("seconds",), "once"),
    ]
    sums: list[int] = []

    async def call(number: int) -> None:
        sums.append(await value(tools["add"], a=number, b=0))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(call, number)
    assert sorted(sums) == list(range(50))


async def test_a_key_that_is_refused(remote: Remote, servers: McpServers, monkeypatch: pytest.MonkeyPatch) -> None:
    (remote.folder / "key").write_text("k3y-k3y")
    error = await add_fails(servers)
    assert (error.kind, error.retry_after_s) == ("permanent", None)
    assert "cannot connect: HTTP 401 Unauthorized" in str(error)
    monkeypatch.setenv("REMOTE_KEY", "k3y-k3y")
    entry = {"url": remote.url, "headers": {"Authorization": "Bearer ${REMOTE_KEY}"}}
    async with McpServers.from_dict({"mcpServers": {"remote": entry}}) as others:
        assert await add(others) == 3
        assert others.secrets == {"Bearer k3y-k3y", "k3y-k3y"}


@pytest.mark.parametrize(
    ("status", "kind", "retry_after_s"),
    [(429, "rate_limited", 7), (503, "transient", 7), (500, "ambiguous", 7), (403, "permanent", 7)],
)
async def test_the_status_of_a_proxy_is_understood(
    remote: Remote, servers: McpServers, status: int, kind: str, retry_after_s: float
) -> None:
    assert await add(servers) == 3
    (remote.folder / "status").write_text(str(status))
    error = await add_fails(servers)
    assert (error.kind, error.retry_after_s) == (kind, retry_after_s)
    assert str(error).startswith(f"MCP tool remote/add: HTTP {status} ")
    (remote.folder / "status").unlink()
    assert await add(servers) == 3


async def test_a_date_is_read_by_the_clock_of_the_agent(remote: Remote, servers: McpServers) -> None:
    assert await add(servers) == 3
    (remote.folder / "status").write_text("429")
    (remote.folder / "retry-after").write_text("Wed, 21 Oct 2099 07:28:30 GMT")
    now = datetime(2099, 10, 21, 7, 28, 0, tzinfo=UTC).timestamp()
    attempt = Attempt(RunId("r"), ToolId("t"), AttemptId(1), "", 0.0, wall=lambda: now)
    with serving(attempt):
        error = await add_fails(servers)
    assert error.kind == "rate_limited"
    assert error.retry_after_s == pytest.approx(30, abs=2)
    assert (await add_fails(servers)).retry_after_s == 3600  # by the system's, in 70 years: an hour is heard


async def test_a_busy_server_is_not_asked_to_start_before_it_said(remote: Remote, servers: McpServers) -> None:
    (remote.folder / "status").write_text("429")
    error = await add_fails(servers)
    assert error.kind == "rate_limited"
    assert error.retry_after_s == pytest.approx(7, abs=0.5)


async def test_refused_is_known_not_to_have_happened_and_it_comes_back(remote: Remote, servers: McpServers) -> None:
    assert await add(servers) == 3
    remote.kill()
    slow = servers.tool("remote", "slow", takes={"seconds": "s"}, effect="once")
    error = await failure(slow, s=1)
    assert error.kind == "transient"
    assert "ConnectError" in str(error)
    remote.start()
    # A server that was started again does not know the session: that much is known, and a new one is begun.
    if "legacy" in remote.habits:
        error = await add_fails(servers)
        assert (error.kind, str(error)) == ("transient", "MCP tool remote/add: the session is over")
        await anyio.sleep(0.3)
    assert await add(servers) == 3


async def test_a_server_that_was_never_there(servers: McpServers, remote: Remote) -> None:
    remote.kill()
    error = await add_fails(servers)
    assert error.kind == "transient"
    assert "cannot connect: ConnectError" in str(error)


async def test_killed_in_a_call_nobody_knows_what_happened(remote: Remote, servers: McpServers) -> None:
    slow = servers.tool("remote", "slow", takes={"seconds": "s"}, effect="once")
    errors: list[ToolError] = []

    async def call() -> None:
        errors.append(await failure(slow, s=30))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await until((remote.folder / "notes").exists)
        remote.kill()
    assert errors[0].kind == "ambiguous"


async def test_cancelling_a_call_leaves_the_connection_usable(remote: Remote, servers: McpServers) -> None:
    slow = servers.tool("remote", "slow", takes={"seconds": "s"}, effect="once")
    started = time.monotonic()
    with anyio.move_on_after(2) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(slow.call, {ArtifactId("s"): 30})
            await until((remote.folder / "notes").exists)
            tasks.cancel_scope.cancel()
    assert not scope.cancelled_caught
    assert time.monotonic() - started < 2
    assert await add(servers) == 3
    if remote.habits != ["json"]:  # there, the `mcp` package does not notice that nobody listens any more
        await until(lambda: (remote.folder / "notes").read_text() == "started\ncancelled\n")
