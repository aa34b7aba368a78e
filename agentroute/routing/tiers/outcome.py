"""What came of a step: the record that chances are learned from and other policies are judged by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from agentroute.routing.tiers.situation import Situation


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attempt of a model step.

    Attributes:
        run: Which run it belongs to. Attempts of a run are no independent observations.
        situation: What was known before it.
        tier: The tier that was taken.
        usd: What it cost, in USD.
        right: How right the answer was, 0 to 1; None: nobody knows.
        verified: Whether something or somebody has checked that, instead of merely not complaining.
        propensity: With which chance this tier was taken, above 0.
        tiers: Expected cost of an attempt of every tier that might have been taken, in USD.
        detection: Chance that a wrong answer would have been noticed.
        judged: It was accepted, and what became of it, or of its run, turned out later.
        together: How right all accepted answers of its run were together; None: that is not all that turned out.
    """

    run: str
    situation: Situation
    tier: str
    usd: float
    right: float | None
    verified: bool = True
    propensity: float = 1.0
    tiers: Mapping[str, float] = field(default_factory=dict[str, float])
    detection: float = 0.0
    judged: bool = False
    together: float | None = None

    def part(self, parts: int, seed: int = 0) -> int:
        """Which of so many parts of a log its run falls into; the same in every process."""
        return crc32(f"{seed} {self.run}".encode("utf-8", "surrogatepass")) % parts


@dataclass(frozen=True, slots=True)
class Judgement:
    """What turned out later about a run, or one of its steps.

    Attributes:
        run: The run.
        right: How right it was, 0 to 1.
        step: Name of the model step; None: the run as a whole.
    """

    run: str
    right: float
    step: str | None = None
