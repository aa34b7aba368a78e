"""The model file of the step router: JSON, checked when it is read, replaced whole when it is written."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentroute.adapters.json_file import read_json, told, write_json
from agentroute.errors import DefinitionError
from agentroute.graph.cost import LARGEST
from agentroute.routing.tiers.chances import Chances, TierWeights
from agentroute.routing.tiers.pace import Spending
from agentroute.routing.tiers.situation import DIMENSIONS

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes of a model file; a tier takes some hundred kilobytes."""

MOST_TIERS = 256
"""Tiers that a model may know."""

FEATURES = "crc32-4096-1024"
"""Which vectors the weights are for. Another way to make them gets another name, and old files are refused."""

DIGITS = 5
"""Significant digits of a weight in the file: the error of what is left out is far below that of learning."""

SMALLEST = 1e-4
"""Weights smaller than this are left out: a thousand of them move a chance by a hundredth at most."""

Name = Annotated[str, Field(min_length=1, max_length=200)]
Weight = Annotated[float, Field(ge=-1e3, le=1e3, allow_inf_nan=False)]
Position = Annotated[int, Field(ge=0, lt=DIMENSIONS, strict=False)]
Weights = Annotated[dict[Position, Weight], Field(max_length=DIMENSIONS)]
Usd = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Point = Annotated[tuple[Usd, Usd], Field(strict=False)]  # JSON has no tuples


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Tier(_Strict):
    base: Weight
    slope: Annotated[float, Field(ge=0, le=1e3, allow_inf_nan=False)]
    offset: Weight
    outcomes: Annotated[int, Field(ge=0, le=2**53)] = 0
    weights: Weights = {}


class _File(_Strict):
    version: Literal["1"]
    features: Literal["crc32-4096-1024"]
    shared: Weights = {}
    tiers: Annotated[dict[Name, _Tier], Field(max_length=MOST_TIERS)]
    spending: Annotated[list[Point], Field(max_length=1_000)] = []


@dataclass(frozen=True)
class TierModel:
    """What `agentroute budget train` has learned.

    Attributes:
        chances: How likely each tier is to be right.
        outcomes: How many outcomes each tier was judged by.
        spending: What a step costs on average by what success is worth; None: not known.
    """

    chances: Chances = field(default_factory=Chances)
    outcomes: Mapping[str, int] = field(default_factory=dict[str, int])
    spending: Spending | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file.

        Raises:
            DefinitionError: It cannot be read or is refused; ``file: what and why``. A `DocumentError`, with line and
                column, if it is not a small file with JSON in UTF-8.
        """
        data = read_json(path, largest=LARGEST_FILE)
        try:
            document = _File.model_validate(data)
        except ValidationError as error:
            raise DefinitionError(str(path), told(error)) from None
        try:
            spending = Spending(tuple(document.spending)) if document.spending else None
        except DefinitionError as error:
            raise DefinitionError(str(path), str(error)) from None
        tiers = {
            name: TierWeights(tier.base, tier.weights, tier.slope, tier.offset) for name, tier in document.tiers.items()
        }
        counts = {name: tier.outcomes for name, tier in document.tiers.items()}
        return cls(Chances(document.shared, tiers), counts, spending)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, readable by its owner only, in the place of the old one at once.

        Raises:
            ConfigurationError: It cannot be written; the old one is left as it was.
        """
        tiers = {
            name: {
                "base": _short(tier.base),
                "slope": _short(tier.slope),
                "offset": _short(tier.offset),
                "outcomes": self.outcomes.get(name, 0),
                "weights": _sparse(tier.own),
            }
            for name, tier in sorted(self.chances.tiers.items())
        }
        document: dict[str, Any] = {
            "version": "1",
            "features": FEATURES,
            "shared": _sparse(self.chances.shared),
            "tiers": tiers,
        }
        if self.spending is not None:
            document["spending"] = [list(point) for point in self.spending.points]
        write_json(path, document, what="what was learned", indent=None)


def _sparse(weights: Mapping[int, float]) -> dict[str, float]:
    return {str(at): _short(weight) for at, weight in sorted(weights.items()) if abs(weight) >= SMALLEST}


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
