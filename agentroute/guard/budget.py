"""Budgets and quotas as users write them: limits of one run, and of all runs of an agent together."""

from dataclasses import dataclass

from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.guard.ledger import UNLIMITED, Limits
from agentroute.ids import NanoUsd, nanos

COUNTS = ("llm_calls", "tokens", "tool_calls")


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one run; None means no limit.

    Attributes:
        usd: Money, in USD.
        deadline_s: Seconds from the start of the run.
        llm_calls: Model calls, of steps and of escalations together.
        tokens: Tokens that models read and write.
        tool_calls: Calls of tools, of models among them, retries and second calls included.
        finish_share: Share of the worst case of the rest of a route that must be affordable before a step is begun.
            With 1, a run is never out of money in the middle of what it began, unless tools fail; with less it begins
            more, and perhaps does not finish.
    """

    usd: float | None = None
    deadline_s: float | None = None
    llm_calls: int | None = None
    tokens: int | None = None
    tool_calls: int | None = None
    finish_share: float = 1.0

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        _check("budget", self, "usd", "deadline_s", *COUNTS)
        checked("budget", "finish_share", self.finish_share, largest=1.0)

    @property
    def money(self) -> NanoUsd | None:
        """The limit in nano-dollars."""
        return None if self.usd is None else nanos(self.usd)

    @property
    def limits(self) -> Limits:
        """As a ledger takes them."""
        return _limits(self.money, self.tokens, self.llm_calls, self.tool_calls)


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of all runs of an agent together, in this process; None means no limit.

    Attributes:
        usd: Money, in USD.
        llm_calls: Model calls.
        tokens: Tokens that models read and write.
        tool_calls: Calls of tools.
        per_s: Within any stretch of so many seconds; None: for as long as the agent lives.
    """

    usd: float | None = None
    llm_calls: int | None = None
    tokens: int | None = None
    tool_calls: int | None = None
    per_s: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        _check("quota", self, "usd", "per_s", *COUNTS)
        if self.per_s == 0:
            raise DefinitionError("quota", "per_s must be above 0")
        if self.limits is UNLIMITED:
            raise DefinitionError("quota", f"limits nothing; give usd or one of {', '.join(COUNTS)}")

    @property
    def limits(self) -> Limits:
        """As a ledger takes them."""
        return _limits(None if self.usd is None else nanos(self.usd), self.tokens, self.llm_calls, self.tool_calls)


def _check(subject: str, limits: Budget | Quota, *fields: str) -> None:
    for field in fields:
        value = getattr(limits, field)
        if value is not None:
            checked(subject, field, value)
            if field in COUNTS and int(value) != value:
                raise DefinitionError(subject, f"{field} must be a whole number, not {value!r}")


def _limits(usd: NanoUsd | None, tokens: int | None, model_calls: int | None, tool_calls: int | None) -> Limits:
    limits = Limits(usd, tokens, model_calls, tool_calls)
    return UNLIMITED if limits == UNLIMITED else limits
