"""NESTFUL's gold plans as AND-join graphs: does the router find a plan when it is given nothing but types?

A plan is a list of calls whose arguments are constants of the question or refer to results of earlier calls, such as
``$var1.skyId$``; the last entry says which results are the answer. *From the types alone* means: the router is given

- a tool for each call of the plan: what goes in is the types of the results that its arguments refer to and its
  constants, what comes out is the types of the whole answer and of every output parameter that the specification
  declares for its function;
- a tool for each other function of the specification, as a distractor: its outputs likewise; for each parameter that it
  requires, a constant of the question with that name and type, or any result that a plan of the data set passes to this
  parameter (where the specification marks no parameter as required, the first one counts);
- what is at hand: the constants of the question; and the goal: the types of the results that are the answer.

It is given neither the labels nor the order of the calls, nor which tools are the plan. How much a type says is the
`Typing`:

- ``call``: function, arguments, field and declared type: two calls of one function give different types.
- ``function``: function, field and declared type.
- ``field``: field and declared type, whoever makes it. A whole answer is a record with the name of its function.
- ``bare``: the declared JSON type and nothing else.

Constants are artifacts of their own throughout: as bare types, they alone would be every goal.

A reference to a field that is not declared is read as far as it is: ``location.name`` as ``location``, and ``id`` of a
function that declares none as the whole answer, out of which it would have to be taken.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from agentroute.agent import Agent
from agentroute.graph.goal import Goal
from agentroute.graph.tool import AtLeast
from agentroute.testing.fakes import FakeTool, fake_tool
from agentroute.testing.world import World

Typing = Literal["call", "function", "field", "bare"]

TYPINGS: tuple[Typing, ...] = ("call", "function", "field", "bare")

HOW_TO_GET_IT = (
    "NESTFUL's data is not there: put executable-data.json and executable-spec.json of IBM/NESTFUL into a folder "
    "nestful, and name the folder that it is in by AGENTROUTE_DATA"
)

REFERENCE = re.compile(r"\$([^$]+)\$")
PRICE = 0.001
"""USD of every tool: nothing but the number of calls makes a route dearer."""


def folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where the data is: below ``AGENTROUTE_DATA``, or else beside the clone; None if it is not there."""
    named = environment.get("AGENTROUTE_DATA")
    base = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    found = base / "nestful"
    return found if (found / "executable-data.json").is_file() else None


# -------------------------------------------------------------------- the data


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the specification.

    Attributes:
        name: Its name.
        fields: Declared type of each output parameter.
        parameters: Declared type of each input parameter.
        required: Those that are required.
    """

    name: str
    fields: Mapping[str, str]
    parameters: Mapping[str, str]
    required: tuple[str, ...]

    def declared(self, path: str) -> str:
        """The field that a path such as ``location.name`` begins with; empty for the whole answer."""
        if path in self.fields:
            return path
        head = re.split(r"[.\[]", path, maxsplit=1)[0]
        return head if head in self.fields else ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a gold plan: its label, its function, and its arguments as they are written."""

    label: str
    function: str
    arguments: Mapping[str, Any]

    @property
    def references(self) -> list[tuple[str, str, str]]:
        """Parameter, label and path of every reference in the arguments."""
        return [
            (parameter, *_label_and_path(text))
            for parameter, value in self.arguments.items()
            if isinstance(value, str)
            for text in REFERENCE.findall(value)
        ]

    @property
    def constants(self) -> dict[str, Any]:
        """Arguments that refer to nothing."""
        referring = {parameter for parameter, _, _ in self.references}
        return {name: value for name, value in self.arguments.items() if name not in referring}


@dataclass(frozen=True, slots=True)
class Plan:
    """A question's gold plan.

    Attributes:
        number: Place in the data set, from 0.
        calls: In the order of the plan.
        answer: Label and path of every result that the answer consists of.
    """

    number: int
    calls: tuple[Call, ...]
    answer: tuple[tuple[str, str], ...]

    def by_label(self) -> dict[str, Call]:
        """The calls by label."""
        return {call.label: call for call in self.calls}

    def support(self) -> list[Call]:
        """The calls that the answer rests on."""
        wanted = {label for label, _ in self.answer}
        for call in reversed(self.calls):
            if call.label in wanted:
                wanted |= {label for _, label, _ in call.references}
        return [call for call in self.calls if call.label in wanted]


@dataclass(frozen=True)
class Nestful:
    """The data set."""

    functions: Mapping[str, Function]
    plans: tuple[Plan, ...]

    @cached_property
    def feeds(self) -> Mapping[tuple[str, str], frozenset[tuple[str, str]]]:
        """Which results, as function and declared field, some plan passes to a parameter of a function."""
        found: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for plan in self.plans:
            calls = plan.by_label()
            for call in plan.calls:
                for parameter, label, path in call.references:
                    maker = self.functions[calls[label].function]
                    found.setdefault((call.function, parameter), set()).add((maker.name, maker.declared(path)))
        return {key: frozenset(makers) for key, makers in found.items()}

    def undeclared(self) -> int:
        """References to a field that is not declared and is read as the whole answer."""
        return sum(
            bool(path) and not self.functions[plan.by_label()[label].function].declared(path)
            for plan in self.plans
            for label, path in (
                *plan.answer,
                *((label, path) for call in plan.calls for _, label, path in call.references),
            )
        )


def load(path: Path) -> Nestful:
    """Read the data set."""
    entries = json.loads((path / "executable-data.json").read_text(encoding="utf-8"))
    functions = json.loads((path / "executable-spec.json").read_text(encoding="utf-8"))
    return Nestful(
        {entry["name"]: _function(entry) for entry in functions}, tuple(map(_plan, range(len(entries)), entries))
    )


def _function(entry: Mapping[str, Any]) -> Function:
    parameters = {**entry.get("query_parameters", {}), **entry.get("path_parameters", {})}
    return Function(
        name=entry["name"],
        fields={name: _json_type(about) for name, about in entry["output_parameters"].items()},
        parameters={name: _json_type(about) for name, about in parameters.items()},
        required=tuple(name for name, about in parameters.items() if about.get("required")) or tuple(parameters)[:1],
    )


def _json_type(about: Mapping[str, Any]) -> str:
    """One spelling for what the specification writes in several."""
    kind = str(about["type"]).lower()
    return {"integer": "number", "float": "number"}.get(kind, kind)


def _plan(number: int, entry: Mapping[str, Any]) -> Plan:
    *calls, answer = entry["output"]
    made = tuple(Call(call["label"], call["name"], call["arguments"]) for call in calls)
    wanted = Call("", answer["name"], answer["arguments"])
    return Plan(number, made, tuple((label, path) for _, label, path in wanted.references))


def _label_and_path(text: str) -> tuple[str, str]:
    label, _, path = text.partition(".")
    return label, path


# -------------------------------------------------------------------- the graph


@dataclass(frozen=True)
class Puzzle:
    """A plan as a graph of typed tools among distractors.

    Attributes:
        data: The data set.
        plan: The plan that is to be found.
        typing: How much a type says.
    """

    data: Nestful
    plan: Plan
    typing: Typing

    @cached_property
    def gold(self) -> frozenset[str]:
        """Names of the tools that are the plan's calls."""
        return frozenset(map(_name, self.plan.calls))

    @cached_property
    def at_hand(self) -> dict[str, str]:
        """The constants of the question as JSON, by artifact."""
        calls = self.plan.calls
        return {
            self.constant(call, name): json.dumps(given) for call in calls for name, given in call.constants.items()
        }

    @cached_property
    def agent(self) -> Agent:
        """All tools, and the answer as the goal."""
        return Agent(
            name=f"plan-{self.plan.number}",
            tools=self.tools()[0],
            goals=[Goal("answer", sorted(set(self.wanted())))],
            trace=False,
        )

    def tools(self) -> tuple[list[FakeTool], World]:
        """All tools, and what they act on."""
        world = World()
        return list(self._tools(world)), world

    def _tools(self, world: World) -> Iterator[FakeTool]:
        """The plan's calls in the order of their names, which says nothing, then the distractors."""
        for call in sorted(self.plan.calls, key=_name):
            needs = [self.constant(call, name) for name in call.constants]
            needs += [self.result(label, path) for _, label, path in call.references]
            makes = self._makes(self.data.functions[call.function], self._provenance(call))
            yield fake_tool(_name(call), dict.fromkeys(needs), makes, world=world, usd=PRICE)
        used = {call.function for call in self.plan.calls}
        for function in self.data.functions.values():
            if function.name not in used:
                needs = [self._fed(function, parameter) for parameter in function.required]
                yield fake_tool(function.name, needs, self._makes(function, "?"), world=world, usd=PRICE)

    def wanted(self) -> list[str]:
        """The artifacts that are the answer."""
        return [self.result(label, path) for label, path in self.plan.answer]

    def result(self, label: str, path: str) -> str:
        """The artifact that a reference stands for."""
        call = self.plan.by_label()[label]
        function = self.data.functions[call.function]
        return self._type(function, function.declared(path), self._provenance(call))

    def constant(self, call: Call, parameter: str) -> str:
        """The artifact that a constant is: name and type, and but for the weaker typings its value."""
        function, value = self.data.functions[call.function], call.constants[parameter]
        kind = function.parameters.get(parameter, type(value).__name__)
        if self.typing in ("field", "bare"):
            return f"given {parameter}: {kind}"
        return f"given {parameter}: {kind} = {_digest(value)}"

    def _makes(self, function: Function, provenance: str) -> list[str]:
        fields = [self._type(function, field, provenance) for field in ("", *function.fields)]
        return list(dict.fromkeys(fields))

    def _type(self, function: Function, field: str, provenance: str) -> str:
        """The artifact of a field of an answer, or of all of it."""
        kind = function.fields[field] if field else "object"
        match self.typing:
            case "call":
                return f"{function.name}({provenance}).{field}: {kind}"
            case "function":
                return f"{function.name}.{field}: {kind}"
            case "field":
                return f"{field}: {kind}" if field else f"{function.name}: {kind}"
            case "bare":
                return kind

    def _provenance(self, call: Call) -> str:
        """The arguments of a call; for references, what the results referred to were made from, and so on."""
        told: dict[str, Any] = dict(call.constants)
        for parameter, label, path in call.references:
            maker = self.plan.by_label()[label]
            told.setdefault(f"{parameter} from", []).append((maker.function, self._provenance(maker), path))
        return _digest(told)

    def _fed(self, function: Function, parameter: str) -> str | AtLeast:
        """What a distractor takes for a parameter: any one of what would fit."""
        kind = function.parameters[parameter]
        fitting = {name for name in self.at_hand if name.startswith(f"given {parameter}: {kind}")}
        for maker, field in self.data.feeds.get((function.name, parameter), ()):
            fitting |= set(self._made_by(self.data.functions[maker], field))
        if not fitting:
            return f"given {parameter}: {kind}"
        return AtLeast(1, sorted(fitting))

    def _made_by(self, function: Function, field: str) -> Iterable[str]:
        """A function's field, from each call of the plan and from the distractor."""
        calls = [call for call in self.plan.calls if call.function == function.name]
        return [self._type(function, field, provenance) for provenance in (*map(self._provenance, calls), "?")]


def _name(call: Call) -> str:
    """Name of a call's tool: its function, and its arguments in short."""
    return f"{call.function} {_digest([call.label, dict(call.arguments)])}"


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:10]


# -------------------------------------------------------------------- what the router makes of it

Verdict = Literal["the only one", "one of several", "fewer calls", "other calls", "not found"]

VERDICTS: tuple[Verdict, ...] = ("the only one", "one of several", "fewer calls", "other calls", "not found")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the router found for a puzzle.

    Attributes:
        puzzle: The puzzle.
        tools: The route, in order.
        optimal: Proven to be the cheapest.
        verdict: ``the only one``: the plan, and every other set that reaches the goal has more calls. ``one of
            several``: the plan, but there are others with as many calls. ``fewer calls``: a part of the plan is enough.
            ``other calls``: a function that is not in the plan gives the same types.
        why: What makes it ambiguous, for the latter three.
    """

    puzzle: Puzzle
    tools: Sequence[str]
    optimal: bool
    verdict: Verdict
    why: str


def solve(puzzle: Puzzle) -> Finding:
    """Ask the router, and whether there is another answer that is as good."""
    route = puzzle.agent.plan(have=puzzle.at_hand)
    found, gold = frozenset(route.tools), puzzle.gold
    if not route.feasible:
        return Finding(puzzle, (), False, "not found", route.reason)
    if found == gold:
        rivals = sorted(_rivals(puzzle, route.weight))
        verdict: Verdict = "one of several" if rivals else "the only one"
        return Finding(puzzle, route.tools, route.optimal, verdict, f"instead: {', '.join(rivals)}" if rivals else "")
    if found < gold:
        return Finding(puzzle, route.tools, route.optimal, "fewer calls", _why_fewer(puzzle, gold - found))
    return Finding(puzzle, route.tools, route.optimal, "other calls", f"instead: {', '.join(sorted(found - gold))}")


def _rivals(puzzle: Puzzle, weight: float) -> set[str]:
    """Tools that stand in, at no more cost, when one of the plan's is down."""
    found: set[str] = set()
    for tool in puzzle.gold:
        other = puzzle.agent.plan(have=puzzle.at_hand, down=[tool])
        if other.feasible and other.weight <= weight:
            found |= set(other.tools) - puzzle.gold
    return found


def _why_fewer(puzzle: Puzzle, left_out: frozenset[str]) -> str:
    """Why calls of the plan are not needed: the answer does not rest on them, or others give the same types."""
    calls = {_name(call): call for call in puzzle.plan.calls}
    resting = {_name(call) for call in puzzle.plan.support()}
    if not left_out & resting:
        return "the answer of the plan does not rest on all of its calls"
    functions = [call.function for call in puzzle.plan.calls]
    if any(functions.count(calls[name].function) > 1 for name in left_out & resting):
        return "two calls of one function give the same types"
    return "two functions of the plan give the same types"
