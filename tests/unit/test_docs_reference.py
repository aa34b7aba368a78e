"""The reference is complete: what can be imported, typed, set or read in a trace is written down there."""

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast

import click
import pytest

import agentroute
from agentroute import Agent, LiteLlm, McpServers, events, testing
from agentroute.adapters.telemetry import semconv
from agentroute.cli.main import main
from agentroute.graph.document import graph_schema
from agentroute.testing.faults import FAULT_TYPES

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs/reference"

VARIABLE = re.compile(r"\b(?:AGENTROUTE|OTEL|LITELLM|OPENAI|HF)_[A-Z][A-Z_]+[A-Z]\b")


def page(name: str) -> str:
    """Text of a page of the reference."""
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def words(text: str) -> set[str]:
    """Names that a text shows as code, inline or in a block."""
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    return set(re.findall(r"\w+", code))


def section(name: str) -> str:
    """What `python.md` says under the heading of a public name."""
    found = re.search(rf"^### `{name}`\n(.*?)(?=^##|\Z)", page("python"), re.MULTILINE | re.DOTALL)
    assert found is not None, f"python.md has no section '### `{name}`'"
    return found[1]


def parameters(thing: Any) -> set[str]:
    """Names of the parameters of a function or class; none where Python does not say."""
    try:
        found = inspect.signature(thing).parameters.values()
    except (TypeError, ValueError):
        return set()
    named = {each.name for each in found if each.kind not in {each.VAR_POSITIONAL, each.VAR_KEYWORD}}
    return named - {"self"}


def commands(command: click.Command, name: str = "agentroute") -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all below it, each with what one types for it."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            below = command.get_command(context, part)
            assert below is not None
            yield from commands(below, f"{name} {part}")


@pytest.mark.parametrize("name", agentroute.__all__)
def test_a_public_name_is_described_with_its_parameters(name: str) -> None:
    text = section(name)
    assert text.strip()
    thing = getattr(agentroute, name)
    if name != "tool":  # its options are checked below: the signature hides them
        assert parameters(thing) - words(text) == set()


def test_nothing_is_described_that_is_not_there() -> None:
    assert set(re.findall(r"^### `(\w+)`", page("python"), re.MULTILINE)) == set(agentroute.__all__)


def test_the_options_of_tool_are_described() -> None:
    hidden = inspect.signature(agentroute.tool.__globals__["_build"]).parameters
    options = {name for name, each in hidden.items() if each.kind is each.KEYWORD_ONLY}
    assert options | {"usd", "usd_max", "latency_s", "risk"} <= words(section("tool"))


@pytest.mark.parametrize("owner", [Agent, McpServers, LiteLlm])
def test_the_members_of_a_class_are_described(owner: type) -> None:
    known = words(section(owner.__name__))
    for name, member in vars(owner).items():
        if name.startswith("_"):
            continue
        assert name in known
        if name not in {"worst_case", "complete"}:  # described by the protocol they belong to
            assert parameters(getattr(member, "__func__", member)) - known - {"cls"} == set(), name


def test_the_testing_kit_is_described_where_it_is() -> None:
    table = page("python").partition("## The testing kit")[2]
    module, names = "", dict[str, str]()
    for place, here in re.findall(r"^\|([^|]*)\|([^|]*`[^|]*)\|", table, re.MULTILINE):
        module = next(iter(re.findall(r"`([\w.]+)`", place)), module)
        names |= dict.fromkeys(re.findall(r"`(\w+)`", here), module)
    for name, home in names.items():
        assert hasattr(importlib.import_module(home), name), f"{home}.{name}"
    assert set(testing.__all__) <= names.keys()


def test_every_event_is_described_with_its_fields() -> None:
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `(\w+)` \|.*\|([^|]*)\|$", section("events"), re.MULTILINE)}
    facts = {
        name: kind
        for name, kind in vars(events).items()
        if is_dataclass(kind) and kind.__module__ == events.__name__ and name != "Option"
    }
    assert rows.keys() == facts.keys()
    for name, fact in facts.items():
        assert {each.name for each in fields(cast("Any", fact))} - {"at"} == words(rows[name]), name


def test_every_option_of_the_command_line_is_described() -> None:
    text = page("command-line")
    for name, command in commands(main):
        assert f"$ {name} --help\n" in text
        for option in command.params:
            for spelling in option.opts if isinstance(option, click.Option) else ():
                assert spelling in text, f"{name} {spelling}"


def test_every_environment_variable_is_described() -> None:
    sources = [file.read_text(encoding="utf-8") for file in (ROOT / "agentroute").rglob("*.py")]
    used = {name for text in sources for name in VARIABLE.findall(text)}
    assert len(used) > 10
    assert used - words(page("environment")) == set()


def test_every_name_in_a_trace_is_described() -> None:
    code = re.findall(r"`([^`\n]+)`", page("traces"))
    known = {part for text in code for part in text.split()}
    names = {value for name, value in vars(semconv).items() if name.isupper() and isinstance(value, str)}
    names -= {semconv.UPSTREAM, semconv.SCHEMA_URL, semconv.SCOPE}
    assert names - known == set()


def test_every_key_of_a_graph_file_is_described() -> None:
    def keys(schema: Any) -> Iterator[str]:
        if isinstance(schema, dict):
            found = cast("dict[str, Any]", schema)
            yield from cast("dict[str, Any]", found.get("properties", {}))
            for part in found.values():
                yield from keys(part)
        elif isinstance(schema, list):
            for part in cast("list[Any]", schema):
                yield from keys(part)

    found = set(keys({name: part for name, part in graph_schema().items() if name != "examples"}))
    assert {"tools", "usd_max", "at_least"} <= found
    assert found - words(page("graph-files")) == set()


def test_every_fault_is_described() -> None:
    guide = (ROOT / "docs/how-to/test-failures.md").read_text(encoding="utf-8")
    assert set(FAULT_TYPES) <= words(guide)
