"""Logs: what goes wrong in runs, with run and span ids, secrets masked.

The library logs through the standard library's logger ``agentroute`` and configures nothing. The command line calls
`configure`: then every record of the process goes to standard error, rendered by structlog as ``key=value`` or JSON.
structlog takes a quarter of a second to import, so it is loaded with the first record, not before.

==========================  ===========================================================
``AGENTROUTE_LOG``          ``json``: one JSON object a line; else ``key=value``
``AGENTROUTE_LOG_LEVEL``    ``debug``, ``info``, ``warning`` (the default) or ``error``
==========================  ===========================================================
"""

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TextIO, TypeAlias

from agentroute.adapters.redaction import Redactor
from agentroute.errors import ConfigurationError
from agentroute.ids import AttemptId, GoalId, RunId, dollars
from agentroute.ports import Observer
from agentroute.run.events import (
    HAND_OVER,
    AttemptFailed,
    Chosen,
    Compensated,
    Event,
    GuardClosed,
    Hedged,
    LateResultFenced,
    Quarantined,
    Rerouted,
    Retried,
    RunFinished,
    RunStarted,
    Signalled,
    Suspended,
    TierChosen,
    Unresolved,
    Verified,
    Waiting,
)

SpanIds: TypeAlias = Callable[[RunId, AttemptId | None], tuple[str, str] | None]
"""Trace id and span id of an attempt, or of the run; `Traces.ids` is one."""

FIELDS: Final = "agentroute"
"""Attribute of a `logging.LogRecord` that holds the fields as a mapping, for handlers of an application."""

LEVELS: Final = ("debug", "info", "warning", "error")

_LOGGER = logging.getLogger("agentroute.runs")
_Line: TypeAlias = tuple[int, str, dict[str, object]]


class LogObserver(Observer):
    """Logs failures, retries, reroutes, demotions and escalations.

    Args:
        redactor: Masks secrets in what tools and exceptions said.
        spans: Finds the ids that lead from a line to its span; None without traces.
    """

    def __init__(self, redactor: Redactor, spans: SpanIds | None = None) -> None:
        """Start without any run."""
        self._redactor = redactor
        self._spans = spans
        self._asked: dict[RunId, GoalId] = {}

    def observe(self, run: RunId, event: Event) -> None:
        """Write a line, if the fact is worth one."""
        if isinstance(event, RunStarted):
            self._asked[run] = event.goal
        line = describe(event, self._asked.get(run))
        if isinstance(event, (RunFinished, Suspended)):
            self._asked.pop(run, None)
        if line is None or not _LOGGER.isEnabledFor(line[0]):
            return
        level, what, said = line
        fields: dict[str, object] = {"run": run, **self._redactor.data(said)}
        attempt: AttemptId | None = getattr(event, "attempt", None)
        found = None if self._spans is None else self._spans(run, attempt)
        if found is not None:
            fields["trace_id"], fields["span_id"] = found
        pairs = " ".join(
            f"{name}={value!r}" if isinstance(value, str) else f"{name}={value}" for name, value in fields.items()
        )
        _LOGGER.log(level, "%s: %s", what, pairs, extra={FIELDS: {"event": what, **fields}})


def describe(event: Event, asked: GoalId | None = None) -> _Line | None:  # noqa: C901, PLR0912  # one line per kind of fact
    """Level, sentence and fields for an event; None for those that are no news.

    Args:
        event: The fact.
        asked: The goal the run was started for: another one is a demotion.
    """
    match event:
        case AttemptFailed():
            fields = _fields(event, "attempt", "tool", "kind", "error", "message", "in_doubt", "retry_after_s")
            return logging.WARNING, "attempt failed", fields
        case Retried():
            return logging.INFO, "retry", _fields(event, "attempt", "tool", "kind", "wait_s")
        case Rerouted():
            fields = _fields(event, "attempt", "tool", "kind")
            arrows = {"before": " > ".join(event.before), "after": " > ".join(event.after)}
            usd = {"weight_before_usd": dollars(event.weight_before), "weight_after_usd": dollars(event.weight_after)}
            return logging.WARNING, "rerouted", fields | arrows | usd
        case TierChosen():
            fields = _fields(event, "step", "policy") | {"ranking": " > ".join(event.ranking)}
            return logging.INFO, "tier chosen", fields
        case Hedged():
            fields = _fields(event, "attempt", "tool", "reason") | {"after": " > ".join(event.after)}
            return logging.INFO, "hedged", fields
        case Waiting():
            return logging.INFO, "waiting", _fields(event, "tool", "seconds", "reason")
        case GuardClosed():
            return logging.INFO, "tool closed", _fields(event, "tool", "reason")
        case Signalled():
            level = logging.WARNING if event.stops else logging.INFO
            return level, "monitor", _fields(event, "monitor", "kind", "reason", "stops")
        case Quarantined():
            return logging.ERROR, "tool put aside for all runs", _fields(event, "attempt", "tool", "reason")
        case LateResultFenced():
            return logging.INFO, "late result not used", _fields(event, "attempt", "tool", "succeeded")
        case Verified():
            return logging.INFO, "effect looked for", _fields(event, "attempt", "tool", "verifier", "happened")
        case Compensated():
            return logging.INFO, "effect undone", _fields(event, "attempt", "tool", "compensator")
        case Unresolved():
            return logging.ERROR, "effect unresolved, a person has to look", _fields(event, "attempt", "tool", "reason")
        case Suspended():
            menu = ", ".join(option.choice for option in event.menu)
            return logging.WARNING, "suspended, a person has to choose", {"menu": menu, "reason": event.reason}
        case Chosen():
            what = "escalated" if event.choice == HAND_OVER else "demoted"
            return logging.WARNING, what, _fields(event, "choice", "by", "reason", "note")
        case RunFinished():
            level = logging.INFO if event.outcome == "succeeded" else logging.WARNING
            fields = _fields(event, "outcome", "goal", "reason")
            fields |= {"left_behind": ", ".join(event.left_behind)} if event.left_behind else {}
            return level, "run finished", fields | ({"asked": asked} if asked not in {None, event.goal} else {})
        case _:
            return None


def _fields(event: Event, *names: str) -> dict[str, object]:
    """Fields of an event; what is empty says nothing."""
    return {name: value for name in names if (value := getattr(event, name)) not in {None, ""}}


# ---------------------------------------------------------------- for the command line


def configure(environ: Mapping[str, str], redactor: Redactor, stream: TextIO | None = None) -> None:
    """Send every log record of this process to standard error. For the command line; a library must not.

    Raises:
        ConfigurationError: ``AGENTROUTE_LOG`` or ``AGENTROUTE_LOG_LEVEL`` is none of what it can be.
    """
    level = environ.get("AGENTROUTE_LOG_LEVEL", "").strip().lower() or "warning"
    if level not in LEVELS:
        raise ConfigurationError(f"AGENTROUTE_LOG_LEVEL must be one of {', '.join(LEVELS)}, not {level!r}")
    form = environ.get("AGENTROUTE_LOG", "").strip().lower() or "text"
    if form not in {"text", "json"}:
        raise ConfigurationError(f"AGENTROUTE_LOG must be text or json, not {form!r}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Rendered(redactor, as_json=form == "json"))
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, _Rendered)]:
        root.removeHandler(old)
    root.addHandler(handler)
    logging.getLogger("agentroute").setLevel(level.upper())


def configure_structlog() -> None:
    """Send what tools log through structlog the same way; by default it would print to standard output."""
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class _Rendered(logging.Formatter):
    """Renders records by structlog, which it imports for the first of them."""

    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._json = as_json
        self._inner: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._inner is None:
            self._inner = self._make()
        return self._inner.format(record)

    def _make(self) -> logging.Formatter:
        import structlog

        order = ["timestamp", "level", "event"]
        render: list[structlog.typing.Processor] = (
            [structlog.processors.JSONRenderer(default=str)]
            if self._json
            else [_printable, structlog.processors.LogfmtRenderer(key_order=order, bool_as_flag=False)]
        )
        return structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_unfold],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                self._mask,
                *render,
            ],
        )

    def _mask(self, _logger: object, _method: str, fields: MutableMapping[str, Any]) -> Mapping[str, Any]:
        return self._redactor.data(fields)


def _unfold(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Take the fields that a record of ours carries instead of its text."""
    record: logging.LogRecord | None = fields.get("_record")
    ours: Mapping[str, Any] | None = getattr(record, FIELDS, None)
    return fields if ours is None else {**fields, **ours}


def _printable(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape what could move the cursor or forge a line; tools may log what strangers wrote."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}


def printable(text: str) -> str:
    """Escape control characters and the like, so that text from strangers cannot act on a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
