"""What an MCP server says about its tools: parameters, effect, and how it wraps answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from agentroute.errors import ToolError
from agentroute.graph.tool import Effect

if TYPE_CHECKING:
    from jsonschema.protocols import Validator
    from mcp_types import Tool as McpToolEntry

LONGEST_MESSAGE = 300
"""Characters kept of what is wrong with an argument; the message quotes the argument."""


@dataclass(frozen=True, slots=True)
class ListedTool:
    """One tool of a server's list.

    Attributes:
        name: On the server.
        description: For people.
        required: Parameters that must be given.
        parameters: All parameters.
        open: Whether parameters that are not listed are welcome.
        effect: Derived from the annotations; a missing hint means ``once``.
        wrapped: Answers come as ``{"result": ...}``, as servers written in Python wrap what is no object.
        validator: Of the arguments; None if the server's schema is none.
    """

    name: str
    description: str
    required: tuple[str, ...]
    parameters: tuple[str, ...]
    open: bool
    effect: Effect
    wrapped: bool
    validator: "Validator | None" = field(default=None, repr=False, compare=False)

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments that the server would refuse, before anything is sent.

        Raises:
            ToolError: Permanent, for nothing has happened.
        """
        if unknown := self.unknown(arguments):
            raise ToolError(unknown, kind="permanent")
        if (why := self._violation(arguments)) is not None:
            raise ToolError(f"MCP tool {self.name} does not take these arguments: {why}", kind="permanent")

    def unknown(self, names: Iterable[str]) -> str | None:
        """Say which of `names` are no parameters; servers drop such arguments without a word."""
        if self.open or not (unknown := [name for name in names if name not in self.parameters]):
            return None
        known = ", ".join(self.parameters) or "none"
        return f"MCP tool {self.name} has no parameter {', '.join(unknown)}; it has: {known}"

    def _violation(self, arguments: Mapping[str, Any]) -> str | None:
        from referencing.exceptions import Unresolvable

        if self.validator is None:
            return None
        try:
            error = next(self.validator.iter_errors(dict(arguments)), None)
        except Unresolvable:  # a reference out of the schema: the server will have to check by itself
            return None
        return None if error is None else f"{error.json_path}: {error.message[:LONGEST_MESSAGE]}"


def read_listing(tool: "McpToolEntry") -> ListedTool:
    """Turn a server's description of a tool into what is needed here."""
    schema = tool.input_schema
    properties = _keys(schema.get("properties"))
    return ListedTool(
        name=tool.name,
        description=tool.description or "",
        required=tuple(str(name) for name in cast("list[Any]", schema.get("required") or [])),
        parameters=properties,
        open="properties" not in schema
        or schema.get("additionalProperties", False) is not False
        or "patternProperties" in schema,
        effect=_effect(tool),
        wrapped=_keys((tool.output_schema or {}).get("properties")) == ("result",),
        validator=_validator(schema),
    )


def _effect(tool: "McpToolEntry") -> Effect:
    hints = tool.annotations
    if hints is not None and hints.read_only_hint:
        return "read"
    return "idempotent" if hints is not None and hints.idempotent_hint else "once"


def _keys(properties: Any) -> tuple[str, ...]:
    return tuple(cast("dict[str, Any]", properties)) if isinstance(properties, dict) else ()


def _validator(schema: dict[str, Any]) -> "Validator | None":
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError:  # the server will have to check by itself
        return None
    return kind(schema, registry=Registry())  # an empty registry: nothing is fetched
