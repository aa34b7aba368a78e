"""What unquoted words of YAML stand for: JSON's constants and numbers, else text."""

import math
import re

from agentroute.graph.yaml_positions import unquoted

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # change the direction of what follows, also in a terminal
    "\u2028\u2029"  # line breaks to some readers, which then count other lines than an editor does
    "\ud800-\udfff\ufeff\ufffe\uffff]"
)


_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_AMBIGUOUS_WORDS = frozenset(
    form for word in ("yes", "no", "on", "off") for form in (word, word.capitalize(), word.upper())
)
_NUMBER_BEGINS = frozenset("0123456789+-.")
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_DECIMAL = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")
_AMBIGUOUS_NUMBER = re.compile(r"[-+]?(?:0[0-9_]+|0[xob][0-9a-fA-F_]+|[0-9]+_[0-9_]*(?:\.[0-9_]*)?)\Z")


def plain(text: str) -> str | float | bool | None:
    """What an unquoted scalar stands for: JSON's constants and numbers, else text.

    Dates and times (``2026-03-01``, ``12:30``) are text.

    Raises:
        ValueError: YAML 1.1 and 1.2 disagree about it, or it is no number one can compute with.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text in _AMBIGUOUS_WORDS:
        raise ValueError(f"{text} is a boolean to some readers: put it in quotes, or write true or false")
    return _number(text) if text[0] in _NUMBER_BEGINS else text


_PLAIN_NUMBER = "write it in decimal digits, or put it in quotes if it is text"


def _number(text: str) -> str | float:
    if _AMBIGUOUS_NUMBER.match(text):
        raise ValueError(f"{unquoted(text)} is not the same number to all readers: {_PLAIN_NUMBER}")
    if _NOT_FINITE.match(text):
        raise ValueError(f"must be a finite number, not {text}")
    if not _DECIMAL.match(text):
        return text
    if len(text) > 40:
        raise ValueError(f"a number of {len(text):,} characters; put it in quotes if it is text")
    value = int(text) if _WHOLE.match(text) else float(text)
    if math.isinf(value):
        raise ValueError(f"must be a finite number; {text} is too large to compute with")
    return value


def unprintable(character: str) -> str:
    """Say what `UNPRINTABLE` found."""
    return f"U+{ord(character):04X} is not a printable character; remove it"
