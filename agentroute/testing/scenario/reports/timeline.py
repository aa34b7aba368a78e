"""The journal of a run as a compact timeline: one line for each event, and only so many of them."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from agentroute.ids import NanoUsd, dollars
from agentroute.run.codec import plain_json
from agentroute.testing.scenario.reports.words import cut

FROM_THE_START: Final = 60
FROM_THE_END: Final = 40
"""Events that are shown of a long journal: how it began and how it ended."""

LONGEST_VALUE: Final = 160
"""Characters of one value of an event."""

MOST_VALUES: Final = 8
"""Values of one event."""

QUIET: Final = frozenset(
    {"event", "at", "key", "wall", "optimal", "attempt", "number", "outputs", "inputs", "uses", "menu", "tokens"}
)
"""Fields that a timeline can do without; the journal has them."""


MONEY: Final = frozenset({"budget", "budget_left", "reserved", "spent", "weight", "weight_after", "weight_before"})
"""Fields in nano-dollars."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the timeline.

    Attributes:
        at: Seconds since the run started, for people; empty if the event has no time.
        what: The kind of event.
        values: Its fields in words.
    """

    at: str
    what: str
    values: str


def timeline(events: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Draw up the timeline. The middle of a long journal is left out, and a line says so."""
    left_out = len(events) - FROM_THE_START - FROM_THE_END
    if left_out <= 0:
        return [_entry(event) for event in events]
    gap = Entry("", "...", f"{left_out:,} events are left out here; the journal has them all")
    return [
        *(_entry(event) for event in events[:FROM_THE_START]),
        gap,
        *(_entry(event) for event in events[-FROM_THE_END:]),
    ]


def _entry(event: Mapping[str, Any]) -> Entry:
    at = event.get("at")
    shown = f"{at:.3f}" if isinstance(at, (int, float)) and math.isfinite(at) else ""
    values = list(_values(event))
    rest = [f"and {len(values) - MOST_VALUES} more"] if len(values) > MOST_VALUES else []
    return Entry(shown, cut(str(event.get("event", "event")), 60), ", ".join(values[:MOST_VALUES] + rest))


def _values(event: Mapping[str, Any]) -> Iterator[str]:
    """Fields that say something, in their order."""
    for name, value in event.items():
        if name not in QUIET and value not in (None, "", False, 0, [], {}):
            yield f"{cut(str(name), 60)} {_money(value) if name in MONEY else _value(value)}"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return cut(value, LONGEST_VALUE)
    plain = plain_json(value)
    if isinstance(plain, list) and all(isinstance(each, str) for each in cast("list[Any]", plain)):
        return cut(" > ".join(cast("list[str]", plain)), LONGEST_VALUE)
    return cut(json.dumps(plain), LONGEST_VALUE)


def _money(value: Any) -> str:
    return f"{dollars(NanoUsd(value)):.6f} USD" if isinstance(value, int) else _value(value)
