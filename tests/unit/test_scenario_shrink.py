"""The shrinker: what is left still fails, and would not with anything less."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from agentroute.errors import AgentrouteError, InputError
from agentroute.testing.scenario.document import ScenarioDocument
from agentroute.testing.scenario.drawing.generate import generate
from agentroute.testing.scenario.play import play
from agentroute.testing.scenario.shrinking.moves import simpler
from agentroute.testing.scenario.shrinking.shrink import canonical, shrink, size
from agentroute.testing.scenario.staging import stage

Data = dict[str, Any]


def tool(name: str, makes: str, needs: str = "order", **others: Any) -> Data:
    usual = {"effect": "read", "cost": {"usd": 0.0125, "latency_s": 0.37}, "timeout_s": 2}
    return {"name": name, "requires": [needs], "produces": [makes], **usual, **others}


def scenario() -> Data:
    """A scenario with more in it than anything here needs."""
    return {
        "version": "1",
        "title": "Large",
        "seed": 99,
        "level": "virtual",
        "agent": {
            "version": "1",
            "name": "large",
            "tools": [
                tool("quote_a", "quote", provider="north"),
                tool("quote_b", "quote"),
                tool("stock_a", "stock", "quote", effect="once", verify="check-stock", compensate="undo-stock"),
                tool("check-stock", "stock", "quote"),
                {"name": "undo-stock", "requires": ["stock"], "effect": "idempotent"},
                tool("stock_b", "stock", "quote"),
                tool("label_a", "label", "stock"),
                tool("label_b", "label", "stock"),
            ],
            "goals": [{"name": "all", "requires": ["label"]}, {"name": "less", "requires": ["stock"], "utility": 0.4}],
            "budget": {"usd": 2.345, "deadline_s": 61.7},
        },
        "runs": 5,
        "every": "300ms",
        "health": {"trip_after": 2},
        "simulate": {"quote_a": {"seconds": 0.12}, "stock_a": {"honours_key": True}},
        "steady-state-hypothesis": {"outcome": "succeeded"},
        "method": [
            {"type": "latency", "target": "quote_b", "latency": 1.2345, "jitter": 0.1},
            {"type": "down", "target": "quote_a", "from": 0.25, "until": 17.3, "toxicity": 0.7},
            {"type": "timeout", "target": "stock_a", "attempts": "2-3"},
            {"type": "error", "target": "label_*", "status": 500},
            {"type": "flap", "provider": "north", "up": 1, "down": 2},
        ],
        "expect": {"outcome": ["succeeded", "demoted"], "effects": {"stock_a": {"max": 1}}},
    }


class Oracle:
    """Says whether a scenario fails, by a predicate, and counts how often it was asked."""

    def __init__(self, predicate: Callable[[Data], bool]) -> None:
        self.asked: list[str] = []
        self._predicate = predicate

    def __call__(self, data: Data) -> bool:
        ScenarioDocument.model_validate(data)  # only scenarios are asked about
        self.asked.append(canonical(data))
        return self._predicate(data)


def types(data: Data) -> set[str]:
    return {fault["type"] for fault in data["method"]} if "method" in data else set()


def names(data: Data) -> set[str]:
    return {tool["name"] for tool in data["agent"]["tools"]}


def valid(data: Data) -> bool:
    try:
        ScenarioDocument.model_validate(data)
    except ValidationError:
        return False
    return True


def minimal(data: Data, fails: Callable[[Data], bool]) -> bool:
    """Whether no move makes it smaller and leaves it failing."""
    return not any(valid(less) and size(less) < size(data) and fails(less) for less in simpler(data))


PREDICATES: dict[str, Callable[[Data], bool]] = {
    "anything": bool,
    "one fault": lambda data: "timeout" in types(data),
    "two faults": lambda data: {"down", "error"} <= types(data),
    "a tool and its verifier": lambda data: any("verify" in one for one in data["agent"]["tools"]),
    "a tool and a fault": lambda data: "label_b" in names(data) and "flap" in types(data),
    "several runs": lambda data: data.get("runs", 1) >= 3,
    "three tools": lambda data: len(data["agent"]["tools"]) >= 3,
    "two goals": lambda data: len(data["agent"]["goals"]) == 2,
    "a late fault": lambda data: any(fault.get("from", 0) and fault["type"] == "down" for fault in data["method"]),
    "half a chance": lambda data: any(0 < fault.get("toxicity", 1) < 1 for fault in data["method"]),
}


@pytest.mark.parametrize("what", PREDICATES)
def test_what_is_left_fails_and_nothing_can_be_spared(what: str) -> None:
    fails = PREDICATES[what]

    def guarded(data: Data) -> bool:
        return "method" in data and fails(data)

    small = shrink(scenario(), guarded)
    assert guarded(small)
    assert valid(small)
    assert minimal(small, guarded)
    assert shrink(small, guarded) == small


def test_only_what_matters_is_left() -> None:
    small = shrink(scenario(), PREDICATES["a tool and a fault"])
    assert small["method"] == [{"type": "flap", "provider": "north"}]
    assert [tool["name"] for tool in small["agent"]["tools"]] == ["label_b"]
    assert not {"seed", "every", "runs", "health", "simulate", "budget"} & (set(small) | set(small["agent"]))
    assert small["expect"] == {"outcome": ["succeeded", "demoted"], "effects": {}}


def test_a_tool_takes_those_along_that_look_after_it() -> None:
    less = next(less for less in simpler(scenario()) if "stock_a" not in names(less))
    assert names(less) == {"quote_a", "quote_b", "stock_b", "label_a", "label_b"}
    assert "stock_a" not in less["simulate"]
    assert less["expect"]["effects"] == {}


def test_a_verifier_goes_alone_and_its_tool_stays() -> None:
    small = shrink(scenario(), lambda data: "stock_a" in names(data) and "undo-stock" in names(data))
    stock = next(tool for tool in small["agent"]["tools"] if tool["name"] == "stock_a")
    assert "verify" not in stock
    assert "check-stock" not in names(small)


def test_values_become_plain() -> None:
    def slow(data: Data) -> bool:
        faults = data.get("method", [])
        return any(fault["type"] == "latency" and fault.get("latency", 0) >= 0.9 for fault in faults)

    assert shrink(scenario(), slow)["method"] == [{"type": "latency", "target": "quote_b", "latency": 1}]


def test_chance_becomes_certainty_where_it_can() -> None:
    data = scenario()
    data["method"] = [{"type": "tail", "target": "quote_a", "latency": 3, "toxicity": 0.25}]

    def often(data: Data) -> bool:
        return any(fault["type"] == "tail" and fault.get("toxicity", 0.01) > 0.2 for fault in data.get("method", []))

    assert shrink(data, often)["method"] == [{"type": "tail", "target": "quote_a", "toxicity": 1}]


def test_fewer_runs_and_fewer_calls_are_tried() -> None:
    def several(data: Data) -> bool:
        calls = [fault.get("attempts") for fault in data.get("method", [])]
        return data.get("runs", 1) >= 2 and any(calls)

    small = shrink(scenario(), several)
    assert small["runs"] == 2
    assert small["method"] == [{"type": "timeout", "target": "stock_a", "attempts": 1}]


def test_variables_are_put_in_first() -> None:
    data = scenario() | {"variables": {"kind": "timeout", "late": 2}}
    data["method"] = [{"type": "${kind}", "target": "quote_a", "from": "${late}"}]
    assert shrink(data, lambda less: types(less) == {"timeout"})["method"] == [{"type": "timeout", "target": "quote_a"}]


def test_what_is_expected_is_never_asked_less() -> None:
    small = shrink(scenario(), lambda data: "stock_a" in names(data))
    assert small["steady-state-hypothesis"] == {"outcome": "succeeded"}
    assert small["expect"] == {"outcome": ["succeeded", "demoted"], "effects": {"stock_a": {"max": 1}}}


def test_nobody_is_asked_twice_or_about_what_is_no_scenario() -> None:
    oracle = Oracle(PREDICATES["two faults"])
    shrink(scenario(), oracle)
    assert len(oracle.asked) == len(set(oracle.asked))
    assert len(oracle.asked) < 300


def test_it_is_the_same_each_time_and_leaves_what_it_was_given() -> None:
    data = scenario()
    before = copy.deepcopy(data)
    assert shrink(data, PREDICATES["two faults"]) == shrink(data, PREDICATES["two faults"])
    assert data == before


def test_it_stops_when_it_has_tried_enough() -> None:
    oracle = Oracle(PREDICATES["two faults"])
    small = shrink(scenario(), oracle, steps=7)
    assert len(oracle.asked) == 7
    assert PREDICATES["two faults"](small)
    assert size(small) < size(scenario())


def test_what_does_not_fail_cannot_be_shrunk() -> None:
    with pytest.raises(InputError, match="does not fail"):
        shrink(scenario(), lambda _: False)


def test_a_generated_scenario_is_shrunk_by_playing_it() -> None:
    """As it is meant: here, what counts as failing is that the run is handed over."""

    def handed_over(data: Data) -> bool:
        try:
            staging = stage(ScenarioDocument.model_validate(data), "drawn.yaml", None)
        except AgentrouteError:
            return False
        without = play(staging, (), 0).results.get("run-0")
        under = play(staging, staging.document.faults, data.get("seed", 0)).results.get("run-0")
        return (without and without.outcome, under and under.outcome) == ("succeeded", "escalated")

    found = next(one.data for one in generate(60, seed=5) if len(one.data["method"]) > 1 and handed_over(one.data))
    small = shrink(found, handed_over, steps=150)
    assert handed_over(small)
    assert len(small["method"]) <= 2
    assert len(canonical(small)) < len(canonical(found)) / 2
