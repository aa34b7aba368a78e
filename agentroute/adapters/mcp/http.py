"""Streamable HTTP for MCP clients: a request that fails fails one call, not the connection.

The client of the `mcp` package ends its whole connection, with all calls in flight, when one request cannot
be sent, and hides the status of an answer that is no JSON-RPC. Below it, this client turns both into JSON-RPC
errors that say what is known: whether the request was sent at all, which status came, how long to wait.
"""

import json
from typing import Any

import httpx2
from mcp_types import PARSE_ERROR

from agentroute.adapters.mcp.answers import LARGEST_ANSWER
from agentroute.adapters.mcp.errors import MARK

LARGEST_ERROR = 64 * 1024
"""Bytes of an error's body that are looked at."""

CONNECT_TIMEOUT_S = 10.0

CODE = -32000
"""JSON-RPC's first code for errors of a server's own; the data says what it was."""

SESSION_HEADER = "mcp-session-id"

_NOT_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


class ContainedClient(httpx2.AsyncClient):
    """An HTTP client that answers with a JSON-RPC error where others raise.

    It waits for answers without limit, because callers have deadlines of their own.
    """

    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__(headers=headers, timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S))

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send `request`; whatever goes wrong becomes part of the answer."""
        try:
            response = await super().send(request, **options)
            if response.status_code >= 400:
                return await _explained(request, response)
            if response.headers.get("content-type", "").lower().startswith("application/json"):
                return await _read_whole(request, response)
        except httpx2.TransportError as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            return _json_rpc_error(request, said, {"sent": not isinstance(error, _NOT_SENT)})
        return response


async def _read_whole(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """Read a JSON answer here, where a connection that breaks on the way can still be told from bad JSON."""
    body = await _read(response, LARGEST_ANSWER + 1)
    if len(body) > LARGEST_ANSWER:
        return _json_rpc_error(request, f"the answer is larger than {LARGEST_ANSWER:,} bytes", {}, code=PARSE_ERROR)
    headers = {name: value for name, value in response.headers.items() if not name.startswith("content-")}
    headers["content-type"] = "application/json"
    return httpx2.Response(response.status_code, headers=headers, content=body, request=request)


async def _explained(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    """Keep an error that is JSON-RPC; make any other one so, with what its status and headers say."""
    status = response.status_code
    body = await _read(response, LARGEST_ERROR)
    if status == 404 and SESSION_HEADER in request.headers:  # so a server that was started again says it, by definition
        return _json_rpc_error(request, "the session is over", {"sent": False, "session_lost": True}, status=status)
    if _is_json_rpc_error(body):
        return httpx2.Response(status, headers={"content-type": "application/json"}, content=body, request=request)
    mark = {"status": status, "retry_after": response.headers.get("retry-after")}
    return _json_rpc_error(request, f"HTTP {status} {response.reason_phrase}".strip(), mark, status=status)


async def _read(response: httpx2.Response, limit: int) -> bytes:
    """Read up to `limit` bytes of the body and let the connection go."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk[: limit - len(body)]
            if len(body) >= limit:
                break
    finally:
        await response.aclose()
    return bytes(body)


def _is_json_rpc_error(body: bytes) -> bool:
    try:
        data: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "jsonrpc" in data and "error" in data


def _json_rpc_error(
    request: httpx2.Request, message: str, mark: dict[str, Any], *, status: int = 502, code: int = CODE
) -> httpx2.Response:
    error = {"code": code, "message": message, "data": {MARK: mark}}
    return httpx2.Response(status, json={"jsonrpc": "2.0", "id": None, "error": error}, request=request)
