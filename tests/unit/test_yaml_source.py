"""YAML as plain data with positions: what is read, what is refused, and that nothing in a file can grow or run."""

import sys
from typing import Any

import pytest
import yaml

from agentroute.errors import DocumentError
from agentroute.graph import yaml_source
from agentroute.graph.yaml_positions import Limits
from agentroute.graph.yaml_source import load_yaml

TAG = "tags (!...) are not supported: leave it out, or put the value in quotes"
OCTAL = "0755 is not the same number to all readers: write it in decimal digits, or put it in quotes if it is text"


@pytest.fixture(params=["as installed", "pure Python"], autouse=True)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read everything with libyaml and, as where that was not built in, without."""
    if request.param == "pure Python":
        monkeypatch.setattr(yaml_source, "_LOADER", yaml.SafeLoader)


def read(text: str, limits: Limits | None = None) -> Any:
    return load_yaml(text, file="f.yaml", limits=limits or Limits())[0]


def refusal(text: str, limits: Limits | None = None) -> list[str]:
    with pytest.raises(DocumentError) as refused:
        read(text, limits)
    return [str(problem).removeprefix("f.yaml:") for problem in refused.value.problems]


class TestRead:
    @pytest.mark.parametrize(
        ("text", "data"),
        [
            ("a: 1\nb: [x, 2.5, true, null, ~]\n", {"a": 1, "b": ["x", 2.5, True, None, None]}),
            ("{a: {b: {c: []}}}", {"a": {"b": {"c": []}}}),
            ('{"a": "x\\n\\u00e9", "b": -1e-3}', {"a": "x\né", "b": -0.001}),
            ("- 'it''s'\n- |\n  two\n  lines\n- >\n  folded\n  text\n", ["it's", "two\nlines\n", "folded text\n"]),
            ("---\na: 1\n...\n", {"a": 1}),
            ("\ufeffa: 1\n", {"a": 1}),
            ("a: 1\r\nb: |\r\n  x\r\n", {"a": 1, "b": "x\n"}),
            ("a: 👍🏽 👩\u200d🚀\n", {"a": "👍🏽 👩\u200d🚀"}),
            ("just text", "just text"),
        ],
    )
    def test_json_types(self, text: str, data: object) -> None:
        assert read(text) == data

    @pytest.mark.parametrize(
        "text", ["2026-03-01", "2026-03-01 12:30:00", "12:30", "1:30.5", "0x", "1.2.3", "-", "+", "."]
    )
    def test_what_json_has_no_type_for_is_text(self, text: str) -> None:
        assert read(f"- {text}\n" if text != "-" else "['-']") == [text]

    @pytest.mark.parametrize(
        ("text", "number"),
        [("0", 0), ("-0", 0), ("+5", 5), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0), ("0.10", 0.1), ("1E-2", 0.01)],
    )
    def test_numbers(self, text: str, number: float) -> None:
        found = read(f"[{text}]")[0]
        assert found == number
        assert type(found) is type(number)

    @pytest.mark.parametrize("text", ["no", "0755", "null", "true", "1", ".nan", "1_000", "<<"])
    def test_quotes_make_text(self, text: str) -> None:
        assert read(f"['{text}', \"{text}\"]") == [text, text]
        assert read(f"'{text}': 1") == {text: 1}

    def test_positions_are_those_of_an_editor(self) -> None:
        text = "é: [x, 'yy', {ключ: 1}]\nb:\n  - c: |\n      t\n  - []\n"
        _, positions = load_yaml(text, file="f.yaml")
        assert positions.value(()) == (1, 1)
        assert positions.value(("é",)) == (1, 4)
        assert positions.value(("é", 1)) == (1, 8)
        assert positions.value(("é", 2, "ключ")) == (1, 21)
        assert positions.key(("é", 2, "ключ")) == (1, 15)
        assert positions.value(("b", 0, "c")) == (3, 8)
        assert positions.key(("b", 0, "c")) == (3, 5)
        assert positions.value(("b", 1)) == (4 + 1, 5)

    def test_a_place_that_is_not_there_is_that_of_what_is_around_it(self) -> None:
        _, positions = load_yaml("a:\n  b: 1\n", file="f.yaml")
        assert positions.value(("a", "c")) == (2, 3)
        assert positions.value(("a", "branch of a union", "b")) == (2, 6)

    def test_things_are_called_by_their_names(self) -> None:
        text = "tools:\n- {name: x, cost: {usd: 1}}\n- [1]\n"
        _, positions = load_yaml(text, file="f.yaml")
        assert positions.describe(("tools", 0, "cost", "usd")) == "tool 'x': cost.usd: "
        assert positions.describe(("tools", 0, "branch of a union", "cost")) == "tool 'x': cost: "
        assert positions.describe(("tools", 1, 0)) == "tools[1][0]: "
        assert not positions.describe(())


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "1:1: the file is empty"),
            ("# only a comment\n", "1:1: the file is empty"),
            ("a: 1\na: 2\n", "2:1: key 'a' is there twice; the other is on line 1"),
            ("a: {b: 1, 'b': 2}\n", "1:11: a: key 'b' is there twice; the other is on line 1"),
            ("a: 1\n---\nb: 2\n", "2:1: a second document begins here (---); a file holds one"),
            ("a:\n\t- b\n", "2:1: a tab cannot indent in YAML: use spaces"),
            ("a: @b\n", "1:4: text cannot begin with '@': put it in quotes"),
            ("a: 'b\n", "1:4: the quote that opens here is never closed"),
            ("a: \x07\n", "1:4: U+0007 is not a printable character; remove it"),
            ("a: b\x00", "1:5: U+0000 is not a printable character; remove it"),
            ("a: 1\n# \u202e\n", "2:3: U+202E is not a printable character; remove it"),
            ('a: "\\u202e"\n', "1:4: a: U+202E is not a printable character; remove it"),
            ('"\\0": 1\n', "1:1: U+0000 is not a printable character; remove it"),
            ("a: \ud800\n", "1:4: U+D800 is not a printable character; remove it"),
            ("a: b\u2028c\n", "1:5: U+2028 is not a printable character; remove it"),
            ("%YAML 1.1\n---\na: 1\n", "1:1: directives (%...) are not supported: begin with the first key"),
            ("a: !!python/object/apply:os.system [id]\n", f"1:4: a: {TAG}"),
            ("a: !!str 1\n", f"1:4: a: {TAG}"),
            ("!x a: 1\n", f"1:1: {TAG}"),
            ("a: &b 1\n", "1:4: a: anchors (&...) are not supported: write each value out"),
            ("a: *b\n", "1:4: a: aliases (*...) are not supported: write the value out again"),
            ("<<: {a: 1}\n", "1:1: merge keys (<<) are not supported: write the keys out"),
            ("1: a\n", "1:1: a key must be text: put 1 in quotes"),
            ("? \n: b\n", "1:2: a key must be text: put it in quotes"),
            ("true: a\n", "1:1: a key must be text: put true in quotes"),
            ("? [a]\n: b\n", "1:3: a key must be text, not a mapping or a list"),
            ("no: 1\n", "1:1: no is a boolean to some readers: put it in quotes, or write true or false"),
            ("a: [On]\n", "1:5: a[0]: On is a boolean to some readers: put it in quotes, or write true or false"),
            ("a: 0755\n", f"1:4: a: {OCTAL}"),
            ("a: .inf\n", "1:4: a: must be a finite number, not .inf"),
            ("a: -1e400\n", "1:4: a: must be a finite number; -1e400 is too large to compute with"),
            (f"a: {'9' * 5000}\n", "1:4: a: a number of 5,000 characters; put it in quotes if it is text"),
        ],
    )  # fmt: skip
    def test_told_where_and_why(self, text: str, told: str) -> None:
        assert refusal(text) == [told]

    @pytest.mark.parametrize("number", ["0x1F", "0o17", "0b1", "1_000", "1_0.5", "-010", "08", "0_1"])
    def test_numbers_that_readers_do_not_agree_on(self, number: str) -> None:
        assert "is not the same number to all readers" in refusal(f"a: {number}\n")[0]

    @pytest.mark.parametrize(
        "text", ["a: b: c", "- a\nb: c", "a: [1, 2", "a: {b:c}}", "x: - a", "a: 1\n b: 2", '"\\UFFFFFFFF"']
    )
    def test_what_is_not_yaml(self, text: str) -> None:
        (told,) = refusal(text)
        assert told[0] in "12"

    def test_all_problems_are_told(self) -> None:
        assert len(refusal("a: no\nb: &x 1\nb: .nan\n1: 2\n")) == 5


class TestLimits:
    def test_bytes_count_not_characters(self) -> None:
        limits = Limits(size=10)
        assert read("é: ééé", limits) == {"é": "ééé"}
        assert refusal("é: éééé", limits) == ["1:1: the file is larger than 10 bytes"]

    def test_depth(self) -> None:
        limits = Limits(depth=3)
        assert read("[[{a: 1}]]", limits) == [[{"a": 1}]]
        assert refusal("[[\n  [[1]]]]", limits) == ["2:4: nested more than 3 levels deep"]

    def test_values(self) -> None:
        limits = Limits(values=4)
        assert read("[1, 2, 3]", limits) == [1, 2, 3]
        assert refusal("[1, 2, 3,\n4]", limits) == ["2:1: more than 4 values"]

    def test_text(self) -> None:
        limits = Limits(text=3)
        assert read("{abc: abc}", limits) == {"abc": "abc"}
        assert refusal("{abcd: 'abcd'}", limits) == [
            "1:2: a text of 4 characters; at most 3 are allowed",
            "1:8: abcd: a text of 4 characters; at most 3 are allowed",
        ]

    def test_problems(self) -> None:
        assert refusal("[no, no, no]", Limits(problems=2))[2] == "1:10: ... and more from here on"
        assert len(refusal("[no, no]", Limits(problems=2))) == 2

    @pytest.mark.timeout(30)
    @pytest.mark.parametrize(
        "text",
        [
            "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
            "[" * 100_000,
            "{a: " * 50_000,
            "- " * 100_000,
            "".join(f"%TAG !t{n}! x\n" for n in range(20_000)),
            "? " * 100_000,
            "[" + "*a, " * 50_000,
            "9" * 100_000,
            "!" * 100_000,
        ],
        ids=["aliases", "lists", "mappings", "items", "directives", "keys", "alias list", "digits", "bangs"],
    )
    def test_bombs_are_refused_without_being_built(self, text: str) -> None:
        assert refusal(text)


_watched: list[str] | None = None


def _watch(event: str, _: object) -> None:
    if _watched is not None and event.partition(".")[0] in {
        "import",
        "exec",
        "compile",
        "open",
        "os",
        "subprocess",
        "socket",
    }:
        _watched.append(event)


sys.addaudithook(_watch)


def test_a_file_neither_imports_nor_runs_nor_opens_anything() -> None:
    global _watched  # noqa: PLW0603 - an audit hook stays for good; this switches it
    hostile = (
        "a: !!python/object/apply:os.system ['touch x']\n"
        "b: !!python/module:antigravity\n"
        "c: !!python/name:os.getcwd\n"
        "d: {mcp: {command: 'touch x'}, agent: 'os:system', $ref: 'file:///etc/passwd'}\n"
    )
    assert len(refusal(hostile)) == 3  # and whatever is imported late has been by now
    _watched = []
    try:
        refusal(hostile)
        read("a: os:system\nb: $(touch x)\nc: file:///etc/passwd\n")
        seen = _watched
    finally:
        _watched = None
    assert seen == []
