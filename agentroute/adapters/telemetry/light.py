"""Spans for our own sink at less than half the price.

A span of opentelemetry-sdk has a lock, bounded and cleaned attributes, a sampler's verdict of its own and a copy made
at its end: 100 us of CPU for a step with its attempt, until both are in the file, against 40 us for these. Ours come
from one place that knows what it writes. They are `ReadableSpan`s like any other: every processor and exporter takes
them.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from random import getrandbits
from traceback import format_exception
from typing import Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.util.types import AnyValue, Attributes, AttributeValue

MOST: Final = 256
"""Attributes or events of one span; what a tool adds beyond that is dropped."""

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
_UNSET: Final = Status(StatusCode.UNSET)
_PLAIN: Final = frozenset({str, int, float, bool})


class LightSpan(ReadableSpan, Span):
    """A span that hands itself over when it ends."""

    # What most spans never change stands here, so that making one is short.
    _events: Sequence[Event] = ()
    _status: Status = _UNSET
    _end_time: int | None = None
    _instrumentation_info: None = None

    def __init__(
        self,
        origin: "LightTracer",
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        *,
        kind: SpanKind,
        attributes: dict[str, AnyValue],
        links: Sequence[Link],
        start_time: int,
    ) -> None:
        """Begin. `attributes` becomes the span's own; it must hold what OpenTelemetry allows."""
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._attributes = attributes
        self._links = links
        self._start_time = start_time
        self._origin = origin
        self._resource = origin.resource
        self._instrumentation_scope = origin.scope

    def get_span_context(self) -> SpanContext:
        """Ids of the span."""
        return self._context

    def is_recording(self) -> bool:
        """Whether it has not ended yet."""
        return self._end_time is None

    def end(self, end_time: int | None = None) -> None:
        """End it at `end_time`, in nanoseconds since 1970."""
        if self._end_time is None:
            self._end_time = self._origin.now() if end_time is None else end_time
            for finish in self._origin.finish:
                finish(self)

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Add attributes, of any kind: a tool may add its own."""
        if self._end_time is not None:
            return
        for name, value in attributes.items():
            if len(self._attributes) < MOST or name in self._attributes:
                self._attributes[name] = value if type(value) in _PLAIN else _clean(name, value)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Add one attribute."""
        self.set_attributes({key: value})

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Say how it ended; what was called OK stays OK."""
        if self._end_time is None and self._status.status_code is not StatusCode.OK:
            found = status if isinstance(status, Status) else Status(status, description)
            if found.status_code is not StatusCode.UNSET:
                self._status = found

    def update_name(self, name: str) -> None:
        """Give it another name."""
        if self._end_time is None:
            self._name = name

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Link it to another span."""
        if self._end_time is None and len(self._links) < MOST:
            self._links = [*self._links, Link(context, _cleaned(attributes))]

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Write down a moment; nothing of ours does, a tool may."""
        if self._end_time is None and len(self._events) < MOST:
            at = self._origin.now() if timestamp is None else timestamp
            self._events = [*self._events, Event(name, _cleaned(attributes), at)]

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002  # the signature is OpenTelemetry's
    ) -> None:
        """Write down an exception as an event."""
        described: dict[str, AttributeValue] = {
            "exception.type": type(exception).__qualname__,
            "exception.message": str(exception),
            "exception.stacktrace": "".join(format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event("exception", described | dict(_cleaned(attributes)), timestamp)


class LightTracer:
    """Makes spans of one agent; of OpenTelemetry's `Tracer`, the part that is used here.

    Args:
        resource: Who they are from.
        scope: What makes them.
        sampler: Asked once per trace; the spans below a root share its fate.
        finish: Called with every span that has ended.
        now: Nanoseconds since 1970, for spans and events without a time of their own.
    """

    def __init__(
        self,
        *,
        resource: Resource,
        scope: InstrumentationScope,
        sampler: Sampler,
        finish: Sequence[Callable[[ReadableSpan], None]],
        now: Callable[[], int],
    ) -> None:
        """Keep what every span needs."""
        self.resource = resource
        self.scope = scope
        self.finish = finish
        self.now = now
        self._sampler = sampler
        self._planned = threading.local()

    def plan(self, trace: int, span: int) -> None:
        """Fix the ids of the next span that this thread starts: of its trace, if it is a root, and its own."""
        self._planned.ids = (trace, span)

    def start_span(  # noqa: PLR0917  # the signature is OpenTelemetry's
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
    ) -> Span:
        """Begin a span at `start_time`, in nanoseconds since 1970."""
        planned: tuple[int, int] = getattr(self._planned, "ids", None) or (_random(128), _random(64))
        self._planned.ids = None
        parent = get_current_span(context).get_span_context()
        if parent.is_valid:
            trace, above = parent.trace_id, parent
            sampled = parent.trace_flags.sampled
        else:
            trace, above = planned[0], None
            decision = self._sampler.should_sample(context, trace, name, kind, attributes, links).decision
            sampled = decision.is_sampled()
        own = SpanContext(trace, planned[1], is_remote=False, trace_flags=_SAMPLED if sampled else None)
        if not sampled:
            return NonRecordingSpan(own)
        held = dict(attributes) if attributes else {}
        at = start_time or self.now()
        return LightSpan(self, name, own, above, kind=kind, attributes=held, links=links or (), start_time=at)


def _random(bits: int) -> int:
    return getrandbits(bits) or 1


def _clean(name: str, value: AnyValue) -> AnyValue:
    return BoundedAttributes(attributes={name: value}, immutable=False).get(name)


def _cleaned(attributes: Attributes) -> Mapping[str, AnyValue]:
    return dict(BoundedAttributes(MOST, attributes)) if attributes else {}
