"""Word vectors in the formats that other tools load: word2vec's and GloVe's text, numpy's .npz. Knows words and graphs."""

import io
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from service import vocabulary
from service.manifest import Manifest
from service.vocabulary import FIRST, Vocabulary
from training import export
from training.checkpoint import replace
from training.room import TrainingError

Format = Literal["word2vec", "glove", "npz"]
ASKED_AT_ONCE = 10_000
NO_SPACE = "_"
"""Stands for a space in a word, where the format ends a word with one."""


def write(manifest: Manifest, folder: Path, form: Format, path: Path) -> int:
    """Write a version's unit vectors to `path`; the number of words. Raises TrainingError where it has none.

    `word2vec`: a line with the number of words and of a vector's numbers, then a line for each word, the commonest first;
    `glove`: the same without the first line; `npz`: arrays `words`, `counts` and `vectors` (float32, words x size).
    """
    if vocabulary.FILE not in manifest.files:
        raise TrainingError(f"{manifest.name}:{manifest.version} is of the family '{manifest.family}' and has no word vectors.")
    known = Vocabulary.load((folder / vocabulary.FILE).read_bytes())
    vectors = _vectors((folder / manifest.graph.file).read_bytes(), len(known.words))
    if form == "npz":
        packed = io.BytesIO()
        np.savez_compressed(packed, words=np.array(known.words), counts=np.array(known.counts), vectors=vectors)
        replace(path, packed.getvalue())
    else:
        header = f"{len(vectors)} {vectors.shape[1]}\n" if form == "word2vec" else ""
        replace(path, (header + _lines(known.words, vectors)).encode())
    return len(known.words)


def _vectors(graph: bytes, words: int) -> NDArray[np.float32]:
    predict = export.open_graph(graph)
    numbers = np.arange(FIRST, FIRST + words, dtype=np.int32)[:, np.newaxis]
    parts = [numbers[start : start + ASKED_AT_ONCE] for start in range(0, words, ASKED_AT_ONCE)]
    found: NDArray[np.float32] = np.concatenate(
        [predict({"words": part, "weights": np.zeros(part.shape, np.float32)})["vectors"][:, 0] for part in parts]
    )
    return found


def _lines(words: tuple[str, ...], vectors: NDArray[np.float32]) -> str:
    names = [NO_SPACE.join(word.split()) for word in words]
    if len(set(names)) != len(names):
        raise TrainingError(f"Two words differ in spaces only, which this format writes as {NO_SPACE!r}; take --format npz.")
    numbers = (" ".join(f"{number:.6f}" for number in vector) for vector in vectors.tolist())
    return "".join(f"{name} {vector}\n" for name, vector in zip(names, numbers, strict=True))
