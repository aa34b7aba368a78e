"""Family B: an answer comes, and is broken. One tool, for good, in each topology."""

from collections.abc import Iterator, Mapping
from typing import Any

from agentroute.testing.scenario.catalogue.places import PLACES, Place
from agentroute.testing.scenario.catalogue.row import AT_MOST_ONE, SOME, Document, Row, healthy, scenario

KINDS: Mapping[str, str] = {
    "malformed_json": "malformed",
    "truncated": "truncated",
    "renamed_field": "renamed_field",
    "type_change": "type_change",
    "empty_200": "empty",
    "error_in_200": "error_in_200",
}

WORDS: Mapping[str, str] = {
    "malformed_json": "what is no JSON",
    "truncated": "half an answer",
    "renamed_field": "a field of another name",
    "type_change": "a value of another type",
    "empty_200": "nothing, and says 200",
    "error_in_200": "an error, and says 200",
}


def broken_answers() -> Iterator[Row]:
    """B01 to B18."""
    number = 0
    for kind, fault in KINDS.items():
        for place in PLACES:
            number += 1
            yield Row(
                id=f"B{number:02}",
                kind=kind,
                variant=f"{place.topology};one tool;permanent",
                expected="contract check fails -> logged reroute",
                document=scenario(
                    f"{place.title} answers {WORDS[kind]}: noticed, and done elsewhere",
                    description=_NOTE if kind == "truncated" else None,
                    agent=place.graph(),
                    steady=healthy(place.goal, **place.untouched),
                    method=({"type": fault, "target": place.victim},),
                    expect=_expected(place, kind),
                ),
            )


def _expected(place: Place, kind: str) -> Document:
    again = kind == "truncated"
    calls: dict[str, Any] = {**place.siblings, place.victim: {"min": 1, "max": 2} if again else 1, place.backup: 1}
    for name in place.effects:
        if name == place.victim:  # it ran: what it did is found and undone
            calls |= {f"find_{name}": SOME, f"undo_{name}": 1}
    return {
        "retries": AT_MOST_ONE if again else 0,
        "reroutes": 1,
        "escalations": 0,
        "calls": calls,
        "effects": {name: 0 if name == place.victim else 1 for name in place.effects},
        "left_behind": [],
    }


_NOTE = (
    "The connection ends within the answer, so there is none to hold against a contract: a tool that may be asked "
    "again is asked once more before others take its place."
)
