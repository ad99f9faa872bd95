"""Texts to word vectors: trains what `service/families/word2vec.py` serves.

Task: vectors that tell which words stand beside each other. Source: all 100,000 IMDb reviews (Maas et al. 2011), or `--data`:
a text file, a folder of them, or the columns of a table, whose rows are then texts of values. Network: skip-gram or CBOW with
negative sampling (Mikolov et al. 2013); it is trained by `vectors.py`, not by the loop. Expected scores and time: the
README's table.

The graph: `words` (int32, batch x terms, 0 for padding) and `weights` (float32, batch x terms) -> the words' unit `vectors`
(float32, batch x terms x size); `neighbors` (int32, batch x most), the words nearest to their weighted sum, and the `cosines`.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from service import vocabulary
from service.golden import Arrays
from service.vocabulary import FIRST, MOST, TERMS, Vocabulary
from training import corpora, exchange, vectors, wordmap, wordsets
from training.checkpoint import Checkpoint
from training.corpora import Unit, Wanted
from training.embedding import Embedding, Lookup
from training.room import (
    RECIPE_BOUNDS,
    Data,
    Export,
    Fit,
    Format,
    Keeper,
    Predict,
    Scores,
    Sources,
    Space,
    Span,
    TrainingError,
    check,
)
from training.run import Run, now

name = "words"
gate = "context_auc"
reported = ("context_auc", "wordsim353", "simlex999", "analogies")
tolerance = 0.02
VARIANTS: dict[str, dict[str, Any]] = {
    "skip-gram": {"mode": "skipgram", "learning_rate": None},
    "CBOW": {"mode": "cbow", "learning_rate": None},
}
"""What `compare` trains beside each other."""
SPACE: Space = {"negatives": Span(2, 15, log=True), "size": (50, 100, 200)}
"""What `search` tries beside the rate."""
BOUNDS = {
    **{key: RECIPE_BOUNDS[key] for key in ("epochs", "learning_rate", "seed")},
    "size": (1, 2048),
    "window": (1, 100),
    "min_count": (1, 1_000_000),
    "vocabulary": (2, 10_000_000),
    "subsample": (0, 1),
    "negatives": (1, 1_000),
    "workers": (1, 256),
    "least_words": (0, 10**12),
    "validation_share": (0, 0.4),
    "test_share": (0, 0.4),
}
formats = {
    "word2vec": Format(".txt", exchange.headed),
    "glove": Format(".txt", exchange.plain),
    "npz": Format(".npz", exchange.arrays),
}
RATES = {"skipgram": 0.025, "cbow": 0.1}
MOST_EPOCHS = 200
CONTEXTS = 5_000
"""Words beside each other that an evaluation asks for."""
FEWEST_ROWS = 2
"""Of an evaluation: what is recorded with a version."""
MOST_WORKERS = 8
"""More threads wait for each other's turn at the interpreter."""
DRAWN = 2_000
"""Of the commonest words: those on the map."""


@dataclass(frozen=True)
class Config:
    """How word vectors are trained. The defaults are what the shipped `words` was trained with."""

    # Tell the words around a word (skip-gram), or a word from those around it (CBOW).
    mode: Literal["skipgram", "cbow"] = "skipgram"
    # Numbers in a vector.
    size: int = 100
    # Words on either side that count as beside; each word draws how many of them. Of a table's row, every value counts.
    window: int = 4
    # Times that a word must come up to get a vector.
    min_count: int = 5
    # Words that get a vector at most, the commonest ones.
    vocabulary: int = 200_000
    # Share of all words above which a word is left out at random, the commoner the oftener; 0 for never, as for tables.
    subsample: float | None = None
    # Random words that each true one is told from, drawn by their count to the power 3/4.
    negatives: int = 5
    # Passes over the source, at least.
    epochs: int = 9
    # Words read in all, at least: a small source is read more often. 20,000,000, and 2,000,000 values of a table, if not given.
    least_words: int | None = None
    # Rate at the start, falling linearly; 0.025 for skip-gram and 0.1 for CBOW where none is given.
    learning_rate: float | None = None
    # Threads that train; one for each core, 8 at most, where none is given. Only one gives the same vectors each time.
    workers: int | None = None
    # Your table's columns whose values get vectors.
    columns: tuple[str, ...] = ()
    # What ends a text in your files: a line of one file, or a file of a folder, where none is given.
    unit: Unit | None = None
    # Whether to score on English word sets too; by default where the source is the public one.
    word_sets: bool | None = None
    # Of the texts, held out to watch training.
    validation_share: float = 0.01
    # Of the texts, held out to report on.
    test_share: float = 0.01
    # Of everything random.
    seed: int = 0

    def __post_init__(self) -> None:
        """What suits the mode and the source, where nothing was given. Raises TrainingError on a field out of bounds."""
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", RATES[self.mode])
        if self.least_words is None:
            object.__setattr__(self, "least_words", 2_000_000 if self.columns else 20_000_000)
        if self.subsample is None:
            object.__setattr__(self, "subsample", 0.0 if self.columns else 1e-4)
        check(self, BOUNDS)

    @property
    def reach(self) -> int:
        """Words on either side that may count."""
        return len(self.columns) - 1 if self.columns else self.window

    def keep(self, words: int) -> float:
        """Share up to which every word is kept: at least twice that of each word if all were as common."""
        return max(self.subsample, 2 / words) if self.subsample else 1.0


def data(config: Config, origin: Sources) -> Data:
    """IMDb's reviews or the user's own source as one stream; evaluation rows are words beside each other in held-out texts."""
    wanted = Wanted(config.reach, config.min_count, config.vocabulary, config.validation_share, config.test_share, config.seed)
    if origin.own is None:
        corpus = corpora.imdb(origin, wanted)
    elif config.columns:
        corpus = corpora.table(origin.own, wanted, tuple(config.columns))
    else:
        corpus = corpora.own(origin, origin.own, wanted, config.unit)
    known = corpus.vocabulary
    how = wordsets.Beside(config.reach, config.keep(known.size), CONTEXTS, config.seed)
    validation, test = (wordsets.beside(part, known, how) for part in (corpus.validation, corpus.test))
    if min(len(validation["terms"]), len(test["terms"])) < wordsets.FEWEST:  # too few texts to spare any
        validation = test = wordsets.beside(corpora.texts_of(corpus.train), known, how)
    if len(test["terms"]) < FEWEST_ROWS:
        raise TrainingError(
            f"{corpus.source.name} hardly has words beside each other; expected texts of two known words or more."
        )
    sets = config.word_sets if config.word_sets is not None else origin.own is None
    return Data(
        train={"numbers": corpus.train},
        validation=validation,
        test=wordsets.together([test, wordsets.public(origin)] if sets else [test]),
        source=corpus.source,
        shape={"numbers": known.size},
        preparation={"columns": list(config.columns)},
        files={vocabulary.FILE: known.dump()},
    )


def rows(split: Arrays, files: Mapping[str, bytes]) -> Arrays:
    """The words in the numbers of a version's own vocabulary; all its words beside them, to be drawn."""
    known = Vocabulary.load(files[vocabulary.FILE])
    return {**wordsets.numbered(split, known), "vocabulary": np.array(known.words, object)}


def pretrain(config: Config, data: Data, run: Keeper, fit: Fit) -> Data:  # noqa: ARG001 - every room's signature
    """Nothing: vectors start at random."""
    return data


def fit(config: Config, data: Data, run: Run) -> nn.Module:
    """Train, or go on from the run's checkpoint: several threads on a CPU, one on a GPU."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    stream = data.train["numbers"]
    epochs = _epochs(config, stream)
    recipe = vectors.Recipe(
        mode=config.mode,
        size=config.size,
        window=config.reach,
        shrinks=not config.columns,
        epochs=epochs,
        negatives=config.negatives,
        keep=config.keep(data.shape["numbers"]),
        learning_rate=cast(float, config.learning_rate),
        seed=config.seed,
        workers=1 if device == "cuda" else config.workers or min(MOST_WORKERS, os.cpu_count() or 1),
    )
    trainer = vectors.Trainer(stream, data.shape["numbers"], recipe, device)
    history: list[dict[str, float]] = []
    if checkpoint := run.checkpoint():
        trainer.inner.copy_(checkpoint.tensors["inner"])
        trainer.outer.copy_(checkpoint.tensors["outer"])
        history.extend(checkpoint.values["history"])
    watched = rows(data.validation, data.files)
    with run.progress(epochs * len(stream), len(history) * len(stream)) as advance:
        for epoch in range(len(history), epochs):
            begun = time.perf_counter()
            loss = trainer.epoch(epoch, lambda words, mean: advance(words, now(history, gate, epochs, mean)))
            if not torch.isfinite(trainer.inner).all():
                raise TrainingError(f"The vectors ran away in epoch {epoch + 1}; try a lower --learning-rate.")
            found = wordsets.evaluate(_predict(trainer.inner), watched)
            spent = time.perf_counter() - begun
            history.append({"epoch": epoch + 1, "train_loss": loss, **found.values, "seconds": spent})
            run.record(history[-1], Checkpoint({"inner": trainer.inner, "outer": trainer.outer}, {"history": history}))
            advance(0, now(history, gate, epochs, loss))
    return Embedding(trainer.inner.cpu(), trainer.outer.cpu())


def _epochs(config: Config, stream: "np.ndarray[Any, np.dtype[np.int32]]") -> int:
    words = max(1, int(np.count_nonzero(stream)))
    return max(config.epochs, min(MOST_EPOCHS, -(-(config.least_words or 0) // words)))


def _predict(inner: Tensor) -> Predict:
    """The vectors as they are, asked like the graph; nothing is searched."""
    unit = nn.functional.normalize(inner, dim=1).cpu().numpy()

    def predict(arrays: Arrays, graph: str = "model") -> Arrays:  # noqa: ARG001 - there is one
        return {"vectors": unit[arrays["words"]]}

    return predict


def sample(config: Config) -> tuple[nn.Module, Tensor]:
    """Vectors of as many words as the public data has, about, and a word."""
    words = min(config.vocabulary, 57_000) + FIRST
    return Embedding(torch.zeros(words, config.size), torch.zeros(words, config.size)), torch.ones(1, dtype=torch.int64)


def export(network: nn.Module, data: Data, config: Config) -> Export:
    """The vectors in 8 bits, and the search among them."""
    known = Vocabulary.load(data.files[vocabulary.FILE])
    column = wordsets.columns(known) if known.columns else None
    what = f"values of {', '.join(known.columns)}" if known.columns else "words"
    return Export(
        module=Lookup(cast(Embedding, network).inner.data, MOST, column),
        inputs={"words": torch.ones(2, 3, dtype=torch.int32), "weights": torch.ones(2, 3)},
        outputs=("vectors", "neighbors", "cosines"),
        axes={"words": {1: "terms"}, "weights": {1: "terms"}},
        summary=f"Vectors of {len(known.words):,} {what} ({config.mode}, {data.source.name})",
        limits={"terms": TERMS, "words": len(known.words)},
    )


def evaluate(predict: Predict, rows: Arrays, labels: tuple[str, ...]) -> Scores:  # noqa: ARG001 - every room's signature
    """Scores on the held-out texts and on the word sets; the commonest words' vectors and neighbours, to be drawn."""
    found = wordsets.evaluate(predict, rows)
    count = min(DRAWN, len(rows["vocabulary"]))
    numbers = np.arange(FIRST, FIRST + count, dtype=np.int32)[:, np.newaxis]
    answers = predict({"words": numbers, "weights": np.ones((count, 1), np.float32)})
    found.arrays.update({key: answers[key] for key in ("vectors", "neighbors", "cosines") if key in answers})
    return found


def baselines(data: Data) -> dict[str, dict[str, float]]:
    """What the spelling of words gives on the same rows."""
    return {"spelling": wordsets.by_spelling(data.test)}


def statistics(data: Data) -> dict[str, Any]:
    """Of the training words, to compare what is asked with."""
    known = Vocabulary.load(data.files[vocabulary.FILE])
    stream = data.train["numbers"]
    return {
        "words": int(np.count_nonzero(stream)),
        "vocabulary": len(known.words),
        "share_of_commonest_1000": round(sum(known.counts[:1000]) / sum(known.counts), 5),
    }


def draw(found: Scores, rows: Arrays, labels: tuple[str, ...], folder: Path) -> list[Path]:  # noqa: ARG001 - every room's signature
    """`neighbors.txt`, `map.json` (which goes into the version) and `map.png`."""
    return wordmap.write(rows["vocabulary"].tolist(), found.arrays, len(found.arrays["vectors"]), folder)
