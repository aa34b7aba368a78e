"""What the scripted model server answers, and what it was asked."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, TypeAdapter

BYTES_PER_TOKEN = 4
"""Of what the server reads and writes, where it counts tokens itself."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the server.

    Attributes:
        content: What the model says: text, or something to be written as JSON. Of an error, the message.
        usage: Tokens read and written; ``"count"`` is one for every four bytes; None leaves the usage out.
        status: HTTP status.
        headers: Further headers, such as ``retry-after``.
        delay_s: Seconds before it is sent.
        malformed: Send only the first half of the JSON text.
        drop: Close the connection instead of answering.
        code: Code of an error, such as ``context_length_exceeded``.
        finish_reason: Why the model stopped.
        model: Name of the model that the answer claims to come from; by default the one asked for.
        tool_calls: Tools that the model calls, each by name with its arguments; with them, the model stops with
            ``tool_calls`` unless `finish_reason` says another reason, and need not say anything. Each call's id differs
            from those of all other calls of the conversation.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    content: Any = ""
    usage: tuple[int, int] | Literal["count"] | None = "count"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay_s: float = 0.0
    malformed: bool = False
    drop: bool = False
    code: str | None = None
    finish_reason: str = "stop"
    model: str | None = None
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()

    def body(self, request: "Request") -> bytes:
        """Write the answer to `request` as it goes over the wire."""
        data = self._completion(request) if self.status == 200 else self._error()
        text = json.dumps(data).encode()
        return text[: len(text) // 2] if self.malformed else text

    def _completion(self, request: "Request") -> dict[str, Any]:
        text = _text(self.content)
        calls = self._calls(request)
        message: dict[str, Any] = {"role": "assistant", "content": text or None if calls else text}
        if calls:
            message["tool_calls"] = calls
        stopped = "tool_calls" if calls and self.finish_reason == "stop" else self.finish_reason
        completion: dict[str, Any] = {
            "id": "chatcmpl-scripted",
            "object": "chat.completion",
            "created": 0,
            "model": self.model or request.body.get("model", ""),
            "choices": [{"index": 0, "message": message, "finish_reason": stopped}],
        }
        if self.usage is not None:
            read, written = self.usage if self.usage != "count" else (_count(request.size), _count(_size(message)))
            completion["usage"] = {
                "prompt_tokens": read,
                "completion_tokens": written,
                "total_tokens": read + written,
            }
        return completion

    def _calls(self, request: "Request") -> list[dict[str, Any]]:
        turn = len(request.body.get("messages", ()))
        return [
            {
                "id": f"call_{turn}_{number}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for number, (name, arguments) in enumerate(self.tool_calls)
        ]

    def _error(self) -> dict[str, Any]:
        message = _text(self.content) or f"scripted status {self.status}"
        return {"error": {"message": message, "type": "scripted", "param": None, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Request:
    """What the server was asked.

    Attributes:
        path: Path of the URL.
        headers: By name in lower case.
        body: The JSON object sent.
    """

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Bytes of the messages' contents and of the tool calls in them."""
        return sum(_size(message) for message in self.body.get("messages", ()))


Script: TypeAlias = Reply | Sequence[Reply] | Callable[[Request], Reply]
"""One reply for every request, replies in order (then status 500), or a function that decides."""


def read_script(text: str | bytes) -> Script:
    """Read a script from JSON: one reply as an object, or a list of them.

    Raises:
        pydantic.ValidationError: It is neither.
    """
    return TypeAdapter[Reply | list[Reply]](Reply | list[Reply]).validate_json(text)


def _count(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)


def _size(message: Mapping[str, Any]) -> int:
    """Bytes of a message that count as tokens."""
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return sum(len(text.encode()) for text in (_text(message.get("content") or ""), *map(_text, calls)))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return json.dumps(content.model_dump(mode="json") if isinstance(content, BaseModel) else content)
