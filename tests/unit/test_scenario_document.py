"""Scenario files: what they mean, and where they are wrong, with line and column."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agentroute.errors import DocumentError, InputError
from agentroute.testing.faults import FAULT_TYPES, Fault
from agentroute.testing.scenario.document import parse_scenario, scenario_schema
from agentroute.testing.scenario.fault_entry import TAKES
from agentroute.testing.scenario.values import Bounds
from agentroute.testing.scenario.variables import parse_variable, refuse_unused

HEAD = 'version: "1"\ntitle: t\nagent: a.py:agent\n'


def fault(text: str) -> Fault:
    return parse_scenario(f"{HEAD}method:\n  - {text}\n", "x.yaml").faults[0]


def refusal(text: str, **variables: Any) -> str:
    with pytest.raises(DocumentError) as caught:
        parse_scenario(text, "x.yaml", variables)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{type: down, target: pay}", Fault(type="down", target="pay")),
        ("{type: error, target: 'p*', status: 500}", Fault(type="error", target="p*", status=500)),
        ("{type: latency, latency: 4s, jitter: 500ms}", Fault(type="latency", latency_s=4.0, jitter_s=0.5)),
        ("{type: timeout, from: 1m, until: 1h}", Fault(type="timeout", from_s=60.0, until_s=3600.0)),
        ("{type: reset, attempts: 2}", Fault(type="reset", attempts=(2, 2))),
        ("{type: reset, attempts: 2-3}", Fault(type="reset", attempts=(2, 3))),
        ("{type: reset, attempts: 2-}", Fault(type="reset", attempts=(2, None))),
        ("{type: down, provider: acme, toxicity: 0.3}", Fault(type="down", provider="acme", toxicity=0.3)),
        ("{type: rate_limit, retry_after: 30s}", Fault(type="rate_limit", retry_after_s=30.0)),
        ("{type: flap, up: 1s, down: 2s}", Fault(type="flap", up_s=1.0, down_s=2.0)),
        ("{type: ramp}", Fault(type="ramp", latency_s=0.1, factor=1.2)),
        ("{type: tail}", Fault(type="tail", latency_s=30.0, toxicity=0.01)),
        ("{type: output_bomb}", Fault(type="output_bomb", bytes=50_000_000)),
        ("{type: wrong, set: {price: 0}}", Fault(type="wrong", values=(("price", 0),))),
        ("{type: crash, point: answered, victim: mail}", Fault(type="crash", point="answered", victim="mail")),
        ("{type: clock_jump, jump: -1h, from: 2s}", Fault(type="clock_jump", jump_s=-3600.0, from_s=2.0)),
        ("{type: down, cause: storm}", Fault(type="down", cause="storm")),
    ],
)
def test_faults_are_read_as_they_are_meant(text: str, meant: Fault) -> None:
    assert fault(text) == meant


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{type: explode}", "x.yaml:5:12: method[0].type: must be one of"),
        (
            "{type: error, latency: 2s}",
            "x.yaml:5:28: method[0].latency: says nothing about the fault 'error'; it takes status",
        ),
        ("{type: down, set: {a: 1}}", "x.yaml:5:23: method[0].set: says nothing about the fault 'down'"),
        ("{type: down, until: 30 parsecs}", "x.yaml:5:25: method[0].until: write a time such as 500ms, 30s or 2m"),
        ("{type: down, from: 5s, until: 5s}", "x.yaml:5:35: method[0].until: 5 s is not after from (5 s)"),
        ("{type: down, attempts: 3-2}", "calls are counted from 1"),
        ("{type: down, attempts: true}", "write 2, 2-3 or 2-"),
        ("{type: down, toxicity: 2}", "must be 1 or less"),
        ("{type: model_down, target: x}", "'model_down' is not about calls of tools"),
        ("{type: flap, up: 0s, down: 0s}", "up and down together must be at least 0.001 s"),
        ("{type: latency, latency: .inf}", "must be a finite number"),
        ("{type: latency, latency: -2s}", "must be 0 or more"),
        ("{type: down, form: 2s}", "unknown key 'form'; did you mean 'from'?"),
    ],
)
def test_faults_that_make_no_sense_are_refused_at_their_place(line: str, why: str) -> None:
    assert why in refusal(f"{HEAD}method:\n  - {line}\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('version: "1"\ntitle: t\n', "needs an agent, or a testbed"),
        (HEAD + "level: wire\n", "x.yaml:4:8: level: wire needs a testbed"),
        (HEAD + "expect: {truth: {rows: []}}\n", "rows need somebody who has them"),
        (HEAD + "expect: {rerotues: 1}\n", "did you mean 'reroutes'?"),
        (HEAD + "expect: {outcome: fine}\n", "must be one of succeeded, demoted, escalated, cancelled"),
        (HEAD + "expect: {retries: {min: 3, max: 1}}\n", "1 is below min (3)"),
        (HEAD + "expect: {retries: some}\n", "write a time"),
        (HEAD + "steady-state-hypothesis: {triggered: 1}\n", "nothing is triggered without faults"),
        (HEAD + "runs: 0\n", "must be 1 or more"),
        (HEAD + "escalate: human\n", "must be one of policy, model"),
        ('version: "1"\ntitle: t\nagent: {version: "1", name: n, tools: [], goals: []}\n', "needs 1 or more"),
    ],
)
def test_scenarios_that_make_no_sense_are_refused(text: str, why: str) -> None:
    assert why in refusal(text)


def test_a_graph_that_is_written_out_is_checked_at_its_place() -> None:
    text = HEAD.replace(
        "a.py:agent",
        '{version: "1", name: n, goals: [{name: g, requires: [b]}],\n  tools: [{name: a, produces: [b]},\n'
        "    {name: a, produces: [b]}]}",
    )
    assert refusal(text) == "x.yaml:5:12: tool 'a': name: the name 'a' is taken; the other is on line 4"


def test_variables_are_put_in_and_keep_their_type() -> None:
    text = HEAD + 'variables: {n: 3, who: bob}\ninputs: {a: "${n}", b: "${who} has ${n}"}\nexpect: {retries: "${n}"}\n'
    assert parse_scenario(text, "x.yaml").inputs == {"a": 3, "b": "bob has 3"}
    found = parse_scenario(text, "x.yaml", {"n": 5})
    assert found.inputs == {"a": 5, "b": "bob has 5"}
    assert found.expected.retries == Bounds(min=5, max=5)


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({}, "x.yaml:4:13: inputs.a: no variable 'order'; give it with --var, or a default under variables:"),
        ({"order": "x" * 70_000}, None),
    ],
)
def test_variables_that_are_unknown_are_told(variables: dict[str, Any], why: str | None) -> None:
    text = HEAD + 'inputs: {a: "${order}"}\n'
    if why is None:
        assert len(parse_scenario(text, "x.yaml", variables).inputs["a"]) == 70_000
    else:
        assert why in refusal(text, **variables)


def test_variables_that_no_file_uses_are_told() -> None:
    texts = ['inputs: {a: "${order}"}', "expect: {}"]
    refuse_unused(["order"], texts)
    with pytest.raises(InputError) as refused:
        refuse_unused(["order", "ordre"], texts)
    assert str(refused.value) == "--var ordre: no scenario here has ${ordre}; did you mean 'order'?"


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=5", 5), ("a=yes-man", "yes-man"), ("a=", ""), ("a=no", "no"), ("a=b=c", "b=c"), ("a=1.5", 1.5)],
)
def test_variables_are_written_name_equals_value(text: str, value: Any) -> None:
    name, found = parse_variable(text)
    assert name == "a"
    assert found == value or (value == "" and found in {None, ""})


@pytest.mark.parametrize("text", ["a", "=5", "a-b=5", "1a=5"])
def test_variables_without_a_name_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="NAME=VALUE"):
        parse_variable(text)


def test_expectations_replace_the_hypothesis_key_by_key() -> None:
    text = HEAD + "steady-state-hypothesis: {outcome: succeeded, retries: 0}\nexpect: {outcome: [demoted, escalated]}\n"
    expected = parse_scenario(text, "x.yaml").expected
    assert expected.outcome == ("demoted", "escalated")
    assert expected.retries == Bounds(min=0, max=0)


@pytest.mark.parametrize(
    ("bounds", "holds", "fails"),
    [
        (Bounds(min=1), (1, 2, 99), (0, 0.5)),
        (Bounds(max=1), (0, 1, 1 + 1e-12), (1.1, 2)),
        (Bounds(min=2, max=3), (2, 2.5, 3), (1, 4)),
    ],
)
def test_bounds_hold_what_is_within_them(bounds: Bounds, holds: tuple[float, ...], fails: tuple[float, ...]) -> None:
    assert all(bounds.hold(value) for value in holds)
    assert not any(bounds.hold(value) for value in fails)


def test_every_kind_of_fault_can_be_written_and_its_keys_are_known() -> None:
    assert set(TAKES) <= set(FAULT_TYPES)
    for kind in FAULT_TYPES:
        assert fault(f"{{type: {kind}}}").type == kind


def test_the_schema_accepts_what_the_reader_accepts_and_its_own_example() -> None:
    schema = scenario_schema()
    Draft202012Validator.check_schema(schema)
    validator: Any = Draft202012Validator(schema)
    for example in schema["examples"]:
        validator.validate(example)
        assert parse_scenario(json.dumps(example), "x.json").title == example["title"]
    assert not validator.is_valid({"version": "1", "title": "t", "agent": "a", "metod": []})
    assert not validator.is_valid({"version": "1", "title": "t", "method": [{"type": "explode"}]})
