"""Matches what a caller hands over to the artifacts of a graph: goals, tools and inputs, by name or by type."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from agentroute.errors import InputError
from agentroute.graph.artifact import ArtifactType, artifact_type, marker
from agentroute.graph.toolgraph import ToolGraph
from agentroute.ids import ArtifactId, GoalId, ToolId


class Names:
    """Finds the names of one agent; unknown ones are refused with a hint."""

    def __init__(self, owner: str, graph: ToolGraph, types: Mapping[ArtifactId, ArtifactType]) -> None:
        """Bind the agent's name (for messages), its graph, and what is known of its artifacts' types."""
        self._owner = owner
        self._graph = graph
        self._types = types

    def goal(self, name: str | None) -> GoalId:
        """The goal of that name; the first of the agent's for None.

        Raises:
            InputError: There is none.
        """
        return self._graph.first_goal if name is None else GoalId(self._known(name, self._graph.goals, "goal"))

    def tools(self, names: Iterable[str]) -> frozenset[ToolId]:
        """The tools of these names.

        Raises:
            InputError: One of them is none.
        """
        return frozenset(ToolId(self._known(name, self._graph.tools, "tool")) for name in names)

    def artifact(self, item: Any) -> ArtifactId:
        """The artifact that a name or a type stands for.

        Raises:
            InputError: The agent knows none of that name.
        """
        name = item if isinstance(item, str) else artifact_type(item, subject="have=").id
        known = self._graph.artifacts | self._types.keys()  # some are read by nobody but a guard
        return ArtifactId(self._known(name, known, "artifact"))

    def inputs(self, values: Iterable[Any], named: Mapping[str, Any]) -> dict[ArtifactId, Any]:
        """Artifacts at hand: `values` recognised by their type, `named` ones validated.

        Raises:
            InputError: A value is no artifact of the agent, could be several, or does not fit its type.
        """
        found: dict[ArtifactId, Any] = {}
        for value in values:
            artifact = self._recognise(value)
            if artifact in found:
                raise InputError(f"two values for {artifact!r}; a run has one of each artifact")
            found[artifact] = value
        for name, value in named.items():
            artifact = self.artifact(name)
            kind = self._types.get(artifact)
            try:
                found[artifact] = value if kind is None else kind.validate(value)
            except ValidationError as error:
                raise InputError(f"input {name!r} does not fit:\n{_problems(error)}") from error
        return found

    def _recognise(self, value: Any) -> ArtifactId:
        """Which artifact a value is: the one named like its type, else the only one of that type."""
        if isinstance(value, dict):
            raise InputError("pass inputs by name as a mapping: run(inputs={...}), not run({...})")
        name = type(value).__name__
        kind = self._types.get(ArtifactId(name))
        if kind is not None and marker(kind.annotation) is None:
            return kind.id
        matches = [kind for kind in self._types.values() if _holds(kind, value)]
        matches = [kind for kind in matches if kind.id in self._graph.inputs] or matches
        if len(matches) == 1:
            return matches[0].id
        names = ", ".join(sorted(kind.id for kind in matches)) or "none"
        raise InputError(f"a value of type {name} could be any of: {names}; pass it by name: inputs={{'...': value}}")

    def _known(self, name: str, among: Iterable[str], kind: str) -> str:
        known = list(among)
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there is: {', '.join(sorted(known))}"
            raise InputError(f"agent {self._owner!r} has no {kind} {name!r}; {hint}")
        return name


def _holds(kind: ArtifactType, value: Any) -> bool:
    annotation = getattr(kind.annotation, "__origin__", kind.annotation)
    return isinstance(annotation, type) and isinstance(value, annotation)


def _problems(error: ValidationError) -> str:
    """One line for each problem; without the values, which may be secret or long."""
    details = error.errors(include_input=False, include_url=False, include_context=False)
    return "\n".join(f"  {'.'.join(map(str, d['loc'])) or 'value'}: {d['msg']}" for d in details[:20])
