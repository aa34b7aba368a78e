"""Graph files: what is read, and what is refused, where and in which words."""

from pathlib import Path

import pytest

from agentroute.adapters.files import read_graph
from agentroute.errors import DocumentError
from agentroute.graph.compiled import compile_graph
from agentroute.graph.cost import Cost, Rates
from agentroute.graph.document import MOST_TOOLS, GraphDocument, parse_graph
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import KOfN, ToolSpec
from agentroute.ids import ArtifactId, GoalId, ToolId

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "graphs" / "examples").glob("*.yaml"))

HEAD = 'version: "1"\nname: g\n'
TOOLS = "tools: [{name: t, requires: [a], produces: [b]}]\n"
GOALS = "goals: [{name: done, requires: [b]}]\n"

A_BOOLEAN = "yes is a boolean to some readers: put it in quotes, or write true or false"
AN_OCTAL = "010 is not the same number to all readers: write it in decimal digits, or put it in quotes if it is text"

FULL = """\
version: "1"
name: travel
description: Books trips.
tools:
  - name: search_amadeus
    description: Asks the agency.
    requires: [trip, {at_least: 2, of: [a, b, c]}]
    produces: [flights, prices]
    cost: {usd: 0.002, usd_max: 0.01, latency_s: 0.12, risk: 0.5, wh: 0.25}
    effect: idempotent
    provider: amadeus
    timeout_s: 5
    verify: look
    compensate: undo
    mcp: {server: travel, tool: search, arguments: {request: trip, hint: a}}
  - {name: look, requires: [trip], produces: [prices, flights], effect: read}
  - {name: undo, requires: [flights]}
goals:
  - {name: booked, description: All of it., requires: [flights, {at_least: 1, of: [prices, a]}], utility: 0.4}
  - {name: options-only, requires: [flights]}
rates: {usd_per_second: 0.25, usd_per_risk: 3, usd_per_wh: 0.001}
budget: {usd: 0.05, deadline_s: 30, llm_calls: 1, tokens: 5000, tool_calls: 9, finish_share: 0.5}
quotas: [{usd: 1}, {llm_calls: 2, per_s: 60}]
"""


def problems(text: str) -> list[str]:
    """What is wrong with `text`, as ``line:column: why``."""
    with pytest.raises(DocumentError) as refused:
        parse_graph(text, "g.yaml")
    error = refused.value
    lines = str(error).splitlines()
    assert all(line.startswith("g.yaml:") for line in lines)
    assert lines == [str(problem) for problem in error.problems]
    assert (error.line, error.column, error.why) == (
        error.problems[0].line,
        error.problems[0].column,
        error.problems[0].why,
    )
    return [line.removeprefix("g.yaml:") for line in lines]


def with_tool(entry: str) -> str:
    """A file with one more tool, described on line 4 from column 5 on."""
    return f"{HEAD}tools:\n  - {entry}\n  - {{name: u, produces: [b]}}\n{GOALS}"


class TestAccepted:
    def test_everything_that_can_be_written_becomes_specs(self) -> None:
        document = parse_graph(FULL, "g.yaml")
        join = KOfN(2, (ArtifactId("a"), ArtifactId("b"), ArtifactId("c")))
        assert document.tool_specs == (
            ToolSpec(
                name=ToolId("search_amadeus"),
                requires=(ArtifactId("trip"), join),
                produces=(ArtifactId("flights"), ArtifactId("prices")),
                cost=Cost(0.002, 0.01, 0.12, 0.5, wh=0.25),
                effect="idempotent",
                timeout_s=5.0,
                provider="amadeus",
                verify=ToolId("look"),
                compensate=ToolId("undo"),
            ),
            ToolSpec(
                ToolId("look"), (ArtifactId("trip"),), (ArtifactId("prices"), ArtifactId("flights")), effect="read"
            ),
            ToolSpec(ToolId("undo"), (ArtifactId("flights"),)),
        )
        either = KOfN(1, (ArtifactId("prices"), ArtifactId("a")))
        assert document.goal_specs == (
            GoalSpec(GoalId("booked"), (ArtifactId("flights"), either), 0.4),
            GoalSpec(GoalId("options-only"), (ArtifactId("flights"),)),
        )
        assert document.rates.rates == Rates(0.25, 3.0, 0.001)
        assert document.budget.given == {
            "usd": 0.05,
            "deadline_s": 30.0,
            "llm_calls": 1,
            "tokens": 5000,
            "tool_calls": 9,
            "finish_share": 0.5,
        }
        assert [entry.given for entry in document.quotas] == [{"usd": 1.0}, {"llm_calls": 2, "per_s": 60.0}]
        remote = document.tools[0].mcp
        assert remote is not None
        assert (remote.server, remote.tool) == ("travel", "search")
        assert remote.arguments == {"request": "trip", "hint": "a"}

    def test_what_is_left_out_has_the_documented_defaults(self) -> None:
        document = parse_graph(HEAD + TOOLS + GOALS, "g.yaml")
        assert document.tool_specs[0] == ToolSpec(ToolId("t"), (ArtifactId("a"),), (ArtifactId("b"),))
        assert document.tool_specs[0].effect == "once"
        assert document.goal_specs[0].utility == 1.0
        assert document.rates.rates == Rates()
        assert document.budget.given == {"finish_share": 1.0}
        assert document.quotas == ()

    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
    def test_examples_are_accepted_and_compile(self, path: Path) -> None:
        document = read_graph(path)
        compiled = compile_graph(document.tool_specs, document.goal_specs)
        assert set(compiled.goals) == {goal.name for goal in document.goal_specs}

    def test_there_are_examples(self) -> None:
        assert {path.stem for path in EXAMPLES} >= {"travel", "moderation", "history"}

    def test_json_is_accepted_too(self) -> None:
        document = parse_graph(FULL, "g.yaml")
        assert parse_graph(document.model_dump_json(exclude_none=True, indent=2), "g.json") == document

    def test_names_that_look_like_other_things_are_kept_when_quoted(self) -> None:
        tools = 'tools: [{name: "no", requires: ["1"], produces: ["0755", "null", "1:30", 2026-03-01, 12:30, y]}]\n'
        document = parse_graph(HEAD + tools + "goals: [{name: 'on', requires: ['null']}]\n", "g.yaml")
        assert document.tools[0].name == "no"
        assert document.tools[0].produces == ("0755", "null", "1:30", "2026-03-01", "12:30", "y")
        assert document.goals[0].name == "on"

    def test_a_cycle_of_types_is_no_fault(self) -> None:
        tools = "tools: [{name: t, requires: [a], produces: [b]}, {name: u, requires: [b], produces: [a]}]\n"
        assert len(parse_graph(HEAD + tools + GOALS, "g.yaml").tools) == 2

    @pytest.mark.timeout(20)
    def test_a_thousand_tools_are_read(self) -> None:
        tools = "".join(
            f"  - name: t{n}\n    requires: [a{n}]\n    produces: [a{n + 1}]\n    cost: {{usd: 0.01}}\n"
            for n in range(1000)
        )
        document = parse_graph(f"{HEAD}tools:\n{tools}goals: [{{name: done, requires: [a1000]}}]\n", "g.yaml")
        assert len(document.tools) == 1000

    def test_a_document_cannot_be_changed(self) -> None:
        document = parse_graph(FULL, "g.yaml")
        with pytest.raises(ValueError, match="frozen"):
            setattr(document, "name", "other")  # noqa: B010
        assert hash(document.tools[1]) == hash(parse_graph(FULL, "g.yaml").tools[1])


class TestRefusedTools:
    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ("{name: t, requries: [a]}", "4:15: tool 't': unknown key 'requries'; did you mean 'requires'?"),
            (
                "{name: t, cost: {usd: 1, zzz: 2}}",
                "4:30: tool 't': cost: unknown key 'zzz'; known are latency_s, risk, usd, usd_least, usd_max, wh",
            ),
            (
                "{name: t, cost: {usd: 1, usd: 2}}",
                "4:30: tool 't': cost: key 'usd' is there twice; the other is on line 4",
            ),
            ("{name: u}", "5:12: tool 'u': name: the name 'u' is taken; the other is on line 4"),
            ("{name: t, requires: [a, b, a]}", "4:32: tool 't': requires[2]: 'a' is listed twice"),
            ("{name: t, produces: [a, a]}", "4:29: tool 't': produces[1]: 'a' is listed twice"),
            ("{requires: [a]}", "4:5: tools[0]: key 'name' is missing"),
            ("{name: 7}", "4:12: tools[0].name: expected text, not the number 7: put it in quotes"),
            ("{name: true}", "4:12: tools[0].name: expected text, not true: put it in quotes"),
            ("{name: }", "4:12: tools[0].name: expected text, not nothing"),
            (
                "{name: ' t'}",
                "4:12: tool ' t': name: a name is 1 to 200 printable characters without blanks at its ends, not ' t'",
            ),
            ("{name: t, requires: a}", "4:25: tool 't': requires: expected a list, not the text 'a'"),
            ("{name: t, requires: {a}}", "4:25: tool 't': requires: expected a list, not a mapping"),
            ("{name: t, requires: [[a]]}", "4:26: tool 't': requires[0]: expected text, not a list"),
            ("{name: t, requires: }", "4:25: tool 't': requires: expected a list, not nothing"),
            (
                "{name: t, effect: onec}",
                "4:23: tool 't': effect: must be one of read, idempotent, once, not 'onec'; did you mean 'once'?",
            ),
            ("{name: t, timeout_s: 0}", "4:26: tool 't': timeout_s: must be above 0, not 0"),
            (
                "{name: t, timeout_s: '5'}",
                "4:26: tool 't': timeout_s: expected a number, not the text '5': remove the quotes",
            ),
            ("{name: t, provider: }", "4:25: tool 't': provider: has no value: give it one, or leave the key out"),
            ("t", "4:5: tools[0]: expected a mapping (key: value), not the text 't'"),
        ],
    )
    def test_shape(self, entry: str, told: str) -> None:
        assert problems(with_tool(entry)) == [told]

    @pytest.mark.parametrize(
        ("cost", "told"),
        [
            ("usd: -0.1", "27: tool 't': cost.usd: must be 0 or more, not -0.1"),
            ("usd: .nan", "27: tool 't': cost.usd: must be a finite number, not .nan"),
            ("usd: -.inf", "27: tool 't': cost.usd: must be a finite number, not -.inf"),
            ("usd: 1e999", "27: tool 't': cost.usd: must be a finite number; 1e999 is too large to compute with"),
            ("usd: NaN", "27: tool 't': cost.usd: expected a number, not the text 'NaN'"),
            ("usd: 1e10", "27: tool 't': cost.usd: must be 1e+09 or less, not 10000000000.0"),
            ("risk: 1.5", "28: tool 't': cost.risk: must be 1 or less, not 1.5"),
            ("wh: -1", "26: tool 't': cost.wh: must be 0 or more, not -1"),
            ("wh: .inf", "26: tool 't': cost.wh: must be a finite number, not .inf"),
            ("latency_s: yes", "33: tool 't': cost.latency_s: " + A_BOOLEAN),
            ("latency_s: true", "33: tool 't': cost.latency_s: expected a number, not true"),
            ("latency_s: 010", "33: tool 't': cost.latency_s: " + AN_OCTAL),
            ("latency_s: 1:30", "33: tool 't': cost.latency_s: expected a number, not the text '1:30'"),
            ("usd: 2, usd_max: 1", "39: tool 't': cost.usd_max: 1 is below usd (2); it is the worst case"),
            ("usd_max: ", "31: tool 't': cost.usd_max: has no value: give it one, or leave the key out"),
        ],
    )  # fmt: skip
    def test_numbers(self, cost: str, told: str) -> None:
        entry = f"{{name: t, cost: {{{cost}}}}}"
        assert problems(with_tool(entry)) == [f"4:{told}"]

    @pytest.mark.parametrize(
        ("join", "told"),
        [
            ("{at_least: 0, of: [a]}", "37: tool 't': requires[0].at_least: must be 1 or more, not 0"),
            ("{at_least: 3, of: [a, b]}", "37: tool 't': requires[0].at_least: 3 of 2 artifacts is impossible"),
            ("{at_least: 1, of: []}", "44: tool 't': requires[0].of: needs 1 or more of them, not 0"),
            ("{at_least: 1, of: [a, a]}", "48: tool 't': requires[0].of[1]: 'a' is listed twice"),
            (
                "{at_least: 1.5, of: [a]}",
                "37: tool 't': requires[0].at_least: expected a whole number, not the number 1.5",
            ),
            ("{of: [a]}", "26: tool 't': requires[0]: key 'at_least' is missing"),
            (
                "{at_least: 1, of: [{at_least: 1, of: [a]}]}",
                "45: tool 't': requires[0].of[0]: expected text, not a mapping",
            ),
            ("{at_least: 1, of: [a]}, {at_least: 1, of: [a]}", "50: tool 't': requires[1]: 1 of (a) is listed twice"),
        ],
    )
    def test_joins(self, join: str, told: str) -> None:
        assert problems(with_tool(f"{{name: t, requires: [{join}]}}")) == [f"4:{told}"]

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ("{name: tool, verify: tol}", "4:26: tool 'tool': verify: no tool is named 'tol'; did you mean 'tool'?"),
            ("{name: t, compensate: zzz}", "4:27: tool 't': compensate: no tool is named 'zzz'"),
            ("{name: t, compensate: t}", "4:27: tool 't': compensate: a tool cannot compensate itself"),
            (
                "{name: t, verify: u}",
                "4:23: tool 't': verify: 'u' is called to look, not to act: it must have effect: read",
            ),
            (
                "{name: t, effect: read, compensate: u}",
                "4:41: tool 't': compensate: a read tool changes nothing, so it has nothing to compensate",
            ),
            (
                "{name: t, requires: [text], mcp: {server: s, tool: t, arguments: {q: txt}}}",
                "4:74: tool 't': mcp.arguments.q: the tool does not require the artifact 'txt'; did you mean 'text'?",
            ),
            (
                "{name: t, produces: [c], verify: v}\n  - {name: v, produces: [b], effect: read}",
                "4:38: tool 't': verify: 'v' must produce 'c' too, as what it finds stands in for the result",
            ),
            ("{name: t, mcp: {server: s}}", "4:20: tool 't': mcp: key 'tool' is missing"),
            (
                "{name: t, mcp: {server: s, tool: t, command: rm}}",
                "4:41: tool 't': mcp: unknown key 'command'; known are arguments, server, tool",
            ),
        ],
    )
    def test_references(self, entry: str, told: str) -> None:
        assert problems(with_tool(entry)) == [told]


class TestRefusedRest:
    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("name: g\n" + TOOLS + GOALS, "1:1: key 'version' is missing"),
            (
                "version: 1\nname: g\n" + TOOLS + GOALS,
                '1:10: version: must be the text "1", not the number 1: put it in quotes',
            ),
            ('version: "2"\nname: g\n' + TOOLS + GOALS, """1:10: version: must be the text "1", not '2'"""),
            (HEAD + GOALS, "1:1: key 'tools' is missing"),
            (HEAD + "tools: []\n" + GOALS, "3:8: tools: needs 1 or more of them, not 0"),
            (HEAD + TOOLS + "goals: []\n", "4:8: goals: needs 1 or more of them, not 0"),
            (
                HEAD + TOOLS + "goals: [{name: x, requires: []}]\n",
                "4:29: goal 'x': requires: needs 1 or more of them, not 0",
            ),
            (
                HEAD + TOOLS + "goals: [{name: x, requires: [bb]}]\n",
                "4:30: goal 'x': requires[0]: no tool produces or requires the artifact 'bb'; did you mean 'b'?",
            ),
            (
                HEAD + TOOLS + "goals: [{name: x, requires: [{at_least: 1, of: [b, zzz]}]}]\n",
                "4:52: goal 'x': requires[0].of[1]: no tool produces or requires the artifact 'zzz'",
            ),
            (
                HEAD + TOOLS + "goals:\n- {name: x, requires: [b]}\n- {name: x, requires: [b]}\n",
                "6:10: goal 'x': name: the name 'x' is taken; the other is on line 5",
            ),
            (
                HEAD + TOOLS + "goals: [{name: x, requires: [b], utility: -1}]\n",
                "4:43: goal 'x': utility: must be 0 or more, not -1",
            ),
            (HEAD + TOOLS + GOALS + "budgets: {}\n", "5:1: unknown key 'budgets'; did you mean 'budget'?"),
            (HEAD + TOOLS + GOALS + "budget: {llm_calls: -1}\n", "5:21: budget.llm_calls: must be 0 or more, not -1"),
            (
                HEAD + TOOLS + GOALS + "budget: {llm_calls: 1.0}\n",
                "5:21: budget.llm_calls: expected a whole number, not the number 1.0",
            ),
            (
                HEAD + TOOLS + GOALS + "budget: {finish_share: 2}\n",
                "5:24: budget.finish_share: must be 1 or less, not 2",
            ),
            (
                HEAD + TOOLS + GOALS + "budget: {tokns: 2}\n",
                "5:10: budget: unknown key 'tokns'; did you mean 'tokens'?",
            ),
            (
                HEAD + TOOLS + GOALS + "quotas:\n  - {usd: 1}\n  - {per_s: 60}\n",
                "7:5: quotas[1]: limits nothing: give usd, llm_calls, tokens or tool_calls",
            ),
            (
                HEAD + TOOLS + GOALS + "quotas: [{usd: 1, per_s: 0}]\n",
                "5:26: quotas[0].per_s: must be above 0, not 0",
            ),
            (HEAD + TOOLS + GOALS + "budget: {deadline_s: 0}\n", "5:22: budget.deadline_s: must be above 0, not 0"),
            (
                HEAD + TOOLS + GOALS + "budget:\n  usd:\n",
                "6:7: budget.usd: has no value: give it one, or leave the key out",
            ),
            (
                HEAD + TOOLS + GOALS + "rates: {usd_per_second: -1}\n",
                "5:25: rates.usd_per_second: must be 0 or more, not -1",
            ),
            ("[1]\n", "1:1: expected a mapping (key: value), not a list"),
            ("---\n", "2:1: expected a mapping (key: value), not nothing"),
        ],
    )
    def test_told_where_and_why(self, text: str, told: str) -> None:
        assert problems(text) == [told]

    def test_all_problems_are_told_at_once_in_order_of_place(self) -> None:
        text = "version: 1\nname: g\ntools:\n  - {nme: t, cost: {usd: -1}}\n  - {name: 3}\ngoals: []\n"
        assert [problem.split(" ")[0] for problem in problems(text)] == [
            "1:10:",
            "4:5:",
            "4:6:",
            "4:26:",
            "5:12:",
            "6:8:",
        ]

    def test_hundreds_of_problems_are_cut_short(self) -> None:
        told = problems(HEAD + "tools: [" + ", ".join(["{name: 1}"] * 500) + "]\n" + GOALS)
        assert len(told) == 21
        assert told[-1].endswith(": ... and more from here on")

    def test_long_values_are_not_repeated(self) -> None:
        told = problems(with_tool("{name: t, effect: " + "x" * 5000 + "}"))
        assert len(told) == 1
        assert len(told[0]) < 160

    def test_tools_beyond_the_limit_are_refused_at_the_first_too_many(self) -> None:
        tools = "".join(f"- {{name: t{n}}}\n" for n in range(MOST_TOOLS + 5))
        assert problems(f"{HEAD}tools:\n{tools}{GOALS}") == [f"{4 + MOST_TOOLS}:3: tools: more than 10,000 items"]

    def test_joins_that_would_make_a_huge_graph_are_refused(self) -> None:
        names = ", ".join(f"a{n}" for n in range(2000))
        told = problems(with_tool(f"{{name: t, requires: [{{at_least: 1000, of: [{names}]}}]}}"))
        why = "the joins up to here are too large: k * (n - k + 1) adds up to 1,001,000, above 100,000"
        assert told == [f"4:26: tool 't': requires[0]: {why}"]

    def test_a_model_made_in_python_is_held_to_the_same_rules(self) -> None:
        tool = {"name": "t", "verify": "nobody"}
        with pytest.raises(ValueError, match="no tool is named 'nobody'"):
            GraphDocument.model_validate(
                {"version": "1", "name": "g", "tools": [tool], "goals": [{"name": "x", "requires": ["b"]}]}
            )

    @pytest.mark.timeout(20)
    def test_looking_for_what_was_meant_takes_no_time_to_speak_of(self) -> None:
        letters = "abcdefghij" * 6
        names = [letters[n % 60 :] + str(n) for n in range(3000)]
        tools = "".join(f"- {{name: {name}, verify: {name[::-1]}}}\n" for name in names)
        assert len(problems(f"{HEAD}tools:\n- {{name: t, produces: [b]}}\n{tools}{GOALS}")) == 21
