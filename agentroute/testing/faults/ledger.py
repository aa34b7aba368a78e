"""What is kept of an injector's work: what it really did, and every call that it saw."""

from dataclasses import dataclass

from agentroute.testing.faults.fault import Fault


@dataclass(frozen=True, slots=True)
class Triggered:
    """A fault that really happened to a call.

    Attributes:
        at: Seconds of the injected clock.
        run: The run it befell; empty for faults of what is around the calls.
        tool: The tool, likewise.
        attempt: The attempt, 0 if none.
        fault: What it was: the rule, or what that came to for this call (a ``flap`` is ``down``).
        rule: Which of the injector's rules made it, from 0.
    """

    at: float
    run: str
    tool: str
    attempt: int
    fault: Fault
    rule: int = 0


@dataclass(slots=True)
class Seen:
    """A call that came through, as the injector saw it.

    Attributes:
        order: Counts beginnings and ends of all calls in one sequence.
        at: Seconds of the injected clock.
        run: The run it belongs to.
        tool: The tool.
        attempt: The attempt's number within the run.
        number: Counts the calls of this tool in this run from 1.
        key: Idempotency key that came with it.
        ended: Seconds of the injected clock; None while it is under way.
        end_order: See `order`.
        outcome: ``answered``, ``cancelled``, or the type of the exception.
        late_order: When the tool ran after all, although its caller had given up; see `order`.
    """

    order: int
    at: float
    run: str
    tool: str
    attempt: int
    number: int
    key: str
    ended: float | None = None
    end_order: int | None = None
    outcome: str = ""
    late_order: int | None = None
