"""Python functions as tools: the ``@tool`` decorator."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Optional, cast, overload

from agentroute.adapters.cancellation import own_failures
from agentroute.adapters.signature import Function, Signature, read_signature
from agentroute.adapters.threads import run_in_thread
from agentroute.attempt import current
from agentroute.errors import DefinitionError, ToolError
from agentroute.graph.cost import Cost
from agentroute.graph.tool import DEFAULT_TIMEOUT_S, Effect, ToolSpec
from agentroute.ids import ArtifactId, ToolId
from agentroute.ports import Guard, Tool, Values

if TYPE_CHECKING:
    from agentroute.graph.artifact import ArtifactType

Predicate = Callable[[Any], object] | Callable[[Any, Any], object] | Callable[..., object]


class FunctionGuard:
    """A ``when=`` condition over artifacts, matched to them by parameter."""

    def __init__(self, predicate: Predicate, parameters: Sequence[tuple[str, ArtifactId]]) -> None:
        """Keep the predicate and which artifact each of its parameters receives."""
        self._predicate = predicate
        self._parameters = tuple(parameters)

    @property
    def reads(self) -> Sequence[ArtifactId]:
        """Artifacts that must be known before the predicate can be asked."""
        return tuple(artifact for _, artifact in self._parameters)

    def allows(self, values: Values) -> bool:
        """Whether the predicate holds."""
        return bool(
            cast("Callable[..., object]", self._predicate)(
                **{name: values[artifact] for name, artifact in self._parameters}
            )
        )


class FunctionTool:
    """A function with a contract. Calling it calls the function, as if it had never been decorated."""

    def __init__(
        self,
        function: Function,
        signature: Signature,
        spec: ToolSpec,
        *,
        when: Guard | None = None,
        ensure: Callable[[Any], bool] | None = None,
        auxiliaries: Sequence[Tool] = (),
        probe: Callable[[], Any] | None = None,
    ) -> None:
        """Bind the parts; `tool` builds them from a decorated function."""
        self.probe = probe
        self.function = function
        self.spec = spec
        self.types: Mapping[ArtifactId, ArtifactType] = signature.types
        self.when = when
        self.ensure = ensure
        self.auxiliaries = tuple(auxiliaries)
        self._signature = signature
        self._is_async = inspect.iscoroutinefunction(function)
        self.__doc__ = function.__doc__
        self.__name__ = spec.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        """Show the contract in one line."""
        takes = ", ".join(str(need) for need in self.spec.requires)
        return f"<tool {self.spec.name}: {takes or 'nothing'} -> {', '.join(self.spec.produces) or 'nothing'}>"

    @property
    def runs_in_thread(self) -> bool:
        """Whether it is a plain function: given up, its thread is left behind, and may come back later."""
        return not self._is_async

    async def call(self, inputs: Values) -> Values:
        """Call the function with its artifacts: async ones here, plain ones in a thread of their own."""
        arguments = self._arguments(inputs)
        if self._is_async:
            result = await own_failures(self.function(**arguments))
        else:
            result = await run_in_thread(partial(self.function, **arguments), current())
        return self._outputs(result)

    def _arguments(self, inputs: Values) -> dict[str, Any]:
        contract = self._signature
        arguments = {name: inputs[artifact] for name, artifact in contract.required}
        for join in contract.joins:
            arguments[join.parameter] = join.gather(inputs)
        for name, artifact in contract.optional:
            if artifact in inputs:
                arguments[name] = inputs[artifact]
        return arguments

    def _outputs(self, result: Any) -> Values:
        produces = self._signature.produces
        if result is None and self._signature.nullable:
            return {}
        if len(produces) == 1:
            return {produces[0]: result}
        return split(result, produces)


def split(result: object, produces: Sequence[ArtifactId]) -> Values:
    """Deal out a tuple to the artifacts it stands for.

    Raises:
        ToolError: It is no tuple of that many, which breaks the contract.
    """
    kind = type(result).__name__
    values = cast("tuple[Any, ...]", result) if isinstance(result, tuple) else ()
    if len(values) != len(produces):
        raise ToolError(f"returned {kind}, not a tuple of {len(produces)}", kind="contract")
    return dict(zip(produces, values, strict=True))


@overload
def tool(function: Function, /) -> FunctionTool: ...


@overload
def tool(
    *,
    name: str | None = None,
    usd: float = 0.0,
    usd_max: float | None = None,
    latency_s: float = 0.0,
    risk: float = 0.0,
    wh: float = 0.0,
    effect: Effect = "once",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    provider: str | None = None,
    verify: str | Function | FunctionTool | None = None,
    compensate: str | Function | FunctionTool | None = None,
    ensure: Callable[[Any], bool] | None = None,
    when: Predicate | None = None,
    probe: Callable[[], Any] | None = None,
    returns: Any = None,
) -> Callable[[Function], FunctionTool]: ...


def tool(function: Function | None = None, /, **options: Any) -> FunctionTool | Callable[[Function], FunctionTool]:
    """Make a function a tool; its parameters are the artifacts it takes, its return type those it produces.

    Args:
        function: Async, or plain (then it runs in a thread).
        **options: The contract:

            - ``name``: unique within an agent; the function's name by default.
            - ``usd``, ``usd_max``: expected and worst-case price of one attempt, USD.
            - ``latency_s``: expected duration, seconds. ``risk``: expected share of failures, 0 to 1.
            - ``wh``: expected energy of one attempt, watt-hours; it weighs at ``Rates.usd_per_wh`` and is not billed.
            - ``effect``: ``"read"``, ``"idempotent"`` or ``"once"`` (the default: nothing is called twice unasked).
            - ``timeout_s``: seconds after which an attempt is given up.
            - ``provider``: tools of one provider fail together.
            - ``verify``: read tool (name, or function) that returns the artifact if the effect happened, else None.
            - ``compensate``: tool (name, or function) that takes the artifact and undoes the effect.
            - ``ensure``: postcondition on the output; False or an exception fails the attempt.
            - ``when``: condition on artifacts; False closes the tool for the run. It is asked as soon as all of them
              are known, and does not hold anything up before.
            - ``probe``: function without parameters that asks how the tool is, every ten seconds or so; False or an
              exception makes runs avoid it.
            - ``returns``: what it produces, in place of the return annotation (for functions made by other functions).

    Raises:
        DefinitionError: The signature or an option cannot be used, with the tool's name and why.

    Example:
        >>> from typing import Annotated
        >>> from agentroute import Artifact, tool
        >>> Name, Greeting = Annotated[str, Artifact("name")], Annotated[str, Artifact("greeting")]
        >>> @tool(effect="read")
        ... async def greet(name: Name) -> Greeting:
        ...     return f"Hello {name}"
        >>> greet
        <tool greet: name -> greeting>
    """
    frame = inspect.currentframe()
    # Annotations may be strings that name what is local to the caller.
    scope = frame.f_back.f_locals if frame is not None and frame.f_back is not None else {}
    if function is not None:
        return _build(function, scope, **options)

    def decorate(decorated: Function) -> FunctionTool:
        return _build(decorated, scope, **options)

    return decorate


def _build(
    function: Function,
    scope: Mapping[str, Any],
    *,
    name: str | None = None,
    verify: str | Function | FunctionTool | None = None,
    compensate: str | Function | FunctionTool | None = None,
    ensure: Callable[[Any], bool] | None = None,
    when: Predicate | None = None,
    effect: Effect = "once",
    timeout_s: float = DEFAULT_TIMEOUT_S,
    provider: str | None = None,
    probe: Callable[[], Any] | None = None,
    returns: Any = None,
    **cost: Any,
) -> FunctionTool:
    label = ToolId(name or function.__name__)
    subject = f"tool {label!r}"
    for option, given in (("when=", when), ("ensure=", ensure)):
        if inspect.iscoroutinefunction(given):
            raise DefinitionError(subject, f"{option} must be a plain function: it only looks, and must not wait")
    contract = read_signature(function, subject=subject, local_names=scope, allow_none=True, returned=returns)
    verifier = _auxiliary(verify, label, "verify", contract, scope)
    compensator = _auxiliary(compensate, label, "compensate", contract, scope)
    spec = ToolSpec(
        name=label,
        requires=(*(artifact for _, artifact in contract.required), *(join.need for join in contract.joins)),
        produces=contract.produces,
        cost=Cost(**cost),
        effect=effect,
        timeout_s=timeout_s,
        provider=provider,
        verify=_name_of(verifier),
        compensate=_name_of(compensator),
        optional=tuple(artifact for _, artifact in contract.optional),
    )
    guard = None if when is None else _guard(when, subject, contract, scope)
    brought = [part for part in (verifier, compensator) if isinstance(part, FunctionTool)]
    return FunctionTool(function, contract, spec, when=guard, ensure=ensure, auxiliaries=brought, probe=probe)


def _name_of(part: str | FunctionTool | None) -> ToolId | None:
    return part.spec.name if isinstance(part, FunctionTool) else None if part is None else ToolId(part)


def _auxiliary(
    given: str | Function | FunctionTool | None, owner: ToolId, role: str, contract: Signature, scope: Mapping[str, Any]
) -> str | FunctionTool | None:
    """Turn what was given for ``verify=`` or ``compensate=`` into a tool or the name of one.

    A function without annotations is read by the owner's: parameters of the same name, and for the only parameter
    of a compensation, the artifact that the owner produces.
    """
    if given is None or isinstance(given, (str, FunctionTool)):
        return given
    subject = f"{role} of tool {owner!r}"
    hints: dict[str, Any] = {name: contract.types[artifact].annotation for name, artifact in contract.required}
    parameters = list(inspect.signature(given).parameters)
    if len(contract.produces) == 1:
        produced = contract.types[contract.produces[0]].annotation
        if role == "verify":
            hints["return"] = Optional[produced]  # noqa: UP045  # `|` does not take every annotation
        elif len(parameters) == 1:
            hints.setdefault(parameters[0], produced)
    signature = read_signature(
        given, subject=subject, local_names=scope, hints=hints, allow_none=True, returns=role == "verify"
    )
    signature.nullable = True
    spec = ToolSpec(
        name=ToolId(f"{owner}.{role}"),
        requires=tuple(artifact for _, artifact in signature.required),
        produces=signature.produces,
        effect="read" if role == "verify" else "idempotent",
        optional=tuple(artifact for _, artifact in signature.optional),
    )
    return FunctionTool(given, signature, spec)


def _guard(predicate: Predicate, subject: str, contract: Signature, scope: Mapping[str, Any]) -> FunctionGuard:
    """Match a guard's parameters to artifacts: by annotation, by the tool's parameter names, or as its only input."""
    hints = {name: contract.types[artifact].annotation for name, artifact in contract.required}
    names = list(inspect.signature(predicate).parameters)
    if len(names) == 1 and len(contract.required) == 1:
        hints.setdefault(names[0], contract.types[contract.required[0][1]].annotation)
    try:
        read = read_signature(predicate, subject=f"when= of {subject}", local_names=scope, hints=hints, returns=False)
    except DefinitionError as error:
        known = ", ".join(name for name, _ in contract.required) or "none"
        why = f"{error.why} (or give it the name of one of the tool's parameters: {known})"
        raise DefinitionError(f"when= of {subject}", why) from error
    contract.types.update({name: kind for name, kind in read.types.items() if name not in contract.types})
    return FunctionGuard(predicate, read.required)
