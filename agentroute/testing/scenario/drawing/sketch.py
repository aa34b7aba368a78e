"""An agent that is being drawn: tools and goals that can still be changed, and how they are written into a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from agentroute.graph.tool import Effect

NeedSketch: TypeAlias = str | tuple[int, tuple[str, ...]]
"""An artifact, or k of several."""

START = "order"
"""The artifact that every run is given."""

REMEDY_S = 0.05
"""Seconds that a verifier or compensator takes."""


@dataclass(slots=True, kw_only=True)
class ToolSketch:
    """One tool with those that look after it.

    Attributes:
        seconds: How long a call takes, where that is not `latency_s`.
        price: What a call costs, where that is not `usd`.
        others: As `agentroute.graph.entries.ToolEntry` has them.
    """

    name: str
    needs: Sequence[NeedSketch]
    makes: Sequence[str]
    usd: float = 0.0
    usd_max: float | None = None
    latency_s: float = 0.1
    timeout_s: float = 2.0
    effect: Effect = "read"
    provider: str | None = None
    verified: bool = False
    undone: bool = False
    honours_key: bool = False
    seconds: float | None = None
    price: float | None = None

    @property
    def verifier(self) -> str:
        """Name of its verifier; no pattern that is meant for tools on a route matches it."""
        return f"check-{self.name.replace('_', '-')}"

    @property
    def compensator(self) -> str:
        """Name of its compensator, likewise."""
        return f"undo-{self.name.replace('_', '-')}"

    @property
    def takes_s(self) -> float:
        """How long a call really takes."""
        return self.latency_s if self.seconds is None else self.seconds

    @property
    def worst_usd(self) -> float:
        """What a call costs at worst."""
        return self.usd if self.usd_max is None else self.usd_max

    @property
    def can_come_late(self) -> bool:
        """Whether a call that happens after its caller has given up does no harm.

        Who has looked, found nothing and gone on is overtaken by the effect, and has no way to know. Without anybody to
        look, a person is told.
        """
        return self.effect == "read" or not (self.verified or self.undone)

    @property
    def may_repeat(self) -> bool:
        """Whether a second delivery of one request has no second effect."""
        return self.effect != "once" or self.honours_key

    def entries(self) -> Iterator[dict[str, Any]]:
        """The tool, its verifier and its compensator, as files have them."""
        cost: dict[str, Any] = {"usd": self.usd, "latency_s": self.latency_s}
        if self.usd_max is not None:
            cost["usd_max"] = self.usd_max
        entry: dict[str, Any] = {
            "name": self.name,
            "requires": list(map(_written, self.needs)),
            "produces": list(self.makes),
            "cost": cost,
            "effect": self.effect,
            "timeout_s": self.timeout_s,
        }
        if self.provider is not None:
            entry["provider"] = self.provider
        if self.verified:
            entry["verify"] = self.verifier
        if self.undone:
            entry["compensate"] = self.compensator
        yield entry
        usual: dict[str, Any] = {"cost": {"latency_s": REMEDY_S}, "timeout_s": self.timeout_s}
        if self.verified:
            known = {"requires": entry["requires"], "produces": entry["produces"], "effect": "read"}
            yield {"name": self.verifier, **known, **usual}
        if self.undone:
            yield {"name": self.compensator, "requires": list(self.makes), "effect": "idempotent", **usual}

    def simulation(self) -> dict[str, Any]:
        """Where it behaves otherwise than its contract says."""
        said = {"seconds": self.seconds, "usd": self.price, "honours_key": self.honours_key or None}
        return {key: value for key, value in said.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class AgentSketch:
    """An agent that is being drawn.

    Attributes:
        tools: In the order of the file.
        final: What the goal asked for needs.
        lesser: What lesser goals need, best first.
        usd_per_second: Rate of exchange.
        budget: As files have it.
    """

    tools: list[ToolSketch]
    final: Sequence[NeedSketch]
    lesser: Sequence[NeedSketch] = ()
    usd_per_second: float = 0.0
    budget: dict[str, Any] = field(default_factory=dict[str, Any])

    def tool(self, name: str) -> ToolSketch:
        """The tool of that name."""
        return next(tool for tool in self.tools if tool.name == name)

    def beside(self, tool: ToolSketch) -> list[ToolSketch]:
        """Others that make the same."""
        return [other for other in self.tools if other is not tool and set(other.makes) & set(tool.makes)]

    def document(self) -> dict[str, Any]:
        """As a graph file has it."""
        goals: list[dict[str, Any]] = [{"name": "all", "requires": list(map(_written, self.final))}]
        for rung, need in enumerate(self.lesser, 1):
            goals.append({"name": f"less-{rung}", "requires": [_written(need)], "utility": round(0.6 / rung, 2)})
        found: dict[str, Any] = {
            "version": "1",
            "name": "drawn",
            "tools": [entry for tool in self.tools for entry in tool.entries()],
            "goals": goals,
        }
        if self.usd_per_second:
            found["rates"] = {"usd_per_second": self.usd_per_second}
        if self.budget:
            found["budget"] = dict(self.budget)
        return found

    def simulate(self) -> dict[str, Any]:
        """How its tools behave, where that is not what their contracts say."""
        return {tool.name: said for tool in self.tools if (said := tool.simulation())}


def _written(need: NeedSketch) -> Any:
    return need if isinstance(need, str) else {"at_least": need[0], "of": list(need[1])}
