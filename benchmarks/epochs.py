"""Seconds per epoch of the book's convnet (93,322 parameters, 60,000 MNIST rows): ours beside Keras with TensorFlow, in turns.

python benchmarks/epochs.py [--rounds 3]
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

from training import sources
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    settings = Settings()
    files = sources.Sources(None, settings.data_dir, settings.cache_dir, Console(stderr=True)).public("mnist")
    with tempfile.TemporaryDirectory() as folder:
        data = str(Path(folder) / "mnist.npz")
        images = sources.idx(files["train-images-idx3-ubyte"])[..., np.newaxis]
        np.savez(data, images=images, labels=sources.idx(files["train-labels-idx1-ubyte"]))
        ours, keras = str(HERE / "peers/ours_book.py"), str(HERE / "peers/keras_book.py")
        peers = [
            Peer("Modelyard, plain", [sys.executable, ours, data, "plain"]),
            Peer("Modelyard, default recipe", [sys.executable, ours, data]),
            Peer("Keras, TensorFlow", [str(python("keras", "keras==3.15.1", "tensorflow-cpu")), keras, data]),
        ]
        for turn in range(rounds):
            for peer in peers:
                peer.seconds.append(peer.epoch())
                sys.stderr.write(f"round {turn + 1}: {peer.name} {peer.seconds[-1]:.2f} s\n")
        for peer in peers:
            peer.process.kill()
    medians = {peer.name: statistics.median(peer.seconds) for peer in peers}
    for name, seconds in medians.items():
        print(f"{name:<28} {seconds:6.2f} s/epoch   {seconds / medians['Keras, TensorFlow']:.2f} of Keras")
    print(json.dumps({peer.name: [round(one, 2) for one in peer.seconds] for peer in peers}))


if __name__ == "__main__":
    main()
