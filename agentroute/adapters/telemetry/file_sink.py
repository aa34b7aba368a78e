"""A `SpanExporter` that appends OTLP JSON lines to files under the store.

One line is one ``ExportTraceServiceRequest``, as the collector's file exporter writes it. Any tool that reads its files
reads these.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from agentroute.adapters.telemetry.otlp_json import request_line

LARGEST_FILE: Final = 64 * 1024 * 1024
"""Bytes after which a new file is begun."""

_LOGGER = logging.getLogger("agentroute.telemetry")


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
