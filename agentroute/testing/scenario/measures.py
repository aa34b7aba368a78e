"""What is counted and timed of a play, worked out from its journals and its ledger."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from agentroute.ports import Record
from agentroute.run.events import (
    AttemptFailed,
    AttemptStarted,
    Chosen,
    Event,
    Rerouted,
    Retried,
    RouteChosen,
    Unresolved,
    Verified,
)
from agentroute.testing.faults import Seen, Triggered
from agentroute.testing.scenario.testbed import Row


def flaps(records: Sequence[Record]) -> int:
    """Times that a tool came back onto the route after it had been routed around."""
    left: set[str] = set()
    count = 0
    for record in records:
        event = record.event
        if isinstance(event, Rerouted):
            count += len(left & set(event.after))
            left = (left | (set(event.before) - set(event.after))) - set(event.after)
        elif isinstance(event, RouteChosen):
            count += len(left & set(event.tools))
            left -= set(event.tools)
    return count


def known_age(records: Sequence[Record]) -> float:
    """Seconds since what the choices of route rested on was measured, at most; 0 if they rested on contracts alone."""
    choices = [record.event for record in records if isinstance(record.event, (RouteChosen, Rerouted))]
    return max((factors.age_s or 0.0 for choice in choices for factors in choice.weighed), default=0.0)


def times_to_detect(triggered: Sequence[Triggered], seen: Sequence[Seen]) -> list[float]:
    """Seconds from each fault that ended a call to the end of that call."""
    calls = {(call.run, call.attempt): call for call in seen}
    found: list[float] = []
    for entry in triggered:
        call = calls.get((entry.run, entry.attempt))
        if call is not None and call.ended is not None and call.outcome != "answered":
            found.append(max(0.0, call.ended - entry.at))
    return found


def times_to_answer(records: Sequence[Record]) -> list[float]:
    """Seconds from each failure of a step to the retry, reroute, finding or choice that answers it."""
    roles = {r.event.attempt: r.event.role for r in records if isinstance(r.event, AttemptStarted)}
    open_failures: dict[int, float] = {}
    found: list[float] = []
    for record in records:
        event = record.event
        if isinstance(event, AttemptFailed) and roles.get(event.attempt) == "step":
            open_failures[event.attempt] = event.at
        found += [event.at - open_failures.pop(attempt) for attempt in list(_answered(event, open_failures))]
    return found


def _answered(event: Event, open_failures: dict[int, float]) -> Iterator[int]:
    match event:
        case Retried() | Rerouted() | Unresolved() | Verified():
            yield from [event.attempt] if event.attempt in open_failures else []
        case Chosen():
            yield from list(open_failures)
        case _:
            pass


def repeated_rows(truth: Mapping[str, Sequence[Row]]) -> int:
    """Effects of a testbed that stand more than once: rows of one table with the same run, provider and key."""
    repeated = 0
    for rows in truth.values():
        keys = Counter((row.get("run_id"), row.get("provider"), row["key"]) for row in rows if row.get("key"))
        repeated += sum(count - 1 for count in keys.values())
    return repeated
