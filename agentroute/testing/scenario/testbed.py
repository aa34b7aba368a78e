"""Real surroundings of an agent: servers that are processes, and the truth they keep. Users write one for their own."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias

from agentroute.agent import Agent
from agentroute.testing.wire.exchange import Address, Exchange

__all__ = ["Address", "Claim", "Contender", "Exchange", "Row", "Testbed"]

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a system that agentroute is compared with says of its run.

    Attributes:
        outcome: ``succeeded``, ``demoted``, ``escalated`` or ``failed`` (it gave up with an error).
        goal: The goal it says it reached.
        llm_calls: Model calls it made.
        tool_calls: Calls of tools it made.
        recovered_s: Seconds from each failure of a tool to the next success, as far as it knows.
    """

    outcome: str
    goal: str
    llm_calls: int = 0
    tool_calls: int = 0
    recovered_s: Sequence[float] = ()


class Contender(Protocol):
    """A system that agentroute is compared with, on the same servers."""

    def run(self, inputs: Mapping[str, Any], *, goal: str, run_id: str) -> Awaitable[Claim]:
        """Pursue the goal. Never raises for what its tools do."""
        ...


class Testbed(Protocol):
    """Servers of one agent on loopback, each a process of its own, and what they know of the truth.

    A context manager: entering starts every server. The same servers are used for many runs, with `reset` before each.
    """

    __test__ = False  # pytest: not a class of tests

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where each server listens, by name. A server keeps its address when it is killed and started again."""
        ...

    def __enter__(self) -> Self:
        """Start every server; returns when all answer."""
        ...

    def __exit__(self, *_: object) -> None:
        """End every server."""
        ...

    def pid(self, server: str) -> int:
        """Process id of a server, to be sent signals."""
        ...

    def restart(self, server: str) -> None:
        """Start a dead server again, at its address."""
        ...

    def reset(self) -> None:
        """Make everything as it was at the start: stopped servers continue, dead ones live, the truth is empty."""
        ...

    def agent(self, addresses: Mapping[str, Address]) -> Agent:
        """Make a new agent whose tools call the servers at these addresses (a proxy's, when faults are injected)."""
        ...

    def tool_of(self, exchange: Exchange) -> str | None:
        """Name of the agent's tool that a request belongs to; None if it belongs to none."""
        ...

    def truth(self) -> Mapping[str, Sequence[Row]]:
        """What really happened and still stands: rows by table, effects that were undone left out."""
        ...

    def contender(self, name: str, addresses: Mapping[str, Address], model_url: str) -> Contender:
        """Make a system to compare with: ``react`` or ``static``.

        Args:
            name: Which.
            addresses: As for `agent`.
            model_url: Base URL of an OpenAI-compatible server, for systems that ask a model.

        Raises:
            ConfigurationError: There is none of that name, or what it is built on is not installed.
        """
        ...

    def model(self, name: str) -> Any:
        """The scripted model that `contender` asks: an `agentroute.testing.model_server.Script`."""
        ...
