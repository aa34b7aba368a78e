"""What a call is expected to be like before anybody in this process has made one."""

from dataclasses import dataclass

from agentroute.graph.cost import Cost


@dataclass(frozen=True, slots=True)
class Expected:
    """Figures of a tool: as declared, or as earlier runs have shown (`agentroute.routing.knowledge`).

    Health is kept per tool, whatever its calls are for. So the figures are those of the tool, and a goal whose calls
    are not like the others is told by how it differs: what its calls show is counted as if it were an ordinary one.

    Attributes:
        usd: Price of a call, in USD.
        latency_s: Median duration of a call, in seconds.
        slow_s: Seconds that four of five calls take.
        risk: Share of calls that fail.
        more_usd: What a call for this goal costs beyond `usd`; negative: less.
        slower: By which factor a call for this goal takes longer.
        more_risk: Share of failing calls for this goal beyond `risk`; negative: less.
    """

    usd: float
    latency_s: float
    slow_s: float
    risk: float
    more_usd: float = 0.0
    slower: float = 1.0
    more_risk: float = 0.0


def as_declared(cost: Cost) -> Expected:
    """What the contract says, for want of anything better."""
    return Expected(cost.usd, cost.latency_s, cost.latency_s, cost.risk)
