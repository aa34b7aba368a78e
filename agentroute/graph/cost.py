"""What an attempt costs, and the exchange rates that turn time, risk and energy into money."""

from dataclasses import dataclass
from typing import NamedTuple

from agentroute.errors import DefinitionError
from agentroute.ids import NanoUsd, nanos

LARGEST = 1e9
"""Upper bound of every declared figure (USD, seconds): sums stay far below what 64 bits hold."""


def checked(subject: str, field: str, value: float, *, largest: float = LARGEST) -> float:
    """Return `value` if it is a number from 0 to `largest`.

    Raises:
        DefinitionError: NaN, infinite, negative or absurdly large, named with its owner.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
        raise DefinitionError(subject, f"{field} must be a number, not {value!r}")
    if not 0 <= value <= largest:  # nor is NaN
        raise DefinitionError(subject, f"{field} must be a number from 0 to {largest:g}, not {value!r}")
    return float(value)


def whole(subject: str, field: str, value: int, *, least: int = 1) -> int:
    """Return `value` if it is a whole number from `least` on.

    Raises:
        DefinitionError: It is none, named with its owner.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
        raise DefinitionError(subject, f"{field} must be a whole number from {least}, not {value!r}")
    return value


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected cost of one attempt, as declared.

    Attributes:
        usd: Expected price in USD.
        usd_max: Worst case in USD; reserved before the call. Defaults to `usd`.
        latency_s: Expected duration in seconds.
        risk: Expected share of attempts that go wrong, 0 to 1.
        usd_least: Worst case in USD that an attempt can keep to, if it has to; `usd_max`, if left out.
        wh: Expected energy of one attempt in watt-hours. It weighs at the agent's rate; nobody bills it, and no budget
            counts it.
    """

    usd: float = 0.0
    usd_max: float | None = None
    latency_s: float = 0.0
    risk: float = 0.0
    usd_least: float | None = None
    wh: float = 0.0

    def check(self, subject: str) -> None:
        """Refuse numbers no route could be computed from.

        Raises:
            DefinitionError: With `subject` (the tool's name) and the field.
        """
        checked(subject, "usd", self.usd)
        checked(subject, "latency_s", self.latency_s)
        checked(subject, "risk", self.risk, largest=1.0)
        checked(subject, "wh", self.wh)
        if self.usd_max is not None and checked(subject, "usd_max", self.usd_max) < self.usd:
            raise DefinitionError(subject, f"usd_max ({self.usd_max}) is below usd ({self.usd}); it is the worst case")
        if self.usd_least is not None and nanos(checked(subject, "usd_least", self.usd_least)) > self.worst:
            raise DefinitionError(subject, f"usd_least ({self.usd_least}) is above the worst case")

    @property
    def expected(self) -> NanoUsd:
        """Expected price of one attempt, in nano-dollars."""
        return nanos(self.usd)

    @property
    def worst(self) -> NanoUsd:
        """Price of one attempt in the worst case, in nano-dollars."""
        return nanos(self.usd if self.usd_max is None else self.usd_max)

    @property
    def least(self) -> NanoUsd:
        """The worst case that an attempt can keep to, in nano-dollars."""
        return self.worst if self.usd_least is None else nanos(self.usd_least)


class Amounts(NamedTuple):
    """What an attempt uses, in fact or at most; whole numbers, so that sums are exact.

    Attributes:
        usd: Money, in nano-dollars.
        tokens: Tokens that models read and write.
        model_calls: Calls of models.
        tool_calls: Calls of tools; a model call is one too.
    """

    usd: int = 0
    tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0

    def plus(self, other: "Amounts") -> "Amounts":
        """The sum, field by field."""
        return Amounts(
            self.usd + other.usd,
            self.tokens + other.tokens,
            self.model_calls + other.model_calls,
            self.tool_calls + other.tool_calls,
        )

    def minus(self, other: "Amounts") -> "Amounts":
        """The difference, field by field."""
        return Amounts(
            self.usd - other.usd,
            self.tokens - other.tokens,
            self.model_calls - other.model_calls,
            self.tool_calls - other.tool_calls,
        )


NOTHING = Amounts()


@dataclass(frozen=True, slots=True)
class Rates:
    """Exchange rates of an agent: what it would pay to be faster or safer, or to use less energy.

    Attributes:
        usd_per_second: USD paid to be one second faster.
        usd_per_risk: USD paid to avoid one certain failure.
        usd_per_wh: USD paid to use one watt-hour less.
    """

    usd_per_second: float = 0.0
    usd_per_risk: float = 0.0
    usd_per_wh: float = 0.0

    def __post_init__(self) -> None:
        """Refuse rates that would make a weight negative or undefined."""
        checked("rates", "usd_per_second", self.usd_per_second)
        checked("rates", "usd_per_risk", self.usd_per_risk)
        checked("rates", "usd_per_wh", self.usd_per_wh)

    def total(self, *, usd: float, latency_s: float = 0.0, risk: float = 0.0, wh: float = 0.0) -> float:
        """Expected cost of one attempt in one currency, in USD."""
        return usd + self.usd_per_second * latency_s + self.usd_per_risk * risk + self.usd_per_wh * wh

    def price(self, *, usd: float, latency_s: float = 0.0, risk: float = 0.0, wh: float = 0.0) -> NanoUsd:
        """The same in nano-dollars."""
        return nanos(self.total(usd=usd, latency_s=latency_s, risk=risk, wh=wh))
