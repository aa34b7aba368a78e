"""The contract of a tool that is called with named values over a wire (MCP, HTTP), not by a signature."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast, get_args, get_origin

from pydantic_core import to_jsonable_python

from agentroute.adapters.functions import FunctionGuard, Predicate
from agentroute.errors import DefinitionError, ToolError
from agentroute.graph.artifact import ArtifactType, artifact_type, check_name, without_none
from agentroute.graph.cost import Cost
from agentroute.graph.goal import resolve_need
from agentroute.graph.tool import DEFAULT_TIMEOUT_S, Effect, KOfN, Need, ToolSpec
from agentroute.ids import ArtifactId, ToolId
from agentroute.ports import Guard, Tool, Values


class ToolOptions(TypedDict, total=False):
    """Options that tools of every kind share; the same as those of ``@tool``.

    usd, usd_max:
        Expected and worst-case price of one attempt, USD.
    latency_s, risk:
        Expected duration in seconds, and expected share of failures.
    wh:
        Expected energy of one attempt, watt-hours.
    timeout_s:
        Seconds after which an attempt is given up.
    provider:
        Tools of one provider fail together.
    verify, compensate:
        Tool (or name of one) that says whether the effect happened, and one that undoes it.
    ensure:
        Postcondition on the output.
    when:
        Condition on the inputs, matched to them by parameter name; False closes the tool for the run.
    """

    usd: float
    usd_max: float | None
    latency_s: float
    risk: float
    wh: float
    timeout_s: float
    provider: str | None
    verify: str | Tool | None
    compensate: str | Tool | None
    ensure: Callable[[Any], bool] | None
    when: Predicate | None


@dataclass(frozen=True, slots=True)
class WireContract:
    """A contract, and how artifacts become named values and an answer becomes artifacts.

    Attributes:
        spec: The contract proper.
        types: Types of the artifacts, as far as they are known.
        parameters: What each named value is filled with.
        nullable: An answer of None means "nothing there".
        when: Guard, if there is one.
        ensure: Postcondition, if there is one.
        auxiliaries: Tools given for ``verify`` or ``compensate``.
    """

    spec: ToolSpec
    types: Mapping[ArtifactId, ArtifactType]
    parameters: Mapping[str, Need]
    nullable: bool = False
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: tuple[Tool, ...] = ()

    @property
    def result_type(self) -> ArtifactType | None:
        """Type of the answer, if the tool produces one artifact and its type is known."""
        return self.types.get(self.spec.produces[0]) if len(self.spec.produces) == 1 else None

    def arguments(self, inputs: Values) -> dict[str, Any]:
        """JSON data by parameter; what is not at hand is left out, a join becomes an object by artifact."""
        arguments: dict[str, Any] = {}
        for name, need in self.parameters.items():
            if isinstance(need, KOfN):
                arguments[name] = {part: self._to_json(part, inputs[part]) for part in need.of if part in inputs}
            elif need in inputs:
                arguments[name] = self._to_json(need, inputs[need])
        return arguments

    def outputs(self, answer: Any) -> Values:
        """Spread an answer over the artifacts produced; several come as an object by artifact name.

        Raises:
            ToolError: It holds none of an artifact that the contract promises.
        """
        produces = self.spec.produces
        if answer is None and self.nullable:
            return {}
        if len(produces) == 1:
            return {produces[0]: answer}
        fields: Mapping[Any, Any] = cast("Mapping[Any, Any]", answer) if isinstance(answer, Mapping) else {}
        if missing := [name for name in produces if name not in fields]:
            raise ToolError(f"{self.spec.name} answered without {', '.join(missing)}", kind="contract")
        return {name: fields[name] for name in produces}

    def _to_json(self, artifact: ArtifactId, value: Any) -> Any:
        known = self.types.get(artifact)
        return to_jsonable_python(value) if known is None else known.to_json(value)


class WireTool(ABC):
    """What every tool with a `WireContract` says of itself; how it is called is up to the tool."""

    @abstractmethod
    def wire(self) -> WireContract:
        """What it takes and returns."""

    @property
    def spec(self) -> ToolSpec:
        """The contract proper."""
        return self.wire().spec

    @property
    def types(self) -> Mapping[ArtifactId, ArtifactType]:
        """Types of the artifacts, as far as they are known."""
        return self.wire().types

    @property
    def when(self) -> Guard | None:
        """Guard, if there is one."""
        return self.wire().when

    @property
    def ensure(self) -> Callable[[Any], bool] | None:
        """Postcondition, if there is one."""
        return self.wire().ensure

    @property
    def auxiliaries(self) -> Sequence[Tool]:
        """Tools given for ``verify`` or ``compensate``."""
        return self.wire().auxiliaries


@dataclass(slots=True)
class _Reading:
    """Artifacts met while a contract is read."""

    subject: str
    types: dict[ArtifactId, ArtifactType] = field(default_factory=dict[ArtifactId, ArtifactType])
    parameters: dict[str, Need] = field(default_factory=dict[str, Need])
    required: list[Need] = field(default_factory=list[Need])
    optional: list[ArtifactId] = field(default_factory=list[ArtifactId])

    def take(self, name: str, annotation: Any) -> None:
        """Note what parameter `name` is filled with; ``X | None`` makes it optional."""
        bare, optional = without_none(annotation)
        if optional:
            artifact = self.note(bare)
            self.parameters[name] = artifact
            self.optional.append(artifact)
            return
        self.parameters[name] = need = resolve_need(annotation, f"{self.subject}, {name!r}", self.types)
        if need not in self.required:
            self.required.append(need)

    def note(self, annotation: Any) -> ArtifactId:
        """Id of an artifact given by name or by type."""
        if isinstance(annotation, str):
            return ArtifactId(check_name("artifact", annotation))
        found = artifact_type(annotation, subject=self.subject)
        self.types.setdefault(found.id, found)
        return found.id


def read_contract(
    name: str, takes: Mapping[str, Any], returns: Any, effect: Effect, options: ToolOptions
) -> WireContract:
    """Build a contract from what a user declares.

    Args:
        name: Of the tool.
        takes: Artifact of each named value: a type, ``Annotated[..., Artifact(name)]``, an artifact's name,
            ``AtLeast(...)``, or ``X | None`` for one that is passed along if it is at hand.
        returns: Artifact of the answer, ``X | None``, ``tuple[A, B]`` for an object of several, or None.
        effect: What a second call would do.
        options: The rest.

    Raises:
        DefinitionError: With the tool's name and why.
    """
    reading = _Reading(f"tool {name!r}")
    for parameter, annotation in takes.items():
        reading.take(parameter, annotation)
    bare, nullable = without_none(returns)
    parts: Sequence[Any] = get_args(bare) if get_origin(bare) is tuple else () if bare is None else (bare,)
    produces = tuple(reading.note(part) for part in parts)
    verify, compensate = options.get("verify"), options.get("compensate")
    spec = ToolSpec(
        name=ToolId(name),
        requires=tuple(reading.required),
        produces=produces,
        cost=Cost(
            options.get("usd", 0.0),
            options.get("usd_max"),
            options.get("latency_s", 0.0),
            options.get("risk", 0.0),
            wh=options.get("wh", 0.0),
        ),
        effect=effect,
        timeout_s=options.get("timeout_s", DEFAULT_TIMEOUT_S),
        provider=options.get("provider"),
        verify=_name(verify),
        compensate=_name(compensate),
        optional=tuple(part for part in reading.optional if part not in reading.required),
    )
    return WireContract(
        spec=spec,
        types=reading.types,
        parameters=reading.parameters,
        nullable=nullable,
        when=_guard(options.get("when"), reading),
        ensure=options.get("ensure"),
        auxiliaries=tuple(part for part in (verify, compensate) if part is not None and not isinstance(part, str)),
    )


def bind_contract(
    spec: ToolSpec, arguments: Mapping[str, str], types: Mapping[ArtifactId, ArtifactType]
) -> WireContract:
    """Use a contract from a document, with `arguments` saying which artifact fills which named value.

    Raises:
        DefinitionError: An argument asks for an artifact that the tool does not require.
    """
    joins: dict[str, Need] = {part: part for need in spec.requires if isinstance(need, KOfN) for part in need.of}
    plain: dict[str, Need] = {need: need for need in spec.requires if not isinstance(need, KOfN)}
    known = {**joins, **plain, **{part: part for part in spec.optional}}
    for parameter, artifact in arguments.items():
        if artifact not in known:
            why = f"argument {parameter!r} asks for {artifact!r}, which the tool does not require"
            raise DefinitionError(f"tool {spec.name!r}", f"{why} (it requires: {', '.join(known) or 'nothing'})")
    return WireContract(spec, types, {name: known[artifact] for name, artifact in arguments.items()})


def _name(part: str | Tool | None) -> ToolId | None:
    return None if part is None else ToolId(part) if isinstance(part, str) else part.spec.name


def _guard(predicate: Predicate | None, reading: _Reading) -> Guard | None:
    """Match a condition's parameters to what is taken, by name, or as the only thing taken."""
    if predicate is None:
        return None
    plain = {name: need for name, need in reading.parameters.items() if not isinstance(need, KOfN)}
    names = list(inspect.signature(predicate).parameters)
    if len(names) == len(plain) == 1:
        return FunctionGuard(predicate, [(names[0], next(iter(plain.values())))])
    if unknown := [name for name in names if name not in plain]:
        why = f"{', '.join(unknown)} is nothing that it takes; use {', '.join(plain) or 'no parameters'}"
        raise DefinitionError(f"when= of {reading.subject}", why)
    return FunctionGuard(predicate, [(name, plain[name]) for name in names])
