"""What a scenario expects of a run, without faults and under them."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, WithJsonSchema

from agentroute.graph.entries import Entry, Given, Name
from agentroute.testing.scenario.values import Number

Ending = Literal["succeeded", "demoted", "escalated", "cancelled", "killed"]
"""How a run ends: an outcome, or with its process."""


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


_OUTCOME_SCHEMA = {"enum": ["succeeded", "demoted", "escalated", "cancelled", "killed"]}

Outcomes = Annotated[
    tuple[Ending, ...],
    BeforeValidator(_several),
    Strict(strict=False),
    WithJsonSchema({"anyOf": [_OUTCOME_SCHEMA, {"type": "array", "items": _OUTCOME_SCHEMA, "minItems": 1}]}),
]

Rows = Annotated[list[dict[str, Any]], Field(max_length=1000)]


class Expectations(Entry):
    """What must hold of every run. What is left out may be anything."""

    outcome: Annotated[Outcomes | None, Given()] = None
    """How it ends: one of succeeded, demoted, escalated, cancelled, killed (with its process), or a list of them."""

    goal: Annotated[Name | None, Given()] = None
    """The goal that was reached; the one asked for, if none was."""

    attempts: Annotated[Number | None, Given()] = None
    """Calls made, those to verify or undo included."""

    retries: Annotated[Number | None, Given()] = None
    """Failures answered by the same tool."""

    reroutes: Annotated[Number | None, Given()] = None
    """Failures answered by other tools."""

    escalations: Annotated[Number | None, Given()] = None
    """Times that a model or a person decided, or the run was handed over."""

    llm_calls: Annotated[Number | None, Given()] = None
    """Model calls."""

    flaps: Annotated[Number | None, Given()] = None
    """Times that a tool came back onto the route after it had been routed around."""

    known_age_s: Annotated[Number | None, Given()] = None
    """Age of the oldest knowledge of a tool's health that a choice of route rested on, seconds."""

    cost_usd: Annotated[Number | None, Given()] = None
    """What was spent, USD."""

    duration_s: Annotated[Number | None, Given()] = None
    """Seconds from start to end, of virtual time at that level."""

    triggered: Annotated[Number | None, Given()] = None
    """How often faults really happened, all together. At least once if left out: else nothing was put to the test."""

    undetectable: Annotated[Number | None, Given()] = None
    """False answers that nobody could have seen."""

    calls: Annotated[dict[Name, Number] | None, Given()] = None
    """Calls by tool."""

    effects: Annotated[dict[Name, Number] | None, Given()] = None
    """Effects that stand at the end by tool, by the ground truth: what was undone does not count."""

    truth: Annotated[dict[Name, Rows] | None, Given()] = None
    """What the testbed's database holds at the end: exactly these rows of each table, in any order, each given by the
    columns that matter."""

    artifacts: Annotated[dict[Name, Any] | None, Given()] = None
    """Values at hand at the end; of a mapping, the keys that matter."""

    left_behind: Annotated[list[Name] | None, Given()] = None
    """Tools whose effects remain, or may, for a person to look at: exactly these."""

    refused: Annotated[str | None, Field(min_length=1), Given()] = None
    """The agent or its inputs are refused before anything is called, with this in the message."""

    def given(self) -> Iterator[tuple[str, Any]]:
        """What is expected, by key."""
        for key in type(self).model_fields:
            value = getattr(self, key)
            if value is not None:
                yield key, value

    def where(self, other: "Expectations") -> "Expectations":
        """These, but what `other` says where it says something."""
        return self.model_copy(update=dict(other.given()))
