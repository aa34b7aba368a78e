"""What a run is judged by: its journal, and everything that others know about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentroute.graph.tool import Guard
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ports import Record
from agentroute.routing.health import Health
from agentroute.testing.faults import Seen, Triggered
from agentroute.testing.world import World


class Result(Protocol):
    """What a run told its caller: `agentroute.RunResult`, or anything with the same attributes."""

    @property
    def outcome(self) -> str:
        """How it ended."""
        ...

    @property
    def goal(self) -> str:
        """The goal it reached."""
        ...

    @property
    def artifacts(self) -> Mapping[str, Any]:
        """What it has in hand."""
        ...

    @property
    def route(self) -> Sequence[str]:
        """Tools that completed."""
        ...

    @property
    def attempts(self) -> int:
        """Calls made."""
        ...

    @property
    def retries(self) -> int:
        """Failures answered by the same tool."""
        ...

    @property
    def reroutes(self) -> int:
        """Failures answered by others."""
        ...

    @property
    def llm_calls(self) -> int:
        """Model calls."""
        ...

    @property
    def tool_calls(self) -> int:
        """Calls of tools that were not abandoned before."""
        ...

    @property
    def tokens(self) -> int:
        """Tokens that count against a limit."""
        ...

    @property
    def cost_usd(self) -> float:
        """USD spent."""
        ...


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold. `invariant` is its number in this module's list."""

    invariant: int
    run: str
    what: str

    def __str__(self) -> str:
        """One line for a report."""
        return f"[{self.invariant}] run {self.run}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run and everything that is known about it from elsewhere.

    Attributes:
        run: Its id.
        graph: Contracts of the tools and goals.
        records: Its journal.
        guards: Conditions of tools (``when=``), by name.
        result: What it told its caller; None if it was cut off and told nobody.
        health: Settings of the agent.
        budget_usd: The limit that was set, in USD.
        deadline_s: The limit that was set, in seconds.
        tokens: The limit that was set on tokens.
        llm_calls: The limit that was set on model calls.
        tool_calls: The limit that was set on calls of tools.
        chooses_tiers: Whether the agent has a step router.
        triggered: The injector's ledger, of this run or of many.
        seen: The injector's calls, of this run or of many; None if there was no injector.
        world: Ground truth, if there is any.
        secrets: Texts that must appear nowhere.
        outputs: Texts that left the process: what was printed, logged, exported.
        epsilon_s: How late a terminal event may be.
    """

    run: str
    graph: ToolGraph
    records: Sequence[Record]
    guards: Mapping[str, Guard] = field(default_factory=dict[str, Guard])
    result: Result | None = None
    health: Health = field(default_factory=Health)
    budget_usd: float | None = None
    deadline_s: float | None = None
    triggered: Sequence[Triggered] = ()
    seen: Sequence[Seen] | None = None
    world: World | None = None
    secrets: Sequence[str] = ()
    outputs: Sequence[str] = ()
    epsilon_s: float = 0.05
    tokens: int | None = None
    llm_calls: int | None = None
    tool_calls: int | None = None
    chooses_tiers: bool = False
