"""What a protocol error of an MCP server means for the call that it answers."""

from collections.abc import Mapping
from typing import Any, cast

from mcp import MCPError
from mcp_types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR

from agentroute.adapters.mcp.answers import LONGEST_MESSAGE
from agentroute.errors import ToolError
from agentroute.graph.tool import Effect
from agentroute.guard.failures import classify

MARK = "agentroute"
"""Key under which `mcp_http` leaves what it knows in the data of an error that it has made up."""


class HttpAnswer(Exception):  # noqa: N818  # carries an answer to `classify`, is never raised
    """A status that an HTTP server gave instead of an MCP answer."""

    def __init__(self, status: int, retry_after: str | None) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status
        self.headers = {} if retry_after is None else {"retry-after": retry_after}


def explain(error: MCPError, what: str, effect: Effect, wall: float) -> ToolError:
    """Say what a protocol error means for a call that was sent.

    A server that knows no such method has done nothing. One that calls the request invalid normally has
    not either, but servers report errors inside a tool that way, too: a doubt where a tool must run once.

    Args:
        error: As it came.
        what: Which call it answers, for the message.
        effect: Of the tool.
        wall: Seconds since 1970.
    """
    message = f"{what}: {' '.join(error.message.split())[:LONGEST_MESSAGE]}"
    mark = http_mark(error)
    if mark.get("sent") is False:
        return ToolError(message, kind="transient")
    if isinstance(status := mark.get("status"), int):
        failure = classify(HttpAnswer(status, mark.get("retry_after")), wall=wall)
        return ToolError(message, kind=failure.kind, retry_after_s=failure.retry_after_s)
    if error.code == METHOD_NOT_FOUND:
        return ToolError(message, kind="permanent")
    if error.code in {INVALID_PARAMS, INVALID_REQUEST}:
        return ToolError(message, kind="ambiguous" if effect == "once" else "permanent")
    return ToolError(message, kind="contract" if error.code == PARSE_ERROR else "ambiguous")


def answered(error: MCPError) -> bool:
    """Whether the server itself has spoken; of HTTP, a status from 500 up is a proxy's word that it has not."""
    mark = http_mark(error)
    if isinstance(status := mark.get("status"), int):
        return status < 500
    return "sent" not in mark or bool(mark.get("session_lost"))


def http_mark(error: MCPError) -> Mapping[str, Any]:
    """What `mcp_http` noted about the exchange; empty if the error came from the server itself."""
    data: Any = error.data
    mark: Any = cast("Mapping[str, Any]", data).get(MARK) if isinstance(data, Mapping) else None
    return cast("Mapping[str, Any]", mark) if isinstance(mark, Mapping) else {}
