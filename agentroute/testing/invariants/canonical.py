"""Events as canonical JSON, worked out apart from the code that writes journals. 7: the same seed, the same bytes."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from pydantic_core import to_jsonable_python

from agentroute.ports import Record
from agentroute.run.events import Event


def decision_journal(records: Iterable[Record]) -> bytes:
    """The journal as canonical JSON lines without the wall clock: the same bytes for the same seed."""
    return b"\n".join(
        canonical({**plain(record.event), "wall": None}).encode("utf-8", "surrogatepass") for record in records
    )


def plain(event: Event) -> dict[str, Any]:
    """Turn an event into JSON data; ``event`` names its class."""
    data = {item.name: getattr(event, item.name) for item in fields(event)}
    return {
        "event": type(event).__name__,
        **to_jsonable_python(data, fallback=lambda value: f"<{type(value).__name__}>"),
    }


def canonical(data: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no blanks."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def link(previous: str, event: Event) -> str:
    """SHA-256 over the digest before and the event, as hex."""
    return hashlib.sha256(f"{previous}{canonical(plain(event))}".encode("utf-8", "surrogatepass")).hexdigest()
