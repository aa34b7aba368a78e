"""A call on its way through the faults that hit it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from agentroute.attempt import Attempt
from agentroute.ports import Tool, Values
from agentroute.testing.faults.fault import FaultType
from agentroute.testing.faults.ledger import Seen
from agentroute.testing.faults.schedule import Strike


@dataclass(slots=True)
class Passage:
    """A call, the strikes that are still before it, and what can be done to it.

    Attributes:
        tool: Who is called.
        inputs: With what.
        attempt: For whom.
        seen: As the injector's ledger has it.
        strikes: Those still to come.
        actions: How each type of fault is done.
        previous: What the tool answered the time before; known once it has answered.
        call: Really makes the call.
        note: Enters a strike into the ledger.
        postpone: Lets the call happen so many seconds after its caller has given up.
        leave: Lets the call come back, without having done anything, so many seconds after it was given up.
        condemn: Keeps a provider down from here on.
        dice: For jitter; depends on nothing but the call.
    """

    tool: Tool
    inputs: Values
    attempt: Attempt
    seen: Seen
    strikes: list[Strike]
    actions: Mapping[FaultType, "Action"]
    call: Callable[["Passage"], Awaitable[Values]]
    note: Callable[[Strike, Seen], None]
    postpone: Callable[["Passage", float], None]
    leave: Callable[["Passage", float], None]
    condemn: Callable[[str, Strike], None]
    dice: Random
    previous: Values | None = None

    async def onwards(self) -> Values:
        """Go through the next strike, or to the tool."""
        if not self.strikes:
            return await self.call(self)
        strike = self.strikes.pop(0)
        return await self.actions[strike.fault.type](strike, self)

    def trigger(self, strike: Strike) -> None:
        """Say that a fault has really been done."""
        self.note(strike, self.seen)


Action: TypeAlias = Callable[[Strike, Passage], Awaitable[Values]]
"""How a fault is done to a call."""
