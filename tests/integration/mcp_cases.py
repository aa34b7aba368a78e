"""What tests of MCP servers share: the tiny server, its children, and ways to wait and to fail."""

import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agentroute.adapters.mcp.restart import Restart
from agentroute.adapters.mcp.servers import McpServers
from agentroute.adapters.mcp.tool import McpTool
from agentroute.errors import ToolError
from agentroute.ids import ArtifactId

TINY = Path(__file__).with_name("tiny_mcp_server.py")
QUICK = Restart(first_s=0.3, longest_s=5.0)


def configuration(*habits: str, **servers: dict[str, Any]) -> dict[str, Any]:
    """A configuration of the tiny server with these habits, and of others."""
    return {"mcpServers": {"tiny": {"command": sys.executable, "args": [str(TINY), *habits]}, **servers}}


Open = Callable[..., McpServers]


@asynccontextmanager
async def opening(folder: Path) -> AsyncGenerator[Open, None]:
    """Give a maker of servers that are closed in the end; none may be left then."""
    made: list[McpServers] = []

    def make(*habits: str, **options: Any) -> McpServers:
        data = options.pop("data", None) or configuration(*habits)
        options = {"restart": QUICK, "chance": lambda: 1.0, "log_folder": folder / "logs", **options}
        made.append(McpServers.from_dict(data, **options))
        return made[-1]

    yield make
    for servers in made:
        await servers.aclose()
    assert children() == {}


def children(of: int | None = None) -> dict[int, str]:
    """Processes started by process `of` (this one by default) that are still there, with their command lines."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if int(fields[1]) == (of or os.getpid()) and fields[0] != "Z" and "mcp" in command:
                found[int(entry.name)] = command
    return found


def only_child() -> int:
    (pid,) = children()
    return pid


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for something that happens elsewhere."""
    with anyio.fail_after(timeout_s):
        while not condition():  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(0.01)


async def failure(tool: McpTool, **inputs: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await tool.call({ArtifactId(name): value for name, value in inputs.items()})
    return caught.value


async def value(tool: McpTool, **inputs: Any) -> Any:
    (answer,) = (await tool.call({ArtifactId(name): given for name, given in inputs.items()})).values()
    return answer


def add(servers: McpServers, **options: Any) -> McpTool:
    return servers.tool("tiny", "add", takes={"a": "a", "b": "b"}, effect="read", **options)
