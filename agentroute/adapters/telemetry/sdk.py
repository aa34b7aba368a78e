"""Our own OpenTelemetry pipeline: spans go to a file, and to an OTLP endpoint if there is one.

Agents with the same store and endpoint share a sink, and with it one file and one thread. Nothing here becomes the
process's global provider; that is for the application to decide.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from agentroute.adapters.telemetry import semconv
from agentroute.adapters.telemetry.drafts import PlanIds
from agentroute.adapters.telemetry.file_sink import TraceFile
from agentroute.adapters.telemetry.light import LightTracer

FILE_DELAY_MS: Final = 1000
"""Milliseconds after which a finished span is in the file at the latest: what a killed process takes with it."""

QUEUE: Final = 16384
"""Spans that wait for the file at most; about 30 MB."""

LAST_WORDS_S: Final = 3.0
"""Seconds that the end of a process waits for an endpoint that does not answer."""


class Sink:
    """Spans on their way to a file and an endpoint. Make it with `acquire`."""

    def __init__(self, folder: Path, endpoint: str | None) -> None:
        """Start the threads; nothing is opened or sent yet."""
        self.key = (folder, endpoint)
        self.users = 0
        self.file = TraceFile(folder)
        self._processors = [_to_file(self.file)]
        if endpoint is not None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            # It reads the address, headers, certificates and so on from the environment itself.
            self._processors.append(BatchSpanProcessor(OTLPSpanExporter()))

    def tracer(self, agent: str, release: str) -> tuple[LightTracer, PlanIds]:
        """A tracer for an agent, and how to fix the ids of its spans."""
        settings = TracerProvider(resource=_resource(agent), shutdown_on_exit=False)  # reads the environment
        scope = InstrumentationScope(semconv.SCOPE, release, semconv.SCHEMA_URL)
        tracer = LightTracer(
            resource=settings.resource,
            scope=scope,
            sampler=settings.sampler,
            finish=[processor.on_end for processor in self._processors],
            now=time.time_ns,
        )
        return tracer, tracer.plan

    def flush(self, timeout_s: float) -> bool:
        """Write out what waits; False if something was not taken in time."""
        return self._each(lambda processor: processor.force_flush(), timeout_s)

    def close(self, timeout_s: float) -> bool:
        """Flush and stop; False if something was not taken in time."""
        return self._each(lambda processor: processor.shutdown(), timeout_s)

    def _each(self, act: Callable[[BatchSpanProcessor], object], timeout_s: float) -> bool:
        """Let every processor act at the same time: an endpoint that is down can keep its own busy for 10 s."""
        file, *others = self._processors
        threads = [threading.Thread(target=act, args=(processor,), daemon=True) for processor in others]
        for thread in threads:
            thread.start()
        act(file)
        for thread in threads:
            thread.join(timeout_s)
        return not any(thread.is_alive() for thread in threads)


_sinks: dict[tuple[Path, str | None], Sink] = {}
_lock = threading.Lock()


def acquire(folder: Path, endpoint: str | None) -> Sink:
    """The sink of this folder and endpoint, shared within the process."""
    with _lock:
        sink = _sinks.get((folder, endpoint))
        if sink is None:
            sink = _sinks[folder, endpoint] = Sink(folder, endpoint)
        sink.users += 1
        return sink


def release(sink: Sink, timeout_s: float) -> None:
    """Let go of a sink; the last one to do so stops it."""
    with _lock:
        sink.users -= 1
        last = sink.users == 0
        if last:
            _sinks.pop(sink.key, None)
    if last:
        sink.close(timeout_s)
    else:
        sink.flush(timeout_s)


@atexit.register
def _close_all() -> None:
    with _lock:
        sinks = list(_sinks.values())
        _sinks.clear()
    for sink in sinks:
        sink.close(LAST_WORDS_S)


def _to_file(file: SpanExporter) -> BatchSpanProcessor:
    """A processor that is quicker than the default, unless the environment has a say."""
    return BatchSpanProcessor(
        file,
        max_queue_size=None if "OTEL_BSP_MAX_QUEUE_SIZE" in os.environ else QUEUE,
        schedule_delay_millis=None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else FILE_DELAY_MS,
    )


def _resource(agent: str) -> Resource:
    named = OTELResourceDetector().detect().attributes.get("service.name")
    return Resource.create({} if named else {"service.name": agent})
