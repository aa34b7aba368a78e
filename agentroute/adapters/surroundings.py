"""What every agent has around it unless told otherwise: traces, logs, and a mask over secrets."""

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentroute.adapters.logs import LogObserver
from agentroute.adapters.redaction import Redactor
from agentroute.adapters.telemetry.provider import Traces, enabled
from agentroute.ids import RunId
from agentroute.run.events import Event

if TYPE_CHECKING:
    from agentroute.ports import Observer

# A library is silent where its application has not asked for logs.
logging.getLogger("agentroute").addHandler(logging.NullHandler())


class Surroundings:
    """Traces, logs and redaction of one agent.

    Attributes:
        redactor: Masks secrets of the environment, and whatever else was registered.
        observers: To be told of every fact.
    """

    def __init__(self, agent: str, *, trace: bool) -> None:
        """Read the environment; nothing is opened or imported yet.

        Raises:
            ConfigurationError: ``AGENTROUTE_TRACE`` is neither on nor off.
        """
        self.redactor = Redactor.from_environment(os.environ)
        self._traces = Traces(agent, redactor=self.redactor)
        self._traced = trace and enabled(os.environ)
        logs = LogObserver(self.redactor, self._traces.ids if self._traced else None)
        self.observers: tuple[Observer, ...] = (self._traces, logs) if self._traced else (logs,)

    def open(self) -> None:
        """Get ready to trace, so that no run has to wait for it. Does nothing the second time."""
        if self._traced:
            self._traces.open()

    def trace_id(self, run: RunId) -> str:
        """Trace of a run, 32 hex digits. It follows from the run's id, so it is known also where nothing is traced."""
        return self._traces.trace_id(run)

    def restore(self, run: RunId, events: Sequence[Event]) -> None:
        """Take in what is on record of a run that is about to be resumed, so that its trace goes on."""
        if self._traced:
            self._traces.restore(run, events)

    def close(self) -> None:
        """Write out what waits. Blocks for some seconds if an endpoint does not answer."""
        self._traces.close()
