"""Chance that is the same everywhere: whatever is drawn follows from the seed alone, on every Python."""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from a seed that is text. Only `Random.random` is used, whose sequence Python promises never to change."""

    def __init__(self, *seed: object) -> None:
        """Take the parts of the seed, such as a number and what is to be drawn."""
        self._random = Random("/".join(map(str, seed)))

    def chance(self, share: float) -> bool:
        """Say yes in so large a share of the cases, 0 to 1."""
        return self._random.random() < share

    def whole(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def pick(self, options: Sequence[T]) -> T:
        """One of them, each as likely."""
        return options[self.whole(0, len(options) - 1)]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """So many of them (all, if there are no more), in the order in which they stand."""
        left = list(range(len(options)))
        while len(left) > max(0, count):
            left.pop(self.whole(0, len(left) - 1))
        return [options[index] for index in left]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All of them, in any order."""
        left = list(options)
        return [left.pop(self.whole(0, len(left) - 1)) for _ in options]
