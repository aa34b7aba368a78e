"""Spans in the JSON mapping of OTLP: ids in hex, enums as numbers, 64-bit integers as strings.

Written as text piece by piece, because every step pays for it: 6 us a span.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from json import encoder
from typing import Final, cast

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import DEFAULT_TRACE_STATE, Link, SpanContext, SpanKind, Status, StatusCode

# Escapes whatever is not ASCII, halves of surrogate pairs too; `json.dumps` calls the same function for texts.
_quoted: Callable[[str], str] = encoder.encode_basestring_ascii

_KINDS: Final = {kind: number for number, kind in enumerate(SpanKind, 1)}

MOST_KEYS: Final = 1000
"""Names of attributes that are kept ready; names are few, but a tool might make them up."""

_keys: dict[str, str] = {}


def request_line(spans: Sequence[ReadableSpan]) -> str:
    """Write spans as one ExportTraceServiceRequest, with a line feed at the end."""
    groups: dict[int, dict[int, list[ReadableSpan]]] = {}
    for span in spans:
        scopes = groups.setdefault(id(span.resource), {})
        scopes.setdefault(id(span.instrumentation_scope), []).append(span)
    parts = ",".join(_resource_spans(list(scopes.values())) for scopes in groups.values())
    return f'{{"resourceSpans":[{parts}]}}\n'


def _resource_spans(groups: Sequence[Sequence[ReadableSpan]]) -> str:
    attributes = _attributes(groups[0][0].resource.attributes)
    return f'{{"resource":{{"attributes":{attributes}}},"scopeSpans":[{",".join(map(_scope_spans, groups))}]}}'


def _scope_spans(spans: Sequence[ReadableSpan]) -> str:
    scope = spans[0].instrumentation_scope
    schema = f',"schemaUrl":{_quoted(scope.schema_url)}' if scope is not None and scope.schema_url else ""
    return f'{{"scope":{_scope(scope)},"spans":[{",".join(map(_span, spans))}]{schema}}}'


def _scope(scope: InstrumentationScope | None) -> str:
    if scope is None:
        return "{}"
    return f'{{"name":{_quoted(scope.name)},"version":{_quoted(scope.version or "")}}}'


def _span(span: ReadableSpan) -> str:
    context, parent = cast("SpanContext", span.context), span.parent
    above = "" if parent is None else f'"parentSpanId":"{parent.span_id:016x}",'
    flags = context.trace_flags | (0x100 if parent is None or not parent.is_remote else 0x300)
    kind = 1 if span.kind is SpanKind.INTERNAL else _KINDS[span.kind]
    return (
        f'{{"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}",{above}'
        f'"name":{_quoted(span.name)},"kind":{kind},'
        f'"startTimeUnixNano":"{span.start_time or 0}","endTimeUnixNano":"{span.end_time or 0}",'
        f'"attributes":{_attributes(span.attributes)}{_rare(span, context)},"flags":{flags}}}'
    )


def _rare(span: ReadableSpan, context: SpanContext) -> str:
    """What most spans do not have."""
    events, links, status, state = span.events, span.links, span.status, context.trace_state
    text = "" if status.status_code is StatusCode.UNSET else _status(status)
    if links:
        text += f',"links":[{",".join(map(_link, links))}]'
    if events:
        text += f',"events":[{",".join(map(_event, events))}]'
    if state is not DEFAULT_TRACE_STATE and state:
        text += f',"traceState":{_quoted(state.to_header())}'
    return text


def _status(status: Status) -> str:
    message = f',"message":{_quoted(status.description)}' if status.description else ""
    return f',"status":{{"code":{status.status_code.value}{message}}}'


def _event(event: Event) -> str:
    name, at = _quoted(event.name), event.timestamp
    return f'{{"timeUnixNano":"{at}","name":{name},"attributes":{_attributes(event.attributes)}}}'


def _link(link: Link) -> str:
    context = link.context
    ids = f'"traceId":"{context.trace_id:032x}","spanId":"{context.span_id:016x}"'
    return f'{{{ids},"attributes":{_attributes(link.attributes)}}}'


def _attributes(attributes: Mapping[str, object] | None) -> str:
    if not attributes:
        return "[]"
    parts: list[str] = []
    for name, value in attributes.items():
        key = _keys.get(name) or _key(name)
        if type(value) is str:
            parts.append(f'{key}{{"stringValue":{_quoted(value)}}}}}')
        elif type(value) is int:
            parts.append(f'{key}{{"intValue":"{value}"}}}}')
        else:
            parts.append(f"{key}{_value(value)}}}")
    return f"[{','.join(parts)}]"


def _key(name: str) -> str:
    key = f'{{"key":{_quoted(name)},"value":'
    if len(_keys) < MOST_KEYS:
        _keys[name] = key
    return key


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
        case bytes():
            return f'{{"stringValue":{_quoted(value.decode("utf-8", "replace"))}}}'
        case Mapping():
            return f'{{"kvlistValue":{{"values":{_attributes(cast("Mapping[str, object]", value))}}}}}'
        case Iterable():
            return f'{{"arrayValue":{{"values":[{",".join(map(_value, cast("Iterable[object]", value)))}]}}}}'
        case _:
            return f'{{"stringValue":{_quoted(str(value))}}}'


def _double(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'
