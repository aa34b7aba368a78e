"""Whatever a file holds, it is read or refused with a place: never another exception, never a long wait."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agentroute.errors import DocumentError
from agentroute.graph import yaml_source
from agentroute.graph.compiled import compile_graph
from agentroute.graph.document import GraphDocument, parse_graph

EXAMPLES = [
    path.read_text(encoding="utf-8")
    for path in sorted((Path(__file__).resolve().parents[2] / "graphs" / "examples").glob("*.yaml"))
]

TOKENS = [
    *("- ", "? ", ": ", ", ", "[", "]", "{", "}", "\n", "\n  ", "\n    ", " ", "'", '"', "# ", "&a ", "*a", "<<: "),
    *(
        "!",
        "!!str ",
        "!!python/name:os.system ",
        "|\n",
        ">-\n",
        "%YAML 1.1\n",
        "---\n",
        "...\n",
        "\t",
        "\r",
        "\\",
        "@",
        "`",
    ),
    *(
        "no",
        "0755",
        ".nan",
        ".inf",
        "1e999",
        "-1",
        "12:30",
        "~",
        "true",
        '"\\uD800"',
        '"\\0"',
        '"\\UFFFFFFFF"',
        "\u2028",
    ),
    *(
        'version: "1"\n',
        "name: g\n",
        "tools: ",
        "goals: ",
        "requires: ",
        "{at_least: 2, of: [a, b]}",
        "name: t",
        "verify: t",
    ),
    *(
        "cost: {usd: ",
        "effect: ",
        "mcp: ",
        "[key]",
        "<name>",
        "<mapping>",
        "é",
        "👩\u200d🚀",
        "\ufeff",
        "\x00",
        "\ud800",
    ),
]

texts = st.text(max_size=200)
soups = st.lists(st.sampled_from(TOKENS), max_size=40).map("".join)


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """One of the examples with a few pieces cut out, doubled, or replaced."""
    text = draw(st.sampled_from(EXAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 30)))
        text = text[:start] + draw(st.sampled_from(["", text[start:end] * 2, *TOKENS])) + text[end:]
    return text


@pytest.fixture(params=["as installed", "pure Python"], scope="module", autouse=True)
def _parser(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "pure Python":
            patch.setattr(yaml_source, "_LOADER", yaml.SafeLoader)
        yield


def outcome(text: str) -> GraphDocument | DocumentError:
    try:
        return parse_graph(text, "g.yaml")
    except DocumentError as error:
        return error


@settings(deadline=2000)
@given(text=st.one_of(texts, soups, damaged()))
@example(text='{? {a: "\\UFFFFFFFF"} : }')
@example(text="{*a : b}")
@example(text='"\\U00110000"')
@example(text="goals: &a [*a]")
@example(text="tools: [{<mapping>: 1, [key]: 2}]")
def test_a_text_is_read_or_refused_with_a_place(text: str) -> None:
    read = outcome(text)
    if isinstance(read, GraphDocument):
        compile_graph(read.tool_specs, read.goal_specs)
        return
    lines = len(text.replace("\r", "\n").splitlines()) + 1
    places = [(problem.line, problem.column) for problem in read.problems]
    assert 1 <= len(places) <= 21
    assert places == sorted(places)
    assert str(read).split("\n") == [str(problem) for problem in read.problems]
    for problem in read.problems:
        assert 1 <= problem.line <= lines
        assert 1 <= problem.column <= len(text) + 1
        assert 0 < len(problem.why) < 500
        assert problem.why.isprintable()


@settings(deadline=5000, max_examples=30)
@given(
    pieces=st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4),
    before=st.sampled_from(["", "[", "tools: [", "a:\n  "]),
)
def test_time_grows_no_faster_than_the_text(pieces: list[str], before: str, request: pytest.FixtureRequest) -> None:
    size = 20_000 if "pure Python" in request.node.name else 100_000
    piece = "".join(pieces)
    with pytest.raises(DocumentError):
        parse_graph(before + piece * (size // len(piece)), "g.yaml")
