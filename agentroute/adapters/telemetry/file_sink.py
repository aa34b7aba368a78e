"""A `SpanExporter` that appends OTLP JSON lines to files under the store.

One line is one ``ExportTraceServiceRequest`` in the JSON mapping of OTLP, as the collector's file exporter writes it:
ids in hex, enums as numbers, 64-bit integers as strings. Any tool that reads those files reads these.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from json import JSONEncoder
from pathlib import Path
from typing import Final, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext

LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes after which a new file is begun."""

_LOGGER = logging.getLogger("agentroute.telemetry")
_quoted: Callable[[str], str] = JSONEncoder().encode
_KINDS: Final = {"INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}


class TraceFile(SpanExporter):
    """Appends spans to ``<folder>/<UTC date>-<pid>.jsonl``, readable by their owner alone.

    A folder that cannot be written or a full disk costs spans, not the run: they are counted in `dropped`, and the
    first loss is logged. Lines are whole or not there: what a full disk cut off is taken back.

    Args:
        folder: Where the files are; made when the first span comes.
        largest: Bytes after which a file is full.
        wall: Seconds since 1970.
    """

    def __init__(self, folder: Path, *, largest: int = LARGEST_FILE, wall: Callable[[], float] = time.time) -> None:
        """Keep the settings; nothing is opened yet."""
        self.dropped = 0
        self._folder = folder
        self._largest = largest
        self._wall = wall
        self._lock = threading.Lock()
        self._file: int | None = None
        self._key: tuple[int, str] | None = None
        self._warned = False
        self._part = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Append one line with these spans."""
        try:
            line = request_line(spans).encode()
            with self._lock:
                self._append(line)
        except Exception as error:  # noqa: BLE001  # tracing must not take a run down, whatever a span holds
            self._lose(len(spans), error)
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file. A later span opens it again."""
        with self._lock:
            self._close()

    def _append(self, line: bytes) -> None:
        file = self._open(len(line))
        before = os.fstat(file).st_size
        written = os.write(file, line)
        if written < len(line):
            with suppress(OSError):
                os.ftruncate(file, before)  # a torn line would swallow the next one
            raise OSError(f"only {written} of {len(line)} bytes could be written")

    def _open(self, more: int) -> int:
        """The file for `more` bytes, today and in this process: a fork must not share its parent's."""
        key = (os.getpid(), time.strftime("%Y-%m-%d", time.gmtime(self._wall())))
        if self._file is not None and key == self._key:
            if os.fstat(self._file).st_size + more <= self._largest:
                return self._file
            self._part += 1
        elif key != self._key:
            self._part = 0
        self._close()
        self._key = key
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            suffix = f"-{self._part}" if self._part else ""
            path = self._folder / f"{key[1]}-{key[0]}{suffix}.jsonl"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            size = os.fstat(file).st_size
            if size == 0 or size + more <= self._largest:
                self._file = file
                return file
            os.close(file)
            self._part += 1

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None

    def _lose(self, spans: int, error: Exception) -> None:
        self.dropped += spans
        if not self._warned:
            self._warned = True
            _LOGGER.warning(
                "spans are lost, %s cannot be written: %s. Free the disk, or choose another folder by AGENTROUTE_HOME, "
                "or turn traces off by AGENTROUTE_TRACE=off. Further losses are counted, not logged",
                self._folder,
                error,
            )


# ---------------------------------------------------------------- OTLP JSON


def request_line(spans: Sequence[ReadableSpan]) -> str:
    """Write spans as one ExportTraceServiceRequest, with a line feed at the end."""
    groups: dict[tuple[int, int], list[ReadableSpan]] = {}
    for span in spans:
        groups.setdefault((id(span.resource), id(span.instrumentation_scope)), []).append(span)
    by_resource: dict[int, list[list[ReadableSpan]]] = {}
    for (resource, _), group in groups.items():
        by_resource.setdefault(resource, []).append(group)
    parts = (
        f'{{"resource":{{"attributes":{_resource(scopes[0][0].resource)}}},"scopeSpans":['
        f"{','.join(map(_scope_spans, scopes))}]}}"
        for scopes in by_resource.values()
    )
    return f'{{"resourceSpans":[{",".join(parts)}]}}\n'


def _scope_spans(spans: Sequence[ReadableSpan]) -> str:
    scope = spans[0].instrumentation_scope
    schema = f',"schemaUrl":{_quoted(scope.schema_url)}' if scope is not None and scope.schema_url else ""
    return f'{{"scope":{_scope(scope)},"spans":[{",".join(map(_span, spans))}]{schema}}}'


def _scope(scope: InstrumentationScope | None) -> str:
    if scope is None:
        return "{}"
    return f'{{"name":{_quoted(scope.name)},"version":{_quoted(scope.version or "")}}}'


def _resource(resource: Resource) -> str:
    return _attributes(resource.attributes)


def _span(span: ReadableSpan) -> str:
    context = cast("SpanContext", span.context)
    parent = f'"parentSpanId":"{span.parent.span_id:016x}",' if span.parent is not None else ""
    state = f'"traceState":{_quoted(context.trace_state.to_header())},' if context.trace_state else ""
    events = f',"events":[{",".join(map(_event, span.events))}]' if span.events else ""
    links = f',"links":[{",".join(map(_link, span.links))}]' if span.links else ""
    status = span.status
    message = f',"message":{_quoted(status.description)}' if status.description else ""
    code = f'{{"code":{status.status_code.value}{message}}}' if status.status_code.value else "{}"
    return (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}",{parent}{state}'
        f'"name":{_quoted(span.name)},"kind":{_KINDS[span.kind.name]},'
        f'"startTimeUnixNano":"{span.start_time or 0}","endTimeUnixNano":"{span.end_time or 0}",'
        f'"attributes":{_attributes(span.attributes)}{events}{links},"status":{code},"flags":{_flags(span)}}}'
    )


def _flags(span: ReadableSpan) -> int:
    """W3C trace flags, and whether the parent is in another process (bits 8 and 9)."""
    context = span.context
    remote = 0x200 if span.parent is not None and span.parent.is_remote else 0
    return (int(context.trace_flags) if context is not None else 0) | 0x100 | remote


def _event(event: Event) -> str:
    name, at = _quoted(event.name), event.timestamp
    return f'{{"timeUnixNano":"{at}","name":{name},"attributes":{_attributes(event.attributes)}}}'


def _link(link: Link) -> str:
    context = link.context
    return (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}",'
        f'"attributes":{_attributes(link.attributes)}}}'
    )


_keys: dict[str, str] = {}


def _attributes(attributes: Mapping[str, object] | None) -> str:
    if not attributes:
        return "[]"
    parts: list[str] = []
    for name, value in attributes.items():
        key = _keys.get(name)
        if key is None:
            key = f'{{"key":{_quoted(name)},"value":'
            if len(_keys) < 1000:  # names are few; a tool that makes them up must not fill the memory
                _keys[name] = key
        parts.append(f"{key}{_value(value)}}}")
    return f"[{','.join(parts)}]"


def _value(value: object) -> str:
    match value:
        case str():
            return f'{{"stringValue":{_quoted(value)}}}'
        case bool():
            return '{"boolValue":true}' if value else '{"boolValue":false}'
        case int():
            return f'{{"intValue":"{value}"}}'
        case float():
            return f'{{"doubleValue":{_double(value)}}}'
        case Mapping():
            return f'{{"kvlistValue":{{"values":{_attributes(value)}}}}}'  # pyright: ignore[reportUnknownArgumentType]
        case bytes():
            return f'{{"stringValue":{_quoted(value.decode("utf-8", "replace"))}}}'
        case Iterable():
            return f'{{"arrayValue":{{"values":[{",".join(map(_value, value))}]}}}}'  # pyright: ignore[reportUnknownArgumentType]
        case _:
            return f'{{"stringValue":{_quoted(str(value))}}}'


def _double(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
