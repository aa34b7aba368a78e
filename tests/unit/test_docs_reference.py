"""The reference is complete: what can be imported, typed, set or read in a trace is written down there."""

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast, get_args

import click
import pytest
import yaml

import agentroute
from agentroute import Agent, ConfigurationError, LiteLlm, McpServers, events, testing
from agentroute.adapters.telemetry import semconv
from agentroute.cli.main import main
from agentroute.graph.document import graph_schema
from agentroute.testing.faults import FAULT_TYPES, FaultType, parse_fault
from agentroute.testing.faults.fault import BESIDE_CALLS, IN_CALLS, USUAL, WIRE_ONLY
from agentroute.testing.scenario.document import ScenarioDocument, scenario_schema
from agentroute.testing.scenario.fault_entry import TAKES, FaultEntry
from agentroute.testing.scenario.record import (
    FaultCount,
    Level,
    OracleView,
    ScenarioRecord,
    Session,
    Trial,
    Verdict,
)
from agentroute.testing.scenario.reports import exit_status, session_json
from agentroute.testing.scenario.session import ENDINGS
from agentroute.testing.scenario.staging import stage
from agentroute.testing.scenario.testbed import Claim, Contender, Exchange, Testbed
from agentroute.testing.scenario.values import UNITS, Bounds
from agentroute.testing.wire import WIRE
from graphs.support.testbed import testbed as support

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


def test_every_fault_is_described_with_its_spellings() -> None:
    guide = (ROOT / "docs/how-to/test-failures.md").read_text(encoding="utf-8")
    assert set(FAULT_TYPES) <= words(guide)
    table = guide.partition("| type | what goes wrong")[2].partition("\n\n")[0]
    spellings = re.findall(r"`([\w=]+)`", " ".join(row.split("|")[1] for row in table.splitlines()[1:]))
    assert {parse_fault(f"{spelling}:tool").type for spelling in spellings} == IN_CALLS


# ------------------------------------------------------------------------ scenario files

PARTS = {
    "Expectations": "Expectations",
    "Budget": "BudgetEntry",
    "Health": "HealthEntry",
    "Monitors": "MonitorEntry",
    "Simulated tools": "SimulationEntry",
    "A fault": "FaultEntry",
}
"""Which part of `scenarios.md` describes which part of the schema."""

HAND = yaml.safe_load("""
version: "1"
name: hand
tools: [{name: refund, requires: [order], produces: [refund], effect: idempotent}]
goals: [{name: refunded, requires: [refund]}]
""")

API = """
from typing import Annotated
from agentroute import Agent, Artifact, Goal, http_tool

Order, Refund = Annotated[str, Artifact("order")], Annotated[str, Artifact("refund")]
refund = http_tool("refund", "GET", "http://127.0.0.1:9/{order}", takes={"order": Order}, returns=Refund)
agent = Agent(name="api", tools=[refund], goals=[Goal("refunded", [Refund])])
"""


def part(heading: str) -> str:
    """What `scenarios.md` says under a heading, up to the next one."""
    text = re.sub(r"^```.*?^```$", "", page("scenarios"), flags=re.MULTILINE | re.DOTALL)
    found = re.search(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"scenarios.md has no heading {heading!r}"
    return found[1]


def rows(heading: str) -> dict[str, list[str]]:
    """Rows of the tables under a heading: the other cells by each name in the first one, or by its text."""
    found: dict[str, list[str]] = {}
    for table in re.findall(r"^\|.*\n\|-.*\n((?:\|.*\n)+)", part(heading), re.MULTILINE):
        for line in table.splitlines():
            first, *others = (cell.strip() for cell in line.strip("|").split("|"))
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", first) or [first], others)
    return found


def scenario(**said: Any) -> ScenarioDocument:
    """A scenario over real servers, unless it is said otherwise."""
    usual = {"version": "1", "title": "as described", "testbed": "support.py:testbed"}
    return ScenarioDocument.model_validate({**usual, **said})


def accepted(document: ScenarioDocument, testbed: Testbed | None, level: Level | None) -> Level | None:
    """The level that a scenario is played at, asked for this one; None if it is refused there."""
    try:
        return stage(document, str(ROOT / "scenario.yaml"), testbed, level=level, addresses={}).level
    except ConfigurationError:
        return None


def test_every_key_of_a_scenario_file_is_described() -> None:
    schema = scenario_schema()
    assert rows("Top level").keys() == schema["properties"].keys()
    for heading, name in PARTS.items():
        assert rows(heading).keys() == schema["$defs"][name]["properties"].keys(), heading
    # What stands in a graph is described by the reference of graph files.
    assert schema["$defs"].keys() - graph_schema()["$defs"].keys() - set(PARTS.values()) == {"GraphDocument"}


def test_the_keys_that_a_scenario_file_must_have_are_said_to_be_required() -> None:
    schema = scenario_schema()
    for heading, model in {"Top level": schema, "A fault": schema["$defs"]["FaultEntry"]}.items():
        assert {key for key, cells in rows(heading).items() if cells[1] == "required"} == set(model["required"])


def test_the_defaults_of_a_scenario_file_are_as_described() -> None:
    defaults = {key: cells[1].strip("`") for key, cells in rows("Top level").items()}
    said = {key: yaml.safe_load(text) for key, text in defaults.items() if re.fullmatch(r"\d+|{}|\[\]", text)}
    assert {"seed", "runs", "every", "inputs", "method", "expect"} <= said.keys()
    assert scenario(**said) == scenario()


def test_the_defaults_of_a_fault_are_as_described() -> None:
    checked = set[str]()
    for key, (_, default, _) in rows("A fault").items():
        if re.fullmatch(r"\d+[a-z]?|`\w+`", default):
            kind = next((kind for kind in TAKES if key in TAKES[kind] and kind not in USUAL), "error")
            said = FaultEntry.model_validate({"type": kind, key: yaml.safe_load(default.strip("`"))})
            assert said.fault == FaultEntry.model_validate({"type": kind}).fault, key
            checked.add(key)
    assert {"status", "latency", "up", "down", "factor", "bytes", "jump", "point", "toxicity"} <= checked


@pytest.mark.parametrize("kind", FAULT_TYPES)
def test_the_keys_of_each_fault_are_described_with_their_defaults(kind: FaultType) -> None:
    said = dict[str, str](re.findall(r"`(\w+)`(?: \(([^)]*)\))?", rows("Types")[kind][0]))
    assert said.keys() - {"toxicity"} == TAKES.get(kind, frozenset())
    given = {key: yaml.safe_load(default) for key, default in said.items() if default}
    plain = FaultEntry.model_validate({"type": kind})
    assert FaultEntry.model_validate({"type": kind, **given}).fault == plain.fault
    assert USUAL.get(kind, {}).keys() <= {key.replace("latency", "latency_s") for key in given}


@pytest.mark.parametrize("level", get_args(Level))
def test_which_level_can_do_which_fault_is_as_described(level: Level) -> None:
    said = {kind: cells[1 + get_args(Level).index(level)] for kind, cells in rows("Types").items()}
    assert said.keys() == set(FAULT_TYPES)
    testbed = None if level == "virtual" else support()
    for kind, cell in said.items():
        document = scenario(agent=HAND, escalate="model", monitors=[{"name": "watch"}], method=[{"type": kind}])
        assert (cell != "-") == (accepted(document, testbed, level) is not None), kind


def test_faults_that_hit_no_tool_or_only_bytes_are_named() -> None:
    refused = {kind for kind, cells in rows("Types").items() if cells[1] == cells[2] == "-"}
    assert refused == WIRE_ONLY
    assert set(BESIDE_CALLS) <= words(part("Types").rpartition("|\n")[2])
    on_the_wire = {kind for kind, cells in rows("Types").items() if cells[4] == "yes"}
    assert on_the_wire - BESIDE_CALLS - {"flap", "ramp", "tail"} == WIRE


def test_the_levels_that_a_target_allows_are_as_described(tmp_path: Path) -> None:
    (tmp_path / "api.py").write_text(API, encoding="utf-8")
    in_python = [scenario(agent=f"{file}:agent") for file in (ROOT / "graphs/travel/agent.py", tmp_path / "api.py")]
    targets = {"a graph": [scenario(agent=HAND)], "an agent in Python": in_python, "a testbed": [scenario()]}
    table = rows("Levels")
    assert table.keys() == {*get_args(Level), *targets}
    for target, documents in targets.items():
        testbed = support() if target == "a testbed" else None
        allowed, taken = (re.findall(r"`(\w+)`", cell) for cell in table[target])
        assert [accepted(document, testbed, None) for document in documents] == taken
        assert allowed == [level for level in get_args(Level) if accepted(documents[0], testbed, level) == level]


def test_verdicts_are_described_with_their_exit_status() -> None:
    told = {verdict: int(cells[1]) for verdict, cells in rows("Verdicts").items()}
    assert told == {
        verdict: exit_status(Session(scenarios=[ScenarioRecord(title="", file="", verdict=verdict)]))
        for verdict in get_args(Verdict)
    }


def test_how_values_are_written_is_described() -> None:
    text = part("How values are written")
    assert set(re.findall(r"`[\d.]+(ms|[a-z])`", text)) == UNITS.keys()
    assert Bounds.model_fields.keys() <= words(text)


def test_everything_that_a_scenario_run_prints_as_json_is_described() -> None:
    run = Trial(faults=[FaultCount(fault="error:*", times=1)], oracle=OracleView(possible=True))
    record = ScenarioRecord(title="", file="", verdict="held", baseline=run, trials=[run])
    printed = session_json(Session(scenarios=[record]))
    assert printed.keys() <= words(part("Reports"))
    one, total, system = printed["scenarios"][0], printed["totals"], printed["systems"][run.system]
    assert rows("A run in JSON").keys() == one["runs"][0].keys()
    assert rows("A scenario in JSON").keys() == one.keys() - one["runs"][0].keys()
    assert rows("Totals in JSON").keys() == total.keys()
    assert rows("A system in JSON").keys() == system.keys()
    for heading, described in {"A run in JSON": one, "Totals in JSON": total, "A system in JSON": system}.items():
        nested = [described["faults"][0], described["oracle"]] if described is one else described.values()
        inside = {key for data in nested if isinstance(data, dict) for key in cast("dict[str, Any]", data)}
        assert inside, heading
        assert inside <= words(part(heading)), heading


def test_the_reports_that_can_be_asked_for_are_described() -> None:
    [run] = [command for name, command in commands(main) if name == "agentroute scenario run"]
    files = {option.opts[0] for option in run.params if isinstance(option.type, click.Path)}
    assert {name.split()[0] for name in rows("Reports") if name} == files | {"--json"}


def test_the_protocol_of_testbeds_is_described() -> None:
    text = part("Testbeds")
    told = {name: re.findall(r"\w+", cell) for cell in rows("Testbeds") for name in re.findall(r"^\w+", cell)}
    members = {name: member for name, member in vars(Testbed).items() if not name.startswith("_")}
    assert told.keys() - {"with"} == members.keys()
    for name, member in members.items():
        assert parameters(member) <= set(told[name]), name
    assert {each.name for kind in (Exchange, Claim) for each in fields(kind)} <= words(text)
    assert parameters(Contender.run) <= words(text)


def test_which_files_are_scenarios_is_described() -> None:
    assert {ending.strip(".") for ending in ENDINGS} <= words(page("command-line").partition("### scenario run")[2])
