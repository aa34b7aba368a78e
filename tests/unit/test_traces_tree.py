"""The tree in the terminal, the JSON beside it, and the commands that print them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inline_snapshot import snapshot
from rich.console import Console

from agentroute.cli.trace import trace
from agentroute.ids import AttemptId, NanoUsd, ToolId
from agentroute.inspect.trace_json import run_data
from agentroute.inspect.traces import Run, find_runs
from agentroute.inspect.tree import run_tree
from agentroute.run.events import AttemptAbandoned, Event, GuardClosed, RunFinished
from tests.trace_samples import DETOUR, EVERYTHING, begun, failed, finished, started, succeeded, tell, write


@pytest.fixture(autouse=True)
def _traces_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTROUTE_TRACE", "on")


def printed(run: Run, *, width: int = 150) -> str:
    console = Console(width=width, highlight=False, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(run_tree(run))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def told(store: Path, events: Sequence[Event]) -> Run:
    return find_runs(write(store, ("r1", events)), "r1")[0]


def test_a_detour_as_a_tree(own_store: Path) -> None:
    assert printed(told(own_store, DETOUR)) == snapshot("""\
travel  booked  succeeded in 900.0 ms
cost 0.018000 USD of 0.050000 USD; 5 attempts, 1 retry, 1 reroute, 0 escalations, 1 model call, 150 of 1,000 tokens
run r1  trace 82f3e9c695dc6b8d1b11818d5701919e  started 2027-01-15T08:00:00.000Z
route search_a > rate > book  0.013000 USD, proven cheapest
├── search_a  failed  at 0.0 ms, 400.0 ms
│   ├── attempt 1  ConnectError: connection refused (transient)  at 0.0 ms, 100.0 ms, 0.002000 USD
│   └── attempt 2  ConnectError: connection refused (transient)  at 300.0 ms, 100.0 ms, 0.002000 USD  <- retry of attempt 1 after 200.0 ms
├── reroute  search_a failed (transient)
│     -search_a > rate > book  =>  +search_b > rate > book
│     weight 0.015000 USD -> 0.014000 USD, proven cheapest, 0.046000 USD of the budget left
│     ConnectError: connection refused
├── rate (openai/gpt-9)  ok  at 400.0 ms, 100.0 ms, 0.001000 USD, 120 + 30 tokens
├── search_b  ok  at 400.0 ms, 200.0 ms, 0.003000 USD  <- after the reroute
├── book  ok  at 600.0 ms, 300.0 ms, 0.010000 USD
└── budget      USD spent      held      left  tokens left  model calls left
    1 search_a   0.002000  0.000000  0.048000        1,000                 1
    2 search_a   0.004000  0.000000  0.046000        1,000                 1
    4 rate       0.005000  0.003000  0.042000          850                 0
    3 search_b   0.008000  0.000000  0.042000          850                 0
    5 book       0.018000  0.000000  0.032000          850                 0\
""")  # noqa: E501  # a tree is as wide as it is


def test_every_kind_of_event_as_a_tree(own_store: Path) -> None:
    assert printed(told(own_store, EVERYTHING)) == snapshot("""\
travel  booked  demoted in 60.0 min
reached 'options-only'
cost 0.020500 USD of 0.050000 USD; 11 attempts, 1 retry, 1 reroute, 1 escalation, 1 model call, 150 of 1,000 tokens
run r1  trace 82f3e9c695dc6b8d1b11818d5701919e  started 2027-01-15T08:00:00.000Z
route search_a > rate > book  0.013000 USD, proven cheapest
├── search_a  failed  at 0.0 ms, 400.0 ms
│   ├── attempt 1  ConnectError: connection refused (transient)  at 0.0 ms, 100.0 ms, 0.002000 USD
│   └── attempt 2  ConnectError: connection refused (transient)  at 300.0 ms, 100.0 ms, 0.002000 USD  <- retry of attempt 1 after 200.0 ms
├── reroute  search_a failed (transient)
│     -search_a > rate > book  =>  +search_b > rate > book
│     weight 0.015000 USD -> 0.014000 USD, proven cheapest, 0.046000 USD of the budget left
│     ConnectError: connection refused
├── rate (openai/gpt-9)  ok  at 400.0 ms, 100.0 ms, 0.001000 USD, 120 + 30 tokens
├── search_b  ok  at 400.0 ms, 200.0 ms, 0.003000 USD  <- after the reroute
├── closed express: its when= condition does not hold
├── monitor language: request is about: travel
│     hotel x0.1
├── tier of answer: answer@small > answer@large; cascade
│     answer@small 0.001000 USD: 70.0% right, 0.001000 USD a call
│     answer@large 0.010000 USD: 90.0% right, 0.010000 USD a call
├── new route to booked: book > hotel
│   0.012000 USD, best found, not proven cheapest; express is closed for this run
├── waited 1.50 s for book: every way is closed until then
├── book  verified  at 2.10 s, 600.0 ms
│   ├── attempt 5  ReadTimeout: no answer (ambiguous), unknown whether it happened  at 2.10 s, 500.0 ms, 0.010000 USD
│   ├── verify by find_booking  ok  at 2.60 s, 100.0 ms  <- about attempt 5
│   └── verified by find_booking: book had happened
├── hotel  compensated  at 2.80 s, 300.0 ms
│   ├── attempt 7  ReadError: connection lost (ambiguous), unknown whether it happened  at 2.80 s, 200.0 ms, 0.001000 USD
│   ├── compensate by cancel_hotel  ok  at 3.00 s, 100.0 ms  <- about attempt 7
│   └── undone by cancel_hotel: hotel
├── insure  unresolved  at 3.10 s, 100.0 ms
│   ├── attempt 9  ReadTimeout: no answer (ambiguous), unknown whether it happened  at 3.10 s, 100.0 ms
│   └── unresolved: the effect of insure may have happened
├── news  abandoned  at 3.20 s, 100.0 ms
│   └── attempt 10  abandoned  at 3.20 s, 100.0 ms, 0.000500 USD
├── hedged news: no answer in 0.05 s
│     beside it: digest
│     0.002000 USD, proven cheapest
├── put aside hotel, for all runs: charged 0.001000 USD, its worst case is 0.000500 USD
├── hotel came back late with a result, which was not used
├── escalate  waiting for a person
│     no route to 'booked': insure (failed 1 times)
│       options-only  utility 0.4, 0.001000 USD: summary
│       hand-over  utility 0, 0.000000 USD
├── resumed, demoted after 200.0 ms
│   ├── escalate  options-only, chosen by human
│   │     no route to 'booked'
│   │     > options-only  utility 0.4, 0.001000 USD: summary
│   │       hand-over  utility 0, 0.000000 USD
│   │     asked by mail
│   ├── new route to options-only: summary
│   │   0.001000 USD, proven cheapest; demoted
│   └── summary  ok  at 60.0 min, 100.0 ms, 0.001000 USD
└── budget      USD spent      held      left  tokens left  model calls left
    1 search_a   0.002000  0.000000  0.048000        1,000                 1
    2 search_a   0.004000  0.000000  0.046000        1,000                 1
    4 rate       0.005000  0.003000  0.042000          850                 0
    3 search_b   0.008000  0.000000  0.042000          850                 0
    5 book       0.018000  0.000000  0.032000          850                 0
    7 hotel      0.019000  0.000000  0.031000          850                 0
    10 news      0.019500  0.000000  0.030500          850                 0
    11 summary   0.020500  0.000000  0.029500          850                 0\
""")  # noqa: E501  # a tree is as wide as it is


def test_a_run_that_was_killed_as_a_tree(own_store: Path) -> None:
    assert printed(told(own_store, DETOUR[:7])) == snapshot("""\
travel  unfinished in 400.0 ms
its own span is not there: it still runs, or its process was killed
cost 0.004000 USD; 2 attempts, 1 retry, 0 reroutes, 0 escalations, 0 model calls
run r1  trace 82f3e9c695dc6b8d1b11818d5701919e  started 2027-01-15T08:00:00.000Z
├── search_a  attempt 1  ConnectError: connection refused (transient)  at 0.0 ms, 100.0 ms, 0.002000 USD
└── search_a  attempt 2  ConnectError: connection refused (transient)  at 300.0 ms, 100.0 ms, 0.002000 USD  <- retry of attempt 1 after 200.0 ms\
""")  # noqa: E501  # a tree is as wide as it is


def test_the_burn_down_ends_where_the_run_does(own_store: Path) -> None:
    run = told(own_store, EVERYTHING)
    moments = run_data(run)["burn_down"]
    assert [moment["at_s"] for moment in moments] == sorted(moment["at_s"] for moment in moments)
    assert moments[-1]["spent"]["usd"] == run.summary()["cost_usd"]
    for moment in moments:
        for name, limit in (("usd", 0.05), ("tokens", 1000), ("llm_calls", 1)):
            assert sum(moment[part][name] for part in ("spent", "held", "left")) == pytest.approx(limit)
    assert {moment["left"]["tool_calls"] for moment in moments} == {None}
    beside = next(moment for moment in moments if moment["attempt"] == 4)  # search_b was under way
    assert beside["held"] == {"usd": 0.003, "llm_calls": 0, "tokens": 0, "tool_calls": 1}


def test_what_was_not_limited_has_no_burn_down(own_store: Path) -> None:
    free = replace(begun(), budget=None, llm_calls=None, tokens=None)
    run = told(own_store, [free, *DETOUR[1:]])
    assert run_data(run)["burn_down"] == []
    assert "budget" not in printed(run).splitlines()[-1]


def test_a_call_that_was_never_made_uses_nothing(own_store: Path) -> None:
    limited = replace(begun(), budget=None, llm_calls=None, tokens=None, tool_calls=2)
    first, second = started(0.0, 1, "a"), started(0.0, 2, "b")
    given_up = AttemptAbandoned(0.1, AttemptId(2), ToolId("b"), NanoUsd(0), "not wanted", called=False)
    run = told(own_store, [limited, first, second, given_up, succeeded(0.2, 1, "a"), finished(0.2)])
    assert [moment["left"]["tool_calls"] for moment in run_data(run)["burn_down"]] == [1, 1]
    assert printed(run).splitlines()[-3:] == [
        "└── budget  tool calls left",
        "    2 b                   1",
        "    1 a                   1",
    ]


def test_a_long_burn_down_is_cut_short_and_what_is_overspent_is_in_it(own_store: Path) -> None:
    calls = [e for n in range(1, 61) for e in (started(n, n, "a", n, reserved=1), succeeded(n + 0.5, n, "a", 1))]
    lines = printed(told(own_store, [begun(), *calls, finished(61)])).splitlines()
    assert lines[-41].strip() == "(20 before these)"
    assert lines[-1].split() == ["60", "a", "0.060000", "0.000000", "-0.010000", "1,000", "1"]


def test_only_what_a_reroute_changed_stands_out(own_store: Path) -> None:
    text = printed(told(own_store, DETOUR))
    assert "-search_a > rate > book  =>  +search_b > rate > book" in text


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eevil\u200b\r\nforged line\x00"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.text(max_size=30))
def test_nothing_a_span_holds_can_act_on_the_terminal(own_store: Path, noise: str) -> None:
    evil = HOSTILE + noise
    events = (
        begun(agent=evil, goal=evil),
        started(0.0, 1, evil, key=evil),
        failed(0.1, 1, evil, evil, evil),
        GuardClosed(0.1, ToolId(evil), evil),
        started(0.1, 2, "chat", calls_model=True),
        succeeded(0.2, 2, "chat", model=evil, tokens=(1, 2)),
        RunFinished(0.2, "escalated", None, evil, (ToolId(evil),)),
    )
    write(own_store, ("r1", events))
    for run in find_runs(own_store / "traces", "r1"):
        text = printed(run, width=10_000)
        assert [c for c in text if not c.isprintable() and c != "\n"] == []
        assert "forged line" in text
        assert not any(line.startswith("forged") for line in text.splitlines())
        assert json.dumps(run_data(run)).isprintable()
    for file in (own_store / "traces").glob("*"):
        file.unlink()


def test_markup_in_a_span_is_shown_as_it_is(own_store: Path) -> None:
    events = (begun(agent="[red]x[/red]"), started(0.0, 1, "[bold]"), succeeded(0.1, 1, "[bold]"), finished(0.1))
    text = printed(told(own_store, events))
    assert "[red]x[/red]" in text
    assert "[bold]" in text


def test_an_endless_message_is_cut(own_store: Path) -> None:
    events = (begun(), started(0.0, 1, "a"), failed(0.1, 1, "a", "Boom", "x" * 100_000), finished(0.1))
    text = printed(told(own_store, events))
    assert len(text) < 3000
    assert "xxx..." in text.replace("\n", "")


def test_as_json_the_tree_has_every_span_once(own_store: Path) -> None:
    run = told(own_store, EVERYTHING)
    data = json.loads(json.dumps(run_data(run)))

    def ids(spans: Any) -> list[str]:
        return [each for span in spans for each in (span["span_id"], *ids(span["children"]))]

    found = ids(data["spans"])
    assert len(found) == len(set(found)) == sum(1 for _ in run.nodes())
    assert (data["outcome"], data["cost_usd"], data["budget_usd"]) == ("demoted", 0.0205, 0.05)
    assert data["spans"][0]["kind"] == "run"


# ---------------------------------------------------------------- commands


def call(*arguments: str) -> Result:
    return CliRunner().invoke(trace, arguments)


def test_list_prints_a_table(own_store: Path) -> None:
    write(own_store, ("first-run", DETOUR), ("second-run", EVERYTHING))
    assert call("list").output == snapshot("""\
RUN         AGENT   GOAL    OUTCOME    STARTED                     DURATION  ATTEMPTS  RETRIES  REROUTES  COST USD
first-run   travel  booked  succeeded  2027-01-15T08:00:00.000Z     0.900 s         5        1         1  0.018000
second-run  travel  booked  demoted    2027-01-15T08:00:00.000Z  3600.200 s        11        1         1  0.020500
""")


def test_list_prints_json(own_store: Path) -> None:
    write(own_store, ("r1", DETOUR))
    assert json.loads(call("list", "--json").stdout) == snapshot(
        [
            {
                "run_id": "r1",
                "trace_id": "82f3e9c695dc6b8d1b11818d5701919e",
                "agent": "travel",
                "goal": "booked",
                "outcome": "succeeded",
                "started_at": "2027-01-15T08:00:00.000Z",
                "duration_s": 0.9,
                "attempts": 5,
                "retries": 1,
                "reroutes": 1,
                "escalations": 0,
                "llm_calls": 1,
                "tokens": 150,
                "cost_usd": 0.018,
            }
        ]
    )


def test_list_says_where_there_is_nothing(own_store: Path) -> None:
    result = call("list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert str(own_store) in result.stderr
    assert json.loads(call("list", "--json").stdout) == []


def test_list_keeps_to_its_limit(own_store: Path) -> None:
    write(own_store, ("r1", DETOUR), ("r2", DETOUR), ("r3", DETOUR))
    assert len(json.loads(call("list", "--json", "--limit", "2").stdout)) == 2
    assert call("list", "--limit", "0").exit_code == 2


def test_show_prints_the_tree_of_the_run_that_was_asked_for(own_store: Path) -> None:
    write(own_store, ("abc-1", DETOUR))
    for which in ("abc-1", "ab", "latest"):
        result = call("show", which)
        assert result.exit_code == 0
        assert "run abc-1 " in result.stdout
        assert "=>" in result.stdout
    assert json.loads(call("show", "abc-1", "--json").stdout)["run_id"] == "abc-1"


def test_show_takes_another_store(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", ("abc-1", DETOUR))
    assert call("show", "latest").exit_code == 2
    assert call("show", "latest", "--store", str(tmp_path / "elsewhere")).exit_code == 0


@pytest.mark.parametrize(
    ("which", "hint"), [("nope", "trace list"), ("", "trace list"), ("ab", "abc-2"), ("latest", "")]
)
def test_show_helps_where_there_is_no_one_run(own_store: Path, which: str, hint: str) -> None:
    if which != "latest":
        write(own_store, ("abc-1", DETOUR), ("abc-2", DETOUR))
    result = call("show", which)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert hint in result.stderr


@pytest.mark.parametrize("command", [(), ("list",), ("show",)])
def test_help_has_examples(command: tuple[str, ...]) -> None:
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert "agentroute trace" in result.output


def test_a_run_is_told_although_it_is_under_way(own_store: Path) -> None:
    write(own_store, ("r1", DETOUR[:-1]))
    assert "unfinished" in call("list").output
    assert "unfinished" in call("show", "r1").output


def test_events_of_a_run_nobody_started_are_no_run(own_store: Path) -> None:
    from agentroute.adapters.telemetry.provider import Traces

    traces = Traces("travel", store=own_store)
    tell(traces, "r1", DETOUR[1:])
    traces.close()
    assert call("list").stdout == ""
