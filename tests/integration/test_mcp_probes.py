"""Pings of MCP servers: real ones that live, hang, die and come back, over stdio and HTTP, of old protocols and new."""

import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
import pytest

from agentroute import Agent, Artifact, DefinitionError, Goal, McpServers, tool
from agentroute.adapters.mcp.restart import Restart
from agentroute.adapters.probes import UNKNOWN, Probes, probes_of
from agentroute.graph.tool import ToolSpec
from tests.integration.mcp_cases import (
    QUICK,
    TINY,
    Open,
    add,
    children,
    configuration,
    failure,
    only_child,
    opening,
    until,
    value,
)
from tests.integration.test_mcp_http import Remote

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

EVERY_S = 0.1

MODERN = """
from mcp.server import MCPServer

server = MCPServer("tiny")

@server.tool()
def add(a: int, b: int) -> int:
    return a + b

server.run()
"""
"""A server of the protocol of July 2026, which has no ``ping`` any more."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Connections have an event loop of their own; other tests show that any loop can use them."""
    return "asyncio"


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncGenerator[Open, None]:
    async with opening(tmp_path) as make:
        yield make


@pytest.fixture(params=["handshake", "modern"])
def servers(request: pytest.FixtureRequest, opened: Open, tmp_path: Path) -> McpServers:
    script = TINY
    if request.param == "modern":
        script = tmp_path / "modern_mcp_server.py"
        script.write_text(MODERN)
    data = {"mcpServers": {"tiny": {"command": sys.executable, "args": [str(script)]}}}
    return opened(data=data, probe_every_s=EVERY_S)


@tool(usd=0.003, effect="read")
async def far(a: Annotated[int, Artifact("a")], b: Annotated[int, Artifact("b")]) -> Annotated[int, Artifact("add")]:
    return a + b


def agent_of(near: Any) -> Agent:
    """An agent that would rather use the server."""
    return Agent(name="sums", tools=[near, far], goals=[Goal("known", requires=["add"])], trace=False, seed=1)


def says(agent: Agent, near: Any) -> float:
    """The factor on the weight of a tool by what its probe said."""
    (factor,) = [each.signal for each in agent.plan(explain=True).weighed if each.tool == near.spec.name]
    return factor


@contextmanager
def stopped(pid: int) -> Generator[None, None, None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# ---------------------------------------------------------------- what a ping says


async def test_one_that_nobody_has_called_is_not_started(servers: McpServers) -> None:
    for _ in range(3):
        assert await servers.ping("tiny") is UNKNOWN
    assert not servers.is_open
    assert children() == {}


async def test_one_that_lives_answers(servers: McpServers) -> None:
    await value(add(servers), a=1, b=2)
    for _ in range(3):
        assert await servers.ping("tiny") is True
    await servers.aclose()
    assert await servers.ping("tiny") is UNKNOWN
    assert children() == {}


async def test_one_that_hangs_gives_no_answer_until_it_goes_on(servers: McpServers) -> None:
    await value(add(servers), a=1, b=2)
    with stopped(only_child()):
        for _ in range(3):
            with anyio.move_on_after(0.3) as patience:
                await servers.ping("tiny")
            assert patience.cancelled_caught
    with anyio.fail_after(10):
        assert await servers.ping("tiny") is True
    assert await value(add(servers), a=2, b=2) == 4


async def test_one_that_was_killed_is_down_until_it_is_back(servers: McpServers) -> None:
    await value(add(servers), a=1, b=2)
    first = only_child()
    os.kill(first, signal.SIGKILL)
    with pytest.raises(ConnectionError):  # noqa: PT012  # it takes a moment to be noticed
        for _ in range(100):
            await servers.ping("tiny")
            await anyio.sleep(0.01)
    with anyio.fail_after(20):
        while True:
            try:
                if await servers.ping("tiny") is True:
                    break
            except ConnectionError:
                await anyio.sleep(0.02)
            await anyio.sleep(0.01)
    assert only_child() != first


async def test_one_that_dies_of_each_start_is_not_started_by_pings(opened: Open, tmp_path: Path) -> None:
    """Its tools fail for as long as the back-off lasts; then nobody knows, and the next call may try it."""
    servers = opened("dies", probe_every_s=EVERY_S, restart=Restart(first_s=0.3))
    await failure(add(servers), a=1, b=2)
    log = tmp_path / "logs" / "tiny.log"
    starts = log.read_text().count("cannot find my database")
    with pytest.raises(ConnectionError, match="'tiny' is down"):
        await servers.ping("tiny")
    await anyio.sleep(0.5)
    for _ in range(5):
        assert await servers.ping("tiny") is UNKNOWN
        await anyio.sleep(0.05)
    assert log.read_text().count("cannot find my database") == starts


# ---------------------------------------------------------------- what follows from it


async def test_a_server_that_hangs_is_avoided_before_a_run_calls_it(servers: McpServers) -> None:
    near = add(servers, usd=0.001)
    agent = agent_of(near)
    (probes,) = agent.monitors
    assert isinstance(probes, Probes)
    assert (list(probes.probes), probes.every_s) == (["tiny"], EVERY_S)
    async with agent:
        result = await agent.run(inputs={"a": 1, "b": 2})
        assert result.route == ["add"]
        with stopped(only_child()):
            await until(lambda: says(agent, near) > 1)
            result = await agent.run(inputs={"a": 1, "b": 2})
            assert (result.route, result.attempts) == (["far"], 1)
        await until(lambda: says(agent, near) == 1)
        assert (await agent.run(inputs={"a": 1, "b": 2})).route == ["add"]


async def test_a_server_that_died_is_avoided_and_used_again(servers: McpServers) -> None:
    near = add(servers, usd=0.001)
    agent = agent_of(near)
    async with agent:
        await agent.run(inputs={"a": 1, "b": 2})
        first = only_child()
        os.kill(first, signal.SIGKILL)
        await until(lambda: says(agent, near) > 1)
        await until(lambda: says(agent, near) == 1, 20.0)
        assert only_child() != first
        result = await agent.run(inputs={"a": 1, "b": 2})
        assert (result.route, result.attempts) == (["add"], 1)


async def test_an_open_agent_starts_no_server(servers: McpServers) -> None:
    async with agent_of(add(servers, usd=0.001)):
        await anyio.sleep(5 * EVERY_S)
        assert children() == {}


def test_nothing_is_pinged_that_was_not_asked_for() -> None:
    assert agent_of(add(McpServers.from_dict(configuration()))).monitors == ()


# ---------------------------------------------------------------- HTTP


@pytest.fixture(params=[[], ["legacy"]], ids=["modern", "legacy"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Remote, None, None]:
    running = Remote(tmp_path, request.param)
    yield running
    running.kill()


async def with_remote(remote: Remote, what: Callable[[McpServers, Any], Awaitable[None]]) -> None:
    entry = {"type": "http", "url": remote.url}
    data = {"mcpServers": {"remote": entry}}
    async with McpServers.from_dict(data, restart=QUICK, chance=lambda: 1.0, probe_every_s=EVERY_S) as servers:
        near = servers.tool("remote", "add", takes={"a": "a", "b": "b"}, effect="read", usd=0.001)
        await what(servers, near)


async def test_over_http_it_hangs_and_goes_on(remote: Remote) -> None:
    async def play(_: McpServers, near: Any) -> None:
        agent = agent_of(near)
        async with agent:
            assert (await agent.run(inputs={"a": 1, "b": 2})).route == ["add"]
            with stopped(remote.process.pid):
                await until(lambda: says(agent, near) > 1)
                assert (await agent.run(inputs={"a": 1, "b": 2})).route == ["far"]
            await until(lambda: says(agent, near) == 1)

    await with_remote(remote, play)


async def test_over_http_it_is_killed_and_comes_back(remote: Remote) -> None:
    async def play(servers: McpServers, near: Any) -> None:
        assert await servers.ping("remote") is UNKNOWN
        await value(near, a=1, b=2)
        assert await servers.ping("remote") is True
        remote.kill()
        with pytest.raises(ConnectionError, match="ConnectError"):
            await servers.ping("remote")
        remote.start()
        assert await servers.ping("remote") is True  # where it has forgotten the session, it says so, and lives
        if "legacy" in remote.habits:
            await anyio.sleep(QUICK.first_s + 0.3)  # the ping has had the connection made anew: no call has to fail
        assert await value(near, a=1, b=2) == 3

    await with_remote(remote, play)


@pytest.mark.parametrize("status", [401, 404, 429, 502, 503])
async def test_over_http_a_status_tells(remote: Remote, status: int) -> None:
    async def play(servers: McpServers, near: Any) -> None:
        await value(near, a=1, b=2)
        (remote.folder / "status").write_text(str(status))
        if status < 500:
            assert await servers.ping("remote") is True
            return
        with pytest.raises(ConnectionError, match=str(status)):
            await servers.ping("remote")

    await with_remote(remote, play)


# ---------------------------------------------------------------- who is probed, and how often


def names_of(*tools: Any) -> list[str]:
    return [subject for probes in probes_of(tools) for subject in probes.probes]


def test_the_tools_of_a_server_share_its_pings() -> None:
    servers = McpServers.from_dict(configuration(), probe_every_s=7)
    tools = [servers.tool("tiny", name, takes={}, effect="read") for name in ("add", "note", "slow")]
    (probes,) = probes_of(tools)
    assert (list(probes.probes), probes.every_s) == (["tiny"], 7)


def test_a_tool_with_the_name_of_its_provider_takes_nothing_from_the_others() -> None:
    servers = McpServers.from_dict(configuration(), probe_every_s=1)
    tools = [servers.tool("tiny", "add", name=name, takes={}, returns=name) for name in ("tiny", "other")]
    assert names_of(*tools) == ["tiny", "other"]


def test_a_tool_without_a_provider_is_probed_by_itself() -> None:
    servers = McpServers.from_dict(configuration(), probe_every_s=1)
    spec = ToolSpec(name="sum", requires=(), produces=("total",), effect="read")  # pyright: ignore[reportArgumentType]
    assert names_of(servers.bind(spec, "tiny", "add")) == ["sum"]


@pytest.mark.parametrize("every_s", [0, -1, float("nan"), float("inf"), True, "often"])
def test_a_pace_that_is_none_is_refused(every_s: Any) -> None:
    with pytest.raises(DefinitionError, match="probe_every_s must be"):
        McpServers.from_dict({"mcpServers": {}}, probe_every_s=every_s)
