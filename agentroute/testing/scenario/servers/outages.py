"""Servers that are down for a while: by the clock, whoever calls them."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Self

from agentroute.testing.faults import Fault
from agentroute.testing.scenario.record import Level
from agentroute.testing.scenario.servers.processes import Processes

MOST_TURNS = 1_000
"""Times that a ``flap`` goes down."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A stretch of time in which a server is down.

    Attributes:
        rule: Which rule made it, from 0.
        server: Who is down.
        start: Seconds since the start of the scenario.
        end: The same; infinite if it does not come back.
        killed: Whether its process is, or connections are refused before it.
    """

    rule: int
    server: str
    start: float
    end: float
    killed: bool


def outages(
    faults: Sequence[Fault], servers: Callable[[Fault], Sequence[str]], *, level: Level, seed: int, run: str
) -> list[Outage]:
    """The outages that the rules ask for. Pure.

    Args:
        faults: The rules.
        servers: Which servers a rule is about.
        level: At ``process`` a server that is down is dead.
        seed: What chance is drawn from.
        run: Name of the run, which the dice depend on.
    """
    found: list[Outage] = []
    for index, fault in enumerate(faults):
        if fault.type not in ("down", "flap"):
            continue
        dice = Random(f"{seed}/{index if fault.cause is None else fault.cause}/{run}")
        if dice.random() < fault.toxicity:
            killed = fault.type == "down" and level == "process"
            found += [Outage(index, server, *span, killed) for server in servers(fault) for span in _spans(fault)]
    return found


def _spans(fault: Fault) -> Iterator[tuple[float, float]]:
    end = float("inf") if fault.until_s is None else fault.until_s
    if fault.type == "down":
        yield fault.from_s, end
        return
    for turn in range(MOST_TURNS):
        start = fault.from_s + turn * (fault.up_s + fault.down_s)
        if start >= end:
            return
        yield start, min(end, start + fault.down_s)


class Switchboard:
    """Takes servers down and brings them back, in a thread of its own. A context manager.

    What is down from the start is down when the block begins.
    """

    def __init__(self, planned: Sequence[Outage], processes: Processes) -> None:
        """Nothing is done yet."""
        turns = [(outage.start, outage, True) for outage in planned]
        turns += [(outage.end, outage, False) for outage in planned if outage.end != float("inf")]
        # At one moment whoever goes down goes first: so one outage that follows on another leaves no gap.
        self._turns = sorted(turns, key=lambda turn: (turn[0], not turn[2]))
        self._down: Counter[str] = Counter()
        self._failed: Exception | None = None
        self._processes = processes
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="outages", daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        while self._turns and self._turns[0][0] <= 0:
            self._turn(*self._turns.pop(0)[1:])
        if self._turns:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let everything be as it is.

        Raises:
            Exception: A server could not be taken down or brought back.
        """
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed

    def wait(self) -> None:
        """Wait until every turn has been taken."""
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        passed = 0.0
        for at, outage, down in self._turns:
            if self._over.wait(at - passed):
                return
            passed = at
            try:
                self._turn(outage, down)
            except Exception as error:  # noqa: BLE001  # raised again where somebody can hear it
                self._failed = error
                return

    def _turn(self, outage: Outage, down: bool) -> None:  # noqa: FBT001  # one of two ways
        """Take a server down, or bring it back once no outage of it is left."""
        processes = self._processes
        before = self._down[outage.server]
        self._down[outage.server] += 1 if down else -1
        if bool(before) == bool(self._down[outage.server]):
            return
        if not outage.killed:
            processes.refuse(outage.server, yes=down)
        elif down:
            processes.kill(outage.server)
        else:
            processes.revive(outage.server)


def servers_of(fault: Fault, providers: Mapping[str, str], servers: Sequence[str]) -> list[str]:
    """Which servers a rule is about: those of the tools that it is aimed at.

    Args:
        fault: The rule.
        providers: Provider by tool.
        servers: Names of the servers.
    """
    aimed = {provider for tool, provider in providers.items() if fault.aims_at(tool, provider)}
    return [server for server in servers if server in aimed]
