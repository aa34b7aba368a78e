"""Artifacts: named, typed values. A type annotation names the artifact it stands for."""

import types
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ConfigDict, PydanticUserError, TypeAdapter

from agentroute.errors import DefinitionError
from agentroute.ids import ArtifactId

TOO_COMMON = (str, int, float, complex, bool, bytes, list, dict, set, frozenset, tuple, object, type(None))
"""Types that say nothing about what a value means; they need a name of their own."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A name for a value whose type is too common to name it.

    Example:
        >>> from typing import Annotated
        >>> City = Annotated[str, Artifact("city")]
        >>> artifact_type(City).id
        'city'
    """

    name: str

    def __post_init__(self) -> None:
        """Refuse names that could not be typed at a prompt or written to a file."""
        check_name("artifact", self.name)


@dataclass(frozen=True)
class ArtifactType:
    """An artifact's id and the Python type its values have."""

    id: ArtifactId
    annotation: Any

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        try:
            return TypeAdapter(self.annotation, config=ConfigDict(arbitrary_types_allowed=True))
        except PydanticUserError:  # models and dataclasses bring their own configuration
            return TypeAdapter(self.annotation)

    def validate(self, value: object) -> Any:
        """Return `value` as this type.

        Raises:
            pydantic.ValidationError: It does not fit.
        """
        return self._adapter.validate_python(value)

    def validate_json(self, text: str | bytes) -> Any:
        """Parse JSON text into this type.

        Raises:
            pydantic.ValidationError: It is not JSON, or does not fit.
        """
        return self._adapter.validate_json(text)

    def to_json(self, value: object) -> Any:
        """Turn a value of this type into plain JSON data (dicts, lists, strings, numbers)."""
        return self._adapter.dump_python(value, mode="json")


def check_name(kind: str, name: str) -> str:
    """Return `name` if it can name something of `kind`.

    Raises:
        DefinitionError: Empty, longer than 200 characters, or with control characters or blanks at its ends.
    """
    if not isinstance(name, str) or not name or name != name.strip() or len(name) > 200 or not name.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise DefinitionError(f"{kind} {name!r}", "a name is 1 to 200 printable characters without blanks at its ends")
    return name


def marker(annotation: object) -> Artifact | None:
    """Return the ``Artifact`` in an ``Annotated`` type, if there is one."""
    if get_origin(annotation) is Annotated:
        return next((m for m in get_args(annotation)[1:] if isinstance(m, Artifact)), None)
    return None


def artifact_type(annotation: Any, *, subject: str = "artifact") -> ArtifactType:
    """Read an annotation as an artifact: its ``Artifact("name")`` if marked, else the type's name.

    Args:
        annotation: A type, ``Annotated[type, Artifact(name)]``, or a bare ``Artifact(name)`` (any value).
        subject: Who is asking, for the error message.

    Raises:
        DefinitionError: The type is too common to be a name, or is a union of several.
    """
    if isinstance(annotation, Artifact):
        return ArtifactType(ArtifactId(annotation.name), Any)
    if (named := marker(annotation)) is not None:
        return ArtifactType(ArtifactId(named.name), annotation)
    bare = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(bare) in (Union, types.UnionType):
        raise DefinitionError(subject, f"{bare} is a union; name it: Annotated[..., Artifact('name')]")
    base = get_origin(bare) or bare
    if base in TOO_COMMON or base is Any or not isinstance(base, type):
        raise DefinitionError(
            subject, f"{bare} is too common to name an artifact; write Annotated[..., Artifact('name')]"
        )
    return ArtifactType(ArtifactId(base.__name__), annotation)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Split ``X | None`` into ``X`` and True; anything else comes back with False."""
    if get_origin(annotation) in (Union, types.UnionType):
        kept = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(kept) == 1 and len(kept) < len(get_args(annotation)):
            return kept[0], True
    return annotation, False
