"""Connections to MCP servers over stdio: real child processes that start, hang, die, are killed and are closed."""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentroute.adapters.mcp.restart import Restart
from agentroute.adapters.mcp.servers import McpServers
from agentroute.adapters.mcp.tool import McpTool
from agentroute.errors import ToolError
from agentroute.graph.tool import Effect
from agentroute.ids import ArtifactId
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

pytestmark = pytest.mark.anyio


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncGenerator[Open, None]:
    async with opening(tmp_path) as make:
        yield make


def note(servers: McpServers, effect: Effect = "once") -> McpTool:
    return servers.tool("tiny", "note", takes={"path": "path"}, effect=effect)


class TestStarting:
    async def test_the_first_use_starts_a_server_and_the_second_does_not(self, opened: Open) -> None:
        servers = opened()
        tool = add(servers)
        assert children() == {}
        await value(tool, a=1, b=2)
        pid = only_child()
        await value(tool, a=1, b=2)
        assert only_child() == pid

    async def test_a_command_that_is_not_there(self, opened: Open) -> None:
        servers = opened(data={"mcpServers": {"tiny": {"command": "no-such-command-anywhere"}}})
        started = time.monotonic()
        error = await failure(add(servers), a=1, b=2)
        assert error.kind == "permanent"
        assert "'no-such-command-anywhere' cannot be used: [Errno 2] No such file or directory" in str(error)
        assert time.monotonic() - started < 5

    async def test_a_working_directory_that_is_not_there(self, opened: Open, tmp_path: Path) -> None:
        server = {"command": sys.executable, "args": [str(TINY)], "cwd": str(tmp_path / "nowhere")}
        assert (await failure(add(opened(data={"mcpServers": {"tiny": server}})), a=1, b=2)).kind == "permanent"

    async def test_a_server_that_never_answers(self, opened: Open) -> None:
        servers = opened("silent", startup_timeout_s=0.7)
        error = await failure(add(servers), a=1, b=2)
        assert error.kind == "transient"
        assert "no list of tools within 0.7 s of its start" in str(error)

    async def test_a_start_that_takes_longer_than_the_tool_has_has_sent_nothing(self, opened: Open) -> None:
        error = await failure(add(opened("silent"), timeout_s=0.5), a=1, b=2)
        assert (error.kind, str(error)) == ("transient", "MCP server 'tiny' is still starting after 0.4 s")

    async def test_a_server_that_exits_at_once_says_why_in_its_log(self, opened: Open, tmp_path: Path) -> None:
        error = await failure(add(opened("dies")), a=1, b=2)
        assert error.kind == "transient"
        assert error.retry_after_s is not None
        log = tmp_path / "logs" / "tiny.log"
        assert f"Connection closed; it may say more in {log}" in str(error)
        assert "cannot find my database" in log.read_text()
        assert log.stat().st_mode & 0o777 == 0o600

    async def test_a_server_that_hangs_up_on_newer_questions_is_asked_the_old_way(self, opened: Open) -> None:
        assert await value(add(opened("strict")), a=1, b=2) == 3

    async def test_a_server_that_did_not_start_is_tried_again_when_somebody_asks(
        self, opened: Open, tmp_path: Path
    ) -> None:
        command = tmp_path / "mcp-server"
        servers = opened(data={"mcpServers": {"tiny": {"command": str(command), "args": [str(TINY)]}}})
        tool = add(servers)
        await failure(tool, a=1, b=2)
        command.symlink_to(sys.executable)
        error = await failure(tool, a=1, b=2)
        assert "next start in 0." in str(error)
        await anyio.sleep(QUICK.first_s + 0.1)
        assert await value(tool, a=1, b=2) == 3

    async def test_connect_raises_what_went_wrong(self, opened: Open) -> None:
        servers = opened("dies")
        with pytest.raises(ToolError, match="MCP server 'tiny' is down"):
            await servers.connect()


class TestProcess:
    async def test_it_sees_what_it_is_given_and_little_else(
        self, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOMEBODY_ELSES_KEY", "k")
        server = {"command": sys.executable, "args": [str(TINY)], "env": {"GIVEN": "yes"}, "cwd": str(tmp_path)}
        servers = opened(data={"mcpServers": {"tiny": server}})
        about = json.loads(await value(servers.tool("tiny", "environment", takes={}, effect="read")))
        assert about["cwd"] == str(tmp_path)
        assert about["env"]["GIVEN"] == "yes"
        assert "SOMEBODY_ELSES_KEY" not in about["env"]

    async def test_noise_goes_to_the_log_and_nowhere_else(
        self, opened: Open, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        servers = opened("garbage")
        assert await value(add(servers), a=1, b=2) == 3
        assert "a word on standard error" in (tmp_path / "logs" / "tiny.log").read_text()
        await servers.aclose()
        assert capfd.readouterr() == ("", "")

    async def test_noise_can_be_discarded(
        self, opened: Open, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        servers = opened("garbage", log_folder=None)
        assert await value(add(servers), a=1, b=2) == 3
        await servers.aclose()
        assert not (tmp_path / "logs").exists()
        assert capfd.readouterr() == ("", "")

    async def test_a_large_log_is_begun_anew(self, opened: Open, tmp_path: Path) -> None:
        log = tmp_path / "logs" / "tiny.log"
        log.parent.mkdir()
        log.write_text("x" * 1_000_001)
        await value(add(opened("garbage")), a=1, b=2)
        assert log.stat().st_size < 1_000
        assert log.with_suffix(".log.1").stat().st_size == 1_000_001

    async def test_the_trace_of_the_caller_is_passed_on(self, opened: Open, tmp_path: Path) -> None:
        from opentelemetry import trace

        server = {"command": sys.executable, "args": [str(TINY)], "cwd": str(tmp_path)}
        servers = opened(data={"mcpServers": {"tiny": server}})
        parent = trace.SpanContext(0xABCDEF, 0x1234, is_remote=False, trace_flags=trace.TraceFlags(1))
        with trace.use_span(trace.NonRecordingSpan(parent)):
            await value(add(servers), a=1, b=2)
        assert (tmp_path / "traceparents").read_text().split("-")[1] == f"{0xABCDEF:032x}"


class TestDying:
    async def kill(self) -> None:
        pid = only_child()
        os.kill(pid, signal.SIGKILL)
        await until(lambda: pid not in children())

    @pytest.mark.parametrize("effect", ["read", "once"])
    async def test_killed_in_a_call_nobody_knows_what_happened(
        self, opened: Open, tmp_path: Path, effect: Effect
    ) -> None:
        """For a read tool the guard reads ambiguous as transient."""
        servers = opened()
        path = tmp_path / "notes"
        slow = servers.tool("tiny", "slow", takes={"path": "p", "seconds": "s"}, effect=effect)
        errors: list[ToolError] = []

        async def call() -> None:
            errors.append(await failure(slow, p=str(path), s=30))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await until(path.exists)
            os.kill(only_child(), signal.SIGKILL)
        assert (errors[0].kind, str(errors[0])) == ("ambiguous", "MCP tool tiny/slow: Connection closed")
        assert path.read_text() == "started\n"

    async def test_meanwhile_its_tools_fail_at_once_and_then_work_again(self, opened: Open, tmp_path: Path) -> None:
        servers = opened()
        tool = note(servers)
        path = tmp_path / "notes"
        await tool.call({ArtifactId("path"): str(path)})
        first = only_child()
        await self.kill()
        await anyio.sleep(0.05)
        started = time.monotonic()
        error = await failure(tool, path=str(path))
        assert time.monotonic() - started < 0.2
        assert error.kind == "transient"
        assert error.retry_after_s is not None
        assert 0 < error.retry_after_s <= QUICK.first_s
        assert str(error).startswith("MCP server 'tiny' is down (the connection broke); next start in 0.")
        await anyio.sleep(error.retry_after_s + 0.02)
        await tool.call({ArtifactId("path"): str(path)})
        assert path.read_text() == "noted\nnoted\n"
        assert only_child() != first

    async def test_it_is_started_again_unasked(self, opened: Open) -> None:
        await value(add(opened()), a=1, b=2)
        first = only_child()
        await self.kill()
        await until(lambda: bool(children()) and first not in children())

    async def test_the_delay_doubles_from_death_to_death(self, opened: Open) -> None:
        tool = add(opened())
        delays: list[float] = []
        for _ in range(3):
            while True:
                try:
                    await value(tool, a=1, b=2)
                    break
                except ToolError as error:
                    await anyio.sleep((error.retry_after_s or 0) + 0.01)
            await self.kill()
            await anyio.sleep(0.02)
            delays.append((await failure(tool, a=1, b=2)).retry_after_s or 0)
        assert [round(delay / QUICK.first_s) for delay in delays] == [1, 2, 4]

    async def test_a_server_that_had_settled_is_back_soon(self, opened: Open) -> None:
        tool = add(opened(restart=Restart(first_s=0.3, settled_s=0.5)))
        for _ in range(2):
            await value(tool, a=1, b=2)
            await anyio.sleep(0.6)
            await self.kill()
            await anyio.sleep(0.02)
            error = await failure(tool, a=1, b=2)
            assert error.retry_after_s is not None
            assert error.retry_after_s <= 0.3
            await anyio.sleep(error.retry_after_s + 0.02)

    async def test_dying_of_one_call_is_ambiguous_for_all(self, opened: Open, tmp_path: Path) -> None:
        servers = opened()
        slow = servers.tool("tiny", "slow", takes={"path": "p", "seconds": "s"})
        kinds: list[str] = []

        async def call() -> None:
            kinds.append((await failure(slow, p=str(tmp_path / "notes"), s=30)).kind)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(call)
            await until(lambda: (tmp_path / "notes").exists() and (tmp_path / "notes").read_text().count("\n") == 5)
            kinds.append((await failure(servers.tool("tiny", "die", takes={}))).kind)
        assert kinds == ["ambiguous"] * 6

    async def test_the_others_are_not_affected(self, opened: Open) -> None:
        other = {"command": sys.executable, "args": [str(TINY)]}
        servers = opened(data=configuration(other=other))
        tool = servers.tool("other", "add", takes={"a": "a", "b": "b"})
        await value(tool, a=1, b=2)
        await failure(servers.tool("tiny", "die", takes={}))
        assert await value(tool, a=1, b=2) == 3


class TestConcurrency:
    async def test_fifty_calls_share_one_connection(self, opened: Open) -> None:
        tool = add(opened())
        sums: dict[int, int] = {}

        async def call(number: int) -> None:
            sums[number] = await value(tool, a=number, b=number)

        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(call, number)
        assert sums == {number: 2 * number for number in range(50)}
        assert len(children()) == 1

    async def test_cancelling_a_call_stops_it_there_and_leaves_the_connection_usable(
        self, opened: Open, tmp_path: Path
    ) -> None:
        servers = opened()
        await servers.connect("tiny")
        pid, path = only_child(), tmp_path / "notes"
        slow = servers.tool("tiny", "slow")
        started = time.monotonic()
        with anyio.move_on_after(0.5) as scope:
            await slow.call({ArtifactId("path"): str(path), ArtifactId("seconds"): 30})
        assert scope.cancelled_caught
        assert time.monotonic() - started < 1.0
        await until(lambda: path.read_text() == "started\ncancelled\n")
        assert await value(servers.tool("tiny", "add"), a=1, b=2) == 3
        assert only_child() == pid

    async def test_cancelling_a_call_that_waits_for_the_start_disturbs_nobody(self, opened: Open) -> None:
        tool = add(opened("slow-start"))
        with anyio.move_on_after(0.3):
            await value(tool, a=1, b=2)
        assert await value(tool, a=1, b=2) == 3
        assert len(children()) == 1

    async def test_other_event_loops_use_the_same_connection(self, opened: Open) -> None:
        tool = add(opened())
        results: list[Any] = []

        def elsewhere(backend: str) -> None:
            results.append(anyio.run(lambda: value(tool, a=1, b=2), backend=backend))

        threads = [threading.Thread(target=elsewhere, args=(backend,)) for backend in ("asyncio", "trio") * 3]
        for thread in threads:
            thread.start()
        assert await value(tool, a=1, b=2) == 3
        await until(lambda: not any(thread.is_alive() for thread in threads))
        assert results == [3] * 6
        assert len(children()) == 1


class TestClosing:
    async def test_closing_twice_and_using_again(self, opened: Open) -> None:
        servers = opened()
        tool = add(servers)
        async with servers:
            await value(tool, a=1, b=2)
            first = only_child()
        assert children() == {}
        await servers.aclose()
        assert await value(tool, a=1, b=2) == 3
        assert only_child() != first
        await servers.aclose()
        assert children() == {}

    async def test_closing_under_calls_fails_them(self, opened: Open, tmp_path: Path) -> None:
        servers = opened()
        slow = servers.tool("tiny", "slow", takes={"path": "p", "seconds": "s"})
        kinds: list[str] = []

        async def call() -> None:
            kinds.append((await failure(slow, p=str(tmp_path / "notes"), s=30)).kind)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await until((tmp_path / "notes").exists)
            await servers.aclose()
        assert kinds == ["ambiguous"]
        assert children() == {}

    async def test_closing_does_not_wait_for_a_start(self, opened: Open) -> None:
        servers = opened("silent")
        errors: list[ToolError] = []

        async def call() -> None:
            errors.append(await failure(add(servers), a=1, b=2))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await until(lambda: bool(children()))
            started = time.monotonic()
            await servers.aclose()
            assert time.monotonic() - started < 5
        assert errors[0].kind == "transient"

    async def test_closing_at_any_moment_of_a_start_leaves_nothing(self, opened: Open) -> None:
        async def call(tool: McpTool) -> None:
            with contextlib.suppress(ToolError):
                await value(tool, a=1, b=2)

        async def closed_after(seconds: float, servers: McpServers) -> None:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, add(servers))
                await until(lambda: servers.is_open)  # else the call comes after the end, and starts anew
                await anyio.sleep(seconds)
                await servers.aclose()
            assert children() == {}

        for moment in range(25):
            await closed_after(0.004 * moment, opened())

    async def test_closing_does_not_wait_for_a_restart(self, opened: Open) -> None:
        servers = opened(restart=Restart(first_s=60))
        await failure(servers.tool("tiny", "die", takes={}))
        await anyio.sleep(0.1)
        started = time.monotonic()
        await servers.aclose()
        assert time.monotonic() - started < 1

    async def test_a_server_that_does_not_want_to_end_is_killed(self, opened: Open) -> None:
        servers = opened("stubborn")
        await value(add(servers), a=1, b=2)
        started = time.monotonic()
        await servers.aclose()
        assert children() == {}
        assert time.monotonic() - started < 8

    async def test_a_server_that_hangs_holds_up_neither_a_cancelled_call_nor_the_end(self, opened: Open) -> None:
        servers = opened()
        tool = add(servers)
        await value(tool, a=1, b=2)
        os.kill(only_child(), signal.SIGSTOP)
        started = time.monotonic()
        with anyio.move_on_after(0.3):
            await value(tool, a=1, b=2)
        assert time.monotonic() - started < 0.6
        await servers.aclose()
        assert children() == {}
        assert time.monotonic() - started < 8

    async def test_a_cancelled_close_closes_all_the_same(self, opened: Open) -> None:
        servers = opened()
        await value(add(servers), a=1, b=2)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await servers.aclose()
        assert children() == {}
