"""Events as plain JSON data, and the hash that chains them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from agentroute.errors import JournalError
from agentroute.run.events import Event

GENESIS = "0" * 64
"""Digest before the first event."""


def encode(event: Event) -> dict[str, Any]:
    """Turn an event into JSON data; ``event`` names its class. Values JSON cannot hold are shown by their type."""
    data = {field.name: getattr(event, field.name) for field in fields(event)}
    return {
        "event": type(event).__name__,
        **plain_json(data),
    }


def decode(data: Mapping[str, Any]) -> Event:
    """Read an event back from what `encode` gave. Values of artifacts stay the JSON data they were written as.

    Raises:
        JournalError: It is no event.
    """
    fields_of = {name: value for name, value in data.items() if name != "event"}
    try:
        return _adapter(str(data["event"])).validate_python(fields_of)
    except (KeyError, ValidationError) as error:
        raise JournalError(f"no event that this version knows: {str(data)[:200]}") from error


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter({kind.__name__: kind for kind in get_args(Event)}[name])


def chain(previous: str, event: Event) -> str:
    """Digest of `event` after `previous`: SHA-256 over both, the event as canonical JSON."""
    canonical = json.dumps(encode(event), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}{canonical}".encode("utf-8", "surrogatepass")).hexdigest()


def plain_json(value: object) -> Any:
    """Any value as JSON data: bytes in base64, and what JSON cannot hold by the name of its type."""
    return to_jsonable_python(value, bytes_mode="base64", fallback=lambda odd: f"<{type(odd).__name__}>")
