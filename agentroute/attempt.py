"""What a tool can learn about the attempt it is serving, and report back."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal

from agentroute.errors import AgentrouteError
from agentroute.graph.cost import checked
from agentroute.guard.ledger import Reservation
from agentroute.guard.rate_limits import LONGEST_WINDOW_S, Headroom
from agentroute.ids import AttemptId, NanoUsd, RunId, ToolId, nanos


@dataclass(slots=True)
class Attempt:
    """One call of one tool within one run.

    Attributes:
        run_id: The run it belongs to.
        step: Name of the tool.
        attempt: Number of the attempt within the run, from 1.
        idempotency_key: The same for every attempt of this run, tool and inputs; empty for read tools. Pass it on to
            providers that take one.
        original_key: For calls that verify or undo an effect: the key of the attempt that made it, or may have.
        deadline: Monotonic seconds (`agentroute.ports.Clock.now`) when the attempt is given up.
        spending_limit: Nano-dollars reserved for it, if the run has a budget.
        reservation: What is held back for it; what it calls itself is paid from that.
        disputed: Why what the provider says of its usage cannot be true, if it cannot.
        still_running: The attempt was given up, and its thread goes on.
        model: Name of the model that answered, once a model step has said so.
        tokens: Tokens read and written, once a model step has said so.
    """

    run_id: RunId
    step: ToolId
    attempt: AttemptId
    idempotency_key: str
    deadline: float
    original_key: str = ""
    spending_limit: NanoUsd | None = None
    reservation: Reservation | None = field(default=None, repr=False)
    disputed: str = ""
    still_running: bool = False
    model: str | None = None
    tokens: tuple[int, int] | None = None
    headroom: Headroom | None = field(default=None, repr=False)
    """What the provider said of a rate limit."""
    wall: Callable[[], float] | None = field(default=None, repr=False)
    """Seconds since 1970 by the clock of the agent, to read answers that name a moment."""
    charged: NanoUsd | None = field(default=None, repr=False)
    on_late: Callable[[bool], None] | None = field(default=None, repr=False)
    """Told (worked or not) when a call that was given up comes back after all; called on the event loop."""

    def charge(self, *, usd: float | Decimal) -> None:
        """Report what the attempt really cost; several calls add up. Without one, the declared `usd` counts.

        Raises:
            DefinitionError: Not a number from 0 up.
        """
        plain = float(usd) if isinstance(usd, Decimal) else usd
        amount = nanos(checked(f"charge of {self.step!r}", "usd", plain))
        self.charged = NanoUsd((self.charged or 0) + amount)

    def rate_limit(self, *, left: float, limit: float = 0.0, resets_in_s: float = 60.0) -> None:
        """Report what the provider said of a rate limit; HTTP tools and model steps read it from the answer's headers.

        The less is left, the more the tool weighs, for all runs; with nothing left it is not called until the reset.

        Args:
            left: Calls that may still be made in this window.
            limit: Calls in a whole window; 0 if unknown, then only `left` counts.
            resets_in_s: Seconds until the next window; an hour at most, as for what answers say.

        Raises:
            DefinitionError: Not numbers from 0 up.
        """
        owner = f"rate limit of {self.step!r}"
        wait_s = min(checked(owner, "resets_in_s", resets_in_s), LONGEST_WINDOW_S)
        self.headroom = Headroom(checked(owner, "left", left), checked(owner, "limit", limit), wait_s)


_current: ContextVar[Attempt] = ContextVar("agentroute_attempt")


def current() -> Attempt:
    """The attempt that is being served; for use inside tools (worker threads included).

    Raises:
        AgentrouteError: Called outside a tool.
    """
    try:
        return _current.get()
    except LookupError:
        raise AgentrouteError("agentroute.current() works inside a tool that a run is calling") from None


class serving:  # noqa: N801  # reads as a statement: ``with serving(attempt):``
    """Makes `attempt` the current one for the block; the one before comes back after it (agents nest).

    A class rather than a generator: this is on the path of every call.
    """

    __slots__ = ("_attempt", "_token")

    def __init__(self, attempt: Attempt) -> None:
        """Keep the attempt."""
        self._attempt = attempt

    def __enter__(self) -> None:
        self._token = _current.set(self._attempt)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)
