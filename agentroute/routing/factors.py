"""Why a tool weighs what it weighs."""

from typing import NamedTuple

from agentroute.ids import NanoUsd, ToolId, dollars


class Factors(NamedTuple):
    """The weight of a tool and everything it is made of.

    ``weight = (usd + usd_per_second * latency_s + usd_per_risk * risk) / (1 - p_fail) * limit * returning * signal``

    Attributes:
        tool: Its name.
        weight: Expected cost until success, in nano-dollars.
        usd: Expected price of a call, in USD.
        latency_s: Expected duration of a call, in seconds.
        p_fail: Expected share of failing calls.
        limit: Factor for the scarcity of what a rate limit leaves.
        returning: Factor for a tool that came back from an outage a short while ago.
        signal: Factor of the monitor that counts.
        monitor: Which one that is, and what it says.
        age_s: Seconds since anything was heard of the tool; None: never, so all of this is as declared, or as earlier
            runs have shown.
    """

    tool: ToolId
    weight: NanoUsd
    usd: float
    latency_s: float
    p_fail: float
    limit: float = 1.0
    returning: float = 1.0
    signal: float = 1.0
    monitor: str = ""
    age_s: float | None = None

    def __str__(self) -> str:
        """Read as one line, with those factors only that change anything."""
        parts = [f"{self.usd:.6f} USD", f"{self.latency_s:.3g} s", f"fails {self.p_fail:.1%}"]
        if self.limit != 1:
            parts.append(f"rate limit x{self.limit:.2g}")
        if self.returning != 1:
            parts.append(f"back from an outage x{self.returning:.2g}")
        if self.signal != 1:
            parts.append(f"{self.monitor} x{self.signal:.2g}")
        parts.append("not called yet" if self.age_s is None else f"last heard of {self.age_s:.1f} s ago")
        return f"{self.tool}: {dollars(self.weight):.6f} USD ({', '.join(parts)})"
