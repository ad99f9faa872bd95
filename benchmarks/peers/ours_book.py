"""The same network and work in our loop: the seconds of each epoch asked for on stdin.

python ours_book.py data.npz [plain|default]
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from training import loop, sources
from training.families import classifier
from training.families.classifier import Config
from training.room import Data
from training.run import Run

PLAIN = {
    "augment": False,
    "average": False,
    "schedule": "constant",
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "learning_rate": 1e-3,
}

with np.load(sys.argv[1]) as archive:
    split = {"image": archive["images"], "label": archive["labels"].astype(np.int64)}
few = {name: array[:500] for name, array in split.items()}
options = {"batch_size": 64, **PLAIN} if sys.argv[2:] == ["plain"] else {}
shape = {"height": 28, "width": 28, "channels": 1, "classes": 10}


def data(rows: int) -> Data:
    train = {name: array[:rows] for name, array in split.items()}
    source = sources.fingerprint("MNIST", [], {})
    return Data(train, few, few, source, shape, tuple("0123456789"))


def epoch(rows: int) -> float:
    """One epoch of `rows`, checkpoint and validation on 500 rows included."""
    config = Config(architecture="book", epochs=1, **options)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        loop.fit(classifier, config, data(rows), Run.begin(Path(folder), "book", {}, Console(quiet=True)))
        return time.perf_counter() - begun


epoch(6400)
print("ready", flush=True)
for _ in sys.stdin:
    print(epoch(len(split["label"])), flush=True)
