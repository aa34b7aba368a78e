"""The step router of an agent: which policy chooses among the tiers of model steps, and what it goes by."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from agentroute.adapters.outcome_log import write_outcomes
from agentroute.adapters.tier_model import TierModel
from agentroute.errors import DefinitionError
from agentroute.graph.cost import checked
from agentroute.ids import NanoUsd, nanos
from agentroute.routing.tiers.outcome import Judgement, Outcome
from agentroute.routing.tiers.pace import Pace
from agentroute.routing.tiers.policy import POLICIES, Policy, policy_named
from agentroute.routing.tiers.tier_board import TierBoard

LEAST_SHARE: Final = 1e-4
"""However much runs take, success stays worth this share of what it is worth."""


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
    least: float = 0.7
    steps: Mapping[str, str | Policy] = field(default_factory=dict[str, "str | Policy"])
    usd_per_success: float = 1.0
    usd_per_run: float | None = None
    learned: TierModel | str | os.PathLike[str] | None = None
    log: str | os.PathLike[str] | None = None
    alone: bool = False

    def __post_init__(self) -> None:
        """Check everything now: a run is no place to find out."""
        self.board()

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

    def check_steps(self, known: Iterable[str]) -> None:
        """Refuse policies of steps that there are not.

        Raises:
            DefinitionError: With their names.
        """
        steps = set(known)
        strange = sorted(set(self.steps) - steps)
        if strange:
            there = ", ".join(sorted(steps)) or "none"
            raise DefinitionError("step router", f"no step {', '.join(strange)} with several tiers; there are: {there}")

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

    @property
    def _model(self) -> TierModel:
        if self.learned is None:
            return TierModel()
        return self.learned if isinstance(self.learned, TierModel) else TierModel.load(self.learned)

    def _named(self, given: str | Policy) -> Policy:
        if isinstance(given, str):
            takes = {"threshold": {"least": self.least}, "learned": {"explore": self.explore}}
            return policy_named(given, **takes.get(given, {}))
        if not isinstance(given, tuple(POLICIES.values())):
            raise DefinitionError("step router", f"policy must be one of {', '.join(POLICIES)}, not {given!r}")
        return given
