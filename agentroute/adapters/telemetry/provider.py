"""Where spans go: to the application's own OpenTelemetry, or else to files of the store and any OTLP endpoint.

========================================  ========================================================================
``AGENTROUTE_TRACE``                      ``off``: no spans at all
``AGENTROUTE_TRACE_PAYLOADS``             ``1``: inputs and outputs too, masked and cut
``OTEL_SDK_DISABLED``                     ``true``: no spans at all
``OTEL_EXPORTER_OTLP_[TRACES_]ENDPOINT``  where to send them besides; the other ``OTEL_EXPORTER_OTLP_*`` apply too
``OTEL_TRACES_EXPORTER``                  ``none``: to files only
``OTEL_BSP_*``, ``OTEL_TRACES_SAMPLER``   as OpenTelemetry says
========================================  ========================================================================
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentroute.adapters.redaction import Redactor
from agentroute.adapters.telemetry import identity, semconv
from agentroute.errors import ConfigurationError
from agentroute.ids import AttemptId, RunId
from agentroute.run.events import Event

if TYPE_CHECKING:
    from agentroute.adapters.telemetry.drafts import PlanIds, Tracer
    from agentroute.adapters.telemetry.sdk import Sink
    from agentroute.adapters.telemetry.spans import SpanObserver

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

LAST_WORDS_S: Final = 3.0
"""Seconds that are waited for an endpoint that does not answer, when spans are flushed."""

_ON: Final = frozenset({"1", "on", "true", "yes"})
_OFF: Final = frozenset({"0", "off", "false", "no", "none"})

_LOGGER = logging.getLogger("agentroute.telemetry")


class Traces:
    """The traces of one agent, as an `Observer`.

    It reads the environment and imports `opentelemetry` (0.1 to 0.3 s) when the first event comes, or `open` is called.

    Args:
        agent: Its name; ``service.name`` of the spans, unless ``OTEL_SERVICE_NAME`` says otherwise.
        store: The store's folder; by default `default_store`.
        payloads: Whether inputs and outputs are written down; by default what ``AGENTROUTE_TRACE_PAYLOADS`` says.
        redactor: Masks secrets; by default those of the environment.
    """

    def __init__(
        self,
        agent: str,
        *,
        store: Path | None = None,
        payloads: bool | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        """Keep the settings; nothing is opened yet."""
        self._agent = agent
        self._store = store
        self._payloads = payloads
        self._redactor = redactor
        self._opened = False
        self._observer: SpanObserver | None = None
        self._sink: Sink | None = None

    def open(self) -> None:
        """Get ready now, so that the first run does not have to wait for it. May be called twice."""
        if self._opened:
            return
        self._opened = True
        try:
            if enabled(os.environ):
                self._connect()
        except Exception as error:  # noqa: BLE001  # a run goes on without its spans
            _LOGGER.warning("no traces are written: %s", error)

    def observe(self, run: RunId, event: Event) -> None:
        """Turn a fact into spans."""
        if not self._opened:
            self.open()
        if self._observer is not None:
            self._observer.observe(run, event)

    def attempt_scope(self, run: RunId, attempt: AttemptId) -> AbstractContextManager[object]:
        """Make the attempt's span the current one, so that spans of the tool's own become its children."""
        return nullcontext() if self._observer is None else self._observer.attempt_scope(run, attempt)

    def restore(self, run: RunId, events: Sequence[Event]) -> None:
        """Take in what is on record of a run, before its `Resumed` is observed: its trace goes on where it ended."""
        self.open()
        if self._observer is not None:
            self._observer.restore(run, events)

    def trace_id(self, run: RunId) -> str:
        """Trace of a run, as 32 hex digits; empty if the application's OpenTelemetry has not said.

        The run's own id decides it, also without any spans, unless the run is part of another trace.
        """
        if self._observer is None:
            return identity.trace_id(run)
        return self._observer.trace_id(run) or ""

    def ids(self, run: RunId, attempt: AttemptId | None = None) -> tuple[str, str] | None:
        """Trace id and span id, in hex, of an attempt, or else of the run; None if there is no span."""
        return None if self._observer is None else self._observer.ids(run, attempt)

    @property
    def dropped(self) -> int:
        """Spans that the file could not take."""
        return 0 if self._sink is None else self._sink.file.dropped

    def flush(self, timeout_s: float = LAST_WORDS_S) -> bool:
        """Write out what waits; False if an endpoint did not take it in time. Blocks: call it from a worker thread."""
        return self._sink is None or self._sink.flush(timeout_s)

    def close(self, timeout_s: float = LAST_WORDS_S) -> None:
        """Flush, and stop the threads unless another agent uses the same sink. The next event opens it again.

        Whoever forgets it loses nothing: what waits is written out at the end of the process.
        """
        sink, self._sink = self._sink, None
        self._observer, self._opened = None, False
        if sink is not None:
            from agentroute.adapters.telemetry import sdk

            sdk.release(sink, timeout_s)

    def _connect(self) -> None:
        from opentelemetry import trace

        theirs = trace.get_tracer_provider()
        if isinstance(theirs, trace.NoOpTracerProvider):
            return  # the application has turned its OpenTelemetry off
        if not isinstance(theirs, trace.ProxyTracerProvider):
            self._observer = self._make(theirs.get_tracer(semconv.SCOPE, _release(), semconv.SCHEMA_URL), None)
            return

        from agentroute.adapters.telemetry import sdk

        folder = traces_folder(self._store if self._store is not None else default_store(os.environ)).absolute()
        self._sink = sdk.acquire(folder, endpoint(os.environ))
        tracer, plan = self._sink.tracer(self._agent, _release())
        self._observer = self._make(tracer, plan)

    def _make(self, tracer: "Tracer", plan: "PlanIds | None") -> "SpanObserver":
        from agentroute.adapters.telemetry.payloads import Payloads
        from agentroute.adapters.telemetry.spans import SpanObserver

        redactor = self._redactor or Redactor.from_environment(os.environ)
        wanted = self._payloads
        if wanted is None:
            wanted = flag(os.environ, "AGENTROUTE_TRACE_PAYLOADS", default=False)
        return SpanObserver(tracer, plan=plan, redactor=redactor, payloads=Payloads(redactor) if wanted else None)


def enabled(environ: Mapping[str, str]) -> bool:
    """Whether the environment wants spans at all.

    Raises:
        ConfigurationError: ``AGENTROUTE_TRACE`` is neither on nor off.
    """
    return (
        flag(environ, "AGENTROUTE_TRACE", default=True)
        and environ.get("OTEL_SDK_DISABLED", "").strip().lower() != "true"
    )


def default_store(environ: Mapping[str, str]) -> Path:
    """The folder that runs are kept in: ``$AGENTROUTE_HOME``, or ``.agentroute`` in the working directory.

    Traces stay in files also where the store itself is a database.
    """
    home = environ.get("AGENTROUTE_HOME", "")
    return Path(home) if home and "://" not in home else Path(".agentroute")


def traces_folder(store: Path) -> Path:
    """Where the trace files of a store are."""
    return store / "traces"


def flag(environ: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a variable that is on or off.

    Raises:
        ConfigurationError: It is neither.
    """
    value = environ.get(name, "").strip().lower()
    if not value:
        return default
    if value in _ON or value in _OFF:
        return value in _ON
    raise ConfigurationError(f"{name} must be on or off, not {value!r}")


def endpoint(environ: Mapping[str, str]) -> str | None:
    """The OTLP endpoint that the environment asks for, if it asks for one that can be talked to."""
    asked = _first(environ, ENDPOINTS)
    if asked is None or environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    protocol = _first(environ, PROTOCOLS) or "http/protobuf"
    if protocol != "http/protobuf":
        _LOGGER.warning("no spans are sent to %s: the protocol must be http/protobuf, not %s", asked, protocol)
        return None
    return asked


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((value for name in names if (value := environ.get(name, "").strip())), None)


def _release() -> str:
    try:
        return version("agentroute")
    except PackageNotFoundError:  # a checkout that is not installed
        return ""
