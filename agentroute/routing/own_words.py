"""What this process has to say to others: what its own calls have shown, and nothing that it only heard."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from agentroute.routing.board import HealthBoard
from agentroute.routing.reports import LONGEST_S, Subject, Word
from agentroute.routing.standing import Standing

SHORTEST_S = 1.0
"""Waits shorter than this are over before anybody has heard of them."""

SAME_LIMIT_S = 1.0
"""A rate limit that ends so much sooner or later is another one."""


@dataclass(frozen=True, slots=True)
class _Limit:
    """A rate limit that was hit: when it was noticed, and when it ends (monotonic seconds)."""

    number: int
    since: float
    until: float


@dataclass
class OwnWords:
    """Reads a board's records of breakers and rate limits; of what monitors and other processes say, it reads nothing.

    So nobody's own word ever comes back to them as somebody else's.
    """

    _limits: dict[Subject, _Limit] = field(default_factory=dict[Subject, _Limit])
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def words(self, board: HealthBoard, now: float) -> list[Word]:
        """What there is to say at `now`: providers before tools, then what lasts longest, then by name."""
        found = [word for subject, standing in board.standings() for word in self._words(subject, standing, now)]
        return sorted(found, key=lambda word: (word.subject.scope, word.age_s - word.lasts_s, word.subject))

    def _words(self, subject: Subject, standing: Standing, now: float) -> Iterator[Word]:
        if (outage := _outage(subject, standing, now)) is not None:
            yield outage
        if (limit := self._limit(subject, standing, now)) is not None:
            yield limit

    def _limit(self, subject: Subject, standing: Standing, now: float) -> Word | None:
        until, known = standing.limit.opens_at(now), self._limits.get(subject)
        if until - now < SHORTEST_S:
            self._limits.pop(subject, None)
            return None
        if known is None or abs(until - known.until) > SAME_LIMIT_S:
            known = self._limits[subject] = _Limit(next(self._numbers), now, until)
        lasts_s = min(known.until - known.since, LONGEST_S)
        return _word(Word(subject, "rate-limit", known.number, now - known.since, lasts_s))


def _outage(subject: Subject, standing: Standing, now: float) -> Word | None:
    """An open breaker, and one that nobody has tried since: it counts for twice its cool-down, less in the end."""
    breaker = standing.breaker
    if breaker.opened_at is None:
        return None
    lasts_s = min(2 * breaker.cool_down(), LONGEST_S)
    return _word(Word(subject, "outage", breaker.generation, max(0.0, now - breaker.opened_at), lasts_s))


def _word(word: Word) -> Word | None:
    """The word, unless its time is over."""
    return word if word.age_s < word.lasts_s else None
