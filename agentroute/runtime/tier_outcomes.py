"""What runs show of the tiers they took: told to the policies, and kept for those who train and replay."""

import logging
from collections.abc import Callable, Mapping, Sequence

import anyio
import anyio.to_thread

from agentroute.errors import ConfigurationError, InputError, JournalError
from agentroute.graph.cost import checked
from agentroute.graph.tool import ToolSpec
from agentroute.ids import NanoUsd, RunId, ToolId
from agentroute.ports import Journal
from agentroute.routing.tiers.outcome import Judgement, Outcome
from agentroute.routing.tiers.tier_board import TierBoard
from agentroute.run.outcomes import outcomes_of
from agentroute.run.state import RunState

_LOGGER = logging.getLogger("agentroute.runtime")

Keep = Callable[[Sequence[Outcome | Judgement]], None]


class TierOutcomes:
    """Learns from the runs of an agent once they are over."""

    def __init__(
        self, board: TierBoard, journal: Journal, tools: Mapping[ToolId, ToolSpec], keep: Keep | None = None
    ) -> None:
        """Bind what it reads and tells.

        Args:
            board: Told what runs took, and what was judged.
            journal: Where the runs are.
            tools: Contracts by name.
            keep: Adds outcomes to a log, in a thread; raises `ConfigurationError` if it cannot.
        """
        self._board = board
        self._journal = journal
        self._tools = tools
        self._keep = keep
        self._tiers = {(tier.step, tier.tier): tier for spec in tools.values() if (tier := spec.tier) is not None}

    async def note(self, run: RunId, state: RunState) -> None:
        """Take note of a run, if it is over. That its outcomes cannot be kept is logged, and no failure of the run."""
        if state.finished is None:
            return
        self._board.ended(run, NanoUsd(state.spent))
        if self._keep is None:
            return
        try:
            await self._write(await self._of(run))
        except (ConfigurationError, JournalError):
            _LOGGER.exception("outcomes of run %s are lost; the run is not", run)

    async def judge(self, run: RunId, right: float, step: str | None) -> None:
        """Take note of what turned out about a run, or one of its steps. The latest word counts.

        Raises:
            UnknownRunError: The journal has no such run.
            InputError: It took no such step.
            ConfigurationError: The judgement cannot be kept.
        """
        verdict = Judgement(run, checked("judge", "right", right, largest=1.0), step)
        outcomes = await self._of(run)
        if not any(step in {None, outcome.situation.step} for outcome in outcomes):
            what = "chose among no tiers" if step is None else f"chose no tier of a step {step!r}"
            raise InputError(f"run {run!r} {what}, so there is nothing to judge")
        await self._write([verdict])
        self._board.judged(verdict, outcomes, self._tiers)

    async def _of(self, run: RunId) -> list[Outcome]:
        records = await self._journal.read(run)
        return outcomes_of(run, (record.event for record in records), self._tools)

    async def _write(self, found: Sequence[Outcome | Judgement]) -> None:
        if self._keep is not None and found:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._keep, found)
