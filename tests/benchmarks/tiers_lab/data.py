"""Real outcomes: which of several models answered which question rightly.

Neither data set says how many tokens the answers had. So an answer is taken to have the same number for every model,
and a question a quarter of its characters; prices are those of the lists that came with the data.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

CHARACTERS_A_TOKEN: Final = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Data:
    """Questions that every tier was asked.

    Attributes:
        name: Of the data set.
        texts: The questions, each once.
        tiers: The models, the cheapest first.
        right: How right each tier was in each question, 0 to 1; questions by tiers.
        usd: What that cost, in USD; the same shape.
    """

    name: str
    texts: Sequence[str]
    tiers: Sequence[str]
    right: Floats
    usd: Floats

    def some(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> "Data":
        """Some of the questions."""
        numbers = np.arange(len(self.texts))[which]
        texts = [self.texts[int(number)] for number in numbers]
        return Data(self.name, texts, self.tiers, self.right[numbers], self.usd[numbers])

    def of(self, tiers: Sequence[str]) -> "Data":
        """The same questions, and some of the tiers."""
        columns = [self.tiers.index(tier) for tier in tiers]
        return Data(self.name, self.texts, tiers, self.right[:, columns], self.usd[:, columns])


def _data(
    name: str,
    known: Mapping[str, Mapping[str, float]],
    prices: Mapping[str, tuple[float, float]],
    answer_tokens: int,
) -> Data:
    """Put outcomes by question and tier into tables. Prices are USD per million tokens, in and out."""
    texts = list(known)
    tokens = np.array([len(text) / CHARACTERS_A_TOKEN for text in texts])
    tiers = sorted(prices, key=lambda tier: (prices[tier], tier))
    right = np.array([[known[text][tier] for tier in tiers] for text in texts], dtype=np.float64)
    usd = np.stack([(tokens * prices[tier][0] + answer_tokens * prices[tier][1]) / 1e6 for tier in tiers], axis=1)
    return Data(name, texts, tiers, right, usd)


def llmrouter(folder: Path) -> Data:
    """Nine open models on 5,608 questions of many kinds (LLMRouter). Answers are taken to have 200 tokens."""
    rows: list[dict[str, Any]] = json.loads((folder / "llmrouter/train.json").read_text(encoding="utf-8"))
    listed: dict[str, Any] = json.loads((folder / "llmrouter/default_llm.json").read_text(encoding="utf-8"))
    known: dict[str, dict[str, float]] = {}
    for row in rows:
        scores: Any = row["scores"]
        known.setdefault(row["question"], json.loads(scores.replace("'", '"')) if isinstance(scores, str) else scores)
    prices = {
        tier: (float(listed[tier]["input_price"]), float(listed[tier]["output_price"]))
        for tier in next(iter(known.values()))
    }
    return _data("LLMRouter", known, prices, 200)


ROUTELLM: Final = {
    "mistralai/Mixtral-8x7B-Instruct-v0.1": ("mixtral-8x7b", (0.6, 0.6)),
    "gpt-4-1106-preview": ("gpt-4-1106", (10.0, 30.0)),
}
"""Columns of the files, what the models are called here, and their prices."""


def routellm(folder: Path) -> Data:
    """Two models on the questions of MMLU (RouteLLM). Answers are letters; they are taken to have 16 tokens."""
    known: dict[str, dict[str, float]] = {}
    for file in sorted((folder / "routellm").glob("mmlu_*.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                outcomes = {name: float(row[column] == "True") for column, (name, _) in ROUTELLM.items()}
                known.setdefault(row["prompt"], outcomes)
    return _data("RouteLLM, MMLU", known, dict(ROUTELLM.values()), 16)


def load(folder: Path) -> list[Data]:
    """Both data sets.

    Raises:
        FileNotFoundError: They are not there.
    """
    for part in ("llmrouter/train.json", "llmrouter/default_llm.json", "routellm"):
        if not (folder / part).exists():
            raise FileNotFoundError(f"{folder / part} is missing: LLMRouter's or RouteLLM's outcomes are not there")
    return [llmrouter(folder), routellm(folder)]
