"""Goals, and the ladder of lesser goals that are still worth something."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentroute.errors import DefinitionError
from agentroute.graph.artifact import ArtifactType, artifact_type, check_name
from agentroute.graph.cost import checked
from agentroute.graph.tool import AtLeast, KOfN, Need
from agentroute.ids import ArtifactId, GoalId


@dataclass(frozen=True, slots=True)
class GoalSpec:
    """A goal with its artifacts resolved to ids: all of `requires`, worth `utility`."""

    name: GoalId
    requires: tuple[Need, ...]
    utility: float = 1.0

    def __post_init__(self) -> None:
        """Refuse goals that ask for nothing or are worth a nonsensical amount."""
        check_name("goal", self.name)
        if not self.requires:
            raise DefinitionError(f"goal {self.name!r}", "requires at least one artifact")
        checked(f"goal {self.name!r}", "utility", self.utility)


class Goal:
    """Artifacts an agent should end up with.

    Args:
        name: How runs ask for it.
        requires: Types, ``Annotated[..., Artifact(name)]``, artifact names, or `AtLeast`; all are needed.
        utility: What reaching it is worth, against the other goals of the ladder.

    Example:
        >>> Goal("greeted", requires=["greeting"], utility=0.5).spec.requires
        ('greeting',)
    """

    __slots__ = ("spec", "types")

    def __init__(self, name: str, requires: Sequence[Any], utility: float = 1.0) -> None:
        """Resolve the artifacts asked for."""
        found: dict[ArtifactId, ArtifactType] = {}
        needs = tuple(resolve_need(item, f"goal {name!r}", found) for item in requires)
        self.spec = GoalSpec(GoalId(name), needs, utility)
        self.types = found

    def __repr__(self) -> str:
        """Show what makes two goals differ."""
        needs = ", ".join(str(need) for need in self.spec.requires)
        return f"Goal({self.spec.name!r}, requires=[{needs}], utility={self.spec.utility})"


def resolve_need(item: Any, subject: str, types: dict[ArtifactId, ArtifactType]) -> Need:
    """Read one requirement; artifact types met on the way are added to `types`.

    Raises:
        DefinitionError: It names no artifact.
    """
    return resolve_join(item, subject, types) if isinstance(item, AtLeast) else _artifact_id(item, subject, types)


def resolve_join(item: AtLeast, subject: str, types: dict[ArtifactId, ArtifactType]) -> KOfN:
    """Read "at least k of"; artifact types met on the way are added to `types`.

    Raises:
        DefinitionError: It names something that is no artifact, or one twice.
    """
    return KOfN(item.k, tuple(_artifact_id(part, subject, types) for part in item.of))


def _artifact_id(item: Any, subject: str, types: dict[ArtifactId, ArtifactType]) -> ArtifactId:
    if isinstance(item, str):
        return ArtifactId(check_name("artifact", item))
    found = artifact_type(item, subject=subject)
    types.setdefault(found.id, found)
    return found.id
