"""Spans that are opened as soon as it is certain that this process has to export them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from agentroute.adapters.telemetry import semconv
from agentroute.adapters.telemetry.describe import Attributes

PlanIds: TypeAlias = Callable[[int, int], None]
"""Fixes the ids of the next span that this thread starts: trace id (if it is a root) and span id."""


class Tracer(Protocol):
    """What makes spans: OpenTelemetry's own, or `LightTracer`."""

    def start_span(  # noqa: PLR0917  # the signature is OpenTelemetry's
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
    ) -> Span:
        """Begin a span at `start_time`, in nanoseconds since 1970."""
        ...


_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


@dataclass(slots=True)
class Pen:
    """What it takes to write the spans of one run.

    Attributes:
        tracer: Makes them.
        plan: Fixes their ids; None where the application decides on ids.
        trace: Trace id of the run if it is no part of another trace.
        ambient: Context around the run's own span.
        exported_until: While history is replayed: nanoseconds since 1970 until which spans that had ended were
            exported by the process that is gone. None once the run goes on.
    """

    tracer: Tracer
    plan: PlanIds | None
    trace: int
    ambient: Context
    exported_until: int | None = None

    def begin(
        self,
        name: str,
        at: int,
        attributes: Attributes,
        *,
        id: int,  # noqa: A002  # it is one
        parent: "Draft | None" = None,
        links: Sequence[Link] = (),
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> "Draft":
        """Draft a span that starts `at` nanoseconds since 1970, and open it unless history is replayed."""
        draft = Draft(self, (name, at, attributes, id, parent, links, kind))
        if self.exported_until is None:
            draft.open()
        return draft


_Spec: TypeAlias = "tuple[str, int, Attributes, int, Draft | None, Sequence[Link], SpanKind]"
_FORGOTTEN: Final[_Spec] = ("", 0, {}, 0, None, (), SpanKind.INTERNAL)


class Draft:
    """One span: not opened yet, open, or ended."""

    __slots__ = ("_children", "_pen", "_span", "_spec", "context", "ended")

    def __init__(self, pen: Pen, spec: "_Spec") -> None:
        """Keep what the span will be opened with."""
        self._pen = pen
        self._spec = spec
        self._span: Span | None = None
        self._children: Context | None = None
        self.ended = False
        self.context: SpanContext | None = None
        """How others link to it; None as long as nobody can know."""
        if pen.plan is not None and pen.exported_until is not None:
            self.context = SpanContext(pen.trace, spec[3], is_remote=False, trace_flags=_SAMPLED)

    def open(self) -> Span:
        """Start the span, its parents first, unless that has happened."""
        if self._span is None:
            pen = self._pen
            name, at, attributes, id_, parent, links, kind = self._spec
            context = pen.ambient if parent is None else parent.children()
            if pen.plan is not None:
                pen.plan(pen.trace, id_)
            self._span = span = pen.tracer.start_span(name, context, kind, attributes, links, at)
            self.context = span.get_span_context()
        return self._span

    def children(self) -> Context:
        """Context in which spans become children of this one."""
        if self._children is None:
            if not self.ended:
                self._children = set_span_in_context(self.open(), self._pen.ambient)
            elif self.context is not None:
                self._children = set_span_in_context(NonRecordingSpan(self.context), self._pen.ambient)
            else:
                self._children = self._pen.ambient
        return self._children

    def within(self, context: Context) -> Context:
        """The same context with this span as the current one."""
        return set_span_in_context(self.open(), context)

    def set(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Add attributes; too late for one that has ended."""
        if self._span is not None:
            self._span.set_attributes(attributes)
        elif not self.ended:
            self._spec[2].update(attributes)

    def rename(self, name: str) -> None:
        """Give it another name."""
        if self._span is not None:
            self._span.update_name(name)
        elif not self.ended:
            self._spec = (name, *self._spec[1:])

    def end(self, at: int, *, error: str | None = None, message: str = "") -> None:
        """End it `at` nanoseconds since 1970; with `error` (a type of error) as failed."""
        if self.ended:
            return
        until = self._pen.exported_until
        if until is None or at >= until:
            span = self.open()
            if error is not None:
                span.set_attribute(semconv.ERROR_TYPE, error)
                span.set_status(Status(StatusCode.ERROR, message or None))
            span.end(at)
        self.ended, self._span, self._children, self._spec = True, None, None, _FORGOTTEN

    def link(self, meaning: str) -> list[Link]:
        """A link to it for another span, or none if nobody can know its ids."""
        return [] if self.context is None else [Link(self.context, {semconv.LINK: meaning})]
