"""Trace files: what is written can be read back, and what is torn or hostile does no harm."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentroute.adapters.telemetry import identity
from agentroute.ids import AttemptId, RunId, dollars
from agentroute.inspect import trace_files, traces
from agentroute.inspect.trace_files import Span, read_spans
from agentroute.inspect.trace_files import trace_files as files_in
from agentroute.inspect.traces import UNFINISHED, find_runs, group, list_runs, read_trace
from agentroute.run.events import RunFinished
from tests.trace_samples import DETOUR, EVERYTHING, START, begun, finished, started, succeeded, write


@pytest.fixture(autouse=True)
def _traces_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE", "on")


def line(*spans: dict[str, Any], service: Any = "travel") -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    request: dict[str, Any] = {
        "resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]
    }
    return json.dumps(request).encode() + b"\n"


def span(number: int, parent: int = 0, /, *, trace: int = 1, run: str = "r1", **attributes: Any) -> dict[str, Any]:
    parents = {"parentSpanId": f"{parent:016x}"} if parent else {}
    named = {"agentroute.run.id": {"stringValue": run}} | attributes
    return {
        "traceId": f"{trace:032x}",
        "spanId": f"{number:016x}",
        **parents,
        "name": f"span {number}",
        "startTimeUnixNano": str(number * 1000),
        "endTimeUnixNano": str(number * 1000 + 500),
        "attributes": [{"key": key, "value": value} for key, value in named.items()],
    }


def read(tmp_path: Path, *content: bytes) -> list[Span]:
    file = tmp_path / "some.jsonl"
    file.write_bytes(b"".join(content))
    return list(read_spans(file))


def test_values_of_every_kind_are_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        line(
            span(
                1,
                text={"stringValue": "x"},
                number={"intValue": "9223372036854775807"},
                lenient={"intValue": 7},
                share={"doubleValue": 0.5},
                odd={"doubleValue": "NaN"},
                yes={"boolValue": True},
                list={"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "2"}]}},
                map={"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
                none={},
            )
        ),
    )
    held = dict(found[0].attributes)
    assert str(held.pop("odd")) == "nan"
    assert held == {
        "agentroute.run.id": "r1",
        "text": "x",
        "number": 9223372036854775807,
        "lenient": 7,
        "share": 0.5,
        "yes": True,
        "list": ["a", 2],
        "map": {"k": "v"},
        "none": None,
    }
    assert found[0].service == "travel"


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    assert [each.name for each in read(tmp_path, line(span(1)), line(span(2)), line(span(3))[:-20])] == [
        "span 1",
        "span 2",
    ]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"null\n",
        b"[]\n",
        b"{}\n",
        b"not json\n",
        b"\xff\xfe\x00\n",
        b"[" * 100_000 + b"\n",
        b'{"resourceSpans": 5}\n',
        b'{"resourceSpans": [null, 5, {"scopeSpans": [null, {"spans": "x"}]}]}\n',
        b'{"resourceSpans": [{"resource": [], "scopeSpans": {}}]}\n',
        b"1" * 5000 + b"\n",
        line({}),
        line(span(1) | {"traceId": "xyz"}),
        line(span(1) | {"spanId": "0" * 16}),
        line(span(1) | {"traceId": ["1" * 32]}),
        line(span(1) | {"startTimeUnixNano": "soon"}),
        line(span(1) | {"startTimeUnixNano": True}),
        line(span(1) | {"endTimeUnixNano": "9" * 5000}),
    ],
)
def test_what_is_no_span_is_passed_over(tmp_path: Path, garbage: bytes) -> None:
    assert [each.name for each in read(tmp_path, garbage, line(span(2)))] == ["span 2"]


@pytest.mark.parametrize(
    "odd",
    [
        {"name": None},
        {"name": {"a": 1}},
        {"status": 7},
        {"status": {"code": [], "message": {}}},
        {"attributes": {"a": 1}},
        {"attributes": [{"key": 5, "value": {"stringValue": "x"}}]},
        {"attributes": [{"key": "agentroute.run.id", "value": {"intValue": "12"}}]},
        {"attributes": [{"key": "agentroute.run.id", "value": {"stringValue": ["x"]}}]},
        {"links": [5, {}, {"traceId": "1" * 32}]},
        {"parentSpanId": "nonsense"},
        {"endTimeUnixNano": "0"},
        {"startTimeUnixNano": "99999999999999999999"},
    ],
)
def test_odd_spans_do_no_harm(tmp_path: Path, odd: dict[str, Any]) -> None:
    for run in group(read(tmp_path, line(span(1) | odd, span(2, 1)))):
        assert run.summary()["duration_s"] >= 0


def test_absurd_figures_count_as_nothing(tmp_path: Path) -> None:
    huge: dict[str, Any] = {
        "agentroute.cost_usd": {"doubleValue": 1e308},
        "agentroute.budget_usd": {"doubleValue": "Infinity"},
    }
    counts: dict[str, Any] = {
        "agentroute.attempts": {"doubleValue": "NaN"},
        "agentroute.retries": {"stringValue": "many"},
    }
    run = group(read(tmp_path, line(span(1, **huge, **counts))))[0]
    assert (run.cost, run.attempts, run.retries) == (0, 0, 0)


def test_spans_that_are_their_own_ancestors_end_nowhere(tmp_path: Path) -> None:
    runs = group(read(tmp_path, line(span(1, 2), span(2, 1), span(3, 3), span(4, 3))))
    assert all(len(list(run.nodes())) < 1000 for run in runs)


def test_a_chain_of_spans_deeper_than_the_stack_is_told_up_to_a_limit(tmp_path: Path) -> None:
    run = group(read(tmp_path, *(line(span(n + 1, n)) for n in range(5000))))[0]
    assert 10 < len(list(run.nodes())) < 5000


def test_a_line_that_is_too_long_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_files, "LONGEST_LINE", 2000)
    found = read(tmp_path, line(span(1, pad={"stringValue": "x" * 5000})), line(span(2)), line(span(3)))
    assert [each.name for each in found] == ["span 2", "span 3"]


def test_reading_stops_after_the_bytes_allowed(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    file.write_bytes(line(span(1)) * 10)
    assert len(list(read_spans(file, most_bytes=len(line(span(1))) * 3))) == 3


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_to_a_file_makes_reading_fail(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(line(span(1), span(2, 1, a={"intValue": "3"})) + line(span(3, 2)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    for run in group(read(tmp_path, bytes(content))):
        json.dumps(run.summary())


def test_links_to_files_elsewhere_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(line(span(1)))
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "a.jsonl").symlink_to(tmp_path / "secret")
    (folder / "b.jsonl").mkdir()
    assert files_in(folder) == []
    assert files_in(tmp_path / "nowhere") == []


# ---------------------------------------------------------------- runs in files


def test_runs_are_listed_the_newest_first(own_store: Path) -> None:
    runs = [(f"run-{n}", (begun(wall=START + n), finished(1.0))) for n in (1, 3, 2)]
    folder = write(own_store, *runs)
    assert [run.run_id for run in list_runs(folder)] == ["run-3", "run-2", "run-1"]
    assert [run.run_id for run in list_runs(folder, limit=2)] == ["run-3", "run-2"]


def test_older_files_are_not_read_for_a_short_list(own_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(own_store, ("new", (begun(), finished(1.0))))
    old = folder / "2020-01-01-1.jsonl"
    old.write_bytes(line(span(9)))
    os.utime(old, (1e9, 1e9))
    assert len(list_runs(folder)) == 2
    opened: list[Path] = []

    def noted(file: Path, **options: Any) -> Iterator[Span]:
        opened.append(file)
        return read_spans(file, **options)

    monkeypatch.setattr(traces, "read_spans", noted)
    assert [run.run_id for run in list_runs(folder, limit=1)] == ["new"]
    assert old not in opened


def test_a_run_is_found_by_the_beginning_of_its_id_or_of_its_trace(own_store: Path) -> None:
    folder = write(own_store, ("alpha-1", DETOUR), ("alpha-12", DETOUR), ("beta", DETOUR))
    trace = identity.trace_id(RunId("beta"))

    def found(wanted: str) -> list[str]:
        return sorted(run.run_id for run in find_runs(folder, wanted))

    assert found("beta") == found("b") == found(trace) == found(trace[:8]) == found(trace.upper()) == ["beta"]
    assert found("alpha") == ["alpha-1", "alpha-12"]
    assert found("alpha-1") == ["alpha-1"], "an exact id is not ambiguous"
    assert found("gamma") == []


def test_latest_is_the_run_that_started_last(own_store: Path) -> None:
    folder = write(own_store, ("late", (begun(wall=START + 9), finished(1.0))), ("early", (begun(), finished(1.0))))
    assert [run.run_id for run in find_runs(folder, "latest")] == ["late"]


def test_a_run_that_has_not_ended_is_told_from_what_is_there(own_store: Path) -> None:
    folder = write(own_store, ("r1", DETOUR[:-1]))
    run = find_runs(folder, "r1")[0]
    assert run.outcome == UNFINISHED
    assert (run.agent, run.attempts, run.retries, run.reroutes, run.llm_calls) == ("travel", 5, 1, 1, 1)
    assert dollars(run.cost) == pytest.approx(0.018)


def test_the_cost_of_a_run_is_the_sum_over_its_spans(own_store: Path) -> None:
    folder = write(own_store, ("r1", DETOUR), ("r2", EVERYTHING))
    for run_id, events in (("r1", DETOUR), ("r2", EVERYTHING)):
        run = find_runs(folder, run_id)[0]
        assert run.cost == run.spent() == sum(getattr(event, "spent", 0) for event in events)
    assert run.cost == 20_500_000


def test_a_span_that_was_exported_twice_counts_once(own_store: Path) -> None:
    folder = write(own_store, ("r1", DETOUR))
    file = next(folder.glob("*.jsonl"))
    file.with_name("2020-01-01-7.jsonl").write_bytes(file.read_bytes())
    run = find_runs(folder, "r1")[0]
    assert run.cost == run.spent() == 18_000_000


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_versions_of_a_span_the_one_that_ended_last_counts(tmp_path: Path, order: int) -> None:
    early, late = span(1), span(1) | {"endTimeUnixNano": "9000", "name": "late"}
    (run,) = group(read(tmp_path, *(line(each) for each in (early, late)[::order])))
    assert run.tops[0].span.name == "late"


@given(st.integers(0, 2**64 - 1), st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 50))
def test_span_ids_of_a_run_never_collide(seed: int, attempt: int, other: int, segment: int) -> None:
    made = [
        *(identity.attempt_span(seed, AttemptId(n)) for n in {attempt, other}),
        *(identity.step_span(seed, AttemptId(n)) for n in {attempt, other}),
        *(identity.decision_span(seed, n) for n in {attempt, other}),
        *(identity.root_span(seed, n) for n in {0, segment}),
    ]
    assert len(set(made)) == len(made)
    assert all(0 < each < 2**64 for each in made)


def test_other_runs_have_other_traces() -> None:
    ids = {identity.trace_id(RunId(f"run-{n}")) for n in range(1000)}
    assert len(ids) == 1000
    assert all(len(each) == 32 for each in ids)


def test_reading_one_trace_leaves_the_others_out(own_store: Path) -> None:
    folder = write(own_store, ("r1", DETOUR), ("r2", DETOUR))
    assert [run.run_id for run in read_trace(folder, identity.trace_id(RunId("r2")))] == ["r2"]


def test_a_failed_run_is_told_as_one(own_store: Path) -> None:
    events = (begun(), started(0.0, 1, "a"), succeeded(0.1, 1, "a"), RunFinished(0.2, "escalated", None, "handed over"))
    run = find_runs(write(own_store, ("r1", events)), "r1")[0]
    assert (run.outcome, run.reason, run.tops[0].span.failed) == ("escalated", "handed over", True)
