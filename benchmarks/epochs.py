"""Seconds per epoch beside Keras with TensorFlow, in turns.

`pictures`: the book's convnet, 93,322 parameters, 60,000 MNIST rows. `texts`: an LSTM and a GRU of 32 units on IMDb's 25,000
training reviews, 10,000 words, at most 500 tokens.

python benchmarks/epochs.py [pictures|texts] [--rounds 3]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from environments import HERE, python
from rich.console import Console

from service import text
from training import sources, texts
from training.settings import Settings


class Peer:
    """A process that trains one epoch for each line it gets."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name, self.seconds = name, []
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(HERE.parent), "KERAS_BACKEND": "tensorflow"}
        # its own stderr shows what goes wrong
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet)
        while (line := self.process.stdout.readline().strip()) != "ready":
            assert line or self.process.poll() is None, f"{name} did not start"

    def epoch(self) -> float:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def pictures(origin: sources.Sources, file: str) -> list[Peer]:
    files = origin.public("mnist")
    images = sources.idx(files["train-images-idx3-ubyte"])[..., np.newaxis]
    np.savez(file, images=images, labels=sources.idx(files["train-labels-idx1-ubyte"]))
    ours = str(HERE / "peers/ours_book.py")
    return [
        Peer("Modelyard, plain", [sys.executable, ours, file, "plain"]),
        Peer("Modelyard, default recipe", [sys.executable, ours, file]),
        keras("Keras", "keras_book.py", file),
    ]


def reviews(origin: sources.Sources, file: str) -> list[Peer]:
    corpus = texts.imdb(origin)
    lexicon = texts.Lexicon()
    documents = [lexicon.numbers(one) for one in corpus.rest.texts]
    numbers = lexicon.renumbering(lexicon.commonest(documents, 10_000, 1))
    tokens = np.zeros((len(documents), 500), np.int32)
    for row, document in zip(tokens, documents, strict=True):
        kept = text.cut(numbers[document], 500, 166)
        row[: len(kept)] = kept
    np.savez(file, tokens=tokens, labels=corpus.rest.targets, words=10_002)
    ours = str(HERE / "peers/ours_reader.py")
    return [
        Peer("Modelyard, LSTM", [sys.executable, ours, file, "lstm"]),
        keras("Keras, LSTM", "keras_reader.py", file, "lstm"),
        Peer("Modelyard, GRU", [sys.executable, ours, file, "gru"]),
        keras("Keras, GRU", "keras_reader.py", file, "gru"),
    ]


def keras(name: str, script: str, *words: str) -> Peer:
    interpreter = python("keras", "keras==3.15.1", "tensorflow-cpu")
    return Peer(name, [str(interpreter), str(HERE / "peers" / script), *words])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["pictures", "texts"], nargs="?", default="pictures")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    settings = Settings()
    origin = sources.Sources(None, settings.data_dir, settings.cache_dir, Console(stderr=True))
    with tempfile.TemporaryDirectory() as folder:
        peers = {"pictures": pictures, "texts": reviews}[asked.what](origin, str(Path(folder) / "data.npz"))
        for turn in range(asked.rounds):
            for peer in peers:
                peer.seconds.append(peer.epoch())
                sys.stderr.write(f"round {turn + 1}: {peer.name} {peer.seconds[-1]:.2f} s\n")
        for peer in peers:
            peer.process.kill()
    medians = {peer.name: statistics.median(peer.seconds) for peer in peers}
    for name, seconds in medians.items():
        against = name.replace("Modelyard", "Keras") if name.replace("Modelyard", "Keras") in medians else "Keras"
        print(f"{name:<28} {seconds:6.2f} s/epoch   {seconds / medians[against]:.2f} of {against}")
    print(json.dumps({peer.name: [round(one, 2) for one in peer.seconds] for peer in peers}))


if __name__ == "__main__":
    main()
