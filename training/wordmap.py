"""Word vectors on a plane, and lists of neighbours: files for people. Knows vectors and words; draws through `plots`."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from service.golden import Arrays
from service.vocabulary import FIRST
from training import plots

NEIGHBORS, MAP, PICTURE = "neighbors.txt", "map.json", "map.png"
SHOWN = 10
"""Neighbours of a word in the list."""
FEWEST = 30
"""Words that t-SNE has a use for."""
PERPLEXITY = 20
SEED = 0


def plane(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """Unit vectors (words, size) -> places (words, 2) from -1 to 1, and how they were found.

    t-SNE (van der Maaten and Hinton 2008) keeps neighbours together; of a few words, their principal components.
    """
    if len(vectors) < FEWEST:
        found = np.zeros((len(vectors), 2))
        if len(vectors) > 1:
            parts = PCA(min(2, *vectors.shape), random_state=SEED).fit_transform(vectors)
            found[:, : parts.shape[1]] = parts
        method = "principal components"
    else:
        perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
        found = TSNE(perplexity=perplexity, metric="cosine", init="random", random_state=SEED).fit_transform(vectors)
        method = f"t-SNE, cosine, perplexity {perplexity:g}"
    found = found - (found.max(0) + found.min(0)) / 2
    places: NDArray[np.float64] = found / max(1e-9, float(np.abs(found).max()))
    return places, method


def write(words: Sequence[str], found: Arrays, count: int, folder: Path) -> list[Path]:
    """`neighbors.txt`, `map.json` and `map.png` of the commonest `count` of all `words`."""
    shown = list(words[:count])
    places, method = plane(found["vectors"][:count, 0])
    (folder / MAP).write_text(
        json.dumps(
            {"method": method, "words": shown, "x": places[:, 0].round(4).tolist(), "y": places[:, 1].round(4).tolist()},
            ensure_ascii=False,
        )
    )
    lines = [
        f"{word}: " + ", ".join(f"{words[number - FIRST]} {cosine:.2f}" for number, cosine in nearest)
        for word, nearest in zip(shown, _nearest(found), strict=True)
    ]
    (folder / NEIGHBORS).write_text("\n".join(lines) + "\n")
    return [folder / NEIGHBORS, folder / MAP, plots.words(shown, places, folder / PICTURE)]


def _nearest(found: Arrays) -> list[list[tuple[int, float]]]:
    """Of each word its first neighbours, those that must not be found left out."""
    return [
        [(number, cosine) for number, cosine in zip(numbers[:SHOWN], cosines[:SHOWN], strict=True) if cosine >= -1]
        for numbers, cosines in zip(found["neighbors"].tolist(), found["cosines"].tolist(), strict=True)
    ]
