"""Values of scenario files: spans of time as people write them, and bounds on a number."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from agentroute.graph.cost import LARGEST
from agentroute.graph.entries import Entry
from agentroute.graph.yaml_model import mistake, refuse
from agentroute.graph.yaml_positions import brief

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_SPAN = re.compile(r"(-?\d{1,12}(?:\.\d{1,9})?)\s?(ms|s|m|h)")

_SPAN_SCHEMA = {
    "anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^-?\d{1,12}(\.\d{1,9})?\s?(ms|s|m|h)$"}],
    "examples": ["500ms", "30s", "2m", 1.5],
}


def span(value: object) -> object:
    """Read ``500ms``, ``30s``, ``2m`` or ``1h``; a number is in seconds and stays what it is."""
    if not isinstance(value, str):
        return value
    found = _SPAN.fullmatch(value.strip())
    if found is None:
        raise PydanticCustomError(
            "span", "{why}", {"why": f"write a time such as 500ms, 30s or 2m, not {brief(value)}"}
        )
    return float(found[1]) * UNITS[found[2]]


Moment = Annotated[float, BeforeValidator(span), Field(ge=-LARGEST, le=LARGEST), WithJsonSchema(_SPAN_SCHEMA)]
"""Seconds, or a time with its unit; may be negative."""

Span = Annotated[float, BeforeValidator(span), Field(ge=0, le=LARGEST), WithJsonSchema(_SPAN_SCHEMA)]
"""The same from 0 up."""


class Bounds(Entry):
    """What a number has to be: ``3`` (exactly), ``{min: 1}``, ``{max: 4}``, ``{min: 1, max: 4}``."""

    min: Annotated[Any, BeforeValidator(span), WithJsonSchema(_SPAN_SCHEMA)] = None
    """At least this much."""

    max: Annotated[Any, BeforeValidator(span), WithJsonSchema(_SPAN_SCHEMA)] = None
    """At most this much."""

    @model_validator(mode="after")
    def _are_possible(self) -> "Bounds":
        for name in ("min", "max"):
            bound: object = getattr(self, name)
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, (int, float))):
                refuse([mistake((name,), f"expected a number, not {brief(bound)}")])
        if self.min is None and self.max is None:
            refuse([mistake((), "says nothing: give it min, max or a number")])
        if self.min is not None and self.max is not None and self.min > self.max:
            refuse([mistake(("max",), f"{self.max:g} is below min ({self.min:g})")])
        return self

    def hold(self, value: float) -> bool:
        """Whether a value is within them; rounding of sums does not count."""
        slack = 1e-9
        above = self.min is None or value >= self.min - slack
        return above and (self.max is None or value <= self.max + slack)

    def __str__(self) -> str:
        """In words."""
        if self.min == self.max and self.min is not None:
            return f"{self.min:g}"
        words = [f"at least {self.min:g}"] if self.min is not None else []
        words += [f"at most {self.max:g}"] if self.max is not None else []
        return " and ".join(words) or "anything"


def _exactly(value: object) -> object:
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return {"min": value, "max": value}
    return value


Number = Annotated[
    Bounds,
    BeforeValidator(_exactly),
    WithJsonSchema(
        {
            "anyOf": [
                *_SPAN_SCHEMA["anyOf"],
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"min": _SPAN_SCHEMA, "max": _SPAN_SCHEMA},
                },
            ]
        }
    ),
]
"""A number as an expectation: exactly so much, or bounds."""
