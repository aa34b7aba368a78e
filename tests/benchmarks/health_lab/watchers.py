"""Probes of the tools of a load, and what can be wrong with who makes them."""

from dataclasses import dataclass, field
from random import Random
from typing import Literal

import anyio

from agentroute.adapters.probes import Probes
from agentroute.ports import Clock, Monitor
from agentroute.testing.faults import Fault
from agentroute.testing.scenario.monitors import faulty
from tests.benchmarks.health_lab.providers import Providers
from tests.benchmarks.health_lab.troubles import REFUSES_IN_S

Sees = Literal["the truth", "always well", "always down"]


@dataclass(frozen=True)
class Watcher:
    """One who probes a tool.

    Attributes:
        sees: What the probes find: what a call would meet at that moment; or they ask something else, which answers
            whatever becomes of calls; or something that never does.
        faults: What is wrong with the monitor itself.
        tool: The tool.
        every_s: Seconds between two probes.
    """

    sees: Sees = "the truth"
    faults: tuple[Fault, ...] = field(default=())
    tool: str = "primary"
    every_s: float = 2.0

    def monitors(self, providers: Providers, clock: Clock, seed: int) -> tuple[Monitor, ...]:
        """As an agent is given it."""

        async def probe() -> bool:
            if self.sees == "the truth":
                return await providers.answers(self.tool)
            await anyio.sleep(REFUSES_IN_S)
            return self.sees == "always well"

        random = Random(f"{seed}/probes")
        probes = Probes({self.tool: probe}, every_s=self.every_s, clock=clock, random=random)
        return faulty([probes], self.faults, lambda _: None, since=providers.now)
