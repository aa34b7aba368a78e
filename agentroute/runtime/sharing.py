"""Shares health with other processes, beside the runs: tells them what calls have shown here, and hears them."""

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random, SystemRandom

import anyio

from agentroute.errors import DefinitionError
from agentroute.ports import Clock, HealthExchange, Monitor
from agentroute.routing.board import HealthBoard
from agentroute.routing.hearsay import Hearsay
from agentroute.routing.own_words import OwnWords
from agentroute.routing.reports import LONGEST_S, HealthReport, Subject, Word, decode
from agentroute.routing.signals import HealthSignal

PACE_S = 0.25
"""Seconds between two looks at the board, and so between two reports: what changes meanwhile is told at once."""

REPEAT_S = 5.0
"""Seconds until a report is sent again though nothing has changed: one may have been lost, somebody may be new."""

PUBLISH_S = 5.0
"""Seconds that sending a report may take."""

MOST_PER_PACE = 250
"""Reports read in `PACE_S`; of more, the rest is dropped: the next ones will say the same."""

QUIET_S = 60.0
"""Seconds between two lines in the log about reports that were refused."""

_LOGGER = logging.getLogger("agentroute.exchange")

Emit = Callable[[HealthSignal], None]


@dataclass(frozen=True)
class _Part:
    """A part of the sharing that runs, and fails, on its own: to whoever supervises it, a monitor like others."""

    name: str
    go_on: Callable[[], Awaitable[None]]

    async def watch(self, emit: Emit) -> None:
        """Go on until cancelled; what others say reaches the board as a whole, not signal by signal."""
        del emit
        await self.go_on()


class Sharing:
    """One board's part in an exchange. Does nothing but in `parts`, which are to be supervised as monitors are."""

    def __init__(
        self, exchange: HealthExchange, board: HealthBoard, clock: Clock, *, random: Random | None = None
    ) -> None:
        """Nothing is said or heard yet.

        Args:
            exchange: Carries the reports.
            board: What this process knows, and where it notes what others say.
            clock: The time.
            random: Draws the sender's name that no two processes may have in common, not even two of equal seeds or
                two forks of one; the system's by default.
        """
        self._exchange = exchange
        self._board = board
        self._clock = clock
        self._name = re.sub(r"[^A-Za-z0-9._:@-]", "-", exchange.name)[:64] or "-"
        self._random = random or SystemRandom()
        self._own_words = OwnWords()
        self._told: list[tuple[Subject, str, int]] = []
        self._told_version = -1
        self._number = 0
        self._repeat_at = float("-inf")
        self._relevant_until = float("-inf")
        self._hearsay: Hearsay | None = None
        self._weighed_at = float("-inf")
        self._taken = 0
        self._refused_at = float("-inf")

    @property
    def parts(self) -> tuple[Monitor, ...]:
        """What is to go on beside the runs. Each may fail without the others."""
        name = f"exchange {self._name}"
        return (
            _Part(f"{name} (telling)", self._tell),
            _Part(f"{name} (hearing)", self._hear),
            _Part(f"{name} (weighing)", self._weigh),
        )

    # ---------------------------------------------------------------- telling

    async def _tell(self) -> None:
        while True:
            version, now = self._board.version, self._clock.now()
            if version != self._told_version or now >= self._repeat_at:
                await self._tell_news(now)
                self._told_version = version
            await anyio.sleep(PACE_S)

    async def _tell_news(self, now: float) -> None:
        """Send a report if there is something to say that was not said lately, or that may still be believed."""
        words = self._own_words.words(self._board, now)
        findings = [(word.subject, word.kind, word.number) for word in words]
        if findings == self._told and not self._repeat_at <= now < self._relevant_until:
            if now >= self._repeat_at:
                self._repeat_at = now + REPEAT_S
            return
        self._number += 1
        report = HealthReport(self._own.own, self._name, self._number, words)
        with anyio.fail_after(PUBLISH_S):
            await self._exchange.publish(report.encode())
        self._told, self._repeat_at = findings, now + REPEAT_S
        self._relevant_until = max(self._relevant_until, _end_of(words, now))

    # ---------------------------------------------------------------- hearing

    async def _hear(self) -> None:
        await self._exchange.listen(self._take)

    def _take(self, text: str) -> None:
        """Take what came, from whomever."""
        if self._taken >= MOST_PER_PACE:
            return
        self._taken += 1
        now = self._clock.now()
        try:
            report = decode(text)
        except DefinitionError as error:
            if now - self._refused_at >= QUIET_S:
                self._refused_at = now
                _LOGGER.warning("a report of another process is refused: %s", error)
            return
        if self._own.take(report, self._board, now) and now - self._weighed_at >= PACE_S:
            self._weigh_now(now)

    async def _weigh(self) -> None:
        """Hold what others said against what calls meet since, and let it fade."""
        while True:
            await anyio.sleep(PACE_S)
            self._taken = 0
            self._weigh_now(self._clock.now())

    def _weigh_now(self, now: float) -> None:
        self._weighed_at = now
        self._own.weigh(self._board, now)

    @property
    def _own(self) -> Hearsay:
        """What was heard, and who one is oneself; drawn when first needed, which is after a server has forked."""
        if self._hearsay is None:
            self._hearsay = Hearsay(f"{self._random.getrandbits(96):024x}")
        return self._hearsay


def _end_of(words: Sequence[Word], now: float) -> float:
    """Until when somebody may believe these words, if nothing is heard any more."""
    return now + min(LONGEST_S, max((word.lasts_s - word.age_s for word in words), default=0.0))
