"""Scenario files: what is written is read back the same, and what is generated puts something to the test."""

import math
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentroute.errors import DocumentError
from agentroute.graph.yaml_scalars import UNPRINTABLE
from agentroute.graph.yaml_source import load_yaml
from agentroute.testing.scenario.document import ScenarioDocument, parse_scenario
from agentroute.testing.scenario.drawing.generate import GeneratedScenario, generate, mixes
from agentroute.testing.scenario.play import play
from agentroute.testing.scenario.staging import stage
from agentroute.testing.scenario.writing import WIDTH, to_yaml

TRICKY = (
    "",
    " ",
    "yes",
    "No",
    "on",
    "null",
    "~",
    "true",
    "1",
    "1.0",
    "0x1f",
    "1_000",
    "012",
    ".5",
    "1e3",
    "-",
    "- a",
    "a: b",
    "a:",
    ": a",
    "a #b",
    "#a",
    "*a",
    "&a",
    "!a",
    "?a",
    "? a",
    "@a",
    "`a`",
    "%a",
    "{a}",
    "[a]",
    "a, b",
    "a]",
    "'a'",
    '"a"',
    "a'b",
    'a"b',
    "a\\b",
    "|",
    ">",
    "---",
    "...",
    "<<",
    "=",
    "2026-03-01",
    "12:30",
    "30s",
    "a\nb",
    "a\n",
    "\ta",
    "a ",
    "é",
    "日本",
    "\U0001f600",
    ".inf",
    ".nan",
    "a - b",
    "a ? b",
    "y",
    "x" * 300,
)

TEXTS = st.one_of(
    st.sampled_from(TRICKY),
    st.text(max_size=30).filter(lambda text: not UNPRINTABLE.search(text)),
    st.text("ab -:#,?*&!|>'\"%@`{}[]\\.0_~\n", max_size=12),
)

NUMBERS = st.one_of(
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.sampled_from((0.1, 1e-7, 1e22, -0.0, 30.0, 0.30000000000000004)),
)

PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, PLAIN, max_size=6), st.text(max_size=40))
@settings(max_examples=200)
@example({text: text for text in TRICKY}, "two\nlines")
@example({"a": list(TRICKY), "b": {"c": {text: [text] for text in TRICKY}}}, "")
def test_any_data_is_read_back_as_it_was_written(data: dict[str, Any], comment: str) -> None:
    inside = {"inputs": data}
    assert exactly(load_yaml(to_yaml(inside, comment=comment), file="f")[0]) == exactly(inside)


def exactly(value: Any) -> Any:
    """With the type of every number, as Python takes 1, 1.0 and True for the same."""
    if isinstance(value, dict):
        return {key: exactly(inside) for key, inside in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [exactly(inside) for inside in cast("list[Any]", value)]
    return type(value).__name__, repr(value)


SECONDS = st.one_of(st.integers(0, 10**6), st.floats(0, 1e9, allow_nan=False), st.sampled_from((0.1, 1e-9, 2.5, 30)))


@pytest.fixture(scope="module")
def drawn() -> list[GeneratedScenario]:
    return list(generate(60, seed=8))


WINDOWS = st.tuples(SECONDS, SECONDS)


@given(st.integers(0, 59), TEXTS.filter(bool), PLAIN, WINDOWS)
@settings(max_examples=100, deadline=None)
def test_a_scenario_is_read_back_as_it_was_written(
    drawn: list[GeneratedScenario], number: int, title: str, value: Any, times: tuple[float, float]
) -> None:
    begins, ends = times
    data: dict[str, Any] = dict(drawn[number].data)
    data |= {"title": title, "inputs": {"order": value, "from": 3}, "cancel_at": ends}
    data["method"] = [*data["method"], {"type": "wrong", "from": begins, "set": {"from": begins, "note": value}}]
    if "${" not in repr(data):
        assert parse_scenario(to_yaml(data), "f") == ScenarioDocument.model_validate(data)


def test_a_file_looks_as_if_a_person_had_written_it() -> None:
    data = {
        "version": "1",
        "title": "Losing the primary carrier does not lose the trip",
        "runs": 2,
        "every": 0.5,
        "method": [
            {"type": "down", "target": "search", "from": 0.0, "until": 30},
            {"type": "wrong", "target": "search_*", "set": {"from": 30}},
        ],
        "simulate": {"search": {"seconds": 90.0}},
        "expect": {"reroutes": {"min": 1}},
    }
    assert to_yaml(data, comment="By hand.\nNearly.") == (
        "# By hand.\n"
        "# Nearly.\n"
        'version: "1"\n'
        "title: Losing the primary carrier does not lose the trip\n"
        "runs: 2\n"
        "every: 0.5s\n"
        "method:\n"
        "  - {type: down, target: search, from: 0s, until: 30s}\n"
        "  - {type: wrong, target: search_*, set: {from: 30}}\n"
        "simulate: {search: {seconds: 90s}}\n"
        "expect: {reroutes: {min: 1}}\n"
    )


def test_what_is_long_stands_below_each_other() -> None:
    text = to_yaml({"inputs": {"order": {f"field_{number}": number for number in range(40)}, "flat": [1] * 60}})
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "\n    field_39: 39\n" in text


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, "\x07", "\u202e"])
def test_what_no_file_may_hold_is_refused_and_not_misread(value: Any) -> None:
    with pytest.raises(DocumentError):
        load_yaml(to_yaml({"inputs": {"a": value}}), file="f")


# -------------------------------------------------------------------- generated ones are worth something


def test_generated_scenarios_hold_without_faults_and_put_something_to_the_test_with_them() -> None:
    """Every kind of them: those that cover the pairs."""
    seed = 21
    for scenario in generate(len(mixes(seed)), seed):
        staging = stage(ScenarioDocument.model_validate(scenario.data), scenario.file, None)
        without = play(staging, (), scenario.data["seed"])
        assert {result.outcome for result in without.results.values()} == {"succeeded"}, scenario.text
        assert not any(result.llm_calls for result in without.results.values())
        under = play(staging, staging.document.faults, scenario.data["seed"])
        assert min(under.counts[: sure(scenario)]) > 0, f"{under.counts}\n{scenario.text}"


def sure(scenario: GeneratedScenario) -> int:
    """How many of the first faults are sure to happen: a remedy is called only if something else went wrong before."""
    return 2 if scenario.mix.scope == "remedy" else 1
