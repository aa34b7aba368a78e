"""Tools as contracts: what one takes, returns, costs, and whether it may be called twice."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, get_args

from agentroute.errors import DefinitionError
from agentroute.graph.artifact import check_name
from agentroute.graph.cost import NOTHING, Amounts, Cost, checked
from agentroute.ids import ArtifactId, ToolId

Effect = Literal["read", "idempotent", "once"]
"""read: changes nothing. idempotent: twice is like once. once: a second call is a second effect."""

EFFECTS: tuple[Effect, ...] = get_args(Effect)

DEFAULT_TIMEOUT_S = 30.0


class Guard(Protocol):
    """A condition on artifacts that makes a tool infeasible for a run (``when=``). A pure function of its values."""

    @property
    def reads(self) -> Sequence[ArtifactId]:
        """Artifacts that must be known before the guard can say anything."""
        ...

    def allows(self, values: Mapping[ArtifactId, Any]) -> bool:
        """Whether the tool may be used with these values; an exception counts as no."""
        ...


class AtLeast:
    """Joins k of n: at least `k` of the artifacts in `of` are needed.

    As a parameter's annotation the tool receives what is at hand of them, as a dict by artifact name
    (or a list, if annotated ``Annotated[list[...], AtLeast(...)]``). In ``Goal(requires=[...])`` it asks for
    any `k` of them.

    Raises:
        DefinitionError: `k` is below 1 or above the number of artifacts, or an artifact is named twice.
    """

    __slots__ = ("k", "of")

    def __init__(self, k: int, of: Sequence[Any]) -> None:
        """Keep `k` and the annotations; they are read as artifacts where they are used."""
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(of):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DefinitionError("AtLeast", f"needs 1 <= k <= {len(of)} (the artifacts listed), not k={k!r}")
        self.k = k
        self.of = tuple(of)

    def __repr__(self) -> str:
        """Show k and n as they were written."""
        return f"AtLeast({self.k}, of={list(self.of)!r})"


@dataclass(frozen=True, slots=True)
class KOfN:
    """`AtLeast` with its artifacts resolved to ids."""

    k: int
    of: tuple[ArtifactId, ...]

    def __post_init__(self) -> None:
        """Refuse joins that can never be met, or that count one artifact twice."""
        if len(set(self.of)) != len(self.of):
            raise DefinitionError("at_least", f"names an artifact twice: {', '.join(self.of)}")
        if not 1 <= self.k <= len(self.of):
            raise DefinitionError("at_least", f"needs {self.k} of {len(self.of)} artifacts, which is impossible")

    def __str__(self) -> str:
        """Read like the sentence it is."""
        return f"{self.k} of ({', '.join(self.of)})"


Need: TypeAlias = ArtifactId | KOfN
"""One requirement: an artifact, or k of several."""


def artifacts_of(needs: Sequence[Need]) -> Iterator[ArtifactId]:
    """Yield every artifact that `needs` mention, in order."""
    for need in needs:
        if isinstance(need, KOfN):
            yield from need.of
        else:
            yield need


DECLARED_RIGHT = 0.8
"""Chance that a tier's answer is right, where nobody has said anything."""


@dataclass(frozen=True, slots=True)
class StepTier:
    """What makes a tool one of several ways to do the same model step.

    Attributes:
        step: Name of the step. Tools with the same step take and produce the same.
        tier: Which way it is: the model, and the effort. What is learned of it counts for all steps.
        detection: Chance that a wrong answer is noticed, 0 to 1.
        right: Chance that an answer is right, as far as anybody knows beforehand.
    """

    step: str
    tier: str
    detection: float = 0.0
    right: float = DECLARED_RIGHT

    def check(self, subject: str) -> None:
        """Refuse what is no chance, and names that say nothing.

        Raises:
            DefinitionError: With `subject` and the field.
        """
        check_name("step", self.step)
        checked(subject, "detection", self.detection, largest=1.0)
        checked(subject, "right", self.right, largest=1.0)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The contract of one tool; pure data, nothing here can be called.

    Attributes:
        name: Unique within an agent.
        requires: All of these are needed (AND); a `KOfN` is met by any k of its artifacts.
        produces: Every artifact a successful attempt returns.
        cost: Expected and worst-case cost of one attempt.
        effect: What a second call would do; ``once`` unless declared otherwise.
        timeout_s: An attempt is given up after this many seconds.
        provider: Tools of one provider fail together.
        verify: Name of the read tool that says, after an ambiguous failure, whether the effect happened.
        compensate: Name of the tool that undoes the effect.
        optional: Artifacts passed along if they are at hand, never waited for.
        calls_model: An attempt is a model call (counts against ``llm_calls``).
        tokens: Tokens that an attempt reads and writes at most.
        least_tokens: Tokens that it can do with, if that is less; None: it cannot.
        tier: Which step it is a tier of, if it is one.
        nested: What an agent behind it will need at the least, of what is counted as it happens and not reserved with
            the attempt: tokens, calls of models and of tools.
        worst: What an attempt uses at most.
        least: What has to be reserved for one at the least: `worst`, for tools that cannot do with less.
        needs: What has to be left for one at the least: `least`, and `nested` besides.
    """

    name: ToolId
    requires: tuple[Need, ...] = ()
    produces: tuple[ArtifactId, ...] = ()
    cost: Cost = field(default_factory=Cost)
    effect: Effect = "once"
    timeout_s: float = DEFAULT_TIMEOUT_S
    provider: str | None = None
    verify: ToolId | None = None
    compensate: ToolId | None = None
    optional: tuple[ArtifactId, ...] = ()
    calls_model: bool = False
    tokens: int = 0
    least_tokens: int | None = None
    tier: StepTier | None = None
    nested: Amounts = NOTHING
    worst: Amounts = field(init=False, repr=False, compare=False)
    least: Amounts = field(init=False, repr=False, compare=False)
    needs: Amounts = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse contracts no run could honour, naming the tool."""
        check_name("tool", self.name)
        self.cost.check(f"tool {self.name!r}")
        if self.effect not in EFFECTS:
            raise DefinitionError(
                f"tool {self.name!r}", f"effect must be one of {', '.join(EFFECTS)}, not {self.effect!r}"
            )
        if checked(f"tool {self.name!r}", "timeout_s", self.timeout_s) == 0:
            raise DefinitionError(f"tool {self.name!r}", "timeout_s must be above 0")
        if len(set(self.produces)) != len(self.produces):
            raise DefinitionError(f"tool {self.name!r}", f"produces an artifact twice: {', '.join(self.produces)}")
        if self.effect == "read" and self.compensate:
            raise DefinitionError(f"tool {self.name!r}", "a read tool changes nothing, so it has nothing to compensate")
        if self.tier is not None:
            self.tier.check(f"tool {self.name!r}")
        worst = Amounts(self.cost.worst, self.tokens, int(self.calls_model), 1)
        usd, tokens = self.cost.least, self.tokens if self.least_tokens is None else self.least_tokens
        least = worst if (usd, tokens) == worst[:2] else worst._replace(usd=usd, tokens=tokens)
        object.__setattr__(self, "worst", worst)  # worked out once: it is asked for with every decision
        object.__setattr__(self, "least", least)
        object.__setattr__(self, "needs", least if self.nested == NOTHING else least.plus(self.nested))
