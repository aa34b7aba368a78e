"""The step router of an agent: which policy chooses among the tiers of model steps, and what it goes by."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from agentroute.adapters.outcome_log import check_log, write_outcomes
from agentroute.adapters.tier_model import TierModel
from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.graph.tool import ToolSpec
from agentroute.ids import NanoUsd, nanos
from agentroute.routing.tiers.outcome import Judgement, Outcome
from agentroute.routing.tiers.pace import Pace
from agentroute.routing.tiers.policy import POLICIES, Cascade, Learned, Policy, policy_named
from agentroute.routing.tiers.tier_board import TierBoard

LEAST_SHARE: Final = 1e-4
"""However much runs take, success stays worth this share of what it is worth."""

LEAST: Final = 0.7
"""Chance to be right that is enough, for the policy ``threshold``."""


PACED: Final = (Learned, Cascade)
"""Policies that ask what success is worth, so that spending can be paced by it."""


@dataclass(frozen=True, kw_only=True)
class StepRouter:
    """Chooses a cheap or an expensive model for each step: the tiers of an `llm_step` weigh what a policy says.

    Attributes:
        policy: Of all steps: ``"learned"`` (least expected cost, wrong answers included), ``"cascade"`` (cheap first,
            where wrong answers are noticed and that pays), ``"threshold"`` (the cheapest that is likely enough to be
            right), ``"always-cheap"`` or ``"always-expensive"``; or one of `agentroute.routing.tiers.policy`.
        explore: For ``"learned"``: at most this share of steps tries another tier than the best, the rarer the dearer,
            and only where wrong answers are noticed. What nobody tries, nobody learns.
        least: For ``"threshold"``: the chance to be right that is enough.
        steps: Policies of single steps, by name, where they differ.
        usd_per_success: What a right run is worth, in USD. The more, the sooner a dearer model is taken.
        usd_per_run: What a run is meant to take on average, in USD: where runs take more, success is made worth less to
            those that come after, never more than `usd_per_success`. Left out: it stays.
        learned: Model file of ``agentroute budget train``: how likely each tier is to be right, by what is asked. Of
            tiers that it does not know, and without it: what was declared, and what `ensure` has shown since.
        log: File that outcomes are added to, for ``agentroute budget``. Words are hashed. Left out: none.
        alone: Steps stand alone: a wrong one does not spoil its run.

    Raises:
        DefinitionError: There is no such policy, a number is none, or the model file is refused.
    """

    policy: str | Policy = "learned"
    explore: float = 0.0
    least: float = LEAST
    steps: Mapping[str, str | Policy] = field(default_factory=dict[str, "str | Policy"])
    usd_per_success: float = 1.0
    usd_per_run: float | None = None
    learned: TierModel | str | os.PathLike[str] | None = None
    log: str | os.PathLike[str] | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        """Check everything now: a run is no place to find out."""
        for name in ("explore", "least"):
            checked("step router", name, getattr(self, name), largest=1.0)
        if not isinstance(self.steps, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users pass anything
            raise DefinitionError("step router", f"steps must map names to policies, not {self.steps!r}")
        self._refuse_idle([self.policy, *self.steps.values()])
        if self.log is not None:
            check_log(self.log)
        self.board()

    def _refuse_idle(self, named: Sequence[str | Policy]) -> None:
        """Refuse options that none of these policies goes by: a promise that nothing keeps is a trap.

        Raises:
            DefinitionError: With the option.
        """
        given = (("explore", "learned", self.explore > 0), ("least", "threshold", self.least != LEAST))
        for name, policy, is_given in given:
            if is_given and policy not in named:
                raise DefinitionError("step router", f"{name} is for the policy {policy!r}, which no step goes by")
        if self.usd_per_run is not None and not any(isinstance(self._named(each), PACED) for each in named):
            raise DefinitionError(
                "step router", "usd_per_run is for policies that ask what success is worth: learned, cascade"
            )

    def board(self) -> TierBoard:
        """Make what all runs of an agent share, as if none had been made yet."""
        worth = checked("step router", "usd_per_success", self.usd_per_success)
        if worth == 0:
            raise DefinitionError("step router", "usd_per_success must be above 0: what a right run is worth, in USD")
        known = self._model
        return TierBoard(
            policy=self._named(self.policy),
            pace=Pace(worth, least=worth * LEAST_SHARE, most=worth),
            others={step: self._named(policy) for step, policy in self.steps.items()},
            chances=known.chances,
            spending=known.spending,
            meant=self._meant,
            compound=not self.alone,
        )

    def check(self, tiers: Mapping[str, Sequence[ToolSpec]]) -> None:
        """Refuse what is said of steps that an agent does not have, and a model file that knows none of its tiers.

        Args:
            tiers: The agent's tiers by the name of the step.

        Raises:
            DefinitionError: With their names.
        """
        if strange := sorted(set(self.steps) - set(tiers)):
            there = ", ".join(sorted(tiers)) or "none"
            raise DefinitionError("step router", f"no step {', '.join(strange)} with several tiers; there are: {there}")
        if tiers:
            self._refuse_idle([self.steps.get(step, self.policy) for step in tiers])
        labels = {spec.tier.tier for specs in tiers.values() for spec in specs if spec.tier is not None}
        known = set(self._model.chances.tiers)
        if known and tiers and not known & labels:
            mine, others = ", ".join(sorted(labels)), ", ".join(sorted(known))
            raise DefinitionError("step router", f"the model file knows none of {mine}; it knows: {others}")

    def keep(self, outcomes: Iterable[Outcome | Judgement]) -> None:
        """Add outcomes to the log, if there is one.

        Raises:
            ConfigurationError: It cannot be written.
        """
        if self.log is not None:
            write_outcomes(self.log, outcomes)

    @property
    def _meant(self) -> NanoUsd | None:
        if self.usd_per_run is None:
            return None
        if checked("step router", "usd_per_run", self.usd_per_run) == 0:
            raise DefinitionError("step router", "usd_per_run must be above 0, or left out")
        return nanos(self.usd_per_run)

    @cached_property  # a file of megabytes, asked for by every agent that is made of this
    def _model(self) -> TierModel:
        if self.learned is None:
            return TierModel()
        if isinstance(self.learned, TierModel):
            return self.learned
        if not isinstance(self.learned, (str, os.PathLike)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise DefinitionError("step router", f"learned must be a file or a TierModel, not {self.learned!r}")
        return TierModel.load(self.learned)

    def _named(self, given: str | Policy) -> Policy:
        if isinstance(given, str):
            takes = {"threshold": {"least": self.least}, "learned": {"explore": self.explore}}
            return policy_named(given, **takes.get(given, {}))
        if not isinstance(given, tuple(POLICIES.values())):
            raise DefinitionError("step router", f"policy must be one of {', '.join(POLICIES)}, not {given!r}")
        return given
