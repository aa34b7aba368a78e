"""An `Observer` that turns the events of runs into spans.

::

    invoke_workflow {agent}
    ├── agentroute.step {tool}
    │   ├── execute_tool {tool}     one per attempt; `chat {model}` if it calls a model
    │   └── agentroute.verified     what became of a doubt (also .compensated, .unresolved)
    ├── agentroute.reroute          linked to the failed attempt; the next attempt links back
    ├── agentroute.escalate         the menu and the choice
    └── agentroute.route, .guard, .wait, .late_result

Times follow from ``RunStarted.wall`` and ``event.at``, so that they are right under virtual time too.
"""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, get_current_span

from agentroute.adapters.redaction import Redactor
from agentroute.adapters.telemetry import identity
from agentroute.adapters.telemetry.drafts import Draft, Pen, PlanIds, Tracer
from agentroute.adapters.telemetry.payloads import Payloads
from agentroute.adapters.telemetry.run_spans import RunSpans, begun
from agentroute.ids import AttemptId, RunId
from agentroute.run.events import Event, Resumed, RunFinished, RunStarted, Suspended

if TYPE_CHECKING:
    from contextvars import Token

REMEMBERED: Final = 1024
"""Finished runs whose trace ids can still be asked for."""

UNSURE_S: Final = 5.0
"""Seconds before the last event of a killed process in which its spans may not have reached the sink."""

ALL_EXPORTED: Final = 1 << 63
"""A moment after everything, in nanoseconds since 1970."""

_LOGGER = logging.getLogger("agentroute.telemetry")


class SpanObserver:
    """Opens and ends spans as events come in. Runs may interleave; each is forgotten when it finishes or is suspended.

    Args:
        tracer: Makes the spans.
        plan: Fixes span ids, so that they follow from the run. None where the application decides on ids: the runs
            are then part of whatever trace is current, and a resumed run begins a new one.
        redactor: Masks secrets in what tools and exceptions said.
        payloads: Writes inputs and outputs down; None for no payloads.
    """

    def __init__(
        self, tracer: Tracer, *, plan: PlanIds | None = None, redactor: Redactor, payloads: Payloads | None = None
    ) -> None:
        """Start without any run."""
        self._tracer = tracer
        self._plan = plan
        self._redactor = redactor
        self._payloads = payloads
        self._runs: dict[RunId, RunSpans] = {}
        self._past: OrderedDict[RunId, SpanContext] = OrderedDict()
        self._failed = False

    def observe(self, run: RunId, event: Event) -> None:
        """Take note of a fact. A defect in here costs spans, never the run."""
        try:
            self._observe(run, event)
        except Exception:  # an observer must not raise
            if not self._failed:
                self._failed = True
                _LOGGER.exception("spans of run %s are incomplete; later defects of this kind are not logged", run)

    def attempt_scope(self, run: RunId, attempt: AttemptId) -> AbstractContextManager[object]:
        """Make the attempt's span the current one, so that spans of the tool's own become its children."""
        spans = self._runs.get(run)
        found = None if spans is None else spans.attempts.get(attempt)
        return nullcontext() if found is None or found.span.ended else _Scope(found.span)

    def restore(self, run: RunId, events: Sequence[Event]) -> None:
        """Take in what another process has recorded of a run; call it before `Resumed` is observed.

        What had ended by then is not exported again, with one exception: the last `UNSURE_S` seconds before a process
        was killed. It may have taken those spans with it, so they go out once more, under the same ids.
        """
        try:
            self._restore(run, events)
        except Exception:  # an observer must not raise
            _LOGGER.exception("the history of run %s could not be read; its trace starts anew", run)

    def trace_id(self, run: RunId) -> str | None:
        """Trace that the run's spans belong to, as 32 hex digits; None if nobody can know."""
        found = self.ids(run)
        if found is not None:
            return found[0]
        return identity.trace_id(run) if self._plan is not None else None

    def ids(self, run: RunId, attempt: AttemptId | None = None) -> tuple[str, str] | None:
        """Trace id and span id, in hex, of an attempt, or else of the run; None if there is no span."""
        spans = self._runs.get(run)
        if spans is None:
            context = self._past.get(run)
        else:
            found = None if attempt is None else spans.attempts.get(attempt)
            context = (found.span if found is not None else spans.root).context
        return None if context is None else (f"{context.trace_id:032x}", f"{context.span_id:016x}")

    def _observe(self, run: RunId, event: Event) -> None:
        spans = self._runs.get(run)
        if spans is None:
            if not isinstance(event, (RunStarted, Resumed)):
                return  # of a run that was over, or that nobody told us of
            self._runs[run] = self._begin(run, event, self._pen(run))
            return
        spans.take(event)
        if isinstance(event, (RunFinished, Suspended)):
            self._forget(run, spans)

    def _begin(self, run: RunId, event: RunStarted | Resumed, pen: Pen) -> RunSpans:
        return begun(run, event, pen, self._redactor, self._payloads)

    def _pen(self, run: RunId, exported_until: int | None = None) -> Pen:
        return Pen(self._tracer, self._plan, identity.seeds(run)[0], self._ambient(), exported_until)

    def _ambient(self) -> Context:
        """Where a run begins: inside an attempt if an agent is a tool of another, else by itself.

        Only an application that has its own sink gets its own spans as parents: in ours they would be missing.
        """
        current = otel_context.get_current()
        if self._plan is None:
            return current
        outer = get_current_span(current).get_span_context()
        return current if outer.is_valid and not outer.is_remote else Context()

    def _restore(self, run: RunId, events: Sequence[Event]) -> None:
        if not events or not isinstance(events[0], RunStarted):
            return
        started, last = events[0], events[-1]
        until = ALL_EXPORTED
        if self._plan is not None and not isinstance(last, (Suspended, RunFinished)):  # the process was killed
            origin = [event.wall - event.at for event in events if isinstance(event, (RunStarted, Resumed))][-1]
            until = int((origin + last.at - UNSURE_S) * 1e9)
        spans = self._begin(run, started, self._pen(run, until))
        for event in events[1:]:
            spans.take(event)
        spans.live()
        self._runs[run] = spans

    def _forget(self, run: RunId, spans: RunSpans) -> None:
        del self._runs[run]
        if spans.root.context is not None:
            self._past[run] = spans.root.context
            if len(self._past) > REMEMBERED:
                self._past.popitem(last=False)


class _Scope:
    """Makes a span the current one of this task."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Draft) -> None:
        self._span = span
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._span.within(otel_context.get_current()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
