"""An exchange inside one process, for agents that share providers; and for tests of what they make of it."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.lowlevel import checkpoint


class LocalExchange:
    """Joins agents of one process, on one event loop: what one of them learns, the others avoid.

    Each agent is given a part of its own: ``Agent(exchange=exchange.part("orders"))``.
    """

    def __init__(self) -> None:
        """Nobody listens yet."""
        self._takes: dict[int, Callable[[str], None]] = {}
        self._count = 0

    def part(self, name: str) -> "LocalPart":
        """One agent's part, by a name for people."""
        return LocalPart(self, name)

    async def publish(self, report: str) -> None:
        """Hand a report to all who listen, the sender included, as a notification of PostgreSQL would be."""
        await checkpoint()
        for take in list(self._takes.values()):
            take(report)

    async def listen(self, take: Callable[[str], None]) -> None:
        """Listen until cancelled."""
        self._count += 1
        number = self._count
        self._takes[number] = take
        try:
            await anyio.sleep_forever()
        finally:
            del self._takes[number]


@dataclass(frozen=True)
class LocalPart:
    """One agent's part in a `LocalExchange`: an `agentroute.ports.HealthExchange`."""

    exchange: LocalExchange
    name: str

    async def publish(self, report: str) -> None:
        """Send a report to all."""
        await self.exchange.publish(report)

    async def listen(self, take: Callable[[str], None]) -> None:
        """Hand over what all send, until cancelled."""
        await self.exchange.listen(take)
