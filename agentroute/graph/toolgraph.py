"""The tool graph: which tools lead from which artifacts to which. Nobody draws it; it follows from the contracts."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from agentroute.errors import DefinitionError
from agentroute.graph.compiled import CompiledGraph, compile_graph
from agentroute.graph.goal import GoalSpec
from agentroute.graph.tool import ToolSpec, artifacts_of
from agentroute.ids import ArtifactId, GoalId, ToolId

if TYPE_CHECKING:
    import networkx as nx


class ToolGraph:
    """Tools and goals, checked against each other.

    Attributes:
        tools: Every tool by name, verifiers and compensators included.
        goals: The ladder by name: highest utility first, as declared among equals.
        first_goal: The goal declared first: what runs pursue that name none.
        auxiliary: Verifiers and compensators; they are no producers on a route.
        tiers: The tools of each model step that can be done in several ways, as declared.
    """

    def __init__(self, tools: Iterable[ToolSpec], goals: Iterable[GoalSpec]) -> None:
        """Check names and references.

        Raises:
            DefinitionError: A name is taken twice, ``verify`` or ``compensate`` names no tool, a verifier does not
                return everything that its tool produces, or two tiers of a step differ in more than their price.
        """
        self.tools: Mapping[ToolId, ToolSpec] = _by_name("tool", tools)
        declared = _by_name("goal", goals)
        self.goals: Mapping[GoalId, GoalSpec] = dict(sorted(declared.items(), key=lambda item: -item[1].utility))
        if not self.goals:
            raise DefinitionError("agent", "needs at least one goal")
        self.first_goal: GoalId = next(iter(declared))
        self.auxiliary = frozenset(self._auxiliaries())
        self.tiers = {step: specs for step, specs in _by_step(self.routable.values()).items() if len(specs) > 1}

    @cached_property
    def routable(self) -> Mapping[ToolId, ToolSpec]:
        """The tools that may stand on a route."""
        return {name: tool for name, tool in self.tools.items() if name not in self.auxiliary and tool.produces}

    @cached_property
    def alternatives(self) -> Mapping[ToolId, tuple[ToolSpec, ...]]:
        """For each tool on a route, the others that produce something it produces."""
        producers: dict[ArtifactId, list[ToolSpec]] = {}
        for tool in self.routable.values():
            for artifact in tool.produces:
                producers.setdefault(artifact, []).append(tool)
        found: dict[ToolId, tuple[ToolSpec, ...]] = {}
        for name, tool in self.routable.items():
            others = {other.name: other for artifact in tool.produces for other in producers[artifact]}
            found[name] = tuple(other for other in others.values() if other is not tool)
        return found

    @cached_property
    def compiled(self) -> CompiledGraph:
        """The same in integers, for the router."""
        return compile_graph(self.routable.values(), self.goals.values())

    @cached_property
    def artifacts(self) -> frozenset[ArtifactId]:
        """Every artifact that a tool or goal mentions."""
        named = {
            a for tool in self.tools.values() for a in (*artifacts_of(tool.requires), *tool.produces, *tool.optional)
        }
        return frozenset(named | {a for goal in self.goals.values() for a in artifacts_of(goal.requires)})

    @cached_property
    def inputs(self) -> frozenset[ArtifactId]:
        """Artifacts that no tool on a route produces: a run has to be given them, if it needs them."""
        produced = {artifact for tool in self.routable.values() for artifact in tool.produces}
        return self.artifacts - produced

    def below(self, goal: GoalId) -> list[GoalSpec]:
        """The rungs under `goal`: lesser goals that are still worth something, best first."""
        order = list(self.goals)
        return [self.goals[name] for name in order[order.index(goal) + 1 :] if self.goals[name].utility > 0]

    def to_networkx(self) -> "nx.DiGraph[str]":
        """The bipartite graph for analysis and drawing: nodes ``tool:NAME`` and ``artifact:NAME`` with a ``kind``.

        Edges run artifact to tool and tool to artifact; those of a k-of-n join carry ``at_least=k``. A goal is a node
        ``goal:NAME`` behind its artifacts.
        """
        import networkx as nx  # a quarter of a second that only drawing pays

        graph: nx.DiGraph[str] = nx.DiGraph()
        for artifact in sorted(self.artifacts):
            graph.add_node(f"artifact:{artifact}", kind="artifact")
        for kind, specs in (("tool", self.routable), ("goal", self.goals)):
            for spec in specs.values():
                node = f"{kind}:{spec.name}"
                graph.add_node(node, kind=kind)
                for need in spec.requires:
                    for artifact in artifacts_of([need]):
                        graph.add_edge(f"artifact:{artifact}", node, at_least=getattr(need, "k", None))
        for tool in self.routable.values():
            for artifact in tool.produces:
                graph.add_edge(f"tool:{tool.name}", f"artifact:{artifact}")
        return graph

    def _auxiliaries(self) -> Iterable[ToolId]:
        for tool in self.tools.values():
            for role, name in (("verify", tool.verify), ("compensate", tool.compensate)):
                if name is None:
                    continue
                subject = f"tool {tool.name!r}"
                if name not in self.tools:
                    raise DefinitionError(subject, f"{role} names {name!r}, which is no tool of this agent")
                if name == tool.name:
                    raise DefinitionError(subject, f"cannot {role} itself")
                lacking = set(tool.produces) - set(self.tools[name].produces)
                if role == "verify" and lacking:
                    raise DefinitionError(subject, f"verify={name!r} must return {', '.join(sorted(lacking))} too")
                yield name


def _by_step(tools: Iterable[ToolSpec]) -> dict[str, tuple[ToolSpec, ...]]:
    """Tools by the model step that they are tiers of.

    Raises:
        DefinitionError: They take or produce different things, or two of them are the same tier.
    """
    found: dict[str, tuple[ToolSpec, ...]] = {}
    for tool in tools:
        if tool.tier is None:
            continue
        others, subject = found.get(tool.tier.step, ()), f"step {tool.tier.step!r}"
        for other in others:
            if (other.requires, other.produces) != (tool.requires, tool.produces):
                why = f"{other.name!r} and {tool.name!r} take or produce different things; give one step another name"
                raise DefinitionError(subject, why)
            if other.tier is not None and other.tier.tier == tool.tier.tier:
                raise DefinitionError(subject, f"{other.name!r} and {tool.name!r} are the same tier")
        found[tool.tier.step] = (*others, tool)
    return found


Named = TypeVar("Named", ToolSpec, GoalSpec)


def _by_name(kind: str, specs: Iterable[Named]) -> dict[Any, Named]:
    found: dict[Any, Named] = {}
    for spec in specs:
        if spec.name in found:
            raise DefinitionError(f"{kind} {spec.name!r}", f"two {kind}s have this name; give one another with name=")
        found[spec.name] = spec
    return found
