"""The ground truth: what really happened, as the databases and the bills of the providers would have it."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from agentroute.attempt import current
from agentroute.ports import Values


@dataclass(slots=True)
class Row:
    """One effect that really happened, as a provider's database would have it.

    Attributes:
        number: Counts the rows of a world from 1.
        run: The run that caused it.
        tool: The tool that caused it.
        key: Idempotency key that came with the call.
        attempt: The attempt that caused it.
        inputs: Digest of what the tool was called with.
        outputs: What the provider answered, or would have.
        made_at: Seconds of the event loop.
        undone_at: The same, if it was undone.
    """

    number: int
    run: str
    tool: str
    key: str
    attempt: int
    inputs: str
    outputs: Mapping[str, Any]
    made_at: float
    undone_at: float | None = None


@dataclass(slots=True)
class World:
    """What really happened: the ground truth that a run's own account is held against.

    Attributes:
        rows: Effects, in order.
        answers: Every value a tool really gave, by run and artifact.
        paid: Nano-dollars that providers really charged, by run.
        called: Calls that reached a provider, by run and tool.
        unclear: Calls that changed something or did not, as they raised or were cut off: run, tool and key of each.
    """

    rows: list[Row] = field(default_factory=list[Row])
    answers: dict[tuple[str, str], list[Any]] = field(default_factory=dict[tuple[str, str], list[Any]])
    paid: Counter[str] = field(default_factory=Counter[str])
    called: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    unclear: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def standing(self, run: str | None = None, tool: str | None = None) -> list[Row]:
        """Effects that have not been undone, of a run and a tool or of all."""
        return [
            row
            for row in self.rows
            if row.undone_at is None and (run is None or row.run == run) and (tool is None or row.tool == tool)
        ]

    def commit(self, tool: str, inputs: Values, outputs: Callable[[int], Values]) -> Row:
        """Let an effect happen. `outputs` is given the number of the new row."""
        attempt, number = current(), len(self.rows) + 1
        made = Row(
            number,
            attempt.run_id,
            tool,
            attempt.idempotency_key,
            attempt.attempt,
            digest(inputs),
            {str(artifact): value for artifact, value in outputs(number).items()},
            anyio.current_time(),
        )
        self.rows.append(made)
        return made

    def never_happened(self, run: str, tool: str) -> bool:
        """Take back the latest standing effect of a tool in a run, as if it had never been; False if there is none."""
        standing = self.standing(run, tool)
        if standing:
            standing[-1].undone_at = standing[-1].made_at
        return bool(standing)

    def answer(self, outputs: Values) -> Values:
        """Note what a tool really answered."""
        for artifact, value in outputs.items():
            self.answers.setdefault((current().run_id, artifact), []).append(value)
        return outputs


def digest(inputs: Values) -> str:
    """Short fingerprint of a tool's inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=repr).encode()).hexdigest()[:8]
