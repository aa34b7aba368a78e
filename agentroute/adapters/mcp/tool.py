"""One tool of an MCP server, with a contract."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from agentroute.adapters.mcp.answers import tool_failed, value_of
from agentroute.adapters.wire_contract import WireContract, WireTool
from agentroute.errors import FailureKind
from agentroute.ports import ToolSource, Values

if TYPE_CHECKING:
    from agentroute.adapters.mcp.answers import Answer
    from agentroute.adapters.mcp.listing import ListedTool


class McpSource(ToolSource, Protocol):
    """What keeps servers connected."""

    @property
    def probe_every_s(self) -> float | None:
        """Seconds between two pings of a server; None for none."""
        ...

    async def ping(self, server: str) -> object:
        """Ask a server for a sign of life; see `agentroute.adapters.probes.Probe`. Starts none."""
        ...

    async def call(self, tool: "McpTool", arguments: Mapping[str, Any]) -> "tuple[Answer, ListedTool]":
        """Call a tool with JSON arguments.

        Raises:
            ToolError: With what is known about the failure.
        """
        ...


@dataclass(frozen=True, eq=False)
class McpTool(WireTool):
    """A tool of an MCP server with a contract.

    Attributes:
        source: What keeps its server connected.
        server: Name of the server.
        remote: Name of the tool there.
        contract: What it takes and returns.
        fixed: Arguments that are the same in every call.
        parse: Reads the text of an answer.
        errors_mean: What an answer that says ``isError`` means; None leaves it to the effect.
    """

    source: McpSource
    server: str
    remote: str
    contract: WireContract = field(repr=False)
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    parse: Callable[[str], Any] | None = field(default=None, repr=False)
    errors_mean: FailureKind | None = field(default=None, repr=False)

    probes_provider: ClassVar[bool] = True
    """A server answers for all of its tools."""

    @property
    def probe(self) -> Callable[[], Awaitable[object]] | None:
        """How to see whether the server lives, if that was asked for."""
        return None if self.source.probe_every_s is None else partial(self.source.ping, self.server)

    @property
    def probe_every_s(self) -> float | None:
        """Seconds between two of them; None for none."""
        return self.source.probe_every_s

    def wire(self) -> WireContract:
        """What it takes and returns."""
        return self.contract

    async def call(self, inputs: Values) -> Values:
        """Call the tool once. Cancelling this tells the server to stop.

        Raises:
            ToolError: With what is known about the failure.
        """
        arguments = {**self.fixed, **self.contract.arguments(inputs)}
        answer, listed = await self.source.call(self, arguments)
        if answer.failed:
            raise tool_failed(self.server, self.remote, answer, self.spec.effect, self.errors_mean)
        kind = self.contract.result_type
        return self.contract.outputs(value_of(answer, kind=kind, wrapped=listed.wrapped, parse=self.parse))
