"""The catalogue of failures as scenario files: a hundred and ten rows, each with what is demanded of an agent.

``python -m agentroute.testing.scenario.catalogue scenarios/catalogue`` writes them.
"""

from collections.abc import Iterator, Mapping

from agentroute.testing.scenario.catalogue.abuse import abuse
from agentroute.testing.scenario.catalogue.answers import broken_answers
from agentroute.testing.scenario.catalogue.causes import shared_causes
from agentroute.testing.scenario.catalogue.control import control_plane
from agentroute.testing.scenario.catalogue.delays import delays
from agentroute.testing.scenario.catalogue.durability import durability
from agentroute.testing.scenario.catalogue.effects import effects
from agentroute.testing.scenario.catalogue.falsehoods import false_answers
from agentroute.testing.scenario.catalogue.refusals import refusals
from agentroute.testing.scenario.catalogue.row import Row
from agentroute.testing.scenario.writing import to_yaml

__all__ = ["Row", "catalogue", "rows"]


def rows() -> Iterator[Row]:
    """Every row, in the order of the catalogue."""
    yield from refusals()
    yield from broken_answers()
    yield from false_answers()
    yield from delays()
    yield from effects()
    yield from shared_causes()
    yield from durability()
    yield from control_plane()
    yield from abuse()


def catalogue() -> Mapping[str, str]:
    """The files: YAML by file name. The first line of each says which row it is.

    Example:
        >>> print(catalogue()["a01.yaml"].splitlines()[0])
        # A01 | A | timeout | linear;one tool;one-shot | recover: <=1 in-place retry if idempotent, else reroute; 0 LLM
    """
    return {row.file: _written(row) for row in rows()}


def _written(row: Row) -> str:
    head = f"{row.id} | {row.family} | {row.kind} | {row.variant} | {row.expected}"
    return to_yaml(row.document, comment=head)
