"""Reads the OTLP JSON lines under a store. The files may be torn, huge or hostile: what is no span is passed over.

Any file in the collector's format will do, ours or not.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias, cast

LONGEST_LINE: Final = 64 * 1024 * 1024
"""Bytes of a line that are read; a longer one is passed over."""

MOST_BYTES: Final = 1024 * 1024 * 1024
"""Bytes that are read in one go, the newest files first."""

DEEPEST_VALUE: Final = 10
"""Levels of an attribute's value that are read."""

LARGEST_NUMBER: Final = 1e15
"""No cost, count or duration is beyond this."""

Value: TypeAlias = "str | bool | int | float | list[Value] | dict[str, Value] | None"
"""Value of an attribute."""

_ID_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A link to another span, with what it means (``agentroute.link``)."""

    trace_id: str
    span_id: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Span:
    """One span, as it was exported.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: The span it is a child of; empty for a root.
        name: Its name.
        start_ns: Nanoseconds since 1970.
        end_ns: The same.
        attributes: What is known about it.
        links: Spans it refers to.
        failed: Whether its status is an error.
        message: The status' description.
        service: ``service.name`` of the process it is from.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Value] = field(default_factory=dict[str, Value])
    links: Sequence[SpanLink] = ()
    failed: bool = False
    message: str = ""
    service: str = ""

    @property
    def duration_s(self) -> float:
        """Seconds from start to end."""
        return max(0, self.end_ns - self.start_ns) / 1e9

    def text(self, name: str) -> str:
        """An attribute as text; empty if there is none."""
        value = self.attributes.get(name)
        return "" if value is None else str(value)

    def number(self, name: str) -> float:
        """An attribute as a number; 0 if it is none, or absurd."""
        value = self.attributes.get(name)
        return value if isinstance(value, (int, float)) and abs(value) < LARGEST_NUMBER else 0

    def texts(self, name: str) -> list[str]:
        """An attribute as a list of texts; empty if it is none."""
        value = self.attributes.get(name)
        return [str(item) for item in value] if isinstance(value, list) else []


def trace_files(folder: Path) -> list[Path]:
    """The trace files of a folder, the one written last first."""
    if not folder.is_dir():
        return []
    files = [
        (file.stat().st_mtime, file) for file in folder.glob("*.jsonl") if file.is_file() and not file.is_symlink()
    ]
    return [file for _, file in sorted(files, reverse=True)]


def read_spans(file: Path, *, containing: str = "", most_bytes: int = MOST_BYTES) -> Iterator[Span]:
    """Read the spans of a file.

    Args:
        file: OTLP JSON lines.
        containing: Only from lines that hold this text; saves parsing the others.
        most_bytes: Stop after this many bytes.
    """
    needle = containing.encode()
    with file.open("rb") as stream:
        for line in _lines(stream, most_bytes):
            if needle in line:
                yield from _spans(line)


def _lines(stream: BinaryIO, most_bytes: int) -> Iterator[bytes]:
    """Lines; parts of one that is too long or still being written are no JSON, and so will be passed over."""
    seen = 0
    while seen < most_bytes and (line := stream.readline(LONGEST_LINE)):
        seen += len(line)
        yield line


def _spans(line: bytes) -> Iterator[Span]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return
    for resource_spans in _objects(request, "resourceSpans"):
        resource = resource_spans.get("resource")
        about = _attributes(cast("dict[str, Any]", resource)) if isinstance(resource, dict) else {}
        service = about.get("service.name")
        for scope_spans in _objects(resource_spans, "scopeSpans"):
            for data in _objects(scope_spans, "spans"):
                span = _span(data, service if isinstance(service, str) else "")
                if span is not None:
                    yield span


def _span(data: Mapping[str, Any], service: str) -> Span | None:
    trace_id, span_id = _id(data.get("traceId"), 32), _id(data.get("spanId"), 16)
    start, end = _integer(data.get("startTimeUnixNano")), _integer(data.get("endTimeUnixNano"))
    if not trace_id or not span_id or start is None or end is None:
        return None
    status = data.get("status")
    status = cast("dict[str, Any]", status) if isinstance(status, dict) else {}
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=_id(data.get("parentSpanId"), 16),
        name=str(data.get("name", "")),
        start_ns=start,
        end_ns=end,
        attributes=_attributes(data),
        links=[link for each in _objects(data, "links") if (link := _link(each)) is not None],
        failed=str(status.get("code")) in {"2", "STATUS_CODE_ERROR"},
        message=str(status.get("message", "")),
        service=service,
    )


def _link(data: Mapping[str, Any]) -> SpanLink | None:
    trace_id, span_id = _id(data.get("traceId"), 32), _id(data.get("spanId"), 16)
    if not trace_id or not span_id:
        return None
    return SpanLink(trace_id, span_id, str(_attributes(data).get("agentroute.link", "")))


def _attributes(data: Mapping[str, Any]) -> dict[str, Value]:
    return {
        name: _value(each.get("value"), 0)
        for each in _objects(data, "attributes")
        if isinstance(name := each.get("key"), str)
    }


def _value(data: object, depth: int) -> Value:
    """Read an ``AnyValue``; what is none is None."""
    if not isinstance(data, dict) or depth > DEEPEST_VALUE:
        return None
    for kind, value in cast("dict[str, Any]", data).items():
        match kind:
            case "stringValue" | "boolValue" | "bytesValue":
                return value if isinstance(value, (str, bool)) else None
            case "intValue":
                return _integer(value)
            case "doubleValue":
                return _double(value)
            case "arrayValue":
                return [_value(item, depth + 1) for item in _objects(value, "values")]
            case "kvlistValue":
                return {
                    str(each.get("key")): _value(each.get("value"), depth + 1) for each in _objects(value, "values")
                }
            case _:
                continue
    return None


def _objects(data: object, name: str) -> Iterator[dict[str, Any]]:
    """The objects in a list that is held under a name, if that is what is there."""
    if isinstance(data, dict):
        held = cast("dict[str, Any]", data).get(name)
        if isinstance(held, list):
            yield from (item for item in cast("list[Any]", held) if isinstance(item, dict))


def _id(value: object, digits: int) -> str:
    """An id in lower-case hex; empty if it is none, or all zeros."""
    text = value.lower() if isinstance(value, str) else ""
    return text if len(text) == digits and _ID_DIGITS.issuperset(text) and text.strip("0") else ""


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or len(str(value)) > 20:
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _double(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, (int, float, str)) else None
    except (ValueError, OverflowError):
        return None
