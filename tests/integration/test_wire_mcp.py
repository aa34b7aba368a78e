"""MCP over HTTP through the proxy that breaks it: unharmed where nothing is ordered, classified where something is."""

import json
import subprocess
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from agentroute.adapters.mcp.restart import Restart
from agentroute.adapters.mcp.servers import McpServers
from agentroute.adapters.mcp.tool import McpTool
from agentroute.errors import ToolError
from agentroute.graph.tool import Effect
from agentroute.ids import ArtifactId
from agentroute.testing.faults import Fault
from agentroute.testing.scenario.testbed import Exchange
from agentroute.testing.wire import Order, Proxy
from tests.integration.mcp_cases import failure, until, value

pytestmark = pytest.mark.anyio

SERVER = Path(__file__).with_name("http_mcp_server.py")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The connections have an event loop of their own, and so has the proxy."""
    return "asyncio"


@pytest.fixture(scope="module", params=[[], ["legacy", "json"]], ids=["events", "sessions and json"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A real server in a process: its port, and the folder of its notes."""
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, str(SERVER), str(folder), "0", *request.param]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), folder
        process.kill()


class Lab:
    """The proxy before it. Orders are for calls of tools, one after the other; the rest of the protocol is spared."""

    def __init__(self, port: int) -> None:
        self.orders: deque[Order | None] = deque()
        self.called: list[str] = []
        self.done: list[str] = []
        self.proxy = Proxy("remote", ("127.0.0.1", port), self.decide)

    def decide(self, exchange: Exchange) -> Order | None:
        message: Any = json.loads(exchange.body or b"{}")
        if message.get("method") != "tools/call":
            return None
        self.called.append(message["params"]["name"])
        return self.orders.popleft() if self.orders else None

    def order(self, kind: Any, rewrite: Callable[[Any], Any] | None = None, **numbers: Any) -> None:
        fault = Fault(type=kind, **numbers)
        self.orders.append(Order(fault=fault, dice=Random(1), rewrite=rewrite, done=lambda: self.done.append(kind)))


@pytest.fixture
def lab(server: tuple[int, Path]) -> Iterator[Lab]:
    port, folder = server
    (folder / "notes").unlink(missing_ok=True)
    made = Lab(port)
    with made.proxy:
        yield made


@pytest.fixture
async def servers(lab: Lab) -> AsyncGenerator[McpServers, None]:
    entry = {"type": "http", "url": "http://{}:{}/mcp".format(*lab.proxy.address)}
    opened = McpServers.from_dict({"mcpServers": {"remote": entry}}, restart=Restart(first_s=0.2), chance=lambda: 1.0)
    async with opened:
        yield opened


def adder(servers: McpServers, effect: Effect = "read") -> McpTool:
    return servers.tool("remote", "add", takes={"a": "a", "b": "b"}, effect=effect)


def slow(servers: McpServers) -> McpTool:
    return servers.tool("remote", "slow", takes={"seconds": "s"}, effect="once")


async def test_a_tool_is_called_through_the_proxy_unharmed(lab: Lab, servers: McpServers) -> None:
    assert [str(tool.spec.name) for tool in await servers.tools("remote")] == ["add", "slow"]
    sums: list[int] = []

    async def call(number: int) -> None:
        sums.append(await value(adder(servers), a=number, b=0))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(call, number)
    assert sorted(sums) == list(range(20))
    assert lab.called == ["add"] * 20


async def test_cancelling_a_call_is_heard_by_the_server(
    server: tuple[int, Path], lab: Lab, servers: McpServers, request: pytest.FixtureRequest
) -> None:
    notes = server[1] / "notes"
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slow(servers).call, {ArtifactId("s"): 30})
        await until(notes.exists)
        tasks.cancel_scope.cancel()
    assert await value(adder(servers), a=1, b=2) == 3
    if "json" not in request.node.name:  # there, the `mcp` package does not notice that nobody listens any more
        await until(lambda: notes.read_text() == "started\ncancelled\n")


async def test_a_call_that_is_reset_has_not_happened_and_nobody_can_know(
    server: tuple[int, Path], lab: Lab, servers: McpServers
) -> None:
    await servers.tools("remote")
    lab.order("reset")
    error = await failure(slow(servers), s=0)
    assert error.kind == "ambiguous"
    assert lab.done == ["reset"]
    assert not (server[1] / "notes").exists()
    assert await value(adder(servers), a=1, b=2) == 3


async def test_a_lost_acknowledgement_is_ambiguous_and_it_has_happened(
    server: tuple[int, Path], lab: Lab, servers: McpServers
) -> None:
    await servers.tools("remote")
    lab.order("ack_lost")
    error = await failure(slow(servers), s=0)
    assert error.kind == "ambiguous"
    assert lab.done == ["ack_lost"]
    assert (server[1] / "notes").exists()


async def test_a_server_that_is_down_is_known_not_to_have_been_called(lab: Lab, servers: McpServers) -> None:
    assert await value(adder(servers), a=1, b=2) == 3
    lab.proxy.refuse(yes=True)
    error = await failure(slow(servers), s=0)
    assert error.kind == "transient"
    assert "ConnectError" in str(error)
    assert lab.called == ["add"]
    lab.proxy.refuse(yes=False)
    with anyio.fail_after(10):
        while not await works(adder(servers)):  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(0.1)


async def works(tool: McpTool) -> bool:
    try:
        return await value(tool, a=1, b=2) == 3
    except ToolError:
        return False


async def test_a_rate_limit_is_read_from_the_wire(lab: Lab, servers: McpServers) -> None:
    await servers.tools("remote")
    lab.order("rate_limit", retry_after_s=7.0)
    error = await failure(adder(servers), a=1, b=2)
    assert (error.kind, error.retry_after_s) == ("rate_limited", 7)
    assert await value(adder(servers), a=1, b=2) == 3


async def test_an_answer_can_be_falsified_in_a_stream_and_out_of_one(lab: Lab, servers: McpServers) -> None:
    await servers.tools("remote")

    def rewrite(message: dict[str, Any]) -> dict[str, Any]:
        if "result" in message:
            result = message["result"]
            result["content"][0]["text"] = "4"
            result["structuredContent"] = {"result": 4}
        return message

    lab.order("wrong", rewrite)
    assert await value(adder(servers), a=1, b=2) == 4
    assert lab.done == ["wrong"]
    assert await value(adder(servers), a=1, b=2) == 3


@pytest.mark.parametrize("kind", ["malformed", "truncated"])
async def test_a_broken_answer_is_a_failure(kind: str, lab: Lab, servers: McpServers) -> None:
    await servers.tools("remote")
    lab.order(kind)
    with anyio.fail_after(20):
        error = await failure(adder(servers, "once"), a=1, b=2)
    assert error.kind in ("ambiguous", "contract")
    assert lab.done == [kind]


async def test_a_call_can_be_delivered_twice(server: tuple[int, Path], lab: Lab, servers: McpServers) -> None:
    await servers.tools("remote")
    lab.order("duplicate_delivery")
    assert await value(adder(servers), a=1, b=2) == 3
    assert lab.done == ["duplicate_delivery"]
