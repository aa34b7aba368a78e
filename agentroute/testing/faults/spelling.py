"""Faults as the command line has them: ``TYPE[=VALUE]:TOOL[@CALLS]``."""

import re
from collections.abc import Mapping
from typing import Any, cast

from agentroute.errors import DefinitionError
from agentroute.testing.faults.fault import USUAL, Attempts, Fault, FaultType

SPELLING = re.compile(r"(?P<type>[a-z_0-9]+)(?:=(?P<value>-?[0-9.]+))?:(?P<target>.+?)(?:@(?P<calls>\d+(?:-\d*)?))?")

CALLS = re.compile(r"(?P<first>\d{1,9})(?P<to>-(?P<last>\d{1,9})?)?")

VALUES: Mapping[str, str] = {
    "error": "status",
    "secret_echo": "status",
    "rate_limit": "retry_after_s",
    "latency": "latency_s",
    "ramp": "latency_s",
    "tail": "latency_s",
    "late_success": "latency_s",
    "flap": "down_s",
    "price_change": "factor",
    "output_bomb": "bytes",
    "slice": "bytes",
    "bandwidth": "bytes_per_s",
}
"""Which field the value in ``TYPE=VALUE:TOOL`` sets."""

WHOLE = frozenset({"status", "bytes"})
"""Fields that are whole numbers."""


def parse_fault(text: str) -> Fault:
    """Read a fault as the command line has it: ``TYPE[=VALUE]:TOOL[@CALLS]``.

    `TOOL` may contain ``*`` and ``?``. `VALUE` is the status of an ``error``, the seconds of a ``latency``, a
    ``late_success`` or the ``Retry-After`` of a ``rate_limit``, and so on (`VALUES`). `CALLS` is ``2`` (the second call
    of a run), ``2-3`` or ``2-`` (from the second on).

    Raises:
        DefinitionError: Saying what was expected.

    Example:
        >>> parse_fault("error=500:search_*@1-2").attempts
        (1, 2)
    """
    found = SPELLING.fullmatch(text.strip())
    if found is None:
        raise DefinitionError(f"fault {text!r}", "write TYPE:TOOL, such as error:search_* or rate_limit=30:book@1")
    kind, value = found["type"], found["value"]
    options: dict[str, Any] = {**USUAL.get(cast("FaultType", kind), {}), "target": found["target"]}
    if value is not None:
        options |= _value(text, kind, value)
    if found["calls"] is not None:
        options["attempts"] = parse_calls(found["calls"])
    return Fault(type=cast("FaultType", kind), **options)


def parse_calls(text: str) -> Attempts:
    """Read which calls are meant: ``2``, ``2-3`` or ``2-``.

    Raises:
        DefinitionError: It is none of these, or runs backwards.

    Example:
        >>> parse_calls("2-"), parse_calls("3")
        ((2, None), (3, 3))
    """
    found = CALLS.fullmatch(text.strip())
    if found is None:
        raise DefinitionError(
            f"calls {text!r} of a fault", "write 2 for the second call of a run, 2-3, or 2- from the second on"
        )
    first = int(found["first"])
    last = first if found["to"] is None else int(found["last"]) if found["last"] else None
    if first < 1 or (last is not None and last < first):
        raise DefinitionError(
            f"calls {text!r} of a fault", "calls are counted from 1, and the last is not before the first"
        )
    return first, last


def _value(text: str, kind: str, value: str) -> dict[str, Any]:
    if kind not in VALUES:
        raise DefinitionError(f"fault {text!r}", f"takes no value; those that do: {', '.join(VALUES)}")
    field = VALUES[kind]
    try:
        return {field: int(float(value)) if field in WHOLE else float(value)}
    except ValueError:
        raise DefinitionError(f"fault {text!r}", f"{value!r} is no number") from None
