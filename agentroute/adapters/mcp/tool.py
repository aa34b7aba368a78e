"""One tool of an MCP server, with a contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from agentroute.adapters.mcp.answers import tool_failed, value_of
from agentroute.adapters.wire_contract import WireContract, WireTool
from agentroute.errors import FailureKind
from agentroute.ports import ToolSource, Values

if TYPE_CHECKING:
    from agentroute.adapters.mcp.answers import Answer
    from agentroute.adapters.mcp.listing import ListedTool


class McpSource(ToolSource, Protocol):
    """What keeps servers connected."""

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
