"""Binds the tools of a graph file to Python functions: the file has the contract, the function the code."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from agentroute.adapters.cancellation import own_failures
from agentroute.adapters.functions import FunctionTool, split
from agentroute.adapters.signature import Function, read_annotations
from agentroute.adapters.threads import run_in_thread
from agentroute.attempt import current
from agentroute.errors import ConfigurationError, DefinitionError
from agentroute.graph.artifact import ArtifactType, artifact_type, without_none
from agentroute.graph.document import GraphDocument, ToolEntry
from agentroute.graph.tool import Guard, ToolSpec, artifacts_of
from agentroute.ids import ArtifactId
from agentroute.ports import Tool, Values

if TYPE_CHECKING:
    from agentroute.adapters.mcp.servers import McpServers


class UnboundTool:
    """A tool of a graph file that nothing was bound to: routes can be planned over it, runs refuse to start."""

    unbound = True
    when: Guard | None = None
    ensure: Callable[[Any], bool] | None = None
    auxiliaries: Sequence[Tool] = ()

    def __init__(self, spec: ToolSpec) -> None:
        """Keep the contract."""
        self.spec = spec
        self.types: Mapping[ArtifactId, ArtifactType] = {}

    async def call(self, inputs: Values) -> Values:
        """Refuse.

        Raises:
            ConfigurationError: Always.
        """
        del inputs
        raise ConfigurationError(f"tool {self.spec.name!r} of the graph file is bound to nothing")


class BoundTool:
    """A contract from a graph file, fulfilled by a function."""

    auxiliaries: Sequence[Tool] = ()

    def __init__(self, spec: ToolSpec, function: Function | FunctionTool) -> None:
        """Match the function's parameters to the artifacts of the contract.

        A parameter receives the artifact of its own name (``-`` and blanks read as ``_``), else the one its annotation
        names, else the only one there is.

        Raises:
            DefinitionError: A parameter matches no artifact that the contract requires.
        """
        decorated = function if isinstance(function, FunctionTool) else None
        if decorated is not None and decorated.auxiliaries:
            why = "its function brings verify= or compensate= of its own; name tools of the graph file there"
            raise DefinitionError(f"tool {spec.name!r}", why)
        self.spec = spec
        self.when = decorated.when if decorated else None
        self.ensure = decorated.ensure if decorated else None
        self._function = decorated.function if decorated else function
        self._is_async = inspect.iscoroutinefunction(self._function)
        self._annotations = read_annotations(self._function, f"tool {spec.name!r}")
        self._parameters = self._match()
        self.types = self._types()

    async def call(self, inputs: Values) -> Values:
        """Call the function with the artifacts at hand."""
        arguments = {name: inputs[artifact] for name, artifact in self._parameters.items() if artifact in inputs}
        call = partial(self._function, **arguments)
        result = await own_failures(call()) if self._is_async else await run_in_thread(call, current())
        return self._outputs(result)

    def _match(self) -> dict[str, ArtifactId]:
        takes = [*artifacts_of(self.spec.requires), *self.spec.optional]
        by_name = {artifact.replace("-", "_").replace(" ", "_"): artifact for artifact in takes}
        matched: dict[str, ArtifactId] = {}
        for parameter in inspect.signature(self._function).parameters.values():
            artifact = by_name.get(parameter.name) or self._by_annotation(parameter.name, takes)
            if artifact is None and len(takes) == 1 and takes[0] not in matched.values():
                artifact = takes[0]
            if artifact is not None:
                matched[parameter.name] = artifact
            elif parameter.default is parameter.empty:
                known = ", ".join(takes) or "nothing"
                raise DefinitionError(
                    f"tool {self.spec.name!r}",
                    f"its function takes {parameter.name!r}; the graph file gives it: {known}",
                )
        return matched

    def _by_annotation(self, parameter: str, takes: Sequence[ArtifactId]) -> ArtifactId | None:
        try:
            named = artifact_type(without_none(self._annotations.get(parameter))[0]).id
        except DefinitionError:
            return None
        return named if named in takes else None

    def _types(self) -> dict[ArtifactId, ArtifactType]:
        """What the annotations say about the artifacts of the contract, under the contract's names."""
        hints = {
            artifact: self._annotations[name]
            for name, artifact in self._parameters.items()
            if name in self._annotations
        }
        returned = self._annotations.get("return")
        if returned is not None and len(self.spec.produces) == 1:
            hints[self.spec.produces[0]] = without_none(returned)[0]
        return {artifact: ArtifactType(artifact, annotation) for artifact, annotation in hints.items()}

    def _outputs(self, result: Any) -> Values:
        produces = self.spec.produces
        if result is None:
            return {}
        if len(produces) == 1:
            return {produces[0]: result}
        if isinstance(result, Mapping):
            named = cast("Mapping[ArtifactId, Any]", result)
            return {name: named[name] for name in produces if name in named}
        return split(result, produces)


def bind(
    document: GraphDocument,
    file: str,
    tools: Mapping[str, Function | FunctionTool | Tool],
    mcp: "McpServers | None",
) -> list[Tool]:
    """Find the code for the tools of a graph file; what has none becomes an `UnboundTool`.

    Args:
        document: The file's contents.
        file: Its name, for messages.
        tools: Functions or ready tools, by the names in the file.
        mcp: Servers for the tools that the file binds with ``mcp:``.

    Raises:
        DefinitionError: A function does not fit its contract, or is given for a tool that the file does not have.
    """
    strangers = set(tools) - {entry.name for entry in document.tools}
    if strangers:
        raise DefinitionError(file, f"has no tool {', '.join(sorted(map(repr, strangers)))} to bind")
    return [_bind_one(entry, tools.get(entry.name), mcp) for entry in document.tools]


def _bind_one(entry: ToolEntry, given: Function | FunctionTool | Tool | None, mcp: "McpServers | None") -> Tool:
    if given is None:
        if entry.mcp is None or mcp is None:
            return UnboundTool(entry.spec)
        from agentroute.adapters.mcp.servers import bind_spec

        return bind_spec(mcp, entry.spec, entry.mcp.server, entry.mcp.tool, entry.mcp.arguments)
    if isinstance(given, FunctionTool) or not hasattr(given, "spec"):
        return BoundTool(entry.spec, cast("Function | FunctionTool", given))
    return cast("Tool", given)
