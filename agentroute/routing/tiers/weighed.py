"""Why a tier weighs what it weighs."""

from dataclasses import dataclass

from agentroute.ids import NanoUsd, ToolId, dollars


@dataclass(frozen=True, slots=True)
class TierWeighed:
    """The weight of a tier and what it is made of.

    Attributes:
        tool: Its name.
        weight: Cost until an answer is accepted, and what is lost if it is wrong, in nano-dollars; lifted where the
            policy ranks otherwise.
        right: Chance that an answer is right.
        cost: What an attempt is expected to cost, with time, risk, energy and health, in nano-dollars.
        propensity: With which chance it comes first.
    """

    tool: ToolId
    weight: NanoUsd
    right: float
    cost: NanoUsd
    propensity: float

    def __str__(self) -> str:
        """Read as one line."""
        weight, cost = dollars(self.weight), dollars(self.cost)
        chance = f", first with {self.propensity:.1%}" if 0 < self.propensity < 1 else ""
        return f"{self.tool} {weight:.6f} USD: {self.right:.1%} right, {cost:.6f} USD a call{chance}"
