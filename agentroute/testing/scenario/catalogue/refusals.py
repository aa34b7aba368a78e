"""Family A: a call is refused or lost. One tool, once or for good, in each topology."""

from collections.abc import Iterator, Mapping
from typing import Any

from agentroute.testing.scenario.catalogue.places import PLACES, Place
from agentroute.testing.scenario.catalogue.row import AT_MOST_ONE, NONE, SOME, Document, Row, healthy, scenario

KINDS: Mapping[str, tuple[str, Document]] = {
    "timeout": ("does not answer", {"type": "timeout"}),
    "conn_reset": ("breaks the connection", {"type": "reset"}),
    "429_retry_after": ("asks to wait", {"type": "rate_limit", "retry_after": "1s"}),
    "503": ("is unavailable", {"type": "error", "status": 503}),
    "401_expired": ("does not know the key any more", {"type": "error", "status": 401}),
    "404_removed": ("is gone", {"type": "error", "status": 404}),
}

FOR_GOOD = ("401_expired", "404_removed")


def refusals() -> Iterator[Row]:
    """A01 to A18."""
    number = 0
    for kind, (what, fault) in KINDS.items():
        for place in PLACES:
            number += 1
            yield _row(f"A{number:02}", kind, f"{place.title} {what}", fault, place)


def _row(name: str, kind: str, title: str, fault: Document, place: Place) -> Row:
    for_good = kind in FOR_GOOD
    method: dict[str, Any] = {**fault, "target": place.victim}
    if not for_good:
        method["attempts"] = 1
    return Row(
        id=name,
        kind=kind,
        variant=f"{place.topology};one tool;{'permanent' if for_good else 'one-shot'}",
        expected="reroute; 0 retries; 0 LLM"
        if for_good
        else "recover: <=1 in-place retry if idempotent, else reroute; 0 LLM",
        document=scenario(
            f"{title}: {'its work goes elsewhere at once' if for_good else 'one more try, or a way round it'}",
            agent=place.graph(),
            steady=healthy(place.goal, **place.untouched),
            method=(method,),
            expect=_moved(place) if for_good else _recovered(place),
        ),
    )


def _recovered(place: Place) -> Document:
    return {
        "retries": AT_MOST_ONE,
        "reroutes": AT_MOST_ONE,
        "escalations": 0,
        "triggered": 1,
        "calls": {**place.siblings, place.victim: {"min": 1, "max": 2}, place.backup: AT_MOST_ONE},
        "effects": dict.fromkeys(place.effects, AT_MOST_ONE),
        "left_behind": [],
    }


def _moved(place: Place) -> Document:
    return {
        "retries": 0,
        "reroutes": SOME,
        "llm_calls": NONE,
        "escalations": 0,
        "triggered": 1,
        "calls": {**place.siblings, place.victim: 1, place.backup: 1},
        "effects": {name: 0 if name == place.victim else 1 for name in place.effects},
        "left_behind": [],
    }
