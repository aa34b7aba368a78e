"""Hard budgets: the worst case is reserved before a call and settled after it."""

from dataclasses import dataclass
from typing import Self

from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.ids import NanoUsd, nanos


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one run; None means no limit.

    Attributes:
        usd: Money, in USD.
        deadline_s: Seconds from the start of the run.
        llm_calls: Model calls, of steps and of escalations together.
    """

    usd: float | None = None
    deadline_s: float | None = None
    llm_calls: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        for field in ("usd", "deadline_s", "llm_calls"):
            value = getattr(self, field)
            if value is not None:
                checked("budget", field, value)
        if self.llm_calls is not None and int(self.llm_calls) != self.llm_calls:
            raise DefinitionError("budget", f"llm_calls must be a whole number, not {self.llm_calls!r}")

    @property
    def money(self) -> NanoUsd | None:
        """The limit in nano-dollars."""
        return None if self.usd is None else nanos(self.usd)


class Reservation:
    """Money held back for one attempt. A context manager: what was not settled is released, on cancellation too."""

    __slots__ = ("_ledger", "amount", "model_call", "open")

    def __init__(self, ledger: "Ledger", amount: NanoUsd, *, model_call: bool) -> None:
        self._ledger = ledger
        self.amount = amount
        self.model_call = model_call
        self.open = True

    def settle(self, spent: NanoUsd) -> None:
        """Turn the reservation into what the attempt really cost. May exceed it only if the provider lied."""
        if self.open:
            self.open = False
            self._ledger.reserved -= self.amount
            self._ledger.spent += spent

    def release(self) -> None:
        """Give everything back: the attempt never reached the provider."""
        if self.open:
            self.open = False
            self._ledger.reserved -= self.amount
            self._ledger.model_calls -= self.model_call

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Ledger:
    """Money and model calls of one run. Invariant: ``spent + reserved <= limit`` whenever a reservation is granted.

    No locks: every method is synchronous and runs on the event loop.
    """

    __slots__ = ("limit", "model_call_limit", "model_calls", "reserved", "spent")

    def __init__(self, limit: NanoUsd | None = None, *, model_calls: int | None = None) -> None:
        """Start with nothing spent. Limits of None never refuse."""
        self.limit = limit
        self.model_call_limit = model_calls
        self.spent = 0
        self.reserved = 0
        self.model_calls = 0

    @property
    def left(self) -> NanoUsd | None:
        """Nano-dollars neither spent nor reserved; None without a limit."""
        return None if self.limit is None else NanoUsd(max(0, self.limit - self.spent - self.reserved))

    @property
    def model_calls_left(self) -> int | None:
        """Model calls that may still be made; None without a limit."""
        return None if self.model_call_limit is None else max(0, self.model_call_limit - self.model_calls)

    def fits(self, worst: NanoUsd, *, model_call: bool = False) -> bool:
        """Whether the worst case of an attempt can still be reserved. An overspent run affords nothing, free or not."""
        if self.limit is not None and self.spent + self.reserved + worst > self.limit:
            return False
        return not model_call or self.model_calls_left is None or self.model_calls_left > 0

    def reserve(self, worst: NanoUsd, *, model_call: bool = False) -> Reservation | None:
        """Hold back the worst case of an attempt, or return None if it does not fit any more."""
        if not self.fits(worst, model_call=model_call):
            return None
        self.reserved += worst
        self.model_calls += model_call
        return Reservation(self, worst, model_call=model_call)
