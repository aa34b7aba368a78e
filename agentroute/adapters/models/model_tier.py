"""Tiers of a model step: which model, and how much it may think."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from agentroute.adapters.models.prices import listing
from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked, whole

Effort = Literal["minimal", "low", "medium", "high"]
"""How much a model may think before it answers, as litellm calls it."""

EFFORTS: tuple[Effort, ...] = get_args(Effort)


@dataclass(frozen=True, slots=True)
class ModelTier:
    """One way to do a model step: a model, and how much it may think.

    What it thinks is written, and billed, like the answer: `max_tokens` has to hold both.

    Attributes:
        model: As litellm writes it, ``openai/gpt-5-mini``.
        effort: How much it may think: ``minimal``, ``low``, ``medium`` or ``high``. None leaves it to the provider.
        max_tokens: Tokens of an answer, reasoning included; those of the step, if None.
        right: Chance that an answer is right, 0 to 1, where it is known.
        latency_s: Expected duration, seconds; that of the step, if None.
        wh: Expected energy of a usual call, watt-hours; that of the step, if None.
    """

    model: str
    effort: Effort | None = None
    max_tokens: int | None = None
    right: float | None = None
    latency_s: float | None = None
    wh: float | None = None

    def __str__(self) -> str:
        """As in the tool's name."""
        return self.model if self.effort is None else f"{self.model}:{self.effort}"

    def check(self, subject: str) -> None:
        """Refuse what no call could be made with.

        Raises:
            DefinitionError: With `subject` (the step), the model and the field.
        """
        owner = f"{subject}, tier {self!s}"
        if self.effort is not None and self.effort not in EFFORTS:
            raise DefinitionError(owner, f"effort must be one of {', '.join(EFFORTS)}, not {self.effort!r}")
        if self.max_tokens is not None:
            whole(owner, "max_tokens", self.max_tokens)
        if self.right is not None:
            checked(owner, "right", self.right, largest=1.0)
        for field in ("latency_s", "wh"):
            if (figure := getattr(self, field)) is not None:
                checked(owner, field, figure)

    def check_listed(self, subject: str) -> None:
        """Refuse an effort that litellm, by its own list, would refuse with every call.

        What the list says nothing of is left to litellm and the provider.

        Raises:
            DefinitionError: With `subject`, the step.
        """
        entry = None if self.effort is None else listing(self.model)
        if entry is None:
            return
        thinks = entry.get("supports_reasoning")
        # Of OpenAI's own models, litellm refuses every one that is not marked; elsewhere the marks have gaps.
        if thinks is False or (not thinks and entry.get("litellm_provider") == "openai"):
            raise DefinitionError(subject, f"{self.model} takes no reasoning effort, by litellm's list of models")
        levels = entry.get("reasoning_effort_levels")
        if entry.get(f"supports_{self.effort}_reasoning_effort") is False or (levels and self.effort not in levels):
            why = f"{self.model} does not take the reasoning effort {self.effort!r}, by litellm's list of models"
            raise DefinitionError(subject, why)


def read_tiers(subject: str, models: Sequence[str | ModelTier]) -> list[ModelTier]:
    """Read the tiers of a step; the name of a model alone is one, too.

    Raises:
        DefinitionError: There are none, two are the same, or one cannot be used; with `subject`, the step.
    """
    if isinstance(models, str) or not models:
        raise DefinitionError(subject, f"models must be a list of one or more different tiers, not {models!r}")
    tiers = [each if isinstance(each, ModelTier) else ModelTier(each) for each in models]
    for tier in tiers:
        if not isinstance(tier.model, str) or not tier.model:  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise DefinitionError(subject, f"models must be names of models or ModelTier(...), not {tier.model!r}")
        tier.check(subject)
    if len({str(tier) for tier in tiers}) < len(tiers):
        why = "models must be a list of one or more different tiers; tiers of one model need different efforts"
        raise DefinitionError(subject, f"{why}: {', '.join(map(str, tiers))}")
    return tiers
