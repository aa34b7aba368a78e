"""Faults of what is around the calls: the model that is asked, and the clock."""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, get_args

from pydantic import BaseModel

from agentroute.errors import ToolError
from agentroute.graph.cost import Amounts
from agentroute.ids import nanos
from agentroute.ports import Clock, Completion
from agentroute.testing.faults.fault import Fault

ASKING_USD = 0.001
"""What a question to the scripted model costs."""

READ, WRITTEN = 100, 5
"""Tokens that it reads and writes."""

Note = Callable[[int], None]
"""Told the number of a rule whenever it has really happened."""


class ChoosingModel:
    """Takes the best option of a menu, as a model would that does as it is told; or fails, as the faults say.

    Attributes:
        prompts: Every text it was sent.
    """

    def __init__(self, faults: Sequence[Fault], note: Note, *, since: Callable[[], float], seed: int) -> None:
        """Take the rules; `since` gives the seconds since the start."""
        self.prompts: list[str] = []
        self._faults = faults
        self._note = note
        self._since = since
        self._dice = Random(f"{seed}/model")

    def worst_case(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        *,
        answer: type[BaseModel] | None = None,
    ) -> Amounts:
        """A fixed price, and room for the few words of an answer."""
        del model, messages, max_tokens, answer
        return Amounts(nanos(ASKING_USD), READ + WRITTEN, model_calls=1)

    async def complete(
        self,
        model: str,
        messages: Sequence[Mapping[str, str]],
        *,
        answer: type[BaseModel] | None = None,
        max_tokens: int,
        timeout_s: float,
        effort: str | None = None,
    ) -> Completion:
        """Choose the first option.

        Raises:
            ToolError: It is down.
        """
        del model, max_tokens, timeout_s, effort
        self.prompts += [message["content"] for message in messages]
        hit = self._hit()
        if hit == "model_down":
            raise ToolError("the model is down", kind="transient")
        choice = "whatever you say" if hit == "model_invalid" else _options(answer)[0]
        return Completion(json.dumps({"choice": choice}), ASKING_USD, input_tokens=READ, output_tokens=WRITTEN)

    def _hit(self) -> str | None:
        for index, fault in enumerate(self._faults):
            about_us = fault.type in ("model_down", "model_invalid")
            if about_us and fault.is_on(1, self._since()) and self._dice.random() < fault.toxicity:
                self._note(index)
                return fault.type
        return None


def _options(answer: type[BaseModel] | None) -> tuple[str, ...]:
    """What a menu's schema allows."""
    field: Any = answer.model_fields["choice"].annotation if answer is not None else None
    return get_args(field) or ("hand-over",)


class JumpingClock:
    """A clock whose wall time jumps as the faults say; monotonic time does not, as nothing may depend on the wall."""

    def __init__(self, inner: Clock, faults: Sequence[Fault], note: Note) -> None:
        """Jump relative to the moment of `start`, which is `origin`."""
        self._inner = inner
        self._jumps = [(index, fault) for index, fault in enumerate(faults) if fault.type == "clock_jump"]
        self._note = note
        self._noted: set[int] = set()
        self.origin = 0.0

    def start(self) -> None:
        """Let the faults' time begin now."""
        self.origin = self._inner.now()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._inner.now()

    def wall(self) -> float:
        """Seconds since 1970, and whatever they have jumped by."""
        at, wall = self._inner.now() - self.origin, self._inner.wall()
        for index, fault in self._jumps:
            if fault.is_on(1, at):
                wall += fault.jump_s
                if index not in self._noted:
                    self._noted.add(index)
                    self._note(index)
        return wall
