"""Events become spans, spans reach files, endpoints and applications, and nothing of it can take a run down."""

import json
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, get_args

import anyio
import pytest
from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentroute import Agent, Budget, Goal, ToolError, tool
from agentroute.adapters.redaction import Redactor
from agentroute.adapters.telemetry import identity, provider, semconv
from agentroute.adapters.telemetry.file_sink import TraceFile
from agentroute.adapters.telemetry.light import LightTracer
from agentroute.adapters.telemetry.provider import Traces
from agentroute.ids import ArtifactId, AttemptId, RunId, dollars
from agentroute.inspect.trace_files import Span, read_spans, trace_files
from agentroute.inspect.traces import Node, Run, find_runs, group, list_runs
from agentroute.run.events import AttemptAbandoned, AttemptFailed, AttemptSucceeded, Chosen, Event, Resumed
from agentroute.run.state import fold
from tests.trace_samples import (
    AFTER_THE_PERSON,
    BEFORE_THE_PERSON,
    DETOUR,
    EVERYTHING,
    START,
    begun,
    failed,
    finished,
    started,
    succeeded,
    tell,
    write,
)

CANARY = "canary-7f3a91c2d4"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _traces_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE", "on")


@pytest.fixture
def traces(own_store: Path) -> Iterator[Traces]:
    made = Traces("travel", store=own_store, redactor=Redactor([CANARY]))
    yield made
    made.close()


def exported(store: Path) -> list[Span]:
    return [span for file in trace_files(store / "traces") for span in read_spans(file)]


def named(spans: Sequence[Span], name: str) -> list[Span]:
    return [span for span in spans if span.name == name]


def one(spans: Sequence[Span], name: str) -> Span:
    (found,) = named(spans, name)
    return found


def told(store: Path, run: str = "r1") -> Run:
    (found,) = find_runs(store / "traces", run)
    return found


# ---------------------------------------------------------------- from events to spans


def test_the_samples_hold_every_kind_of_event() -> None:
    assert {type(event) for event in EVERYTHING} == set(get_args(Event))


@pytest.mark.parametrize("events", [DETOUR, EVERYTHING], ids=["detour", "everything"])
def test_a_run_comes_back_from_its_trace(own_store: Path, traces: Traces, events: Sequence[Event]) -> None:
    tell(traces, "r1", events)
    traces.flush()
    run, state = told(own_store), fold(events)
    assert state.finished is not None
    assert (run.attempts, run.retries, run.reroutes) == (state.attempts, state.retries, state.reroutes)
    assert (run.escalations, run.llm_calls) == (state.escalations, state.model_calls)
    assert (run.agent, run.goal, run.outcome) == (state.agent, state.asked, state.finished.outcome)
    assert run.cost == run.spent() == state.spent
    assert run.trace_id == traces.trace_id(RunId("r1")) == identity.trace_id(RunId("r1"))
    assert [top.kind for top in run.tops] == ["run"], "one root, nothing without a parent"
    assert sum(node.kind == "attempt" for node in run.nodes()) == state.attempts


def test_spans_nest_as_promised(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", DETOUR)
    traces.flush()
    shape = {(node.span.name, child.span.name) for node in told(own_store).nodes() for child in node.children}
    assert shape == {
        ("invoke_workflow travel", "agentroute.step search_a"),
        ("invoke_workflow travel", "agentroute.reroute"),
        ("invoke_workflow travel", "agentroute.step search_b"),
        ("invoke_workflow travel", "agentroute.step rate"),
        ("invoke_workflow travel", "agentroute.step book"),
        ("agentroute.step search_a", "execute_tool search_a"),
        ("agentroute.step search_b", "execute_tool search_b"),
        ("agentroute.step rate", "chat openai/gpt-9"),
        ("agentroute.step book", "execute_tool book"),
    }


def test_times_are_those_of_the_run_not_of_the_machine(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", DETOUR)
    traces.flush()
    spans = exported(own_store)
    origin = int(START * 1e9)
    root, reroute, book = (
        one(spans, name) for name in ("invoke_workflow travel", "agentroute.reroute", "execute_tool book")
    )
    assert (root.start_ns, root.end_ns) == (origin, origin + 900_000_000)
    assert (book.start_ns, book.end_ns) == (origin + 600_000_000, origin + 900_000_000)
    assert (reroute.start_ns, reroute.end_ns) == (origin + 400_000_000, origin + 400_000_000)
    assert all(root.start_ns <= span.start_ns <= span.end_ns <= root.end_ns for span in spans)


def test_a_reroute_is_linked_both_ways(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", DETOUR)
    traces.flush()
    spans = exported(own_store)
    reroute = one(spans, "agentroute.reroute")
    first, second = sorted(named(spans, "execute_tool search_a"), key=lambda span: span.start_ns)
    assert [(link.span_id, link.meaning) for link in reroute.links] == [(second.span_id, "failed-attempt")]
    after = one(spans, "execute_tool search_b")
    assert [(link.span_id, link.meaning) for link in after.links] == [(reroute.span_id, "after-reroute")]
    assert [(link.span_id, link.meaning) for link in second.links] == [(first.span_id, "retry-of")]
    assert dict(reroute.attributes) == {
        "agentroute.run.id": "r1",
        "agentroute.tool": "search_a",
        "agentroute.failure.kind": "transient",
        "agentroute.reason": "ConnectError: connection refused",
        "agentroute.route.before": ["search_a", "rate", "book"],
        "agentroute.route.after": ["search_b", "rate", "book"],
        "agentroute.weight.before_usd": 0.015,
        "agentroute.weight.after_usd": 0.014,
        "agentroute.optimal": True,
        "agentroute.budget_left_usd": 0.046,
    }


def test_failures_are_errors_and_nothing_else_is(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", EVERYTHING)
    traces.flush()
    spans = exported(own_store)
    errors = {span.name: span.text(semconv.ERROR_TYPE) for span in spans if span.failed}
    assert errors == {
        "execute_tool search_a": "ConnectError",
        "agentroute.step search_a": "ConnectError",
        "execute_tool book": "ReadTimeout",
        "execute_tool hotel": "ReadError",
        "agentroute.step hotel": "ReadError",
        "execute_tool insure": "ReadTimeout",
        "agentroute.step insure": "ReadTimeout",
        "agentroute.unresolved": "agentroute.unresolved",
        "agentroute.quarantine": "agentroute.quarantine",
    }
    assert one(spans, "execute_tool book").message == "no answer"
    assert all(semconv.ERROR_TYPE not in span.attributes for span in spans if not span.failed)


def test_verifying_and_undoing_happen_inside_the_step_in_doubt(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", EVERYTHING)
    traces.flush()
    below = {node.span.name: node.children for node in told(own_store).nodes()}
    for step, remedy, role, note in (
        ("agentroute.step book", "execute_tool find_booking", "verify", "agentroute.verified"),
        ("agentroute.step hotel", "execute_tool cancel_hotel", "compensate", "agentroute.compensated"),
    ):
        attempt, helper, answer = (child.span for child in below[step])
        assert (helper.name, helper.text(semconv.ROLE), answer.name) == (remedy, role, note)
        assert [link.span_id for link in helper.links] == [attempt.span_id] == [x.span_id for x in answer.links]


def test_undoing_what_had_succeeded_is_a_step_of_its_own(own_store: Path, traces: Traces) -> None:
    events = (
        begun(),
        started(0.0, 1, "hotel", key="k"),
        succeeded(0.1, 1, "hotel", 2),
        started(0.2, 2, "cancel", role="compensate", about=1, key="c"),
        succeeded(0.3, 2, "cancel", 1),
        finished(0.4),
    )
    tell(traces, "r1", events)
    traces.flush()
    spans = exported(own_store)
    step, attempt = one(spans, "agentroute.step cancel"), one(spans, "execute_tool cancel")
    assert attempt.parent_id == step.span_id
    assert [link.span_id for link in attempt.links] == [one(spans, "execute_tool hotel").span_id]
    assert one(spans, "agentroute.step hotel").end_ns == int((START + 0.1) * 1e9)


def test_the_conventions_for_models_and_tools_are_kept(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", DETOUR)
    traces.flush()
    spans = exported(own_store)
    chat, call, root = (
        one(spans, name) for name in ("chat openai/gpt-9", "execute_tool book", "invoke_workflow travel")
    )
    assert {key: value for key, value in chat.attributes.items() if key.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "openai/gpt-9",
        "gen_ai.response.model": "openai/gpt-9",
        "gen_ai.usage.input_tokens": 120,
        "gen_ai.usage.output_tokens": 30,
    }
    assert (call.text("gen_ai.operation.name"), call.text("gen_ai.tool.name")) == ("execute_tool", "book")
    assert (root.text("gen_ai.operation.name"), root.text("gen_ai.workflow.name")) == ("invoke_workflow", "travel")
    assert {span.service for span in spans} == {"travel"}


def test_runs_that_interleave_are_kept_apart(own_store: Path, traces: Traces) -> None:
    for detour, everything in zip(DETOUR, BEFORE_THE_PERSON, strict=False):
        traces.observe(RunId("a"), detour)
        traces.observe(RunId("b"), everything)
    for event in BEFORE_THE_PERSON[len(DETOUR) :]:
        traces.observe(RunId("b"), event)
    traces.flush()
    alone = write(own_store.with_name("alone"), ("a", DETOUR), ("b", BEFORE_THE_PERSON))
    for run in ("a", "b"):
        (expected,) = find_runs(alone, run)
        assert told(own_store, run) == expected


def holds(traces: Traces, run: RunId) -> bool:
    """Whether the observer still keeps the state of a run: only then does a further attempt get a span."""
    traces.observe(run, started(9.0, 99, "probe"))
    return traces.ids(run, AttemptId(99)) != traces.ids(run)


def test_a_run_that_is_over_is_forgotten(traces: Traces) -> None:
    tell(traces, "done", DETOUR)
    tell(traces, "suspended", BEFORE_THE_PERSON)
    tell(traces, "going", DETOUR[:-1])
    kept = [run for run in ("done", "suspended", "going") if holds(traces, RunId(run))]
    assert kept == ["going"]
    assert traces.ids(RunId("done")) is not None, "logs after the end still know the trace"


def test_a_suspended_run_goes_on_in_the_same_trace_in_another_process(own_store: Path) -> None:
    first = Traces("travel", store=own_store)
    tell(first, "r1", BEFORE_THE_PERSON)
    first.close()
    assert told(own_store).outcome == "suspended"
    second = Traces("travel", store=own_store)
    second.restore(RunId("r1"), BEFORE_THE_PERSON)
    for event in AFTER_THE_PERSON:
        second.observe(RunId("r1"), event)
    second.close()
    run = told(own_store)
    assert (run.outcome, run.cost, len(run.tops)) == ("demoted", fold(EVERYTHING).spent, 1)
    segments = [node.span for node in run.nodes() if node.kind == "run"]
    assert segments[1].parent_id == segments[0].span_id
    assert segments[1].start_ns == int((START + 3600) * 1e9)


def test_an_answer_without_a_word_about_the_time_still_goes_on(own_store: Path, traces: Traces) -> None:
    traces.restore(RunId("r1"), BEFORE_THE_PERSON)
    for event in AFTER_THE_PERSON[1:]:
        traces.observe(RunId("r1"), event)
    traces.flush()
    assert told(own_store).outcome == "demoted"


def test_a_resumed_run_without_its_history_is_a_root_of_its_own(own_store: Path, traces: Traces) -> None:
    traces.observe(RunId("r1"), Resumed(3.4, START + 3600))
    for event in AFTER_THE_PERSON[1:]:
        traces.observe(RunId("r1"), event)
    traces.flush()
    (root,) = [span for span in exported(own_store) if span.name.startswith("invoke_workflow")]
    assert (root.parent_id, root.trace_id) == ("", identity.trace_id(RunId("r1")))


KILLED = """
import os, signal, sys
from pathlib import Path
from agentroute.adapters.telemetry.provider import Traces
from tests.trace_samples import DETOUR, tell
traces = Traces("travel", store=Path(sys.argv[1]))
tell(traces, "r1", DETOUR[:4])
traces.flush()
tell(traces, "r1", DETOUR[4:11])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_trace_of_a_killed_process_is_whole_once_the_run_is_resumed(own_store: Path, traces: Traces) -> None:
    result = subprocess.run([sys.executable, "-c", KILLED, str(own_store)], cwd=ROOT, check=False)
    assert result.returncode == -signal.SIGKILL
    assert {span.name for span in exported(own_store)} == {"execute_tool search_a"}, "the rest died in memory"
    history = DETOUR[:11]
    traces.restore(RunId("r1"), history)
    lost = failed(5.0, 3, "search_b", "Interrupted", "the process ended", 3, in_doubt=True)
    rest = (Resumed(5.0, START + 5.0), lost, started(5.1, 5, "book"), succeeded(5.2, 5, "book", 10), finished(5.2))
    for event in rest:
        traces.observe(RunId("r1"), event)
    traces.flush()
    run = told(own_store)
    assert [top.kind for top in run.tops] == ["run"]
    assert [node.span.number(semconv.ATTEMPT) for node in run.nodes() if node.kind == "attempt"] == [1, 2, 4, 3, 5]
    assert run.cost == run.spent() == fold((*history, *rest)).spent
    assert run.reroutes == 1
    assert run.tops[0].span.start_ns == int(START * 1e9)


def test_what_ended_long_before_a_crash_is_not_exported_again(own_store: Path, traces: Traces) -> None:
    history = (*DETOUR[:4], started(60.0, 2, "search_b"))
    traces.restore(RunId("r1"), history)
    traces.observe(RunId("r1"), Resumed(61.0, START + 61.0))
    traces.observe(RunId("r1"), succeeded(62.0, 2, "search_b"))
    traces.observe(RunId("r1"), finished(63.0))
    traces.flush()
    assert {span.name for span in exported(own_store)} == {
        "execute_tool search_b",
        "agentroute.step search_b",
        "agentroute.step search_a",
        "invoke_workflow travel",
    }


def test_a_defect_costs_spans_and_one_line_of_log(
    own_store: Path, traces: Traces, caplog: pytest.LogCaptureFixture
) -> None:
    tell(traces, "r1", (begun(), succeeded(0.1, 99, "never started"), succeeded(0.1, 98, "nor this"), finished(0.2)))
    traces.flush()
    assert told(own_store).outcome == "succeeded"
    assert len(caplog.records) == 1


# ---------------------------------------------------------------- inside tools


def test_what_a_tool_traces_nests_under_its_attempt(traces: Traces) -> None:
    run = RunId("r1")
    tell(traces, run, (begun(), started(0.0, 1, "a"), started(0.0, 2, "b")))
    outside = get_current_span().get_span_context()
    for attempt in (1, 2):
        with traces.attempt_scope(run, AttemptId(attempt)):
            inside = get_current_span().get_span_context()
            assert traces.ids(run, AttemptId(attempt)) == (f"{inside.trace_id:032x}", f"{inside.span_id:016x}")
            headers: dict[str, str] = {}
            TraceContextTextMapPropagator().inject(headers)
            assert f"{inside.span_id:016x}" in headers["traceparent"]
        assert get_current_span().get_span_context() == outside


def test_scopes_of_attempts_nobody_knows_change_nothing(traces: Traces) -> None:
    tell(traces, "r1", (begun(), started(0.0, 1, "a"), succeeded(0.1, 1, "a")))
    for run, attempt in (("r1", 1), ("r1", 7), ("r2", 1)):
        with traces.attempt_scope(RunId(run), AttemptId(attempt)):
            assert not get_current_span().get_span_context().is_valid


def test_an_agent_within_an_agent_is_part_of_its_trace(own_store: Path, traces: Traces) -> None:
    outer, inner = RunId("outer"), RunId("inner")
    tell(traces, outer, (begun(), started(0.0, 1, "assistant")))
    with traces.attempt_scope(outer, AttemptId(1)):
        tell(
            traces, inner, (begun("assistant", at=0.0, wall=START + 0.1), started(0.0, 1, "x"), succeeded(0.1, 1, "x"))
        )
    assert traces.trace_id(inner) == traces.trace_id(outer)
    tell(traces, inner, (finished(0.2),))
    assert traces.trace_id(inner) == identity.trace_id(outer), "also after its end"
    tell(traces, outer, (succeeded(0.5, 1, "assistant"), finished(0.6)))
    traces.flush()
    within = next(node for node in told(own_store, "outer").nodes() if node.span.name == "invoke_workflow assistant")
    assert told(own_store, "inner").tops[0].span == within.span
    assert [run.run_id for run in list_runs(own_store / "traces")] == ["inner", "outer"]


def test_a_parent_that_would_be_missing_from_the_file_is_not_taken(own_store: Path, traces: Traces) -> None:
    strange = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    from opentelemetry.context import attach, detach

    token = attach(otel.set_span_in_context(otel.NonRecordingSpan(strange), Context()))
    try:
        tell(traces, "r1", DETOUR)
    finally:
        detach(token)
    traces.flush()
    assert one(exported(own_store), "invoke_workflow travel").parent_id == ""


def test_what_a_tool_adds_to_the_attempts_span_is_kept(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", (begun(), started(0.0, 1, "a")))
    with traces.attempt_scope(RunId("r1"), AttemptId(1)):
        span = get_current_span()
        span.set_attribute("mine", 7)
        span.set_attributes({"odd": object(), "list": ["a", "b"], "bytes": b"x"})  # type: ignore[dict-item]
        span.add_event("cached", {"hit": True})
        span.record_exception(ValueError("handled"))
        for number in range(1000):
            span.set_attribute(f"n{number}", number)
    tell(traces, "r1", (succeeded(0.1, 1, "a"), finished(0.2)))
    traces.flush()
    held = one(exported(own_store), "execute_tool a").attributes
    assert (held["mine"], held["list"]) == (7, ["a", "b"])
    assert len(held) < 300
    raw = next((own_store / "traces").glob("*.jsonl")).read_text()
    assert '"name":"cached"' in raw
    assert '"ValueError"' in raw


def test_what_a_tool_adds_after_the_end_comes_too_late(own_store: Path, traces: Traces) -> None:
    tell(traces, "r1", (begun(), started(0.0, 1, "a")))
    with traces.attempt_scope(RunId("r1"), AttemptId(1)):
        span = get_current_span()
    tell(traces, "r1", (succeeded(0.1, 1, "a"), finished(0.2)))
    span.set_attribute("late", 1)
    span.add_event("late")
    span.set_status(otel.StatusCode.ERROR, "late")
    span.update_name("late")
    span.add_link(span.get_span_context())
    span.end()
    assert not span.is_recording()
    traces.flush()
    assert "late" not in next((own_store / "traces").glob("*.jsonl")).read_text()
    assert len(named(exported(own_store), "execute_tool a")) == 1


def test_a_span_that_nobody_planned_has_ids_of_its_own() -> None:
    ended = list[ReadableSpan]()
    tracer = LightTracer(
        resource=Resource({}),
        scope=InstrumentationScope("test"),
        sampler=ALWAYS_ON,
        finish=[ended.append],
        now=lambda: 5,
    )
    tracer.plan(1, 2)
    for _ in range(3):
        tracer.start_span("a", Context()).end()
    ids = [(span.context.trace_id, span.context.span_id) for span in ended if span.context is not None]
    assert ids[0] == (1, 2)
    assert len({number for pair in ids for number in pair}) == 6


# ---------------------------------------------------------------- secrets and payloads


def canary_run() -> Sequence[Event]:
    return (
        begun(),
        started(0.0, 1, "a"),
        failed(0.1, 1, "a", "Boom", f"cannot log in with {CANARY} at https://bob:{CANARY}@host"),
        started(0.2, 2, "b"),
        succeeded(0.3, 2, "b", outputs={"Result": {"note": f"x{CANARY}y", "password": "pw", "long": "z" * 20_000}}),
        Chosen(0.4, (), "options", "policy", f"because {CANARY}", f"note {CANARY}"),
        finished(0.5),
    )


@pytest.mark.parametrize("payloads", [False, True])
def test_no_secret_and_no_payload_is_exported(own_store: Path, *, payloads: bool) -> None:
    traces = Traces("travel", store=own_store, payloads=payloads, redactor=Redactor([CANARY]))
    tell(traces, "r1", canary_run())
    traces.close()
    (file,) = (own_store / "traces").glob("*.jsonl")
    content = file.read_text()
    assert CANARY not in content
    assert ("Lisbon" in content) is payloads
    assert ("gen_ai.tool.call.result" in content) is payloads
    if payloads:
        result = one(exported(own_store), "execute_tool b").text(semconv.TOOL_RESULT)
        assert '"note":"x[redacted]y"' in result
        assert '"password":"[redacted]"' in result
        assert len(result) < 9000
        assert "characters)" in result


def test_a_payload_that_cannot_be_written_does_no_harm(own_store: Path) -> None:
    endless: list[object] = []
    endless.append(endless)
    traces = Traces("travel", store=own_store, payloads=True)
    outputs = {"endless": endless, "odd": object(), "nan": float("nan"), "half": "\ud800"}
    tell(traces, "r1", (begun(), started(0.0, 1, "a"), succeeded(0.1, 1, "a", outputs=outputs)))
    del outputs["endless"]
    tell(traces, "r1", (started(0.2, 2, "b"), succeeded(0.3, 2, "b", outputs=outputs), finished(0.4)))
    traces.close()
    assert one(exported(own_store), "execute_tool a").text(semconv.TOOL_RESULT).startswith("not to be written")
    assert json.loads(one(exported(own_store), "execute_tool b").text(semconv.TOOL_RESULT))["half"] == "\ud800"
    del outputs["half"]
    traces = Traces("travel", store=own_store, payloads=True)
    tell(traces, "r2", (begun(), started(0.0, 1, "c"), succeeded(0.1, 1, "c", outputs=outputs), finished(0.2)))
    traces.close()
    assert '"nan":"NaN"' in one(exported(own_store), "execute_tool c").text(semconv.TOOL_RESULT)


def test_payloads_can_be_asked_for_by_the_environment(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE_PAYLOADS", "1")
    write(own_store, ("r1", DETOUR))
    assert json.loads(one(exported(own_store), "execute_tool book").text(semconv.TOOL_RESULT)) == {
        "Booking": {"code": "X1"}
    }


def test_secrets_of_the_environment_are_known_without_being_told(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", CANARY)
    traces = Traces("travel", store=own_store)
    tell(traces, "r1", canary_run())
    traces.close()
    assert CANARY not in next((own_store / "traces").glob("*.jsonl")).read_text()


# ---------------------------------------------------------------- files


def some_spans(count: int) -> list[ReadableSpan]:
    resource = Resource({"service.name": "travel"})
    return [
        ReadableSpan(
            f"span {n}", SpanContext(1, n + 1, is_remote=False), resource=resource, start_time=n, end_time=n + 1
        )
        for n in range(count)
    ]


def test_files_are_their_owners_alone(own_store: Path) -> None:
    folder = write(own_store, ("r1", DETOUR))
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert file.name.endswith(f"-{os.getpid()}.jsonl")


def test_files_are_rotated_by_size_and_by_day(tmp_path: Path) -> None:
    days = iter([0.0, 0.0, 0.0, 86_400.0, 86_400.0])
    sink = TraceFile(tmp_path, largest=700, wall=lambda: next(days))
    for _ in range(5):
        sink.export(some_spans(2))
    sink.shutdown()
    names = sorted(file.name for file in tmp_path.iterdir())
    pid = os.getpid()
    assert names == [
        f"1970-01-01-{pid}-1.jsonl",
        f"1970-01-01-{pid}-2.jsonl",
        f"1970-01-01-{pid}.jsonl",
        f"1970-01-02-{pid}-1.jsonl",
        f"1970-01-02-{pid}.jsonl",
    ]
    again = TraceFile(tmp_path, largest=700, wall=lambda: 0.0)
    again.export(some_spans(1))
    again.shutdown()
    assert (tmp_path / f"1970-01-01-{pid}-3.jsonl").exists(), "files of an earlier life are not made larger"


def test_a_line_is_what_the_collector_writes(tmp_path: Path) -> None:
    """Read by the official protobuf types, after the one step that OTLP's JSON differs in: ids are hex there."""
    from google.protobuf import json_format

    sink = TraceFile(tmp_path)
    sink.export(some_spans(2))
    sink.shutdown()
    folder = write(tmp_path / "store", ("r1", EVERYTHING))
    for file in (*tmp_path.glob("*.jsonl"), *folder.iterdir()):
        for text in file.read_text().splitlines():
            data = json.loads(text, object_hook=base64_ids)
            request = json_format.ParseDict(data, ExportTraceServiceRequest())
            assert request.resource_spans[0].scope_spans[0].spans


def base64_ids(data: dict[str, Any]) -> dict[str, Any]:
    import base64

    for name in ("traceId", "spanId", "parentSpanId"):
        if name in data:
            data[name] = base64.b64encode(bytes.fromhex(data[name])).decode()
    return data


def test_a_folder_that_cannot_be_made_costs_spans_and_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store").write_text("in the way")
    traces = Traces("travel", store=tmp_path / "store")
    for number in range(3):
        tell(traces, f"r{number}", DETOUR)
        traces.flush()
    assert traces.dropped == 3 * 11
    traces.close()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "AGENTROUTE_HOME" in record.getMessage()


FULL_DISK = """
import resource, sys
from pathlib import Path
from agentroute.adapters.telemetry.provider import Traces
from tests.trace_samples import DETOUR, tell
traces = Traces("travel", store=Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))
for number in range(8):
    tell(traces, f"r{number}", DETOUR)
    traces.flush()
print(traces.dropped)
"""


def test_a_full_disk_leaves_whole_lines_and_the_run_alone(own_store: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(own_store)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (file,) = (own_store / "traces").iterdir()
    assert file.read_bytes().endswith(b"\n")
    written = [json.loads(text) for text in file.read_text().splitlines()]
    assert 0 < len(written) < 8
    assert int(result.stdout) == 11 * (8 - len(written))
    assert result.stderr.count("spans are lost") == 1


def test_a_span_that_cannot_be_written_costs_only_its_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = TraceFile(tmp_path)
    (broken,) = some_spans(1)
    broken._name = object()  # type: ignore[assignment]
    sink.export([broken])
    sink.export(some_spans(3))
    sink.shutdown()
    assert (sink.dropped, len(caplog.records)) == (1, 1)
    assert len(exported_file(tmp_path)) == 3


def exported_file(folder: Path) -> list[Span]:
    return [span for file in trace_files(folder) for span in read_spans(file)]


def test_agents_share_a_file_and_the_last_one_closes_it(own_store: Path) -> None:
    before = set(threading.enumerate())
    one_agent, other = Traces("one", store=own_store), Traces("other", store=own_store)
    tell(one_agent, "r1", DETOUR)
    tell(other, "r2", DETOUR)
    assert len(set(threading.enumerate()) - before) == 1
    one_agent.close()
    one_agent.close()
    tell(other, "r3", DETOUR)
    other.close()
    assert set(threading.enumerate()) - before == set()
    assert {run.run_id for run in list_runs(own_store / "traces")} == {"r1", "r2", "r3"}
    assert {span.service for span in exported(own_store)} == {"one", "other"}


AT_EXIT = """
import sys
from pathlib import Path
from agentroute.adapters.telemetry.provider import Traces
from tests.trace_samples import DETOUR, tell
tell(Traces("travel", store=Path(sys.argv[1])), "r1", DETOUR)
"""


def test_what_waits_is_written_at_the_end_of_the_process(own_store: Path) -> None:
    subprocess.run([sys.executable, "-c", AT_EXIT, str(own_store)], cwd=ROOT, check=True)
    assert told(own_store).outcome == "succeeded"


# ---------------------------------------------------------------- switches


def test_turned_off_nothing_is_imported_and_nothing_written(own_store: Path) -> None:
    script = f"{AT_EXIT}\nprint([name for name in sys.modules if name.startswith('opentelemetry')])"
    for switch in ({"AGENTROUTE_TRACE": "off"}, {"OTEL_SDK_DISABLED": "TRUE"}):
        environ = os.environ | {"AGENTROUTE_TRACE": "on"} | switch
        result = subprocess.run(
            [sys.executable, "-c", script, str(own_store)],
            cwd=ROOT, env=environ, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert result.stdout == "[]\n"
        assert not own_store.exists()


def test_turned_off_a_run_still_has_a_trace_id(monkeypatch: pytest.MonkeyPatch, own_store: Path) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE", "off")
    traces = Traces("travel", store=own_store)
    tell(traces, "r1", DETOUR)
    assert traces.trace_id(RunId("r1")) == identity.trace_id(RunId("r1"))
    assert traces.ids(RunId("r1")) is None
    with traces.attempt_scope(RunId("r1"), AttemptId(1)):
        pass
    assert traces.flush()


def test_a_switch_that_is_neither_on_nor_off_is_named(
    monkeypatch: pytest.MonkeyPatch, own_store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE", "maybe")
    write(own_store, ("r1", DETOUR))
    assert "AGENTROUTE_TRACE must be on or off, not 'maybe'" in caplog.text
    assert not own_store.exists()


def test_the_sampler_of_the_environment_decides_about_whole_traces(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    runs = [f"run-{n}" for n in range(40)]
    write(own_store, *((run, DETOUR) for run in runs))
    found = group(exported(own_store))
    assert 5 < len(found) < 35
    assert all(run.outcome == "succeeded" and run.attempts == 5 for run in found)


def test_the_store_is_where_the_environment_says(tmp_path: Path) -> None:
    assert provider.default_store({}) == Path(".agentroute")
    assert provider.default_store({"AGENTROUTE_HOME": str(tmp_path)}) == tmp_path
    assert provider.default_store({"AGENTROUTE_HOME": "postgresql://db/x"}) == Path(".agentroute")


def test_the_name_of_the_service_can_be_given(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    write(own_store, ("r1", DETOUR))
    assert {span.service for span in exported(own_store)} == {"shop"}


# ---------------------------------------------------------------- OTLP endpoints


class Collector:
    """A real HTTP receiver of OTLP protobuf on loopback."""

    def __init__(self, *, status: int = 200, delay_s: float = 0.0) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(delay_s)
                collector.requests.append(ExportTraceServiceRequest.FromString(body))
                collector.paths.append(self.path)
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class calls it so
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def test_spans_reach_an_otlp_endpoint_as_they_reach_the_file(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
        write(own_store, ("r1", EVERYTHING))
        assert set(collector.paths) == {"/v1/traces"}
        assert collector.headers[0]["x-team"] == "blue"
        assert collector.headers[0]["content-type"] == "application/x-protobuf"
        sent = {
            (
                (s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), s.name),
                (s.start_time_unix_nano, s.end_time_unix_nano, s.status.code == 2),
                tuple(link.span_id.hex() for link in s.links),
                frozenset(each.key for each in s.attributes),
            )
            for s in collector.spans
        }
        resource = collector.requests[0].resource_spans[0]
        names = {kv.key: kv.value.string_value for kv in resource.resource.attributes}
        assert names["service.name"] == "travel"
        assert resource.scope_spans[0].scope.name == "agentroute"
        assert resource.scope_spans[0].schema_url == semconv.SCHEMA_URL
    filed = {
        (
            (s.trace_id, s.span_id, s.parent_id, s.name),
            (s.start_ns, s.end_ns, s.failed),
            tuple(link.span_id for link in s.links),
            frozenset(s.attributes),
        )
        for s in exported(own_store)
    }
    assert sent == filed
    assert len(sent) == len(exported(own_store)) > 20


def test_text_that_has_no_utf8_does_not_cost_the_endpoint_its_batch(
    own_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        write(
            own_store,
            ("r1", (begun(), started(0.0, 1, "a"), failed(0.1, 1, "a", "Boom", "h\udc80lf é"), finished(0.2))),
        )
        assert {span.status.message for span in collector.spans if span.status.code == 2} == {"h?lf é"}


def test_the_variable_for_traces_alone_is_taken_as_it_is(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/custom")
        write(own_store, ("r1", DETOUR))
        assert set(collector.paths) == {"/custom"}
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
        write(own_store, ("r2", DETOUR))
        assert len(collector.requests) == 1


def test_an_endpoint_that_is_down_delays_neither_run_nor_file(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as gone:
        pass
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.url)
    traces = Traces("travel", store=own_store)
    traces.open()
    begin = time.monotonic()
    tell(traces, "r1", DETOUR)
    assert time.monotonic() - begin < 1
    assert traces.flush(timeout_s=0.2) is False
    assert told(own_store).outcome == "succeeded"
    traces.close(timeout_s=0.2)
    assert time.monotonic() - begin < 5


def test_a_protocol_we_cannot_speak_is_named(
    own_store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    write(own_store, ("r1", DETOUR))
    assert "http/protobuf" in caplog.text
    assert told(own_store).outcome == "succeeded"


# ---------------------------------------------------------------- an application's own provider

APPLICATION = """
import json, sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from agentroute.adapters.telemetry.provider import Traces
from agentroute.ids import AttemptId, RunId
from tests.trace_samples import DETOUR, EVERYTHING, begun, finished, started, succeeded, tell

memory = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(memory))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("application")
traces, run = Traces("travel", store=Path(sys.argv[1])), RunId("r1")
with tracer.start_as_current_span("request"):
    tell(traces, run, (begun(), started(0.0, 1, "search")))
    with traces.attempt_scope(run, AttemptId(1)):
        with tracer.start_as_current_span("GET /flights"):
            pass
    known = traces.trace_id(run)
    tell(traces, run, (succeeded(0.1, 1, "search"), finished(0.2)))
tell(traces, "r2", EVERYTHING)
traces.restore(RunId("r3"), DETOUR[:11])
tell(traces, "r3", DETOUR[11:])
spans = {span.context.span_id: span for span in memory.get_finished_spans()}
print(json.dumps({
    "known": known,
    "after": traces.trace_id(run),
    "spans": [
        {
            "name": span.name,
            "parent": spans[span.parent.span_id].name if span.parent and span.parent.span_id in spans else None,
            "orphan": bool(span.parent and span.parent.span_id not in spans),
            "trace": f"{span.context.trace_id:032x}",
            "run": (span.attributes or {}).get("agentroute.run.id"),
        }
        for span in spans.values()
    ],
}))
"""


def test_the_provider_of_the_application_gets_the_spans(own_store: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", APPLICATION, str(own_store)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    told_by = json.loads(result.stdout)
    first = [span for span in told_by["spans"] if span["run"] in {"r1", None}]
    assert {(span["name"], span["parent"]) for span in first} == {
        ("request", None),
        ("invoke_workflow travel", "request"),
        ("agentroute.step search", "invoke_workflow travel"),
        ("execute_tool search", "agentroute.step search"),
        ("GET /flights", "execute_tool search"),
    }
    assert {span["trace"] for span in first} == {told_by["known"]} == {told_by["after"]}
    assert not any(span["orphan"] for span in told_by["spans"])
    assert sum(span["run"] == "r2" and span["name"].startswith("execute_tool") for span in told_by["spans"]) == 10
    again = {span["name"] for span in told_by["spans"] if span["run"] == "r3"}
    assert "execute_tool book" in again
    assert "execute_tool search_a" not in again, "nobody can know its ids, so it must not go out twice"
    assert not own_store.exists(), "its spans are its own; no file of ours beside them"


def test_an_application_that_turned_its_tracing_off_gets_none_of_ours(own_store: Path) -> None:
    script = APPLICATION.replace(
        "trace.set_tracer_provider(provider)", "trace.set_tracer_provider(trace.NoOpTracerProvider())"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(own_store)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == {
        "known": identity.trace_id(RunId("r1")),
        "after": identity.trace_id(RunId("r1")),
        "spans": [],
    }
    assert not own_store.exists()


# ---------------------------------------------------------------- with the real runtime


class City(str):
    __slots__ = ()


class Forecast(str):
    __slots__ = ()


class Advice(str):
    __slots__ = ()


@tool(usd=0.001, effect="read")
async def satellite(city: City) -> Forecast:
    raise ToolError(f"the dish is down, {CANARY}", kind="permanent")


@tool(usd=0.002, effect="read")
def almanac(city: City) -> Forecast:
    return Forecast("sun" if get_current_span().get_span_context().is_valid else "no span")


class Packed(str):
    __slots__ = ()


@tool(usd=0.001, effect="read")
async def pack(city: City) -> Packed:
    return Packed("coat")


@tool(usd=0.003, effect="read")
async def advise(forecast: Forecast) -> Advice:
    return Advice(f"hat for {forecast}")


@pytest.mark.anyio
async def test_an_agent_and_its_trace_agree(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISH_PASSWORD", CANARY)
    inner = Agent(name="meteo", tools=[satellite, almanac], goals=[Goal("known", [Forecast])])
    async with Agent(
        name="weather",
        tools=[inner.as_tool(name="meteo"), advise],
        goals=[Goal("advised", [Advice])],
        budget=Budget(usd=0.1),
    ) as agent:
        result = await agent.run(inputs={"City": City("Lisbon")})
    await inner.aclose()
    assert result["Advice"] == "hat for sun", "a plain function in its thread has the span too"
    run = told(own_store, result.run_id)
    assert (run.outcome, run.attempts, run.retries, run.reroutes) == (
        result.outcome,
        result.attempts,
        result.retries,
        result.reroutes,
    )
    assert dollars(run.cost) == dollars(run.spent()) == result.cost_usd
    assert run.trace_id == result.trace_id == identity.trace_id(RunId(result.run_id))
    shown = [node for node in run.nodes() if node.span.name == "agentroute.reroute"]
    assert [node.span.texts(semconv.ROUTE_AFTER) for node in shown] == [["almanac"]]
    assert {span.service for span in exported(own_store)} == {"weather", "meteo"}
    assert [each.run_id for each in find_runs(own_store / "traces", "latest")] == [result.run_id], "not the inner one"
    assert CANARY not in next((own_store / "traces").glob("*.jsonl")).read_text()


@tool(usd=0.001, effect="read")
async def down(city: City) -> Forecast:
    raise ToolError("not there", kind="permanent")


@pytest.mark.anyio
async def test_the_trace_of_a_suspended_run_goes_on_with_the_answer(own_store: Path) -> None:
    goals = [Goal("advised", [Advice]), Goal("picked", [Packed], utility=0.3)]
    async with Agent(name="weather", tools=[down, advise, pack], goals=goals, escalate="human") as agent:
        waiting = await agent.run(inputs={"City": City("Lisbon")})
        assert waiting.suspended
        result = await agent.resume(waiting.run_id, "picked")
    run = told(own_store, result.run_id)
    assert (run.outcome, run.escalations, dollars(run.cost)) == ("demoted", result.escalations, result.cost_usd)
    assert run.trace_id == waiting.trace_id == result.trace_id
    assert [top.kind for top in run.tops] == ["run"]
    assert [node.kind for node in run.nodes()].count("run") == 2


@pytest.mark.anyio
async def test_many_runs_at_once_have_a_trace_each(own_store: Path) -> None:
    results = list[str]()

    async with Agent(name="weather", tools=[almanac, advise], goals=[Goal("advised", [Advice])]) as agent:

        async def go() -> None:
            results.append((await agent.run(inputs={"City": City("Lisbon")})).run_id)

        async with anyio.create_task_group() as runs_at_once:
            for _ in range(50):
                runs_at_once.start_soon(go)
    runs = list_runs(own_store / "traces")
    assert sorted(run.run_id for run in runs) == sorted(results)
    assert len({run.trace_id for run in runs}) == 50
    assert all(names(run.tops[0]) == names(runs[0].tops[0]) for run in runs)


def names(node: Node) -> list[str]:
    return [each.span.name for each in node.below()]


def test_events_that_cost_something_are_all_counted() -> None:
    """The sum above rests on these being the events with a price."""
    with_price = {kind for kind in get_args(Event) if "spent" in kind.__dataclass_fields__}
    assert with_price == {AttemptSucceeded, AttemptFailed, AttemptAbandoned, Chosen}
    assert ArtifactId("x") == "x"
