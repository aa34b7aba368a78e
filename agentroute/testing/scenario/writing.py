"""Scenario files as a person would write them: short things on one line, seconds as ``30s``."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from agentroute.graph.yaml_scalars import UNPRINTABLE
from agentroute.testing.scenario.values import span

WIDTH = 120
"""Characters of a line up to which a mapping or list is written on one."""

_FAULT_SPANS = frozenset({"from", "until", "latency", "jitter", "retry_after", "up", "down", "jump"})

_PLAIN = re.compile(r"[A-Za-z_][\w.,/*?()'-]*(?: [\w./*?()-][\w.,/*?()'-]*)*", re.ASCII)
"""Texts that need no quotes on a line of their own, unless they are words that mean something else."""

_PLAIN_INSIDE = re.compile(r"[A-Za-z_][\w./*?()'-]*(?: [\w./*?()-][\w./*?()'-]*)*", re.ASCII)
"""The same between brackets, where a comma ends a text."""

_TIME = re.compile(r"\d+(?:\.\d+)?s", re.ASCII)
"""Times need none either."""

_NOT_FINITE = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}
"""Numbers that files may not hold, in YAML's words: refused when read, and not taken for texts."""

_SPECIAL_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def to_yaml(data: Mapping[str, Any], *, comment: str = "") -> str:
    """Write a scenario down; reading the text gives the same scenario.

    Args:
        data: Plain data, as a scenario file holds it. Texts that no file may hold (control characters, characters that
            change the direction of writing) are written, and refused when the file is read.
        comment: Said at the top of the file, in as many lines as it has.
    """
    lines = [f"# {UNPRINTABLE.sub('?', line)}".rstrip() for line in comment.splitlines()]
    return "\n".join([*lines, *_block(_with_units(dict(data)), 0)]) + "\n"


# -------------------------------------------------------------------- seconds


def _with_units(data: dict[str, Any]) -> dict[str, Any]:
    """Times with their unit, at those places where files take one. Every other value stays as it is."""
    changed = _spans(data, frozenset({"every", "cancel_at"}))
    if isinstance(data.get("method"), list):
        changed["method"] = [_spans(entry, _FAULT_SPANS) for entry in cast("list[Any]", data["method"])]
    if isinstance(data.get("simulate"), dict):
        tools = cast("dict[str, Any]", data["simulate"])
        changed["simulate"] = {name: _spans(entry, frozenset({"seconds"})) for name, entry in tools.items()}
    return changed


def _spans(entry: Any, keys: frozenset[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    known = cast("dict[str, Any]", entry)
    return {key: _span(value) if key in keys else value for key, value in known.items()}


def _span(value: Any) -> Any:
    """A number as ``30s``, if that means exactly the same."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    text = f"{value!r}".removesuffix(".0") + "s"
    try:
        return text if span(text) == value else value
    except ValueError:  # so small or large that it is not written in digits
        return value


# -------------------------------------------------------------------- lines


def _block(value: Any, depth: int) -> list[str]:
    """A mapping or list over several lines."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return [line for key, inside in entries.items() for line in _entry(_text(key), inside, depth)]
    return [line for inside in cast("Sequence[Any]", value) for line in _item(inside, depth)]


def _entry(key: str, value: Any, depth: int) -> list[str]:
    head = f"{_indent(depth)}{key}:"
    if _on_one_line(value, len(head)):
        return [f"{head} {_flow(value, inside=False)}"]
    return [head, *_block(value, depth + 1)]


def _item(value: Any, depth: int) -> list[str]:
    """An item of a list; a mapping begins on the line of its dash."""
    head = f"{_indent(depth)}- "
    if _on_one_line(value, len(head), listed=True):
        return [head + _flow(value, inside=False)]
    first, *rest = _block(value, depth + 1)
    return [head + first.removeprefix(_indent(depth + 1)), *rest]


def _indent(depth: int) -> str:
    return "  " * depth


def _on_one_line(value: Any, before: int, *, listed: bool = False) -> bool:
    """Whether it has no parts, or few enough. Mappings in a list stand below each other."""
    if not isinstance(value, (Mapping, list, tuple)) or not value:
        return True
    parts: list[Any] = [] if isinstance(value, Mapping) else list(cast("Sequence[Any]", value))
    if not listed and any(isinstance(part, Mapping) for part in parts):
        return False
    return before + 1 + len(_flow(value)) <= WIDTH


# -------------------------------------------------------------------- values


def _flow(value: Any, *, inside: bool = True) -> str:
    """A value on one line; `inside` brackets a text needs quotes more often."""
    if isinstance(value, Mapping):
        entries = cast("Mapping[str, Any]", value)
        return "{" + ", ".join(f"{_text(key)}: {_flow(part)}" for key, part in entries.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_flow, cast("Sequence[Any]", value))) + "]"
    return _scalar(value, inside=inside)


def _scalar(value: Any, *, inside: bool) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _NOT_FINITE.get(repr(value), repr(value))
        case _:
            return _text(str(value), inside=inside)


def _text(text: str, *, inside: bool = True) -> str:
    """A text, in quotes wherever a reader could take it for something else."""
    word = (_PLAIN_INSIDE if inside else _PLAIN).fullmatch(text) and text.lower() not in _SPECIAL_WORDS
    return text if word or _TIME.fullmatch(text) else json.dumps(text, ensure_ascii=False)
