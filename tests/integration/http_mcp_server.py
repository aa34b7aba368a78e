"""An MCP server over streamable HTTP on the loopback, written with the `mcp` package; prints its port.

Run as a program: ``python http_mcp_server.py FOLDER PORT [habit ...]``. A file ``status`` in FOLDER makes it answer
everything with the status in it, and ask to wait for what ``retry-after`` says, or seven seconds. It wants the key in
FOLDER/key, if there is one. Habits:

- ``json``: answers with JSON instead of event streams.
- ``legacy``: speaks only the handshake era, so that there are sessions.
"""

import socket
import sys
from pathlib import Path

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.types import ToolAnnotations
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

FOLDER, PORT, *HABITS = sys.argv[1:]

server = MCPServer("loopback")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def add(a: int, b: int) -> int:
    return a + b


@server.tool()
async def slow(seconds: float) -> str:
    notes = anyio.Path(FOLDER) / "notes"
    await notes.write_text("started\n")
    try:
        await anyio.sleep(seconds)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await notes.write_text("started\ncancelled\n")
        raise
    return "done"


class Gate:
    """What stands before a real server: an authorization, and at times a proxy that answers by itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self.refusal(scope)) is not None:
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def refusal(self, scope: Scope) -> Response | None:
        sent = dict(scope["headers"])
        status, key = Path(FOLDER, "status"), Path(FOLDER, "key")
        if status.exists():
            wait = Path(FOLDER, "retry-after")
            headers = {"retry-after": wait.read_text() if wait.exists() else "7"}
            return Response("<h1>Sorry</h1>", int(status.read_text()), headers, "text/html")
        if key.exists() and sent.get(b"authorization", b"").decode() != f"Bearer {key.read_text()}":
            return JSONResponse({"error": "who are you?"}, 401)
        if "legacy" in HABITS and sent.get(b"mcp-protocol-version", b"").startswith(b"2026"):
            return JSONResponse({"error": "unsupported protocol version"}, 400)
        return None


def main() -> None:
    app = Gate(server.streamable_http_app(json_response="json" in HABITS))
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", int(PORT)))
    listening.listen()
    print(listening.getsockname()[1], flush=True)  # noqa: T201  # for whoever started it
    uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1)).run(sockets=[listening])


if __name__ == "__main__":
    main()
