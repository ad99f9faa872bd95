"""Word vectors in the formats that other tools load: word2vec's and GloVe's text, numpy's .npz. Knows words and graphs."""

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from service import vocabulary
from service.manifest import Manifest
from service.vocabulary import FIRST, Vocabulary
from training import export
from training.room import TrainingError

ASKED_AT_ONCE = 10_000
NO_SPACE = "_"
"""Stands for a space in a word, where the format ends a word with one."""


def headed(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """word2vec's text: a line with the number of words and of a vector's numbers, then a line for each word."""
    known, vectors = _vectors(manifest, files)
    return f"{len(vectors)} {vectors.shape[1]}\n".encode() + _lines(known, vectors)


def plain(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """GloVe's text: the same without its first line."""
    return _lines(*_vectors(manifest, files))


def arrays(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """Numpy's .npz: `words`, `counts` and `vectors` (float32, words x size)."""
    known, vectors = _vectors(manifest, files)
    packed = io.BytesIO()
    np.savez_compressed(packed, words=np.array(known.words), counts=np.array(known.counts), vectors=vectors)
    return packed.getvalue()


def _vectors(manifest: Manifest, files: Mapping[str, bytes]) -> tuple[Vocabulary, NDArray[np.float32]]:
    """A version's words and their unit vectors."""
    known, predict = Vocabulary.load(files[vocabulary.FILE]), export.open_graph(files[manifest.graph.file])
    numbers = np.arange(FIRST, known.size, dtype=np.int32)[:, np.newaxis]
    parts = [numbers[start : start + ASKED_AT_ONCE] for start in range(0, len(numbers), ASKED_AT_ONCE)]
    found: NDArray[np.float32] = np.concatenate(
        [predict({"words": part, "weights": np.zeros(part.shape, np.float32)})["vectors"][:, 0] for part in parts]
    )
    return known, found


def _lines(known: Vocabulary, vectors: NDArray[np.float32]) -> bytes:
    names = [NO_SPACE.join(word.split()) for word in known.words]
    if len(set(names)) != len(names):
        raise TrainingError(f"Two words differ in spaces only, which this format writes as {NO_SPACE!r}; take --format npz.")
    numbers = (" ".join(f"{number:.6f}" for number in vector) for vector in vectors.tolist())
    return "".join(f"{name} {vector}\n" for name, vector in zip(names, numbers, strict=True)).encode()
