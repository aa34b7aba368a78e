"""Reads a Python function's signature as a contract: which artifacts it takes and returns."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin

from agentroute.errors import DefinitionError
from agentroute.graph.artifact import TOO_COMMON, ArtifactType, artifact_type, marker, without_none
from agentroute.graph.goal import resolve_join
from agentroute.graph.tool import AtLeast, KOfN
from agentroute.ids import ArtifactId

Function = Callable[..., Any]

Parameters = tuple[tuple[str, ArtifactId], ...]
"""Pairs of a parameter's name and the artifact it receives."""


@dataclass(frozen=True, slots=True)
class Join:
    """A parameter that receives whatever is at hand of k-of-n artifacts, as a dict by name or as a list."""

    parameter: str
    need: KOfN
    shape: Literal["dict", "list"]

    def gather(self, values: Mapping[ArtifactId, Any]) -> Any:
        """Collect what is at hand, in the order of the declaration."""
        found = {name: values[name] for name in self.need.of if name in values}
        return found if self.shape == "dict" else list(found.values())


@dataclass(slots=True)
class Signature:
    """A function as a contract.

    Attributes:
        required: Parameters that receive one artifact each.
        joins: Parameters that receive k of n artifacts.
        optional: Parameters that receive an artifact if it is at hand, else their default.
        produces: Artifacts of the return type, in order.
        nullable: The function may return None for "nothing there".
        types: Types of all artifacts met.
    """

    required: Parameters = ()
    joins: tuple[Join, ...] = ()
    optional: Parameters = ()
    produces: tuple[ArtifactId, ...] = ()
    nullable: bool = False
    types: dict[ArtifactId, ArtifactType] = field(default_factory=dict)


def read_signature(
    function: Function,
    *,
    subject: str,
    local_names: Mapping[str, Any] | None = None,
    hints: Mapping[str, Any] | None = None,
    allow_none: bool = False,
    returns: bool = True,
    returned: Any = None,
) -> Signature:
    """Derive the contract of `function`.

    Args:
        function: Plain or async.
        subject: Whose definition this is, for error messages.
        local_names: Names in scope where the function was defined, to resolve annotations given as strings.
        hints: Annotations for parameters (and ``"return"``) that carry none of their own.
        allow_none: Whether it may be declared to return ``X | None``, or nothing.
        returns: Whether its return type names artifacts at all.
        returned: What it returns, in place of its return annotation.

    Raises:
        DefinitionError: A parameter or the return value does not name an artifact.
    """
    annotations = {**(hints or {}), **read_annotations(function, subject, local_names)}
    contract = Signature()
    for parameter in inspect.signature(function).parameters.values():
        _read_parameter(parameter, annotations.get(parameter.name, parameter.empty), subject, contract)
    if returns:
        _read_return(
            annotations.get("return") if returned is None else returned, subject, contract, allow_none=allow_none
        )
    return contract


def read_annotations(function: Function, subject: str, local_names: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Resolve a function's annotations, those given as strings included.

    Raises:
        DefinitionError: A name in one of them is not defined.
    """
    try:
        return typing.get_type_hints(function, localns=dict(local_names or {}), include_extras=True)
    except NameError as error:
        raise DefinitionError(
            subject, f"its annotation {error.name!r} cannot be resolved; define it before the tool"
        ) from error
    except TypeError:  # builtins and other callables without annotations
        return {}


def _read_parameter(parameter: inspect.Parameter, annotation: Any, subject: str, contract: Signature) -> None:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise DefinitionError(subject, f"parameter {parameter} cannot name an artifact; use plain named parameters")
    if (join := _join(annotation)) is not None:
        need = resolve_join(join, subject, contract.types)
        contract.joins += (Join(parameter.name, need, _shape(annotation)),)
        return
    bare, _ = without_none(annotation)
    if parameter.default is not parameter.empty:
        if _names_artifact(bare):  # anything else with a default is a setting of the function's own
            contract.optional += ((parameter.name, _note(bare, subject, contract)),)
        return
    if annotation is parameter.empty:
        raise DefinitionError(subject, f"parameter {parameter.name!r} needs a type annotation; it names the artifact")
    contract.required += ((parameter.name, _note(annotation, f"{subject}, parameter {parameter.name!r}", contract)),)


def _note(annotation: Any, subject: str, contract: Signature) -> ArtifactId:
    found = artifact_type(annotation, subject=subject)
    contract.types.setdefault(found.id, found)
    return found.id


def _join(annotation: Any) -> AtLeast | None:
    if isinstance(annotation, AtLeast):
        return annotation
    if get_origin(annotation) is Annotated:
        return next((m for m in get_args(annotation)[1:] if isinstance(m, AtLeast)), None)
    return None


def _shape(annotation: Any) -> Literal["dict", "list"]:
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else dict
    base = get_origin(bare) or bare
    return "dict" if base is dict or base is Mapping else "list"


def _names_artifact(annotation: Any) -> bool:
    if marker(annotation) is not None:
        return True
    base = get_origin(annotation) or annotation
    return isinstance(base, type) and base not in TOO_COMMON and base is not inspect.Parameter.empty


def _read_return(annotation: Any, subject: str, contract: Signature, *, allow_none: bool) -> None:
    if annotation is None or annotation is type(None):
        contract.nullable = True
        return
    bare, contract.nullable = without_none(annotation)
    if contract.nullable and not allow_none:
        raise DefinitionError(
            subject,
            f"returns {annotation}; a tool on a route returns the artifact or raises (None is for verify tools)",
        )
    parts: tuple[Any, ...] = (bare,)
    if get_origin(bare) is tuple and Ellipsis not in get_args(bare):
        parts = get_args(bare)
    contract.produces = tuple(_note(part, f"{subject}, return type", contract) for part in parts)
