"""A row of the catalogue of failures, and the scenario that puts it to the test."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Document: TypeAlias = Mapping[str, Any]
"""A scenario file as plain data, in the order in which it is written."""

AT_MOST_ONE: Mapping[str, int] = {"max": 1}
NONE: Mapping[str, int] = {"max": 0}
SOME: Mapping[str, int] = {"min": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One kind of failure in one variant, and what is expected of an agent that meets it.

    Attributes:
        id: Family and number: ``A01``.
        kind: What goes wrong.
        variant: Where, how often, or to what sort of tool.
        expected: What is demanded, in the words of the catalogue.
        document: The scenario.
    """

    id: str
    kind: str
    variant: str
    expected: str
    document: Document

    @property
    def family(self) -> str:
        """The letter of its id."""
        return self.id[0]

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.id.lower()}.yaml"


def family(letter: str, variant: str, *cases: tuple[str, str, Document]) -> Iterator[Row]:
    """The rows of a family that has one variant, numbered from 1: of each, its kind, what is expected, the scenario."""
    for number, (kind, expected, document) in enumerate(cases, 1):
        yield Row(id=f"{letter}{number:02}", kind=kind, variant=variant, expected=expected, document=document)


def healthy(goal: str | None, **more: Any) -> dict[str, Any]:
    """What must hold without faults: the goal (if one is named) is reached, and nothing is tried twice."""
    reached = {} if goal is None else {"goal": goal}
    return {"outcome": "succeeded", **reached, "retries": 0, "reroutes": 0, "llm_calls": NONE, **more}


def scenario(
    title: str,
    *,
    agent: Any = None,
    goal: str | None = None,
    steady: Document | None = None,
    method: tuple[Document, ...] = (),
    expect: Document | None = None,
    **more: Any,
) -> Document:
    """Put a scenario file together; keys without a value are left out.

    Args:
        title: As a sentence.
        agent: A graph, or where to find one.
        goal: Goal that is pursued.
        steady: What must hold without faults.
        method: What goes wrong.
        expect: What must hold under it.
        **more: Keys between ``version`` and the hypothesis, with ``_`` for ``-``.
    """
    before = {key.replace("_", "-"): value for key, value in more.items()}
    parts: dict[str, Any] = {
        "version": "1",
        "title": title,
        **before,
        "goal": goal,
        "agent": agent,
        "steady-state-hypothesis": steady,
        "method": list(method) or None,
        "expect": expect,
    }
    return {key: value for key, value in parts.items() if value is not None}
