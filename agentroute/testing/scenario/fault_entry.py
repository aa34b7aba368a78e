"""Faults as scenario files have them: Toxiproxy's words, one mapping a rule."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from agentroute.errors import DefinitionError
from agentroute.graph.entries import Entry, Given, Name, Share
from agentroute.graph.yaml_model import mistake, refuse
from agentroute.testing.faults.fault import (
    BESIDE_CALLS,
    MONITORS,
    SHORTEST_TURN_S,
    USUAL,
    Attempts,
    Fault,
    FaultType,
    Point,
)
from agentroute.testing.faults.spelling import parse_calls
from agentroute.testing.scenario.values import Moment, Span

_FIELDS: Mapping[str, str] = {
    "status": "status",
    "latency": "latency_s",
    "jitter": "jitter_s",
    "retry_after": "retry_after_s",
    "up": "up_s",
    "down": "down_s",
    "factor": "factor",
    "bytes": "bytes",
    "bytes_per_s": "bytes_per_s",
    "jump": "jump_s",
    "point": "point",
    "victim": "victim",
}
"""Keys of a file, and the fields of a `Fault` that they set."""

_SLOW = frozenset({"latency", "jitter"})

TAKES: Mapping[FaultType, frozenset[str]] = {
    "error": frozenset({"status"}),
    "secret_echo": frozenset({"status"}),
    "rate_limit": frozenset({"retry_after"}),
    "latency": _SLOW,
    "ramp": _SLOW | {"factor"},
    "tail": _SLOW,
    "hang": frozenset({"latency", "point", "victim"}),
    "late_success": frozenset({"latency"}),
    "flap": frozenset({"up", "down"}),
    "wrong": frozenset({"set"}),
    "output_bomb": frozenset({"bytes"}),
    "slice": frozenset({"bytes", "latency"}),
    "bandwidth": frozenset({"bytes_per_s"}),
    "crash": frozenset({"point", "victim"}),
    "price_change": frozenset({"factor"}),
    "clock_jump": frozenset({"jump"}),
    "monitor_late": frozenset({"latency"}),
}
"""Which keys say something about which type, besides those that every rule may have."""


def _calls(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise PydanticCustomError("calls", "{why}", {"why": "write 2, 2-3 or 2- (calls of a run, from 1)"})
    try:
        return parse_calls(str(value))
    except DefinitionError as error:
        raise PydanticCustomError("calls", "{why}", {"why": error.why}) from None


Calls = Annotated[
    Any,
    BeforeValidator(_calls),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d{1,9}(-\d{0,9})?$"}]}
    ),
]


class FaultEntry(Entry):
    """One rule of what goes wrong, for which calls and when."""

    model_config = ConfigDict(serialize_by_alias=True)

    type: FaultType
    """What goes wrong; the guide "Test what happens when things fail" says what each does."""

    target: Annotated[Name | None, Given()] = None
    """Name of the tools it hits, with `*` and `?`; all of them if neither this nor `provider` is given. Of a fault of
    monitors: name of the monitors."""

    provider: Annotated[Name | None, Given()] = None
    """Name of the provider whose tools it hits, likewise."""

    attempts: Annotated[Calls, Given()] = None
    """Which calls of a tool within a run: `2`, `2-3`, or `2-` (from the second on). All if left out."""

    from_: Annotated[Span, Field(alias="from")] = 0.0
    """Seconds since the start of the run from which it is on."""

    until: Annotated[Span | None, Given()] = None
    """Seconds since the start of the run up to which it is on; for ever if left out."""

    toxicity: Annotated[Share | None, Given()] = None
    """Share of those calls that it hits, 0 to 1."""

    cause: Annotated[Name | None, Given()] = None
    """Faults of one cause happen together or not at all: one draw of `toxicity` for a run."""

    status: Annotated[int | None, Field(ge=400, le=599), Given()] = None
    """HTTP status of an `error` or `secret_echo`."""

    latency: Annotated[Span | None, Given()] = None
    """How much longer it takes."""

    jitter: Annotated[Span | None, Given()] = None
    """Give or take so much."""

    retry_after: Annotated[Span | None, Given()] = None
    """What `rate_limit` asks to wait."""

    up: Annotated[Span | None, Given()] = None
    """How long a `flap` is up."""

    down: Annotated[Span | None, Given()] = None
    """How long a `flap` is down."""

    factor: Annotated[float | None, Field(ge=0, le=1e6), Given()] = None
    """How a `ramp` grows with each call, or what a `price_change` multiplies the price by."""

    bytes: Annotated[int | None, Field(ge=1, le=1 << 30), Given()] = None
    """Size of an `output_bomb`, or of the pieces of a `slice`."""

    bytes_per_s: Annotated[float | None, Field(gt=0, le=1e12), Given()] = None
    """Speed of a `bandwidth`."""

    jump: Annotated[Moment | None, Given()] = None
    """How far a `clock_jump` goes; negative is back in time."""

    set: Annotated[dict[str, Any] | None, Given()] = None
    """What a `wrong` answer says, by field (`value` for an answer without fields)."""

    point: Annotated[Point | None, Given()] = None
    """When a `crash` or `hang` comes: as the request `arrives`, or when it is `answered` and the answer not out yet."""

    victim: Annotated[Name | None, Given()] = None
    """Provider that a `crash` or `hang` befalls; the target's own if left out."""

    @model_validator(mode="after")
    def _makes_sense(self) -> "FaultEntry":
        refuse(self._slips())
        return self

    def _slips(self) -> Iterator[InitErrorDetails]:
        takes = TAKES.get(self.type, frozenset())
        for key in (*_FIELDS, "set"):
            if getattr(self, key) is not None and key not in takes:
                known = f"; it takes {', '.join(sorted(takes))}" if takes else ""
                yield mistake((key,), f"says nothing about the fault {self.type!r}{known}")
        if self.type in BESIDE_CALLS:
            for key in ("provider", "attempts") if self.type in MONITORS else ("target", "provider", "attempts"):
                if getattr(self, key):
                    yield mistake((key,), f"{self.type!r} is not about calls of tools; leave it out")
        if self.until is not None and self.until <= self.from_:
            yield mistake(("until",), f"{self.until:g} s is not after from ({self.from_:g} s)")
        turn = (1.0 if self.up is None else self.up) + (1.0 if self.down is None else self.down)
        if self.type == "flap" and turn < SHORTEST_TURN_S:
            yield mistake(("up",), f"up and down together must be at least {SHORTEST_TURN_S} s")

    @property
    def fault(self) -> Fault:
        """As the injector takes it."""
        options: dict[str, Any] = dict(USUAL.get(self.type, {}))
        options |= {field: getattr(self, key) for key, field in _FIELDS.items() if getattr(self, key) is not None}
        if self.toxicity is not None:
            options["toxicity"] = self.toxicity
        attempts: Attempts | None = self.attempts
        return Fault(
            type=self.type,
            target=self.target or "*",
            provider=self.provider,
            attempts=attempts,
            from_s=self.from_,
            until_s=self.until,
            cause=self.cause,
            values=tuple((self.set or {}).items()),
            **options,
        )
