"""Who says how likely each tier is to be right: the step router, and the simple baselines."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agentroute.routing.tiers.chances import Chances
from agentroute.routing.tiers.situation import WORD_BUCKETS, Situation, Vector, sketch
from agentroute.training.calibration import log_loss
from agentroute.training.logistic import Outcomes, chance, fit
from agentroute.training.rows import Rows
from agentroute.training.train import FOLDS, Sample, learned
from tests.benchmarks.tiers_lab.data import Data, Floats

NEIGHBOURS: Final = (10, 30, 100)
"""Numbers of neighbours that k-nearest neighbours chooses from."""

PENALTIES: Final = (0.3, 1.0, 3.0)
"""Penalties that the plain logistic regression chooses from."""

Predictor = Callable[[Data, Data], Floats]
"""Learns from the first, and says of each question of the second how likely each tier is to be right."""


def situations(texts: Sequence[str]) -> list[Situation]:
    return [Situation(step="question", text=sketch(text)) for text in texts]


def chances_of(known: Data, seed: int = 0) -> Chances:
    """The step router's model, learned from outcomes of every tier in every question."""
    rows = Rows.of([[*each.vector, each.again("")] for each in situations(known.texts)])
    fold = np.random.default_rng(seed).integers(0, FOLDS, len(known.texts))
    return learned({tier: Sample(rows, known.right[:, number], fold) for number, tier in enumerate(known.tiers)})


def by_step_router(known: Data, asked: Data) -> Floats:
    """What the step router says, by the code that decides in a run."""
    model = chances_of(known)
    otherwise = dict.fromkeys(asked.tiers, 0.5)
    told = [model.of(situation, otherwise) for situation in situations(asked.texts)]
    return np.array([[chances[tier] for tier in asked.tiers] for chances in told])


def by_neighbours(known: Data, asked: Data) -> Floats:
    """k-nearest neighbours by the cosine of TF-IDF vectors; `k` by what predicts a fifth of `known` best."""
    inner, outer = _fifth(known)
    table = _tf_idf(known.texts)
    best = min(
        NEIGHBOURS,
        key=lambda k: log_loss(_voted(table[inner], known.right[inner], table[outer], k), known.right[outer]),
    )
    both = _tf_idf([*known.texts, *asked.texts], weighed_by=len(known.texts))
    return _voted(both[: len(known.texts)], known.right, both[len(known.texts) :], best)


def by_logistic_regression(known: Data, asked: Data) -> Floats:
    """One logistic regression for each tier over TF-IDF of words, not calibrated; penalty as `k` above."""
    inner, outer = _fifth(known)

    def predicted(learn: Data, ask: Data, penalty: float) -> Floats:
        both = [_sparse(row) for row in _tf_idf([*learn.texts, *ask.texts], weighed_by=len(learn.texts))]
        rows, unseen = Rows.of(both[: len(learn.texts)]), Rows.of(both[len(learn.texts) :])
        columns: list[Floats] = []
        for number, tier in enumerate(learn.tiers):
            # One tier alone: the two sets of weights add up, and each takes half of what one would.
            one = {tier: Outcomes(rows, learn.right[:, number])}
            columns.append(chance(fit(one, shared_penalty=2 * penalty, own_penalty=2 * penalty).odds(tier, unseen)))
        return np.stack(columns, axis=1)

    learn, ask = known.some(inner), known.some(outer)
    best = min(PENALTIES, key=lambda penalty: log_loss(predicted(learn, ask, penalty), ask.right))
    return predicted(known, asked, best)


PREDICTORS: Final[Mapping[str, Predictor]] = {
    "step router": by_step_router,
    "logistic regression": by_logistic_regression,
    "k nearest neighbours": by_neighbours,
}


def _fifth(known: Data) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A fifth of the questions for choosing, and the others."""
    order = np.random.default_rng(5).permutation(len(known.texts))
    cut = len(order) // 5
    return order[cut:], order[:cut]


def _tf_idf(texts: Sequence[str], weighed_by: int | None = None) -> NDArray[np.float32]:
    """Hashed words and pairs of words, by logarithmic count and inverse document frequency, each row of length 1."""
    table = np.zeros((len(texts), WORD_BUCKETS), dtype=np.float32)
    for number, text in enumerate(texts):
        words = sketch(text).words
        table[number, list(words)] = 1.0 + np.log(list(words.values()))
    seen = table[:weighed_by]
    table *= np.log((1 + len(seen)) / (1 + np.count_nonzero(seen, axis=0))).astype(np.float32)
    table /= np.maximum(1e-9, np.sqrt(np.einsum("ij,ij->i", table, table)))[:, None]
    return table


def _sparse(row: NDArray[np.float32]) -> Vector:
    places = np.flatnonzero(row)
    return [(int(at), float(row[at])) for at in places] or [(0, 0.0)]


def _voted(known: NDArray[np.float32], right: Floats, asked: NDArray[np.float32], k: int) -> Floats:
    """Share of the nearest that each tier was right in, as if one more had been and one more had not."""
    found: list[Floats] = []
    for start in range(0, len(asked), 256):
        alike = asked[start : start + 256] @ known.T
        near = np.argpartition(-alike, k, axis=1)[:, :k]
        found.append((right[near].sum(axis=1) + 1.0) / (k + 2.0))
    return np.concatenate(found)
