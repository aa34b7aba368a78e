"""A routing problem in small dense integers: what labels, bounds and searches work on."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from agentroute.ids import ToolId

NANOS_PER_SECOND = 1_000_000_000

REMOVED = -1
"""Weight of an action that must not be used. Never infinity: an infinite weight can still win a comparison."""


class Cap(NamedTuple):
    """A limit on what actions use together, such as money or tokens.

    Attributes:
        uses: What action a uses; free actions use nothing.
        most: What that may add up to.
        price: A guess at what it costs to use one less, as a weight.
    """

    uses: list[int]
    most: int
    price: int = 0


@dataclass(frozen=True)
class Instance:
    """A problem in small dense integers. Every item can be derived, and every action may be of use.

    Attributes:
        inputs: Items that action a needs and that are not at hand.
        outputs: Items that action a provides and that somebody may need.
        producers: Actions that provide item i.
        consumers: Actions that need item i.
        goal: The item wanted.
        weights: Weight of action a, with the tie-break folded in (see `_weigh`); free actions weigh 0.
        latency: Nanoseconds of action a; all 0 if unknown.
        tools: Name of action a; None for the free actions, which express joins and goals.
        tie_bits: Low bits of a weight that hold the tie-break; ``weight >> tie_bits`` is the weight proper.
        deadline: Nanoseconds the makespan may take, if limited.
        caps: Limits on what the actions use together.
    """

    inputs: list[tuple[int, ...]]
    outputs: list[tuple[int, ...]]
    producers: list[tuple[int, ...]]
    consumers: list[tuple[int, ...]]
    goal: int
    weights: list[int]
    latency: list[int]
    tools: list[ToolId | None]
    tie_bits: int
    deadline: int | None
    caps: tuple[Cap, ...]

    @cached_property
    def pending(self) -> list[int]:
        """How many inputs each action waits for."""
        return [len(items) for items in self.inputs]

    @cached_property
    def sources(self) -> list[int]:
        """Actions that need nothing beyond what is at hand."""
        return [action for action, items in enumerate(self.inputs) if not items]

    @cached_property
    def free(self) -> frozenset[int]:
        """Actions that only express joins and goals."""
        return frozenset(action for action, tool in enumerate(self.tools) if tool is None)

    def cost(self, actions: Iterable[int]) -> int:
        """Weight of a set of actions, tie-break included."""
        weights = self.weights
        return sum([weights[action] for action in actions])

    @cached_property
    def order(self) -> list[int] | None:
        """Items sorted so that every action takes only items before those it provides; None if there are cycles.

        Kahn (1962). The goal comes last, because everything else is there for its sake.
        """
        pending, waiting = self.pending.copy(), [len(actions) for actions in self.producers]
        ready, order = self.sources.copy(), list[int]()
        for action in ready:  # grows while we walk it
            for item in self.outputs[action]:
                waiting[item] -= 1
                if waiting[item]:
                    continue
                order.append(item)
                for consumer in self.consumers[item]:
                    pending[consumer] -= 1
                    if not pending[consumer]:
                        ready.append(consumer)
        return order if len(order) == len(self.producers) else None
