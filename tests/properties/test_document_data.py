"""What was written is what is read, and each part is found where it stands; PyYAML and json are the oracles."""

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from agentroute.errors import DocumentError
from agentroute.graph.compiled import compile_graph
from agentroute.graph.document import GraphDocument, parse_graph
from agentroute.graph.yaml_positions import Loc
from agentroute.graph.yaml_source import load_yaml
from tests.properties.document_cases import documents, parts

# Numbers to JSON and YAML 1.2, text to YAML 1.1 and so to PyYAML, which does not quote it.
EXPONENT = re.compile(r"[-+.0-9]+[eE][-+]?[0-9]+")

printable = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], include_characters=" \n\t"), max_size=30
).filter(lambda text: not EXPONENT.fullmatch(text))
words = st.sampled_from(
    ["no", "On", "~", "null", "0755", "1_000", "12:30", "2026-03-01", "<<", "=", ".nan", "- a", "a: b"]
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    printable,
    words,
)
json_data = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.one_of(printable, words), inner, max_size=4)
    ),
    max_leaves=20,
)


def leaves(data: Any, at: Loc = ()) -> list[tuple[Loc, Any]]:
    if not isinstance(data, (dict, list)):
        return [(at, data)]
    return [leaf for key, part in parts(data).items() for leaf in leaves(part, (*at, key))]


@given(data=json_data, flow=st.sampled_from([True, False, None]))
@example(data={"a": "x\n"}, flow=False)
def test_what_pyyaml_writes_is_read_back(data: Any, flow: bool | None) -> None:  # noqa: FBT001
    text = yaml.safe_dump(data, allow_unicode=True, default_flow_style=flow, sort_keys=False)
    try:
        read, _ = load_yaml(text, file="f.yaml")
    except DocumentError as error:
        # PyYAML writes equal empty lists once, and does not quote 0o17, which is no number in YAML 1.1.
        assert re.search(r"\(&\.\.\.\)|not the same number", str(error))  # noqa: PT017
        return
    assert read == data
    assert repr(read) == repr(data)


@given(data=json_data, indent=st.sampled_from([None, 0, 2]))
def test_what_json_writes_is_read_back_and_found_in_its_place(data: Any, indent: int | None) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    read, positions = load_yaml(text, file="f.json")
    assert repr(read) == repr(data)
    lines = text.split("\n")
    for loc, leaf in leaves(data):
        line, column = positions.value(loc)
        assert lines[line - 1][column - 1 :].startswith(json.dumps(leaf, ensure_ascii=False))


@given(document=documents(), style=st.sampled_from(["json", "block", "flow"]))
def test_a_right_document_is_the_same_in_every_notation(document: dict[str, Any], style: str) -> None:
    text = json.dumps(document, ensure_ascii=False) if style == "json" else _Plain.dump(document, flow=style == "flow")
    read = parse_graph(text, "g.yaml")
    assert read == GraphDocument.model_validate(document)
    compiled = compile_graph(read.tool_specs, read.goal_specs)
    assert list(compiled.tools) == sorted(entry["name"] for entry in document["tools"])
    assert list(compiled.goals) == [entry["name"] for entry in document["goals"]]


class _Plain(yaml.SafeDumper):
    """Writes every value out, also one that is there twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    @classmethod
    def dump(cls, data: Any, *, flow: bool) -> str:
        return yaml.dump(data, Dumper=cls, allow_unicode=True, default_flow_style=flow, width=10_000)


@pytest.mark.parametrize("data", [{"a": 1, "b": [1, {"c": None}]}])
def test_leaves_are_all_leaves(data: Any) -> None:
    assert leaves(data) == [(("a",), 1), (("b", 0), 1), (("b", 1, "c"), None)]
