"""Places on a plane for rows of many numbers. Knows arrays; knows neither words nor pictures."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

FEWEST = 30
"""Rows that t-SNE has a use for."""
PERPLEXITY = 20
SEED = 0


def plane(rows: NDArray[np.float32], metric: str = "cosine") -> tuple[NDArray[np.float64], str]:
    """(rows, size) -> places (rows, 2) from -1 to 1, and how they were found.

    t-SNE (van der Maaten and Hinton 2008) by the `cosine` or `euclidean` distance keeps neighbours together; of a few rows,
    their principal components; rows of two numbers lie where they are.
    """
    found = np.zeros((len(rows), 2))
    if rows.shape[1] == 2:
        found, method = rows.astype(np.float64), "as they are"
    elif len(rows) < FEWEST:
        if len(rows) > 1:
            parts = PCA(min(2, *rows.shape), random_state=SEED).fit_transform(rows)
            found[:, : parts.shape[1]] = parts
        method = "principal components"
    else:
        perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
        found = TSNE(perplexity=perplexity, metric=metric, init="random", random_state=SEED).fit_transform(rows)
        method = f"t-SNE, {metric}, perplexity {perplexity:g}"
    found = found - (found.max(0) + found.min(0)) / 2
    places: NDArray[np.float64] = found / max(1e-9, float(np.abs(found).max()))
    return places, method
