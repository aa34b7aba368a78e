"""What is counted of calls: how often they fail, how long they take, and what they cost."""

from dataclasses import dataclass, field

from agentroute.routing.latency import Latency
from agentroute.routing.reliability import Fading, Reliability

PRICED_CALLS = 4.0
"""Calls that the declared price counts for, against those whose price is known."""

FADING_PRICE = 0.93
"""What each further call leaves of the weight of the prices before it."""


@dataclass(slots=True)
class Price:
    """What calls really cost, as a decaying mean: what is spent is the sum, so here the mean is right."""

    usd: float = 0.0
    calls: float = 0.0

    def paid(self, usd: float) -> None:
        """Note what a call cost, in USD."""
        self.usd = self.usd * FADING_PRICE + usd
        self.calls = self.calls * FADING_PRICE + 1

    def expected(self, declared: float) -> float:
        """What a call is expected to cost, in USD."""
        if not self.calls:
            return declared
        return (PRICED_CALLS * declared + self.usd) / (PRICED_CALLS + self.calls)


@dataclass(slots=True)
class Planned:
    """Calls that went as planned and are not counted yet.

    Attributes:
        took: How long each of them took (unit as in `Latency`); None: that is counted already, or says nothing.
        paid: What they cost, in USD, of those that said so.
        shift: By how much more often calls of their kind fail, added up.
    """

    took: list[float | None] = field(default_factory=list[float | None])
    paid: list[float] = field(default_factory=list[float])
    shift: float = 0.0

    def timed(self) -> list[float]:
        """How long they took, as far as that is to be counted."""
        return [value for value in self.took if value is not None]


@dataclass(slots=True)
class Figures:
    """What calls of a tool or provider have come to.

    Attributes:
        fading: How fast it is forgotten.
        reliability: How often calls fail.
        latency: How long calls take: in seconds for a tool, in multiples of what was declared for a provider.
        price: What calls cost.
    """

    fading: Fading
    reliability: Reliability = field(default_factory=Reliability)
    latency: Latency = field(default_factory=Latency)
    price: Price = field(default_factory=Price)

    def counting(self, planned: Planned, ended_at: float) -> "Figures":
        """The same with these calls counted, all of them as if they had ended then (monotonic seconds)."""
        latency, price = self.latency.copy(), Price(self.price.usd, self.price.calls)
        if took := planned.timed():
            latency.observe_all(took, ended_at)
        reliability = self.reliability.copy()
        reliability.count(len(planned.took), ended_at, self.fading, shift=planned.shift)
        for usd in planned.paid:
            price.paid(usd)
        return Figures(self.fading, reliability, latency, price)
