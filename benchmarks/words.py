"""Word vectors of the IMDb reviews beside gensim's: words a second and what the vectors know, on the same text and cores.

Both read the same words (those that come up 5 times or more), with two workers, in turns; gensim from a file, as it is fastest.
Reading the text and counting words is left out on both sides.

python benchmarks/words.py [--rounds 2] [--workers 2]
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from gensim.models import Word2Vec
from numpy.typing import NDArray
from rich.console import Console

from service import vocabulary
from service.golden import Arrays
from service.vocabulary import Vocabulary
from training import corpora, vectors, wordsets
from training.families import word2vec
from training.families.word2vec import Config
from training.room import Data
from training.settings import Settings
from training.sources import Sources

PEER_EPOCHS = 2
WINDOW = 5
"""Of gensim's own recipe: speeds, and as many passes, are compared at it."""
SAMPLES = {"1e-3, gensim's default": 1e-3, "1e-4, ours": 1e-4}


def ours(data: Data, recipe: vectors.Recipe) -> tuple[NDArray[np.float32], float]:
    """Vectors and seconds."""
    trainer = vectors.Trainer(data.train["numbers"], data.shape["numbers"], recipe)
    begun = time.perf_counter()
    for epoch in range(recipe.epochs):
        trainer.epoch(epoch)
    return trainer.inner.numpy(), time.perf_counter() - begun


def peers(file: Path, known: Vocabulary, recipe: vectors.Recipe) -> tuple[NDArray[np.float32], float]:
    """Gensim's vectors in our order, and seconds."""
    model = Word2Vec(
        vector_size=recipe.size,
        window=recipe.window,
        min_count=1,  # what is rarer is not in the file
        sg=int(recipe.mode == "skipgram"),
        negative=recipe.negatives,
        sample=recipe.keep,
        workers=recipe.workers,
        epochs=recipe.epochs,
        seed=1,
    )
    model.build_vocab(corpus_file=str(file))
    begun = time.perf_counter()
    model.train(
        corpus_file=str(file), total_examples=model.corpus_count, total_words=model.corpus_total_words, epochs=recipe.epochs
    )
    seconds = time.perf_counter() - begun
    found = np.zeros((known.size, recipe.size), np.float32)
    found[1:] = model.wv[known.words]
    return found, seconds


def knows(found: NDArray[np.float32], rows: Arrays) -> str:
    """WordSim-353, SimLex-999 and the analogies, in one line."""
    unit = torch.nn.functional.normalize(torch.from_numpy(found), dim=1)
    among = unit[: wordsets.AMONG + 1]

    def predict(arrays: Arrays) -> Arrays:
        words = torch.from_numpy(arrays["words"]).long()
        gathered = unit[words]
        cosines = (gathered * torch.from_numpy(arrays["weights"])[:, :, None]).sum(1) @ among.T
        nearest = cosines.scatter(1, words.clamp(max=wordsets.AMONG), -9).argmax(1, keepdim=True)
        return {"vectors": gathered.numpy(), "neighbors": nearest.int().numpy()}

    values = wordsets.evaluate(predict, rows).values
    return " | ".join(f"{values[name]:.3f}" for name in ("wordsim353", "simlex999", "analogies"))


def speed(runs: dict[str, Callable[[], float]], rounds: int, words: int) -> dict[str, float]:
    """Median words a second of each, in turns."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            found[name].append(words / run())
    return {name: statistics.median(rates) for name, rates in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.workers)
    config, settings = Config(), Settings()
    data = word2vec.data(config, Sources(None, settings.data_dir, settings.cache_dir, Console(stderr=True)))
    known = Vocabulary.load(data.files[vocabulary.FILE])
    words, rows = int(np.count_nonzero(data.train["numbers"])), word2vec.rows(data.test, data.files)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.txt"
        with file.open("w") as lines:
            lines.writelines(
                " ".join(known.word(number) for number in one) + "\n" for one in corpora.texts_of(data.train["numbers"])
            )
        base = vectors.Recipe(size=config.size, window=WINDOW, epochs=1, negatives=config.negatives, workers=asked.workers)
        print(f"{words:,} words, {len(known.words):,} different; {asked.workers} workers, medians of {asked.rounds} rounds\n")
        print("| one epoch | subsampling | words/s | gensim | ratio |\n| --- | --- | --- | --- | --- |")
        for mode in ("skipgram", "cbow"):
            for said, keep in SAMPLES.items():
                recipe = replace(base, mode=mode, keep=keep, learning_rate=word2vec.RATES[mode])
                rates = speed(
                    {"ours": lambda one=recipe: ours(data, one)[1], "gensim": lambda one=recipe: peers(file, known, one)[1]},
                    asked.rounds,
                    words,
                )
                ratio = rates["ours"] / rates["gensim"]
                print(f"| {mode} | {said} | {rates['ours']:,.0f} | {rates['gensim']:,.0f} | {ratio:.1f} |", flush=True)
        print("\n| vectors | epochs | seconds | WordSim-353 | SimLex-999 | analogies |\n| --- | --- | --- | --- | --- | --- |")
        for mode in ("skipgram", "cbow"):
            recipe = replace(base, mode=mode, keep=1e-3, epochs=PEER_EPOCHS)
            found, seconds = peers(file, known, recipe)
            print(f"| gensim, {mode}, window {WINDOW} | {PEER_EPOCHS} | {seconds:.0f} | {knows(found, rows)} |", flush=True)
            settled = replace(base, mode=mode, keep=config.keep(known.size), learning_rate=word2vec.RATES[mode])
            for window, epochs in ((WINDOW, PEER_EPOCHS), (config.window, config.epochs)):
                found, seconds = ours(data, replace(settled, window=window, epochs=epochs))
                print(f"| ours, {mode}, window {window} | {epochs} | {seconds:.0f} | {knows(found, rows)} |", flush=True)


if __name__ == "__main__":
    main()
