"""Learns from the runs of an agent: afterwards, from their journal, each run once."""

from collections.abc import Callable

import anyio
import anyio.lowlevel
import anyio.to_thread

from agentroute.errors import JournalError
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import RunId
from agentroute.ports import Journal
from agentroute.routing.knowledge import Knowledge
from agentroute.run.events import Event, RunFinished
from agentroute.run.learning import learn

MOST_RUNS = 10_000
"""Runs that are remembered until somebody learns from them; the oldest go first."""


class Experience:
    """Which runs were driven here, and what has been learned from those that are over.

    Only these, and not whatever a journal holds: what other processes drive is theirs to learn from, else it would
    count twice.
    """

    def __init__(self) -> None:
        """Begin without any."""
        self._runs: dict[RunId, None] = {}
        self._known = Knowledge()
        self._unkept = Knowledge()
        self._keeping = anyio.Lock()
        self._learning = anyio.Lock()

    def note(self, run: RunId) -> None:
        """Remember a run that was driven, to its end or not. All that is done about learning while runs go on.

        Of a run that the journal does not have there is nothing to learn: one must not be noted before it is written.
        """
        if len(self._runs) >= MOST_RUNS:
            self._runs.pop(next(iter(self._runs)), None)
        self._runs[run] = None

    async def known(self, journal: Journal, graph: ToolGraph) -> Knowledge:
        """What all runs teach that are over by now. Others get their turn between any two runs that are read."""
        async with self._learning:
            over: list[list[Event]] = []
            read: list[RunId] = []
            for run in list(self._runs):
                await anyio.lowlevel.checkpoint()
                events = await _facts(journal, run)
                if not events or isinstance(events[-1], RunFinished):
                    over.append(events)
                    read.append(run)
            for run in read:
                self._runs.pop(run, None)
            gained = learn(over, graph.tools)
            self._known, self._unkept = self._known.merged(gained), self._unkept.merged(gained)
            return self._known

    async def keep(self, journal: Journal, graph: ToolGraph, add: Callable[[Knowledge], object]) -> None:
        """Hand over what has been learned and was not handed over before. If `add` raises, the next time it is again.

        Args:
            journal: Where the runs are.
            graph: What they ran over.
            add: Keeps it; called in a thread, and waited for even when this is cancelled, so that nothing counts twice.
        """
        async with self._keeping:
            await self.known(journal, graph)
            gained = self._unkept
            if gained == Knowledge():
                return
            self._unkept = Knowledge()
            try:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(add, gained)
            except Exception:
                self._unkept = gained.merged(self._unkept)
                raise


async def _facts(journal: Journal, run: RunId) -> list[Event]:
    """The facts of a run; none if the journal no longer has them, or not as they were written."""
    try:
        return [record.event for record in await journal.read(run)]
    except JournalError:
        return []
