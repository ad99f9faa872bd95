"""A linear model on runs of one, two and three tokens: the baseline that a network for texts has to beat, and its teacher.

Naive-Bayes weighted logistic regression (Wang and Manning 2012, "Baselines and bigrams"; with trigrams as Mesnil et al. 2014).
Knows token numbers only, no words and no families.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

Document = NDArray[np.int32]
BITS = 22
"""Runs are hashed to this many bits: 4 million columns, where collisions cost nothing that can be measured."""
_PRIMES = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], np.uint64)


@dataclass(frozen=True)
class Linear:
    """One weight a hashed run and class."""

    weights: NDArray[np.float32]
    """(2 ** BITS, classes)"""
    bias: NDArray[np.float64]

    def scores(self, documents: Sequence[Document]) -> NDArray[np.float64]:
        """Log-odds of each class against the others: (documents, classes)."""
        found: NDArray[np.float64] = np.asarray(_matrix(documents) @ self.weights, np.float64) + self.bias
        return found


def fit(documents: Sequence[Document], targets: NDArray[np.int64], classes: int) -> Linear:
    """One class against the others, each in turn; of two classes the second alone."""
    rows = _matrix(documents)
    weights = np.zeros((rows.shape[1], classes), np.float32)
    bias = np.zeros(classes)
    for one in range(classes) if classes > 2 else (1,):
        inside = targets == one
        ratio = _log_ratio(rows[inside].sum(0)) - _log_ratio(rows[~inside].sum(0))
        model = LogisticRegression(solver="liblinear", dual=True, tol=0.01, max_iter=1000, random_state=0)
        model.fit(rows.multiply(ratio[None, :]).tocsr(), inside)
        weights[:, one] = model.coef_[0] * ratio
        bias[one] = model.intercept_[0]
    if classes == 2:
        weights[:, 0], bias[0] = -weights[:, 1], -bias[1]
    return Linear(weights, bias)


def _log_ratio(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    smoothed = counts + 1
    ratio: NDArray[np.float64] = np.log(smoothed / smoothed.sum())
    return ratio


def _matrix(documents: Sequence[Document]) -> csr_array:
    """(documents, 2 ** BITS), 1 where a document holds a run."""
    columns = [_runs(document) for document in documents]
    ends = np.cumsum([0, *map(len, columns)], dtype=np.int32)  # scikit-learn takes no wider ones
    return csr_array((np.ones(ends[-1]), np.concatenate(columns), ends), shape=(len(documents), 1 << BITS))


def _runs(document: Document) -> NDArray[np.int32]:
    """Hashed runs of one, two and three tokens, each once."""
    one = (document.astype(np.uint64) + np.uint64(1)) * _PRIMES[0]
    two = (one[:-1] ^ (one[1:] >> np.uint64(7))) * _PRIMES[1]
    three = (two[:-1] ^ (one[2:] >> np.uint64(11))) * _PRIMES[2]
    hashed: NDArray[np.int32] = (np.concatenate([one, two, three]) >> np.uint64(64 - BITS)).astype(np.int32)
    return np.unique(hashed)
