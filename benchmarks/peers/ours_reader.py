"""The same network and work in our loop: the seconds of each epoch asked for on stdin.

python ours_reader.py data.npz lstm|gru
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console

from service import text
from service.text import Tokenizer
from training import loop, sources
from training.families import sentiment
from training.families.sentiment import Config
from training.room import Data, Ragged
from training.run import Run

with np.load(sys.argv[1]) as archive:
    tokens, labels, words = archive["tokens"], archive["labels"], int(archive["words"])
lengths = np.maximum((tokens != 0).sum(1), 1)
tokenizer = Tokenizer(tuple(f"w{number}" for number in range(words - 2)), tokens.shape[1], tokens.shape[1] // 3)
few = {"text": np.array(["w1 w2 w3"] * 100, object), "label": np.arange(100) % 2}
config = Config(
    cell=sys.argv[2],
    bidirectional=False,
    units=32,
    size=64,
    readout="last",
    conv=0,
    limit=tokens.shape[1],
    pretrain="none",
    epochs=1,
    batch_size=128,
    schedule="constant",
    learning_rate=1e-3,
    average=False,
    word_dropout=0.0,
    dropout=0.0,
    label_smoothing=0.0,
)


def epoch(rows: int) -> float:
    """One epoch of `rows`, checkpoint and validation on 100 rows included."""
    target = np.eye(2, dtype=np.float32)[labels[:rows]]
    train = {"tokens": tokens[:rows], "length": lengths[:rows], "target": target}
    data = Data(
        train, few, few, sources.fingerprint("IMDb", [], {}), {"words": words, "classes": 2}, ("negative", "positive"),
        files={text.FILE: tokenizer.dump()}, ragged=Ragged("length", ("tokens",)),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        loop.fit(sentiment, config, data, Run.begin(Path(folder), "reader", {}, Console(quiet=True)))
        return time.perf_counter() - begun


epoch(1280)
print("ready", flush=True)
for _ in sys.stdin:
    print(epoch(len(labels)), flush=True)
