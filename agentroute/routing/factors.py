"""Why a tool weighs what it weighs."""

from dataclasses import dataclass

from agentroute.guard.breaker import BreakerState
from agentroute.ids import NanoUsd, ToolId, dollars

NOTABLE = 0.05
"""Share by which a weight must differ from the declared one to be worth a word."""


@dataclass(frozen=True, slots=True)
class Factors:
    """The weight of a tool and everything it is made of.

    ``weight = (usd + usd_per_second * latency_s + usd_per_risk * risk + usd_per_wh * wh) / (1 - p_fail)
    * limit * returning * signal``

    Attributes:
        tool: Its name.
        weight: Expected cost until success, in nano-dollars.
        declared: What it would be if nothing but the contract were known.
        usd: Expected price of a call, in USD.
        latency_s: Expected duration of a call, in seconds.
        p_fail: Expected share of failing calls.
        limit: Factor for the scarcity of what a rate limit leaves.
        returning: Factor for a tool that came back from an outage a short while ago.
        signal: Factor of the monitor that counts.
        monitor: Which one that is, and what it says.
        age_s: Seconds since anything was heard of the tool, from calls or monitors; None: never.
        breaker: State of its breaker or its provider's, the worse; open: it is not in the graph at all.
        closed_s: Seconds for which a rate limit keeps it out of the graph; 0: none does.
        full: Whether as many calls are under way as it was seen to serve at once, which keeps it out until one ends.
        put_aside: Why it is not called at all until somebody reinstates it; empty: it is not put aside.
        wh: Energy of a call as declared, in watt-hours, where the agent has a price for it.
    """

    tool: ToolId
    weight: NanoUsd
    declared: NanoUsd
    usd: float
    latency_s: float
    p_fail: float
    limit: float = 1.0
    returning: float = 1.0
    signal: float = 1.0
    monitor: str = ""
    age_s: float | None = None
    breaker: BreakerState = "closed"
    closed_s: float = 0.0
    full: bool = False
    put_aside: str = ""
    wh: float = 0.0

    @property
    def notable(self) -> bool:
        """Whether health makes a difference: the tool is out, or weighs otherwise than declared."""
        return bool(self._obstacles) or self._differs

    @property
    def _differs(self) -> bool:
        """Whether it weighs otherwise than declared."""
        return abs(self.weight - self.declared) > NOTABLE * max(self.declared, 1)

    @property
    def _obstacles(self) -> list[str]:
        """What keeps it out of the graph, or would in a moment, whatever it weighs."""
        found = [f"put aside: {self.put_aside}"] if self.put_aside else []
        found += [f"breaker {self.breaker}"] if self.breaker != "closed" else []
        found += [f"closed for {self.closed_s:.3g} s: rate limit"] if self.closed_s else []
        return [*found, "no room for another call"] if self.full else found

    def __str__(self) -> str:
        """Read as one line, with those factors only that change anything."""
        energy = f", {self.wh:.3g} Wh" if self.wh else ""
        parts = [f"{self.usd:.6f} USD{energy} and {self.latency_s:.3g} s a call", f"{self.p_fail:.1%} of calls fail"]
        parts += self._obstacles
        if self.limit != 1:
            parts.append(f"rate limit x{self.limit:.2g}")
        if self.returning != 1:
            parts.append(f"just back from an outage x{self.returning:.2g}")
        if self.monitor:
            parts.append(f"{self.monitor} x{self.signal:.2g}")
        if self.age_s is not None:
            parts.append(f"last heard of {self.age_s:.1f} s ago")
        else:
            parts.append("as earlier runs have shown" if self._differs else "as declared")
        weight, declared = dollars(self.weight), dollars(self.declared)
        usual = f" instead of {declared:.6f}" if self._differs else ""
        return f"{self.tool} {weight:.6f} USD{usual}: {', '.join(parts)}"
