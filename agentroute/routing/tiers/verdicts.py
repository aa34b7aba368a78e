"""What turned out later about a run, and what its answers count for because of that."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from agentroute.routing.tiers.accepted import answerable
from agentroute.routing.tiers.outcome import Judgement, Outcome


@dataclass(slots=True)
class Verdicts:
    """The latest words on a run.

    Attributes:
        run: How right it was as a whole; None: nobody has said.
        steps: How right single steps were, by name; that comes before what was said of the run.
        counted: With which chance an answer was counted as right because of them, by its place in the run.
    """

    run: float | None = None
    steps: dict[str, float] = field(default_factory=dict[str, float])
    counted: dict[int, float] = field(default_factory=dict[int, float])

    def take(self, judgement: Judgement) -> None:
        """Put a judgement in the place of what was said of the same before."""
        if judgement.step is None:
            self.run = judgement.right
        else:
            self.steps[judgement.step] = judgement.right

    def shares(self, outcomes: Sequence[Outcome], expected: Sequence[tuple[float, float]]) -> dict[int, float]:
        """With which chance each answer of the run was right, by its place; nothing of those that are not spoken of.

        Args:
            outcomes: All answers of the run, in order. What was refused when it came stays wrong.
            expected: Chance of each to be right, and that it would have been noticed if not.
        """
        shares = dict[int, float]()
        accepted = list[int]()
        for place, outcome in enumerate(outcomes):
            verdict = self.steps.get(outcome.situation.step, self.run)
            if verdict is not None:
                shares[place] = 0.0 if outcome.right == 0 else self.steps.get(outcome.situation.step, 0.0)
            if outcome.right != 0:
                accepted.append(place)
        if self.run is None:
            return shares
        known = [outcomes[place].situation.step in self.steps for place in accepted]
        chances = [(shares[p], 0.0) if is_known else expected[p] for p, is_known in zip(accepted, known, strict=True)]
        found = zip(accepted, known, answerable(chances, self.run), strict=True)
        return shares | {place: share for place, is_known, share in found if not is_known}
