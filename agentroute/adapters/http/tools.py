"""Plain HTTP endpoints as tools."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

from agentroute.adapters.clock import wall_time
from agentroute.adapters.http.request import Endpoint, Method, Outgoing
from agentroute.adapters.http.secret import Secret
from agentroute.adapters.http.url_template import UrlTemplate
from agentroute.adapters.wire_contract import ToolOptions, WireContract, WireTool, read_contract
from agentroute.attempt import current
from agentroute.errors import AgentrouteError, DefinitionError
from agentroute.graph.tool import Effect
from agentroute.guard.rate_limits import headroom_of
from agentroute.ports import Values

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 10 * 1024 * 1024
"""Bytes of an answer, by default."""

MOST_REDIRECTS = 5

EFFECTS: Mapping[Method, Effect] = {
    "GET": "read",
    "HEAD": "read",
    "PUT": "idempotent",
    "DELETE": "idempotent",
    "POST": "once",
    "PATCH": "once",
}
"""What a second call does, by the definition of the methods (RFC 9110, section 9.2)."""


@dataclass(frozen=True, eq=False)
class HttpTool(WireTool):
    """An endpoint with a contract; `http_tool` makes one.

    Attributes:
        endpoint: Makes the requests.
        parse: Reads the text of an answer.
        absent: Status codes that mean "nothing there".
        max_bytes: Longest answer.
        follow_redirects: Whether redirects on the same server are followed.
        health_url: Asked with HEAD, at intervals, to see how the server is.
    """

    endpoint: Endpoint
    parse: Callable[[str], Any] | None = field(default=None, repr=False)
    absent: frozenset[int] = field(default=frozenset(), repr=False)
    max_bytes: int = field(default=MAX_BYTES, repr=False)
    follow_redirects: bool = field(default=False, repr=False)
    health_url: str | None = field(default=None, repr=False)

    @property
    def probe(self) -> Callable[[], Awaitable[bool]] | None:
        """How to see whether the server is well, if it was said."""
        return None if self.health_url is None else self._is_well

    async def _is_well(self) -> bool:
        """Whether the server answers, with anything but an error of its own; that it knows no HEAD is none.

        Raises:
            httpx.TransportError: The connection failed.
        """
        from agentroute.adapters.http.client import shared_clients, time_limits

        client = (await shared_clients()).kept
        request = client.build_request(
            "HEAD", str(self.health_url), headers=self.endpoint.revealed(), timeout=time_limits(self.spec.timeout_s)
        )
        response = await client.send(request, stream=True)
        await response.aclose()
        return response.status_code < 500

    def wire(self) -> WireContract:
        """What it takes and returns."""
        return self.endpoint.contract

    async def call(self, inputs: Values) -> Values:
        """Make one request, without retries.

        Raises:
            ToolError: The answer breaks the contract, or nothing was sent.
            httpx.HTTPStatusError: The server answered with a status from 400 up.
            httpx.TransportError: The connection failed.
        """
        from agentroute.adapters.http.answer import read_value, redirected, refusal
        from agentroute.adapters.http.client import read_body, read_complaint

        response = await self._send(self.endpoint.request(inputs))
        _report(response)
        try:
            if response.status_code in self.absent:
                return {}
            if response.is_redirect:
                raise redirected(response, self.spec.effect)
            if response.status_code >= 400:
                raise refusal(response, await read_complaint(response))
            body = await read_body(response, self.max_bytes)
        finally:
            await response.aclose()
        if self.wire().nullable and not body:
            return {}
        return self.wire().outputs(read_value(body, response, self.wire().result_type, self.parse))

    async def _send(self, outgoing: Outgoing) -> "httpx.Response":
        from agentroute.adapters.http.client import shared_clients, time_limits

        clients = await shared_clients()
        client = clients.fresh if self.spec.effect == "once" else clients.kept
        request = client.build_request(
            self.endpoint.method,
            outgoing.url,
            content=outgoing.body,
            headers=outgoing.headers,
            timeout=time_limits(self.spec.timeout_s),
        )
        response = await client.send(request, stream=True)
        for _ in range(MOST_REDIRECTS if self.follow_redirects else 0):
            following = _same_server(response)
            if following is None:
                break
            await response.aclose()
            response = await client.send(following, stream=True)
        return response


def _report(response: "httpx.Response") -> None:
    """Tell the attempt what the answer says of a rate limit, whatever else it says."""
    with suppress(AgentrouteError):  # called outside of a run
        current().headroom = headroom_of(response.headers, wall_time())


def _same_server(response: "httpx.Response") -> "httpx.Request | None":
    """Return the request that follows a redirect, if it stays on the same server with the same method.

    Anywhere else it would carry what was meant for this server to one that the server chose: inside a network, to
    addresses that only we can reach.
    """
    following = response.next_request
    if following is None or following.method != response.request.method:
        return None
    here, there = response.request.url, following.url
    same = (here.scheme, here.host, here.port) == (there.scheme, there.host, there.port)
    upgraded = here.host == there.host and (here.scheme, there.scheme) == ("http", "https")
    upgraded = upgraded and here.port is None and there.port is None
    return following if (same or upgraded) and there.userinfo == here.userinfo else None


def http_tool(
    name: str,
    method: Method,
    url: str,
    *,
    takes: Mapping[str, Any],
    returns: Any,
    body: str | Callable[..., Any] | None = None,
    headers: Mapping[str, str | Secret] | None = None,
    effect: Effect | None = None,
    parse: Callable[[str], Any] | None = None,
    absent: Iterable[int] = (),
    max_bytes: int = MAX_BYTES,
    follow_redirects: bool = False,
    key_header: str | None = "Idempotency-Key",
    probe: str | None = None,
    **options: Unpack[ToolOptions],
) -> HttpTool:
    """Make an HTTP endpoint a tool.

    Values that are taken fill the ``{places}`` of the URL, escaped. Of the others, POST, PUT and PATCH make a JSON
    object by name, and GET, HEAD and DELETE a query (an object by its fields).

    Args:
        name: Its name in the agent.
        method: GET, HEAD, PUT, DELETE, POST or PATCH.
        url: With ``{name}`` in path or query; scheme and host are fixed.
        takes: Artifact of each value: a type, ``Annotated[..., Artifact(name)]``, an artifact's name,
            ``AtLeast(...)``, or ``X | None`` for one that is sent if it is at hand.
        returns: Artifact of the answer: text if its type is ``str``, as it came if ``bytes``, otherwise read from
            JSON. ``tuple[A, B]`` takes several from an object by name. A verify tool returns ``X | None``: null or
            an empty answer means that there is nothing.
        body: Name of the value that is the whole body, or a function that makes it from all values by name.
        headers: Sent along; keys and tokens as `Secret`.
        effect: What a second call would do. By default what the method is defined to do: GET and HEAD read, PUT and
            DELETE idempotent, POST and PATCH once.
        parse: Makes the value from the text of the answer.
        absent: Status codes that mean "nothing there", such as 404 for a verify tool.
        max_bytes: Longest answer that is read; a longer one breaks the contract.
        follow_redirects: Follow redirects on the same server. Redirects to another one are never followed.
        key_header: Header that carries the idempotency key of a tool that changes something, and for a verify tool
            the key of the effect that it asks about. None for none.
        probe: Path on the same server that is asked with HEAD every ten seconds or so, such as ``/health``: while
            nobody answers, or with a status from 500 up, runs avoid the tool.
        **options: See `ToolOptions`. The provider is the host, unless given.

    Raises:
        DefinitionError: The endpoint cannot be used, with the tool's name and why.

    Example:
        >>> users = "https://api.example.com/users"
        >>> user = http_tool("user", "GET", users + "/{id}", takes={"id": "user_id"}, returns="user")
        >>> user.spec.requires, user.spec.effect, user.spec.provider
        (('user_id',), 'read', 'api.example.com')
    """
    if method not in EFFECTS:
        raise DefinitionError(f"tool {name!r}", f"method must be one of {', '.join(EFFECTS)}, not {method!r}")
    template = UrlTemplate(url, f"tool {name!r}")
    options.setdefault("provider", template.host)
    contract = read_contract(name, takes, returns, effect or EFFECTS[method], options)
    endpoint = Endpoint(contract, method, template, dict(headers or {}), body, key_header)
    endpoint.check()
    health_url = None if probe is None else template.beside(probe)
    return HttpTool(endpoint, parse, frozenset(absent), max_bytes, follow_redirects, health_url)
