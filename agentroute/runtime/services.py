"""What all runs of an agent share."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, TypeVar

from agentroute.graph.cost import Rates
from agentroute.graph.toolgraph import ToolGraph
from agentroute.guard.budget import Budget
from agentroute.guard.ledger import Ledger
from agentroute.guard.turns import Turns
from agentroute.ids import GoalId, ToolId
from agentroute.ports import Asking, Clock, Journal, LanguageModel, Observer, Tool, ToolExecutor, Values
from agentroute.routing.board import HealthBoard
from agentroute.routing.expected import Expected
from agentroute.routing.tiers.tier_board import TierBoard
from agentroute.run.watching import RunMonitor

Result = TypeVar("Result")


class Uninterrupted(Protocol):
    """Awaits something that must not end halfway: whoever is cancelled meanwhile, in whatever way, is so afterwards."""

    async def __call__(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Await it."""
        ...


class DirectCalls:
    """Calls tools as they are. Fault injection stands in its place."""

    async def call(self, tool: Tool, inputs: Values) -> Values:
        """Make one attempt of `tool`."""
        return await tool.call(inputs)


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of an agent that its runs have in common.

    Attributes:
        name: The agent's name.
        graph: Tools and goals.
        tools: How to call each tool.
        board: Health of the tools.
        budget: Limits of each run.
        rates: Exchange rates into money.
        escalate: ``"policy"``, ``"human"`` or the name of a model.
        executor: Makes the calls.
        journal: Records the facts.
        observers: Told of the facts.
        model: Language model that escalations ask, loaded when first needed.
        clock: The time.
        random: Source of jitter and run ids.
        turns: To make calls: so many at once, over all runs.
        uninterrupted: Awaits what must not end halfway.
        run_monitors: Watch each run.
        quotas: Limit all runs together.
        redact: Removes secrets from text before it is recorded.
        learned: What earlier runs have shown of tools, by goal.
        tiers: Chooses among the tiers of model steps, if somebody does.
    """

    name: str
    graph: ToolGraph
    tools: Mapping[ToolId, Tool]
    board: HealthBoard
    budget: Budget
    rates: Rates
    escalate: str
    executor: ToolExecutor
    journal: Journal
    observers: Sequence[Observer]
    model: Callable[[], LanguageModel]
    clock: Clock
    random: Random
    turns: Turns
    redact: Callable[[str], str]
    uninterrupted: Uninterrupted
    run_monitors: Sequence[RunMonitor] = ()
    quotas: Sequence[Ledger] = ()
    learned: Mapping[GoalId, Mapping[ToolId, Expected]] = field(default_factory=dict[GoalId, Mapping[ToolId, Expected]])
    tiers: TierBoard | None = None

    def backoff(self, attempts: int) -> float:
        """Seconds to wait after so many attempts of a tool: exponential, with jitter of half to one and a half."""
        return self.board.settings.backoff_s * 2 ** min(attempts - 1, 16) * (0.5 + self.random.random())

    def asked(self, tool: ToolId, inputs: Values) -> str:
        """What the model behind a tool would be asked with these inputs; empty, if nobody can say."""
        asking = self.tools[tool]
        try:
            return asking.asked(inputs) if isinstance(asking, Asking) else ""
        except Exception:  # noqa: BLE001  # prompts and inputs are the user's; the attempt will say so
            return ""
