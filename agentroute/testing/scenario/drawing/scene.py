"""Whom trouble is drawn for: an agent, the calls it makes when all goes well, and what goes wrong so far."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentroute.testing.scenario.drawing.axes import Mix
from agentroute.testing.scenario.drawing.dice import Dice
from agentroute.testing.scenario.drawing.fault_words import Words
from agentroute.testing.scenario.drawing.forecast import Expected
from agentroute.testing.scenario.drawing.sketch import AgentSketch, ToolSketch


@dataclass(slots=True, kw_only=True)
class Trouble:
    """What goes wrong, and in whose company.

    Attributes:
        faults: As files have them. The first is sure to happen.
        seed: What their chance is drawn from.
        runs: How many runs there are.
        every: Seconds from one to the next.
    """

    faults: list[Words] = field(default_factory=list[Words])
    seed: int = 0
    runs: int = 1
    every: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What trouble is drawn for.

    Attributes:
        mix: What it is to be like.
        agent: Whom it befalls; effects, remedies and providers of its tools may be changed, never its route.
        calls: What a run without faults calls, and when.
        trouble: What there is of it so far.
        dice: Chance.
    """

    mix: Mix
    agent: AgentSketch
    calls: Sequence[Expected]
    trouble: Trouble
    dice: Dice

    def hit_by(self, fault: Words) -> list[ToolSketch]:
        """Tools that can be on a route and that a fault is meant for."""
        return aimed_at(self.agent, fault)


def aimed_at(agent: AgentSketch, fault: Words) -> list[ToolSketch]:
    """Tools that can be on a route and that a fault is meant for."""
    target, provider = fault.get("target", "*"), fault.get("provider")
    return [
        tool
        for tool in agent.tools
        if fnmatch.fnmatchcase(tool.name, target) and (provider is None or tool.provider == provider)
    ]
