"""One rule of what goes wrong: which calls it hits, when, and what happens to them."""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked

FaultType = Literal[
    "error",
    "latency",
    "ramp",
    "tail",
    "timeout",
    "reset",
    "down",
    "flap",
    "hang",
    "rate_limit",
    "malformed",
    "truncated",
    "renamed_field",
    "type_change",
    "empty",
    "error_in_200",
    "wrong",
    "stale",
    "silent_noop",
    "injection",
    "secret_echo",
    "output_bomb",
    "ack_lost",
    "late_success",
    "duplicate_delivery",
    "crash",
    "price_change",
    "slice",
    "bandwidth",
    "model_down",
    "model_invalid",
    "clock_jump",
    "monitor_lies",
    "monitor_late",
    "monitor_dead",
]

FAULT_TYPES: tuple[FaultType, ...] = get_args(FaultType)

UNDETECTABLE: frozenset[FaultType] = frozenset({"wrong", "stale", "silent_noop", "injection"})
"""Answers that keep the contract and are false. Without a postcondition or a second source nobody can see them."""

HARMLESS: frozenset[FaultType] = frozenset(
    {"latency", "ramp", "tail", "slice", "bandwidth", "price_change", "duplicate_delivery"}
)
"""Faults under which a call may well succeed."""

NEVER_RUN: frozenset[FaultType] = frozenset(
    {"error", "timeout", "reset", "down", "flap", "hang", "rate_limit", "secret_echo"}
)
"""Faults under which the tool is not reached: nothing has happened, whether or not the caller can know."""

MONITORS: frozenset[FaultType] = frozenset({"monitor_lies", "monitor_late", "monitor_dead"})
"""Faults of monitors; their target is a monitor's name."""

BESIDE_CALLS: frozenset[FaultType] = frozenset({"model_down", "model_invalid", "clock_jump", *MONITORS})
"""Faults of what is around the calls: the model that is asked, the clock, the monitors. They hit no tool."""

WIRE_ONLY: frozenset[FaultType] = frozenset({"slice", "bandwidth"})
"""Faults that only bytes on a wire can have."""

IN_CALLS: frozenset[FaultType] = frozenset(FAULT_TYPES) - BESIDE_CALLS - WIRE_ONLY
"""Faults that can be done to a call of a tool without a wire."""

USUAL: Mapping[FaultType, Mapping[str, Any]] = {
    "ramp": {"latency_s": 0.1, "factor": 1.2},
    "tail": {"latency_s": 30.0, "toxicity": 0.01},
    "output_bomb": {"bytes": 50_000_000},
}
"""What is meant where a file or the command line leaves it out, if it is not what `Fault` has for every type."""

SHORTEST_TURN_S = 0.001
"""Seconds that a ``flap`` takes at least to go down and up again."""

Point = Literal["arrives", "answered"]
"""When in the life of a request: it has arrived and nothing has happened, or it is done and the answer is not out."""

Attempts = tuple[int, int | None]
"""First and last call that is meant; a last of None is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule of what goes wrong.

    Attributes:
        type: What goes wrong. Refused or lost:

            - ``error``: the provider answers with the status code `status` and does nothing.
            - ``rate_limit``: status 429, with ``Retry-After`` if `retry_after_s` is given.
            - ``down``: the connection is refused. ``flap``: down for `down_s`, up for `up_s`, and so on.
            - ``reset``: the connection breaks before anything happens.
            - ``timeout``: no answer, and nothing happens. ``hang``: the same, deaf to cancellation for `latency_s`.
              (A plain function runs in a thread, which is left behind and comes back so much later.)
            - ``secret_echo``: an ``error`` whose text gives away a planted secret.

            Late:

            - ``latency``: the call takes `latency_s` longer, give or take `jitter_s`.
            - ``ramp``: the same, and each further call `factor` times as much. ``tail``: the same, of few calls.
            - ``slice``, ``bandwidth``: the answer comes in pieces of `bytes`, or at `bytes_per_s` (on a wire).

            Answered, but not as it should be (the tool runs):

            - ``malformed``: the answer cannot be parsed. ``truncated``: the connection ends within it.
            - ``renamed_field``, ``type_change``, ``empty``: the answer lacks what it should have.
            - ``error_in_200``: an error, dressed up as an answer.
            - ``wrong``, ``stale``: a false value (`values`, by field), or that of the tool's previous call.
            - ``silent_noop``: the answer says done, and nothing was done.
            - ``injection``: every text of the answer gives orders to whoever reads it.
            - ``output_bomb``: the answer has `bytes` bytes.

            Done, or not, or twice:

            - ``ack_lost``: the tool runs, the answer is lost.
            - ``late_success``: no answer; the tool runs `latency_s` after the caller has given up.
            - ``duplicate_delivery``: the request arrives twice.
            - ``crash``: the provider dies at `point` of the call and stays down; on the way, the answer is lost.
            - ``price_change``: the call costs `factor` times as much as declared.

            Around the calls:

            - ``model_down``, ``model_invalid``: the model that is asked where no route is left does not answer, or
              chooses something that is not on the menu.
            - ``clock_jump``: the wall clock jumps by `jump_s` at `from_s`.
            - ``monitor_lies``: a monitor reports the opposite of what it sees.
            - ``monitor_late``: what a monitor reports arrives `latency_s` after it was measured.
            - ``monitor_dead``: a monitor reports nothing any more.
        target: Name of the tools it hits, with ``*`` and ``?``.
        provider: Name of the provider whose tools it hits, likewise; None for any.
        status: Status code of an ``error`` or ``secret_echo``.
        latency_s: Seconds; see `type`.
        jitter_s: Seconds; see `type`.
        retry_after_s: Seconds; see `type`.
        up_s: Seconds; see `type`.
        down_s: Seconds; see `type`.
        factor: See `type`.
        bytes: See `type`.
        bytes_per_s: See `type`.
        jump_s: Seconds, negative for back in time; see `type`.
        values: What a ``wrong`` answer says, by field; a value that is near the right one if left out.
        point: When a ``crash`` (or, on the process, a ``hang``) comes.
        victim: Server that a ``crash`` or ``hang`` befalls; the one that serves the tool if left out.
        from_s: Seconds since the injector's start from which it is active.
        until_s: Seconds since the injector's start up to which it is; None for ever.
        attempts: First and last call of a tool within a run (counted from 1) that it hits; None for all. A last of
            None is open.
        toxicity: Share of those calls that it hits.
        cause: Faults of one cause happen together or not at all: one draw of `toxicity` for a run, not for a call.
    """

    type: FaultType
    target: str = "*"
    provider: str | None = None
    status: int = 503
    latency_s: float = 1.0
    jitter_s: float = 0.0
    retry_after_s: float | None = None
    up_s: float = 1.0
    down_s: float = 1.0
    factor: float = 2.0
    bytes: int = 64
    bytes_per_s: float = 1024.0
    jump_s: float = 3600.0
    values: tuple[tuple[str, Any], ...] = ()
    point: Point = "arrives"
    victim: str | None = None
    from_s: float = 0.0
    until_s: float | None = None
    attempts: Attempts | None = None
    toxicity: float = 1.0
    cause: str | None = None

    def __post_init__(self) -> None:
        """Refuse rules that mean nothing.

        Raises:
            DefinitionError: Naming the field.
        """
        if self.type not in FAULT_TYPES:
            raise DefinitionError("fault", f"type must be one of {', '.join(FAULT_TYPES)}, not {self.type!r}")
        subject = f"fault {self.type!r}"
        for name in ("latency_s", "jitter_s", "retry_after_s", "from_s", "until_s", "up_s", "down_s", "factor"):
            if getattr(self, name) is not None:
                checked(subject, name, getattr(self, name))
        checked(subject, "jump_s", abs(self.jump_s))
        checked(subject, "toxicity", self.toxicity, largest=1.0)
        for name in ("bytes", "bytes_per_s"):
            if checked(subject, name, getattr(self, name)) == 0:
                raise DefinitionError(subject, f"{name} must be above 0")
        if self.type == "flap" and self.up_s + self.down_s < SHORTEST_TURN_S:
            raise DefinitionError(subject, f"up_s and down_s together must be at least {SHORTEST_TURN_S} s")

    def aims_at(self, tool: str, provider: str | None = None) -> bool:
        """Whether calls of `tool`, which `provider` serves, are meant at all."""
        if self.type in BESIDE_CALLS or not fnmatch.fnmatchcase(tool, self.target):
            return False
        return self.provider is None or (provider is not None and fnmatch.fnmatchcase(provider, self.provider))

    def is_on(self, number: int, at: float) -> bool:
        """Whether it is on for the `number`-th call of a tool in a run, `at` seconds after the start."""
        first, last = self.attempts or (1, None)
        return (
            first <= number
            and (last is None or number <= last)
            and self.from_s <= at
            and (self.until_s is None or at < self.until_s)
        )

    def hits(self, tool: str, number: int, at: float) -> bool:
        """Whether it is meant for the `number`-th call of `tool` in a run, `at` seconds after the start."""
        return self.aims_at(tool) and self.is_on(number, at)

    def __str__(self) -> str:
        """As on the command line."""
        where = self.target if self.provider is None or self.target != "*" else f"provider {self.provider}"
        return f"{self.type}:{where}"
