"""What a step comes to with all its attempts, by the tier that is asked first: lines through what was observed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentroute.training.rows import Floats

FEWEST_OF_A_KIND: Final = 10
"""Steps that a line is drawn through; of fewer, the mean of all kinds is told."""

DRAWN_TO_FLAT: Final = 1.0
"""Added to the squared spread of chances: with few steps that hardly differ, a line is flat."""

Kind: TypeAlias = tuple[str, str]
"""Names of the step and of the tier that was asked first."""


@dataclass(frozen=True, slots=True)
class _Line:
    """Value by the chance that the first answer is right, and no further than what was seen."""

    chance: float
    mean: float
    slope: float
    least: float
    most: float

    @classmethod
    def through(cls, chances: Floats, values: Floats) -> "_Line":
        off = chances - chances.mean()
        slope = float(np.sum(off * values) / (np.sum(off * off) + DRAWN_TO_FLAT))
        return cls(float(chances.mean()), float(values.mean()), slope, float(values.min()), float(values.max()))

    def at(self, chance: float) -> float:
        return min(self.most, max(self.least, self.mean + self.slope * (chance - self.chance)))


@dataclass(frozen=True)
class WholeSteps:
    """Predicts a value of steps, each from the steps of other parts of the log (cross-fitting).

    Attributes:
        kinds: Step and first tier of each.
        chances: Chance of that tier to be right.
        parts: Part of the log that each belongs to.
    """

    kinds: Sequence[Kind]
    chances: Floats
    parts: NDArray[np.int64]

    def predicted(self, values: Floats, wanted: Sequence[tuple[int, Kind, float]]) -> Floats:
        """Tell values that might have come of steps.

        Args:
            values: Those that came.
            wanted: Number of a step, which kind it might have been, and the chance of that first tier.
        """
        lines = {part: dict(self._lines(values, part)) for part in np.unique(self.parts).tolist()}
        others = {part: self._mean(values, self.parts != part) for part in lines}
        found: list[float] = []
        for number, kind, chance in wanted:
            part = int(self.parts[number])
            line = lines[part].get(kind)
            found.append(others[part] if line is None else line.at(chance))
        return np.array(found)

    def _lines(self, values: Floats, part: int) -> Iterator[tuple[Kind, _Line]]:
        places = dict[Kind, list[int]]()
        for place in np.flatnonzero(self.parts != part).tolist():
            places.setdefault(self.kinds[place], []).append(place)
        for kind, here in places.items():
            if len(here) >= FEWEST_OF_A_KIND:
                yield kind, _Line.through(self.chances[here], values[here])

    @staticmethod
    def _mean(values: Floats, which: NDArray[np.bool_]) -> float:
        return float(np.mean(values[which])) if which.any() else 0.0
