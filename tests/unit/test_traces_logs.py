"""Logs: what goes wrong is said once, with ids, without secrets, and without acting on the terminal."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from inline_snapshot import snapshot

from agentroute.adapters.logs import FIELDS, LogObserver, configure, describe, printable
from agentroute.adapters.redaction import Redactor
from agentroute.adapters.telemetry.provider import Traces
from agentroute.errors import ConfigurationError
from agentroute.ids import AttemptId, RunId
from agentroute.run.events import AttemptFailed, Chosen, Event, Rerouted, RunFinished, Suspended, Unresolved
from tests.trace_samples import DETOUR, EVERYTHING, failed

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-7f3a91c2d4"


@pytest.fixture
def _loggers_as_they_were() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("agentroute")
    handlers, level = list(root.handlers), ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


def lines(capture: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    fields = [getattr(record, FIELDS) for record in capture.records]
    return [(record.levelname, each["event"]) for record, each in zip(capture.records, fields, strict=True)]


def test_every_answer_to_a_failure_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    observer = LogObserver(Redactor())
    for event in EVERYTHING:
        observer.observe(RunId("r1"), event)
    assert lines(caplog) == snapshot(
        [
            ("WARNING", "attempt failed"),
            ("INFO", "retry"),
            ("WARNING", "attempt failed"),
            ("WARNING", "rerouted"),
            ("INFO", "tool closed"),
            ("INFO", "monitor"),
            ("INFO", "tier chosen"),
            ("INFO", "waiting"),
            ("WARNING", "attempt failed"),
            ("INFO", "effect looked for"),
            ("WARNING", "attempt failed"),
            ("INFO", "effect undone"),
            ("WARNING", "attempt failed"),
            ("ERROR", "effect unresolved, a person has to look"),
            ("INFO", "hedged"),
            ("ERROR", "tool put aside for all runs"),
            ("INFO", "late result not used"),
            ("WARNING", "suspended, a person has to choose"),
            ("WARNING", "demoted"),
            ("WARNING", "run finished"),
        ]
    )


def test_a_run_in_which_nothing_happens_says_nothing_by_default(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    observer = LogObserver(Redactor())
    for event in (*DETOUR[:2], *DETOUR[8:]):
        observer.observe(RunId("r1"), event)
    assert caplog.records == []


def test_the_worse_the_news_the_higher_the_level() -> None:
    levels = {type(event): line[0] for event in EVERYTHING if (line := describe(event)) is not None}
    assert levels[Unresolved] == logging.ERROR
    warnings = {AttemptFailed, Rerouted, Suspended, Chosen, RunFinished}
    assert {kind for kind, level in levels.items() if level == logging.WARNING} == warnings
    assert levels.keys() < set(get_args(Event))


def test_a_line_leads_to_its_span(
    own_store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE", "on")
    run, traces = RunId("r1"), Traces("travel", store=own_store)
    observer = LogObserver(Redactor(), traces.ids)
    for event in DETOUR[:4]:
        traces.observe(run, event)
        observer.observe(run, event)
    (record,) = caplog.records
    fields = getattr(record, FIELDS)
    assert (fields["trace_id"], fields["span_id"]) == traces.ids(run, AttemptId(1))
    assert "run='r1'" in record.getMessage()
    assert "error='ConnectError'" in record.getMessage()
    traces.close()


def test_secrets_are_masked_before_anything_else_sees_them(caplog: pytest.LogCaptureFixture) -> None:
    observer = LogObserver(Redactor([CANARY]))
    observer.observe(RunId("r1"), failed(0.1, 1, "a", "Boom", f"cannot log in with {CANARY}"))
    assert CANARY not in caplog.text
    assert CANARY not in str(vars(caplog.records[0]))
    assert "[redacted]" in caplog.text


def rendered(environ: dict[str, str], redactor: Redactor, event: Event | None = None) -> str:
    stream = io.StringIO()
    configure(environ, redactor, stream)
    if event is not None:
        LogObserver(redactor).observe(RunId("r1"), event)
    return stream.getvalue()


EVIL = "\x1b[31mred\x07\nlevel=info event=forged"


@pytest.mark.usefixtures("_loggers_as_they_were")
def test_the_command_line_renders_one_line_a_record() -> None:
    text = rendered({}, Redactor([CANARY]), failed(0.1, 1, "a", "Boom", f"{EVIL} {CANARY}"))
    (line,) = text.splitlines()
    assert line.partition(" ")[2] == (
        'level=warning event="attempt failed" run=r1 attempt=1 tool=a kind=transient error=Boom '
        'message="\\\\x1b[31mred\\\\x07\\\\nlevel=info event=forged [redacted]" in_doubt=false'
    )
    assert line.isprintable()


@pytest.mark.usefixtures("_loggers_as_they_were")
def test_the_command_line_renders_json() -> None:
    text = rendered({"AGENTROUTE_LOG": "json"}, Redactor([CANARY]), failed(0.1, 1, "a", "Boom", f"{EVIL} {CANARY}"))
    fields: dict[str, Any] = json.loads(text)
    assert fields.pop("timestamp").endswith("Z")
    assert fields == snapshot(
        {
            "event": "attempt failed",
            "run": "r1",
            "attempt": 1,
            "tool": "a",
            "kind": "transient",
            "error": "Boom",
            "message": """\
\x1b[31mred\x07
level=info event=forged [redacted]\
""",
            "in_doubt": False,
            "level": "warning",
        }
    )


@pytest.mark.usefixtures("_loggers_as_they_were")
def test_what_others_log_is_masked_too() -> None:
    stream = io.StringIO()
    configure({}, Redactor([CANARY]), stream)
    try:
        int(CANARY)
    except ValueError:
        logging.getLogger("some.library").exception("with %s", CANARY)
    assert CANARY not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") >= 2
    assert stream.getvalue().count("\n") == 1


@pytest.mark.usefixtures("_loggers_as_they_were")
def test_the_level_is_the_environments() -> None:
    event = DETOUR[4]
    assert rendered({}, Redactor(), event) == ""
    assert "event=retry" in rendered({"AGENTROUTE_LOG_LEVEL": "INFO"}, Redactor(), event)
    assert rendered({"AGENTROUTE_LOG_LEVEL": "error"}, Redactor(), DETOUR[3]) == ""


@pytest.mark.usefixtures("_loggers_as_they_were")
def test_configuring_twice_does_not_say_everything_twice() -> None:
    rendered({}, Redactor())
    assert rendered({}, Redactor(), DETOUR[3]).count("\n") == 1


@pytest.mark.parametrize("environ", [{"AGENTROUTE_LOG": "xml"}, {"AGENTROUTE_LOG_LEVEL": "loud"}])
def test_settings_that_are_none_are_refused(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="must be"):
        configure(environ, Redactor())


IN_A_PROCESS = """
import logging, os, sys
from agentroute.adapters.logs import LogObserver, configure, configure_structlog
from agentroute.adapters.redaction import Redactor
from tests.trace_samples import DETOUR
before = dict(logging.getLogger().__dict__), "structlog" in sys.modules
observer = LogObserver(Redactor())
for event in DETOUR[:3]:
    observer.observe("r1", event)
print(before == (logging.getLogger().__dict__, "structlog" in sys.modules), "structlog" in sys.modules)
configure(os.environ, Redactor(["opensesame"]))
print("structlog" in sys.modules)
configure_structlog()
import structlog
structlog.get_logger("tool").warning("from a tool", note="opensesame", count=2)
"""


def test_the_library_configures_nothing_and_the_command_line_keeps_standard_output_clean() -> None:
    result = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        cwd=ROOT, env=os.environ | {"AGENTROUTE_LOG": "json"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert result.stdout == "True False\nFalse\n"
    line = json.loads(result.stderr)
    assert (line["event"], line["note"], line["count"]) == ("from a tool", "[redacted]", 2)


def test_what_is_printable_is_left_alone() -> None:
    assert printable("plain é 漢字") == "plain é 漢字"
    assert printable("a\x1b[0m\n\u202e") == "a\\x1b[0m\\n\\u202e"
