"""A language model that answers what it is told to, and what it is asked about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from agentroute.graph.cost import Amounts
from agentroute.ports import Completion


class Ticket(BaseModel):
    text: str


class Summary(BaseModel):
    text: str


@dataclass
class ScriptedModel:
    """Answers what it is told to; the price is one nano-dollar for a byte read and ten for a token written."""

    says: Completion | Exception = field(default_factory=lambda: Completion('{"text": "Short."}', 2e-7, 11, 5))
    asked: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])

    def worst_case(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        *,
        answer: type[BaseModel] | None = None,
    ) -> Amounts:
        read = sum(len(message["content"].encode()) for message in messages)
        return Amounts(read + 10 * max_tokens, read + max_tokens, model_calls=1)

    def estimate(self, model: str, *, input_tokens: int, output_tokens: int) -> float:
        return (input_tokens + 10 * output_tokens) / 1e9

    async def complete(self, model: str, messages: Sequence[Mapping[str, str]], **options: Any) -> Completion:
        self.asked.append({"model": model, "messages": messages, **options})
        if isinstance(self.says, Exception):
            raise self.says
        return self.says
