"""A testbed's servers, each behind a proxy that makes the faults."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

from agentroute.adapters.clock import LoopClock
from agentroute.graph.toolgraph import ToolGraph
from agentroute.testing.faults import Fault, Schedule
from agentroute.testing.scenario.record import Level
from agentroute.testing.scenario.servers.outages import Switchboard, outages, servers_of
from agentroute.testing.scenario.servers.processes import Processes
from agentroute.testing.scenario.servers.showing import Showing
from agentroute.testing.scenario.testbed import Address, Exchange, Testbed
from agentroute.testing.wire import Order, Proxy


class FaultyServers:
    """Proxies before the servers of a testbed. A context manager; kept open over many scenarios.

    The rules are looked up for each request as it arrives, by the tool that it belongs to, whoever sends it: so the
    systems that are compared meet the same faults.
    """

    def __init__(self, testbed: Testbed, level: Level) -> None:
        """Nothing is started yet; the testbed has to be entered before."""
        self.testbed = testbed
        self.level: Level = level
        self._proxies: dict[str, Proxy] = {}
        self._open = ExitStack()
        self._show: Showing | None = None

    @property
    def addresses(self) -> Mapping[str, Address]:
        """Where an agent finds the servers: at their proxies."""
        return {name: proxy.address for name, proxy in self._proxies.items()}

    def __enter__(self) -> Self:
        """Start a proxy for each server."""
        with ExitStack() as opening:
            for name, address in self.testbed.addresses.items():
                self._proxies[name] = opening.enter_context(Proxy(name, address, self._decide))
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End the proxies."""
        self._open.close()
        self._proxies.clear()

    @contextmanager
    def playing(
        self, faults: Sequence[Fault], graph: ToolGraph, seed: int, *, run: str = "run-0"
    ) -> Generator[Showing]:
        """Make these faults within the block; their time begins with it. Called on an event loop.

        Args:
            faults: The rules.
            graph: Says which tools a provider serves.
            seed: What chance is drawn from.
            run: Name of the run, which the dice depend on.

        Yields:
            Who knows what was made.
        """
        processes = Processes(self.testbed, self._proxies)
        providers = {str(spec.name): spec.provider or "" for spec in graph.tools.values()}
        planned = outages(
            faults,
            lambda fault: servers_of(fault, providers, list(self._proxies)),
            level=self.level,
            seed=seed,
            run=run,
        )
        show = Showing(
            Schedule(faults, seed),
            run=run,
            planned=planned,
            processes=processes,
            testbed=self.testbed,
            level=self.level,
            origin=LoopClock().now(),
        )
        try:
            with Switchboard(planned, processes):
                self._show = show
                yield show
        finally:
            self._show = None
            self._settle()
            processes.close()

    def _settle(self) -> None:
        """What was to be delivered late is delivered before anybody looks at the truth, and nothing comes after."""
        for proxy in self._proxies.values():
            proxy.settle()
            proxy.sever()

    def _decide(self, exchange: Exchange) -> Order | None:
        """Called in a proxy's thread."""
        show = self._show
        return None if show is None else show.decide(exchange)
