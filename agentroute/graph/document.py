"""Graph files: tools and goals as people write them down. A file names tools; it never imports or runs any.

`parse_graph` reads one, `graph_schema` describes them to editors.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import Field, Strict, model_validator
from pydantic_core import InitErrorDetails

from agentroute.graph.entries import (
    BudgetEntry,
    Entry,
    Given,
    GoalEntry,
    JoinEntry,
    Name,
    QuotaEntry,
    RatesEntry,
    ToolEntry,
    mentioned,
)
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import ToolSpec
from agentroute.graph.yaml_model import mistake, model_schema, parse_model, refuse
from agentroute.graph.yaml_positions import LIMITS, Limits, Loc, brief

MOST_TOOLS = 10_000
MOST_GOALS = 1_000
MOST_QUOTAS = 100
MOST_RUNGS = 100_000
"""Bound on all joins of a file together: k of n becomes ``k * (n - k + 1)`` items in the compiled graph."""

SCHEMA_ID = "urn:agentroute:schema:graph:1"


class GraphDocument(Entry):
    """A graph file of agentroute: tools, what they need and return, and the goals they serve."""

    version: Literal["1"]
    """Version of this format: "1", in quotes."""

    name: Name
    """Name of the agent."""

    description: Annotated[str | None, Given()] = None
    """What it is for, for people."""

    tools: Annotated[tuple[ToolEntry, ...], Strict(strict=False), Field(min_length=1, max_length=MOST_TOOLS)]
    """The tools. Their order says nothing: what runs when follows from what they require and produce."""

    goals: Annotated[tuple[GoalEntry, ...], Strict(strict=False), Field(min_length=1, max_length=MOST_GOALS)]
    """The goals. The first is pursued where a run names none."""

    rates: RatesEntry = RatesEntry()
    """What time, risk and energy are worth in money."""

    budget: BudgetEntry = BudgetEntry()
    """Limits of one run."""

    quotas: Annotated[tuple[QuotaEntry, ...], Strict(strict=False), Field(max_length=MOST_QUOTAS)] = ()
    """Limits of all runs together, in one process; all of them hold."""

    @model_validator(mode="after")
    def _holds_together(self) -> "GraphDocument":
        names = chain(_same_names("tools", self.tools), _same_names("goals", self.goals))
        refuse(chain(names, _auxiliaries(self.tools), _unreachable(self), _large_joins(self)))
        return self

    @property
    def tool_specs(self) -> tuple[ToolSpec, ...]:
        """The tools as the router takes them, in the order of the file."""
        return tuple(tool.spec for tool in self.tools)

    @property
    def goal_specs(self) -> tuple[GoalSpec, ...]:
        """The goals as the router takes them, in the order of the file."""
        return tuple(goal.spec for goal in self.goals)


def parse_graph(text: str, file: str, *, limits: Limits = LIMITS) -> GraphDocument:
    """Read the text of a graph file. `agentroute.adapters.files.read_graph` takes a path.

    Args:
        text: YAML or JSON.
        file: Its name, for messages.
        limits: How much it may hold.

    Raises:
        DocumentError: It is refused; one line ``file:line:column: why`` for each problem.
    """
    return parse_model(GraphDocument, text, file=file, limits=limits)


def graph_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of graph files, for editors.

    It cannot say everything that `parse_graph` checks: unique names, references between tools and goals,
    ``k <= n``, ``usd <= usd_max``, ``usd_least <= usd_max``, that a quota limits something, that names are printable,
    that a tool which reads has nothing to compensate, and that 1.0 is not written for a whole number.
    """
    return model_schema(GraphDocument, schema_id=SCHEMA_ID, title="agentroute graph file", example=_EXAMPLE)


_EXAMPLE = {
    "version": "1",
    "name": "travel",
    "tools": [
        {
            "name": "search_amadeus",
            "requires": ["trip"],
            "produces": ["flights"],
            "cost": {"usd": 0.002, "latency_s": 0.12},
            "effect": "read",
            "provider": "amadeus",
        },
        {"name": "book", "requires": ["flights"], "produces": ["booking"], "effect": "once", "timeout_s": 20},
    ],
    "goals": [
        {"name": "booked", "requires": ["booking"]},
        {"name": "options-only", "requires": ["flights"], "utility": 0.4},
    ],
    "budget": {"usd": 0.05, "deadline_s": 30, "llm_calls": 1, "tool_calls": 20},
    "quotas": [{"usd": 5, "per_s": 86400}],
}


def _same_names(key: str, entries: Sequence[ToolEntry] | Sequence[GoalEntry]) -> Iterator[InitErrorDetails]:
    first: dict[str, int] = {}
    for index, entry in enumerate(entries):
        earlier = first.setdefault(entry.name, index)
        if earlier != index:
            why = f"the name {brief(entry.name)} is taken"
            yield mistake((key, index, "name"), why, other=(key, earlier, "name"))


def _large_joins(document: GraphDocument) -> Iterator[InitErrorDetails]:
    rungs = 0
    for key, entries in (("tools", document.tools), ("goals", document.goals)):
        for index, entry in enumerate(entries):
            for place, need in enumerate(entry.requires):
                if isinstance(need, JoinEntry) and rungs <= MOST_RUNGS:
                    rungs += need.at_least * (len(need.of) - need.at_least + 1)
                    if rungs > MOST_RUNGS:
                        why = f"the joins up to here are too large: k * (n - k + 1) adds up to {rungs:,}"
                        yield mistake((key, index, "requires", place), f"{why}, above {MOST_RUNGS:,}")


def _auxiliaries(tools: Sequence[ToolEntry]) -> Iterator[InitErrorDetails]:
    """Wrong names after `verify` and `compensate`."""
    known = {tool.name: tool for tool in tools}
    names = tuple(known)
    for index, tool in enumerate(tools):
        for key, name in (("verify", tool.verify), ("compensate", tool.compensate)):
            if name is None:
                continue
            loc: Loc = ("tools", index, key)
            if name not in known:
                yield mistake(loc, f"no tool is named {brief(name)}", near=(name, names))
            elif name == tool.name:
                yield mistake(loc, f"a tool cannot {key} itself")
            elif key == "verify" and (why := _cannot_verify(known[name], tool)):
                yield mistake(loc, f"{brief(name)} {why}")


def _cannot_verify(verifier: ToolEntry, tool: ToolEntry) -> str:
    if verifier.effect != "read":
        return "is called to look, not to act: it must have effect: read"
    lacking = sorted(set(tool.produces).difference(verifier.produces))
    return f"must produce {brief(lacking[0])} too, as what it finds stands in for the result" if lacking else ""


def _unreachable(document: GraphDocument) -> Iterator[InitErrorDetails]:
    """Artifacts that goals ask for and no tool has heard of."""
    known = {name for tool in document.tools for _, name in mentioned(tool.requires)}
    known.update(name for tool in document.tools for name in tool.produces)
    names = sorted(known)
    for index, goal in enumerate(document.goals):
        for loc, name in mentioned(goal.requires):
            if name not in known:
                why = f"no tool produces or requires the artifact {brief(name)}"
                yield mistake(("goals", index, "requires", *loc), why, near=(name, names))
