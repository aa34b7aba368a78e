"""How long a run took to get over its failures, by its journal."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agentroute.testing.scenario.record import OURS, Trial


def recovery_times(trial: Trial) -> list[float]:
    """Seconds from each failure of a tool to the next success of any tool: the same measure for every system.

    Of agentroute they follow from the events of its journal; without these there are none. The others say them.
    """
    return list(_by_events(trial.events)) if trial.system == OURS else list(trial.reroute_s)


def _by_events(events: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    failed = list[float]()
    for event in events:
        match event:
            case {"event": "AttemptFailed", "at": int() | float() as at}:
                failed.append(at)
            case {"event": "AttemptSucceeded", "at": int() | float() as at}:
                yield from (at - since for since in failed)
                failed = []
            case _:
                pass
