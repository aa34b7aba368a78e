"""What the judge sees that the checker of a single run does not: ways that were open, and outages that overlap."""

from typing import Any

import pytest

from agentroute.adapters.clock import SystemClock
from agentroute.run.outlook import Outlook
from agentroute.testing.faults import Fault, Schedule
from agentroute.testing.scenario.document import ScenarioDocument
from agentroute.testing.scenario.drawing.generate import generate
from agentroute.testing.scenario.record import ScenarioRecord
from agentroute.testing.scenario.servers.outages import Outage, Switchboard, outages
from agentroute.testing.scenario.servers.processes import Processes
from agentroute.testing.scenario.theatre import Settings, Theatre


def judged(data: dict[str, Any]) -> ScenarioRecord:
    with Theatre(Settings(), SystemClock()) as theatre:
        return theatre.judged(ScenarioDocument.model_validate(data), "drawn.yaml")


TWO_WAYS: dict[str, Any] = {
    "version": "1",
    "title": "two ways",
    "agent": {
        "version": "1",
        "name": "two-ways",
        "tools": [
            {"name": "near", "produces": ["a"], "effect": "read"},
            {"name": "far", "produces": ["a"], "effect": "read", "cost": {"usd": 1.0}},
        ],
        "goals": [{"name": "all", "requires": ["a"]}],
    },
    "steady-state-hypothesis": {"outcome": "succeeded"},
    "method": [{"type": "error", "target": "near", "status": 404}],
    "expect": {"outcome": ["succeeded", "demoted", "escalated"]},
}


def giving_up(patch: pytest.MonkeyPatch) -> None:
    """Plant a bug: after a failure, no route is seen any more."""
    route_to = Outlook.route_to

    def blind(self: Outlook, *args: Any, **options: Any) -> Any:
        return None if self.state.unanswered else route_to(self, *args, **options)

    patch.setattr(Outlook, "route_to", blind)


def test_a_run_that_gives_up_although_a_way_is_open_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(TWO_WAYS).verdict == "held"
    giving_up(monkeypatch)
    record = judged(TWO_WAYS)
    assert record.verdict == "deviated"
    assert "[9] run run-0: escalated, although a way to 'all' was open over: far" in record.reason


LIMITED: list[dict[str, Any]] = [
    {**TWO_WAYS, "budget": {"tool_calls": 1}},
    {**TWO_WAYS, "agent": {**TWO_WAYS["agent"], "budget": {"tool_calls": 1}}},
    {**TWO_WAYS, "agent": {**TWO_WAYS["agent"], "quotas": [{"tool_calls": 1}]}},
]


@pytest.mark.parametrize("limited", LIMITED)
def test_a_way_that_a_limit_closes_is_no_open_way(limited: dict[str, Any]) -> None:
    record = judged(limited)
    assert record.verdict == "held"
    assert [run.outcome for run in record.trials] == ["escalated"]


def test_generated_scenarios_catch_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    giving_up(monkeypatch)
    records = [judged(drawn.data) for drawn in generate(60, 1)]
    assert any("[9]" in record.reason for record in records)


def test_a_way_that_a_fault_is_aimed_at_is_no_open_way() -> None:
    data = {**TWO_WAYS, "method": [{"type": "error", "status": 404}]}
    assert judged(data).verdict == "held"


class FakeProcesses(Processes):
    """Notes what is done to servers."""

    def __init__(self) -> None:
        super().__init__(testbed=None, proxies={})  # pyright: ignore[reportArgumentType]
        self.done: list[str] = []

    def refuse(self, server: str, *, yes: bool) -> None:
        self.done.append(f"{server} {'down' if yes else 'up'}")


@pytest.mark.parametrize(
    ("spans", "done"),
    [
        ([(0.0, 0.02), (0.02, 0.04)], ["s down", "s up"]),
        ([(0.0, 0.04), (0.01, 0.02)], ["s down", "s up"]),
        ([(0.0, 0.01), (0.02, 0.03)], ["s down", "s up", "s down", "s up"]),
    ],
)
def test_outages_that_overlap_are_one(spans: list[tuple[float, float]], done: list[str]) -> None:
    processes = FakeProcesses()
    planned = [Outage(0, "s", start, end, killed=False) for start, end in spans]
    with Switchboard(planned, processes) as board:
        board.wait()
    assert processes.done == done


def test_outages_follow_from_rules_and_seed() -> None:
    rules = [
        Fault(type="down", until_s=2.0),
        Fault(type="flap", down_s=1.0, up_s=1.0, from_s=1.0, until_s=4.0),
        Fault(type="error"),
        Fault(type="down", toxicity=0.0),
    ]
    planned = outages(rules, lambda _: ["s"], level="process", seed=1, run="run-0")
    assert [(o.rule, o.start, o.end, o.killed) for o in planned] == [
        (0, 0.0, 2.0, True),
        (1, 1.0, 2.0, False),
        (1, 3.0, 4.0, False),
    ]


def test_a_rule_that_the_clock_makes_takes_no_requests_place() -> None:
    schedule = Schedule([Fault(type="down", toxicity=0.5), Fault(type="error")])
    hits = [schedule.strikes("run-0", "t", n, 0.0, without={"down", "flap"}) for n in range(1, 50)]
    assert all([strike.fault.type for strike in strikes] == ["error"] for strikes in hits)
