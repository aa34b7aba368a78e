"""Sparse matrices of situations, as three arrays; numpy has none, and this is all that training needs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentroute.routing.tiers.situation import DIMENSIONS, Vector

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Vectors under one another (compressed sparse rows), none of them empty.

    Attributes:
        starts: Where each row begins among the values.
        row: Row of each value.
        column: Column of each value.
        value: The values, row by row.
    """

    starts: NDArray[np.int64]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    value: Floats

    @classmethod
    def of(cls, vectors: Sequence[Vector]) -> "Rows":
        """Put vectors under one another.

        Raises:
            ValueError: One of them is zero throughout, which no situation is.
        """
        lengths = np.fromiter((len(vector) for vector in vectors), dtype=np.int64, count=len(vectors))
        if len(lengths) and lengths.min() == 0:
            raise ValueError("a vector has no value")
        count = int(lengths.sum())
        column = np.fromiter((at for vector in vectors for at, _ in vector), dtype=np.int64, count=count)
        value = np.fromiter((much for vector in vectors for _, much in vector), dtype=np.float64, count=count)
        return cls(np.cumsum(lengths) - lengths, np.repeat(np.arange(len(vectors)), lengths), column, value)

    def some(self, which: NDArray[np.bool_]) -> "Rows":
        """The rows that are marked."""
        here = which[self.row]
        row = (np.cumsum(which) - 1)[self.row[here]]
        starts = np.flatnonzero(np.diff(row, prepend=-1)) if len(row) else np.zeros(0, dtype=np.int64)
        return Rows(starts, row, self.column[here], self.value[here])

    def __len__(self) -> int:
        """How many vectors there are."""
        return len(self.starts)

    def __matmul__(self, coefficients: Floats) -> Floats:
        """Sum of each row, its values weighed."""
        if not len(self):
            return np.zeros(0)
        return np.add.reduceat(self.value * coefficients[self.column], self.starts)

    def transposed(self, errors: Floats) -> Floats:
        """Sum of each column, its rows weighed; `DIMENSIONS` numbers."""
        summed = np.bincount(self.column, self.value * errors[self.row], minlength=DIMENSIONS)
        return summed.astype(np.float64)  # bincount of nothing is whole numbers
