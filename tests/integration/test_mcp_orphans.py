"""No server outlives the program that started it, however that ends."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.mcp_cases import children, configuration

Start = Callable[[str], "subprocess.Popen[str]"]

PROGRAM = """
import sys, time
import anyio
from agentroute.adapters.mcp.servers import McpServers

servers = McpServers.from_file(sys.argv[1], log_folder=None)
tool = servers.tool("tiny", "add", takes={"a": "a", "b": "b"})
print(anyio.run(tool.call, {"a": 1, "b": 2}), flush=True)
print(anyio.run(tool.call, {"a": 1, "b": 2}, backend="trio"), flush=True)
if sys.argv[2] == "exits":
    sys.exit(3)
if sys.argv[2] == "raises":
    raise KeyboardInterrupt
time.sleep(60)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Start]:
    """Starts a program of its own that uses a server and then ends in some way."""
    running: list[subprocess.Popen[str]] = []
    (tmp_path / "mcp.json").write_text(json.dumps(configuration()))
    (tmp_path / "program.py").write_text(PROGRAM)

    def start(ending: str) -> "subprocess.Popen[str]":
        command = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "mcp.json"), ending]
        pipe = subprocess.PIPE
        running.append(
            subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={"PYTHONPATH": str(Path.cwd())})
        )
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("ending", "status"), [("exits", 3), ("raises", -signal.SIGINT)])
def test_two_event_loops_in_a_row_and_an_end_without_closing(program: Start, ending: str, status: int) -> None:
    process = program(ending)
    out, err = process.communicate(timeout=30)
    assert out == "{'add': 3}\n{'add': 3}\n"
    assert process.returncode == status
    assert "resource" not in err.lower()
    assert children(process.pid) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_killed_takes_its_servers_along(program: Start, number: signal.Signals) -> None:
    process = program("waits")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == ["{'add': 3}\n"] * 2
    (server,) = children(process.pid)
    process.send_signal(number)
    process.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{server}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
