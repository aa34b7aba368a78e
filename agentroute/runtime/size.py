"""How much an answer holds, roughly and quickly: what no journal or trace could take is refused at the door."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel

LARGEST_ANSWER = 16 * 1024 * 1024
"""Characters, bytes and values of one answer, all artifacts together."""


def exceeds(values: Iterable[Any], limit: int) -> bool:
    """Whether values hold more than `limit` characters, bytes and values. Stops as soon as that is known.

    Looks into models, mappings and lists; what it does not know counts as one. Linear in the number of values, not in
    the length of texts.
    """
    pending = list(values)
    size = len(pending)
    while pending:
        value = pending.pop()
        if isinstance(value, (str, bytes, bytearray)):
            size += len(value)
        else:
            parts = _parts(value)
            size += len(parts)
            pending += parts
        if size > limit:
            return True
    return False


def _parts(value: Any) -> list[Any]:
    if isinstance(value, BaseModel):
        return list(value.__dict__.values())
    if isinstance(value, Mapping):
        entries = cast("Mapping[Any, Any]", value)
        return [*entries.keys(), *entries.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(cast("list[Any]", value))
    return []
