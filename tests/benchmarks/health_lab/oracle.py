"""The omniscient oracle: it knows what every call would meet, and pays the least for each run as it comes.

That may be to let it go: a run that would have to wait for longer than it is worth is not saved.
"""

import math
from bisect import bisect_right, insort
from dataclasses import dataclass, field

from tests.benchmarks.health_lab.loads import LOST_USD, USD_PER_SECOND, Load
from tests.benchmarks.health_lab.providers import Service, dice

LOOKS = 8
"""Moments at which a tool is looked at: now, and at its next changes."""

TRIES = 3
"""Calls of a tool in a row that it considers, where the first ones fail."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A call that would be answered: what it costs in all, what of that is money, when it is over."""

    cost: float
    service: str
    usd: float
    begins: float
    ends: float
    tries: int


@dataclass(slots=True)
class _Books:
    """What the oracle has had a service do so far."""

    service: Service
    ends: list[float] = field(default_factory=list[float])  # of its calls, sorted
    before: list[int] = field(init=False)  # calls since each trouble began

    def __post_init__(self) -> None:
        self.before = [0] * len(self.service.troubles)

    def best(self, run: str, seed: int, came: float) -> Choice | None:
        """The cheapest call for a run: now, or at some later moment if it is worth the wait."""
        del self.ends[: bisect_right(self.ends, came)]
        choices: list[Choice] = []
        at = came
        for _ in range(LOOKS):
            if (choice := self._choice(run, seed, came, at)) is not None:
                choices.append(choice)
            at = min(self.service.next_change(at), self._room_at(at))
            if math.isinf(at):
                break
        return min(choices, key=lambda each: (each.cost, each.begins), default=None)

    def book(self, choice: Choice) -> None:
        """Note that the call is made."""
        insort(self.ends, choice.ends)
        for number, trouble in enumerate(self.service.troubles):
            self.before[number] += choice.tries * trouble.is_on(choice.begins)

    def _choice(self, run: str, seed: int, came: float, begins: float) -> Choice | None:
        at = begins
        for number in range(1, TRIES + 1):
            drawn = dice(seed, run, self.service.name, number)
            under_way = len(self.ends) - bisect_right(self.ends, at)
            fate = self.service.fate(at, drawn, under_way=under_way, before=self.before)
            if fate.works:
                ends = at + fate.seconds
                cost = self.service.usd + USD_PER_SECOND * (ends - came)
                return Choice(cost, self.service.name, self.service.usd, begins, ends, number)
            at += min(fate.seconds, self.service.timeout_s)
        return None

    def _room_at(self, at: float) -> float:
        """When there is room again, if there is none now."""
        room = self.service.room
        later = self.ends[bisect_right(self.ends, at) :]
        return math.inf if room is None or len(later) < room else later[-room]


@dataclass(frozen=True, slots=True)
class Saved:
    """What the oracle paid for a run, time included; infinite for one that it did not save."""

    run: str
    cost: float
    service: str


def oracle(load: Load, seed: int) -> dict[str, Saved]:
    """Serve the runs of a load in the order in which they come, each at the least cost."""
    books = {service.name: _Books(service) for service in load.services}
    saved: dict[str, Saved] = {}
    for number, came in enumerate(load.arrivals(seed)):
        run = f"run-{number}"
        choices: list[Choice] = []
        for artifact in load.needs:
            options = [book.best(run, seed, came) for book in books.values() if book.service.makes == artifact]
            best = min((each for each in options if each is not None), key=lambda each: each.cost, default=None)
            if best is not None and best.cost < LOST_USD:
                choices.append(best)
                books[best.service].book(best)
        saved[run] = _saved(run, came, choices, whole=len(choices) == len(load.needs))
    return saved


def _saved(run: str, came: float, choices: list[Choice], *, whole: bool) -> Saved:
    """Money is added up, time is that of the last to end."""
    if not whole:
        return Saved(run, math.inf, "")
    seconds = max(choice.ends for choice in choices) - came
    usd = sum(choice.usd for choice in choices)
    return Saved(run, usd + USD_PER_SECOND * seconds, choices[0].service)
