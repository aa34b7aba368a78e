"""The JSON Schema that editors use and the reader agree on what a graph file is."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from agentroute.errors import DocumentError
from agentroute.graph.document import graph_schema, parse_graph
from tests.properties.document_cases import documents, spoilt

SCHEMA = graph_schema()
VALIDATOR: Any = Draft202012Validator(SCHEMA)

# What the reader refuses and a JSON Schema has no words for. Names that cannot be printed and characters that must
# not stand in any text belong here too; they are not drawn, as a schema can say something about names.
BEYOND_THE_SCHEMA = re.compile(
    r"the name .* is taken"
    r"|no tool is named"
    r"|a tool cannot (verify|compensate) itself"
    r"|must have effect: read"
    r"|must produce"
    r"|a read tool changes nothing"
    r"|no tool produces or requires the artifact"
    r"|the tool does not require the artifact"
    r"|artifacts is impossible"
    r"|is below usd"
    r"|a whole number, not the number \d+\.0$"
)


def problems(document: Any) -> list[str]:
    try:
        parse_graph(json.dumps(document, ensure_ascii=False), "g.json")
    except DocumentError as error:
        return [problem.why for problem in error.problems]
    return []


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@given(document=documents())
def test_right_documents_are_right_to_both(document: dict[str, Any]) -> None:
    assert problems(document) == []
    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


@settings(max_examples=300)
@given(document=spoilt())
def test_wrong_documents_are_wrong_to_both_as_far_as_a_schema_can_say(document: dict[str, Any]) -> None:
    told = problems(document)
    within = [why for why in told if not BEYOND_THE_SCHEMA.search(why)]
    assert VALIDATOR.is_valid(document) == (not within), told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"goals": [{"name": "x", "requires": ["b"]}, {"name": "x", "requires": ["b"]}]}, "is taken"),
        ({"goals": [{"name": "x", "requires": ["zzz"]}]}, "no tool produces or requires the artifact 'zzz'"),
        ({"tools": [{"name": "t", "produces": ["b"], "verify": "u"}]}, "no tool is named 'u'"),
        ({"tools": [{"name": "t", "produces": ["b"], "compensate": "t"}]}, "cannot compensate itself"),
        ({"tools": [{"name": "t", "produces": ["b"], "verify": "u"}, {"name": "u"}]}, "must have effect: read"),
        (
            {"tools": [{"name": "t", "produces": ["b"], "verify": "u"}, {"name": "u", "effect": "read"}]},
            "must produce 'b' too",
        ),
        ({"tools": [{"name": "t", "produces": ["b"], "effect": "read", "compensate": "u"}]}, "nothing to compensate"),
        ({"tools": [{"name": "t", "requires": [{"at_least": 2, "of": ["b"]}]}]}, "2 of 1 artifacts is impossible"),
        ({"tools": [{"name": "t", "produces": ["b"], "cost": {"usd": 2, "usd_max": 1}}]}, "is below usd"),
        (
            {"tools": [{"name": "t", "requires": ["b"], "mcp": {"server": "s", "tool": "t", "arguments": {"x": "c"}}}]},
            "does not require the artifact 'c'",
        ),
        ({"tools": [{"name": "t", "produces": ["b"], "cost": {"usd": 1, "usd_least": 2}}]}, "is above the worst case"),
        ({"budget": {"llm_calls": 1.0}}, "expected a whole number"),
        ({"quotas": [{"per_s": 60}]}, "limits nothing"),
        ({"name": "soft\u00adhyphen"}, "printable characters"),
        ({"description": "from right to left: \u202e"}, "U+202E is not a printable character"),
    ],
)
def test_what_the_schema_cannot_say(change: dict[str, Any], told: str) -> None:
    document = {
        "version": "1",
        "name": "g",
        "tools": [{"name": "t", "produces": ["b"]}],
        "goals": [{"name": "x", "requires": ["b"]}],
        **change,
    }
    assert VALIDATOR.is_valid(document)
    (problem,) = problems(document)
    assert told in problem


def test_the_example_is_valid() -> None:
    (example,) = SCHEMA["examples"]
    assert problems(example) == []
    assert VALIDATOR.is_valid(example)


def test_every_key_is_explained() -> None:
    nodes = [SCHEMA, *SCHEMA["$defs"].values()]
    unexplained = [
        f"{node.get('description')}: {key}"
        for node in nodes
        for key, field in node.get("properties", {}).items()
        if len(field.get("description", "")) < 10
    ]
    assert unexplained == []
    assert all(node.get("description") for node in nodes)


def test_no_key_may_be_made_up() -> None:
    assert all(node["additionalProperties"] is False for node in [SCHEMA, *SCHEMA["$defs"].values()])
