"""A journal in memory: gone with the process, for tests, simulations and runs that need not survive it."""

from collections.abc import Sequence

from agentroute.errors import UnknownRunError
from agentroute.ids import RunId
from agentroute.ports import Record, at_once
from agentroute.run.codec import GENESIS, chain
from agentroute.run.events import Event

MOST_RUNS = 10_000
"""Runs kept; the oldest go first, so that a server that runs for weeks does not fill its memory."""


class MemoryJournal:
    """Keeps events as they are; the hash chain is worked out when somebody reads."""

    def __init__(self, most_runs: int = MOST_RUNS) -> None:
        """Start empty, and keep the last `most_runs` runs."""
        self._runs: dict[RunId, list[Event]] = {}
        self._most = most_runs

    @at_once
    async def append(self, run: RunId, event: Event) -> None:
        """Keep one fact."""
        events = self._runs.get(run)
        if events is None:
            if len(self._runs) >= self._most:
                del self._runs[next(iter(self._runs))]
            self._runs[run] = [event]
        else:
            events.append(event)

    async def read(self, run: RunId) -> Sequence[Record]:
        """Everything recorded of a run, numbered and chained.

        Raises:
            UnknownRunError: Nothing is, or no longer.
        """
        if run not in self._runs:
            raise UnknownRunError(run)
        records: list[Record] = []
        digest = GENESIS
        for number, event in enumerate(self._runs[run]):
            digest = chain(digest, event)
            records.append(Record(number, event, digest))
        return records

    async def runs(self) -> Sequence[RunId]:
        """Every run kept, newest first."""
        return list(reversed(self._runs))
