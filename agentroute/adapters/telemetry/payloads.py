"""Inputs and outputs as span attributes: only on request, masked, and never longer than a limit."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json, to_jsonable_python

from agentroute.adapters.redaction import Redactor

LIMIT: Final = 8192
"""Characters of a payload that are kept."""


@dataclass(frozen=True, slots=True)
class Payloads:
    """How payloads are written down.

    Attributes:
        redactor: Masks what is secret.
        limit: Characters that are kept.
    """

    redactor: Redactor
    limit: int = LIMIT

    def render(self, values: Mapping[Any, Any]) -> str:
        """Artifact values as JSON text. What JSON has no form for is written as its `str`."""
        try:
            plain = to_jsonable_python(dict(values), serialize_unknown=True, inf_nan_mode="strings")
        except (ValueError, RecursionError) as error:  # a value that contains itself, or whose own serializer fails
            return f"not to be written as JSON: {type(error).__name__}"
        masked = self.redactor.data(plain)
        try:
            text = to_json(masked, inf_nan_mode="strings").decode()
        except ValueError:  # half a surrogate pair, which UTF-8 has no form for
            text = json.dumps(masked, separators=(",", ":"))
        if len(text) <= self.limit:
            return text
        return f"{text[: self.limit]}... ({len(text)} characters)"
