"""What is in the answer of an MCP tool: a value, or word that the tool failed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from pydantic import ValidationError

from agentroute.errors import FailureKind, ToolError
from agentroute.graph.artifact import ArtifactType
from agentroute.graph.tool import Effect

if TYPE_CHECKING:
    from mcp_types import CallToolResult

LARGEST_ANSWER = 10 * 1024 * 1024
"""Characters of text that an answer may have."""

LONGEST_MESSAGE = 500
"""Characters of a server's message that are kept."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool answered.

    Attributes:
        text: All of its text, joined by line breaks.
        structured: Its structured content, None if there is none.
        blocks: Its content as JSON data, if some of it is no text.
        failed: The server says that the tool failed (``isError``).
    """

    text: str
    structured: Any = None
    blocks: list[Any] = field(default_factory=list[Any])
    failed: bool = False


def read_answer(result: "CallToolResult") -> Answer:
    """Take a result apart.

    Raises:
        ToolError: It is larger than `LARGEST_ANSWER`.
    """
    texts = [block.text for block in result.content if block.type == "text"]
    if sum(map(len, texts)) > LARGEST_ANSWER:
        raise ToolError(f"the answer is longer than {LARGEST_ANSWER:,} characters", kind="contract")
    plain = len(texts) == len(result.content)
    blocks = (
        [] if plain else [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in result.content]
    )
    return Answer("\n".join(texts), result.structured_content, blocks, bool(result.is_error))


def value_of(answer: Answer, *, kind: ArtifactType | None, wrapped: bool, parse: Callable[[str], Any] | None) -> Any:
    """Return the value in an answer: what `parse` makes of the text, else structured content, else the text.

    Args:
        answer: Of a tool that did not fail.
        kind: Type that the value should have, if it is known.
        wrapped: The server is known to wrap values as ``{"result": ...}``.
        parse: The user's reading of the text.

    Raises:
        ToolError: `parse` failed: the answer is not what the contract promises.
    """
    if parse is not None:
        try:
            return parse(answer.text)
        except Exception as error:
            raise ToolError(f"the answer cannot be parsed: {error!r}"[:LONGEST_MESSAGE], kind="contract") from error
    if answer.structured is not None:
        return _unwrapped(answer.structured, kind, wrapped=wrapped)
    if answer.blocks:
        return answer.blocks
    return answer.text if kind is None or _fits(kind, answer.text) else _from_json(kind, answer.text)


def _unwrapped(structured: Any, kind: ArtifactType | None, *, wrapped: bool) -> Any:
    """Take the value out of ``{"result": value}``, unless the type says that it belongs there."""
    if not isinstance(structured, Mapping) or set(cast("Mapping[Any, Any]", structured)) != {"result"}:
        return cast("Any", structured)
    whole = cast("Mapping[str, Any]", structured)
    if kind is None:
        return whole["result"] if wrapped else whole
    return whole if _fits(kind, whole) else whole["result"]


def _fits(kind: ArtifactType, value: Any) -> bool:
    try:
        kind.validate(value)
    except ValidationError:
        return False
    return True


def _from_json(kind: ArtifactType, text: str) -> Any:
    """Read text as JSON of a type; text that is none stays as it is, and will fail validation as itself."""
    try:
        return kind.validate_json(text)
    except ValidationError:
        return text


def tool_failed(server: str, tool: str, answer: Answer, effect: Effect, kind: FailureKind | None) -> ToolError:
    """Say what ``isError`` means: the tool ran, and says that it failed.

    For a read tool nothing has happened and asking again will not help: permanent. Any other may have
    failed half-way, so nobody knows what it did: ambiguous, unless the user knows better (`kind`).
    """
    text = " ".join(answer.text.split())[:LONGEST_MESSAGE] or "without saying why"
    known: FailureKind = kind or ("permanent" if effect == "read" else "ambiguous")
    return ToolError(f"MCP tool {server}/{tool} failed: {text}", kind=known)
