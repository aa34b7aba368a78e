"""Trouble for the demonstrations' providers: which are dead from the start, and which are hit on the way."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphs.providers.supervisor import Providers

STANDING = ("made", "sent", "waiting")
"""Effects that were not undone."""

CLASSIFY = "POST /classifications"


@dataclass(frozen=True, slots=True)
class Blow:
    """Something that befalls a provider at a moment: `victim` suffers when `by` serves `endpoint`."""

    victim: str
    by: str
    endpoint: str
    moment: Any = "done"
    how: Any = "kill"


def dies_when_asked(*names: str) -> list[Blow]:
    """Classifiers that die of the question they are asked."""
    return [Blow(name, by=name, endpoint=CLASSIFY, moment="arrives") for name in names]


def hit(providers: Providers, down: Iterable[str], blows: Iterable[Blow]) -> None:
    """Kill what is dead from the start, and have the blows wait for their moment."""
    for victim in down:
        providers.kill(victim)
    for blow in blows:
        providers.arm(blow.victim, by=blow.by, endpoint=blow.endpoint, moment=blow.moment, how=blow.how)
