"""The checker: what it reads, what it must not import, and what it says of journals that were tampered with."""
# pyright: reportPrivateUsage=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from agentroute.ids import AttemptId, NanoUsd
from agentroute.ports import Record
from agentroute.run.codec import GENESIS, chain
from agentroute.run.events import AttemptStarted, AttemptSucceeded, Event, RunFinished
from agentroute.testing.fakes import fake_tool
from agentroute.testing.faults import Fault
from agentroute.testing.invariants import Case, check_run, decision_journal, reachable, undetectable
from tests.laboratory import Experiment, experiment


def done() -> Experiment:
    tools = [
        fake_tool("one", ["start"], ["a"], usd=0.01),
        fake_tool("two", ["a"], ["b"], usd=0.01),
        fake_tool("way", ["start"], ["b"], usd=1.0),
    ]
    return experiment(tools, {"all": ["b"]}, faults=[Fault(type="reset", target="one", attempts=(1, 1))])


def case(experiment: Experiment, **changes: Any) -> Case:
    options: dict[str, Any] = {
        "run": "run",
        "graph": experiment.agent.graph,
        "records": experiment.records,
        "result": experiment.result,
        "triggered": experiment.injector.triggered,
        "seen": experiment.injector.seen,
        **changes,
    }
    return Case(**options)


def rewritten(events: list[Event]) -> list[Record]:
    """A journal with other events, and a chain that fits them: what a careful forger would leave."""
    records: list[Record] = []
    digest = GENESIS
    for number, event in enumerate(events):
        digest = chain(digest, event)
        records.append(Record(number, event, digest))
    return records


def numbers(case: Case) -> set[int]:
    return {violation.invariant for violation in check_run(case)}


def test_a_run_as_it_was_violates_nothing() -> None:
    assert check_run(case(done())) == []


def test_the_checker_imports_neither_the_runtime_nor_the_agent_nor_the_state() -> None:
    program = """
import sys
import agentroute.testing.invariants
print(*sorted(name for name in sys.modules if name.startswith("agentroute.")))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = found.stdout.split()
    assert "agentroute.run.events" in loaded
    forbidden = ("agentroute.agent", "agentroute.runtime", "agentroute.run.state", "agentroute.run.decision")
    assert [name for name in loaded if name.startswith(forbidden)] == []


def test_a_record_that_was_changed_breaks_the_chain() -> None:
    run = done()
    records = list(run.records)
    event = records[2].event
    assert isinstance(event, AttemptStarted)
    records[2] = replace(records[2], event=replace(event, at=0.5))
    assert 6 in numbers(case(run, records=records))


def test_a_record_that_was_left_out_leaves_a_gap() -> None:
    run = done()
    assert 6 in numbers(case(run, records=[record for record in run.records if record.number != 3]))


@pytest.mark.parametrize("left_out", range(10))
def test_leaving_any_event_out_is_noticed_even_if_the_chain_is_forged(left_out: int) -> None:
    run = done()
    events = [record.event for record in run.records]
    assert left_out < len(events)
    del events[left_out]
    assert numbers(case(run, records=rewritten(events)))


@pytest.mark.parametrize("twice", range(10))
def test_telling_any_event_twice_is_noticed(twice: int) -> None:
    run = done()
    events = [record.event for record in run.records]
    events.insert(twice, events[twice])
    found = numbers(case(run, records=rewritten(events)))
    harmless = type(events[twice]).__name__ in ("RouteChosen", "RunStarted")
    assert found or harmless


def test_a_call_that_is_not_on_record_is_noticed() -> None:
    run = done()
    stranger = replace(run.injector.seen[0], attempt=99)
    assert 6 in numbers(case(run, seen=[*run.injector.seen, stranger]))


def test_a_second_call_under_one_intent_is_noticed() -> None:
    run = done()
    assert 6 in numbers(case(run, seen=[*run.injector.seen, run.injector.seen[0]]))


def test_a_fault_that_left_no_trace_is_noticed() -> None:
    run = done()
    silent = replace(run.injector.triggered[0], attempt=2)
    assert 1 in numbers(case(run, triggered=[silent]))


@pytest.mark.parametrize(
    "changes", [{"cost_usd": 0.0}, {"attempts": 1}, {"retries": 0}, {"route": ["two"]}, {"outcome": "demoted"}], ids=str
)
def test_a_result_that_says_something_else_is_noticed(changes: dict[str, Any]) -> None:
    run = done()
    assert 6 in numbers(case(run, result=run.result.model_copy(update=changes)))


def test_a_budget_that_was_passed_is_noticed() -> None:
    assert 3 in numbers(case(done(), budget_usd=0.015))


def test_a_deadline_that_was_passed_is_noticed() -> None:
    assert 5 in numbers(case(done(), deadline_s=0.001, epsilon_s=0.001))


def test_a_secret_in_any_output_is_noticed() -> None:
    run = done()
    assert numbers(case(run, secrets=["sk-canary"])) == set()
    assert 8 in numbers(case(run, secrets=["sk-canary"], outputs=["log line with sk-canary in it"]))
    value = next(str(value) for value in run.result.artifacts.values())
    assert 8 in numbers(case(run, secrets=[value]))


def test_an_attempt_without_an_end_leaks_its_reservation() -> None:
    run = done()
    events = [record.event for record in run.records]
    lost = [event for event in events if not (isinstance(event, AttemptSucceeded) and event.attempt == AttemptId(2))]
    assert 6 in numbers(case(run, records=rewritten(lost)))


def test_a_cheaper_attempt_than_was_reserved_for_is_noticed_when_it_is_dearer() -> None:
    run = done()
    events = [record.event for record in run.records]
    dear = [replace(e, spent=NanoUsd(10**9)) if isinstance(e, AttemptSucceeded) else e for e in events]
    assert 3 in numbers(case(run, records=rewritten(dear)))


def test_events_after_the_end_are_noticed() -> None:
    run = done()
    events = [record.event for record in run.records]
    assert isinstance(events[-1], RunFinished)
    assert 5 in numbers(case(run, records=rewritten([*events, events[1]])))


def test_false_answers_that_nobody_can_see_are_told_apart() -> None:
    tools = [fake_tool("one", ["start"], ["a"])]
    run = experiment(tools, {"all": ["a"]}, faults=[Fault(type="wrong", target="one")])
    assert check_run(case(run)) == []
    assert [entry.fault.type for entry in undetectable(case(run))] == ["wrong"]


def test_the_decision_journal_leaves_out_the_wall_clock_and_nothing_else() -> None:
    run = done()
    events = [record.event for record in run.records]
    later = [replace(e, wall=1.0) if hasattr(e, "wall") else e for e in events]
    assert decision_journal(rewritten(later)) == decision_journal(run.records)
    slower = [replace(event, at=event.at + 1e-9) for event in events]
    assert decision_journal(rewritten(slower)) != decision_journal(run.records)


def test_what_can_be_reached_is_found_without_the_router() -> None:
    graph = done().agent.graph
    assert reachable(graph, "all", {"start"}, {"one", "two"})
    assert reachable(graph, "all", {"a"}, {"two"})
    assert not reachable(graph, "all", {"start"}, {"one"})
    assert not reachable(graph, "all", set(), {"one", "two", "way"})
