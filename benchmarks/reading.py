"""Milliseconds per review of 200 tokens, one thread: the shipped graph beside the same network in PyTorch, in turns.

PyTorch runs it twice: over padded rows with a mask, as we train it, and over packed sequences; the better one counts.

python benchmarks/reading.py [--rounds 7] [--model reviews]
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from torch import nn

from service.manifest import Manifest
from training import publish, recurrent
from training.families import sentiment
from training.families.sentiment import Config
from training.reader import Deployed
from training.room import NO_SOURCE, Data

ROOT = Path(__file__).parent.parent


def packed(cell: str, directions: list[nn.RNNBase], x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """What `recurrent._padded` gives, by PyTorch's packed sequences."""
    whole = _whole(cell, tuple(directions), x.shape[2])
    sequence = nn.utils.rnn.pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
    return nn.utils.rnn.pad_packed_sequence(whole(sequence)[0], batch_first=True, total_length=x.shape[1])[0]


@functools.cache
def _whole(cell: str, directions: tuple[nn.RNNBase, ...], features: int) -> nn.Module:
    """PyTorch's own layer of both directions, with their weights."""
    units = directions[0].hidden_size
    whole = recurrent.LAYERS[cell](features, units, batch_first=True, bidirectional=len(directions) > 1)
    for direction, suffix in zip(directions, ("", "_reverse"), strict=False):
        for name, weight in direction.named_parameters():
            getattr(whole, name + suffix).data.copy_(weight)
    return whole.eval()


def timed(run: Callable[[], object], repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - begun) / repeats * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default="reviews")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    manifest, folder = publish.read(ROOT / "models", asked.model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(folder / manifest.graph.file, options, providers=["CPUExecutionProvider"])
    module = _network(manifest)
    random = np.random.default_rng(0)
    for rows, repeats in ((1, 100), (32, 5)):
        tokens = random.integers(2, 5_000, (rows, 200)).astype(np.int32)
        row = torch.from_numpy(tokens)
        runs = {
            "onnxruntime": lambda tokens=tokens: session.run(None, {"tokens": tokens}),
            "PyTorch, masked": lambda row=row: module(row),
            "PyTorch, packed": lambda row=row: _with_packing(module, row),
        }
        found: dict[str, list[float]] = {name: [] for name in runs}
        with torch.inference_mode():
            for _ in range(asked.rounds + 1):
                for name, run in runs.items():
                    found[name].append(timed(run, repeats))
        medians = {name: statistics.median(times[1:]) / rows for name, times in found.items()}
        best = min(ms for name, ms in medians.items() if name != "onnxruntime")
        for name, ms in medians.items():
            print(f"{rows:>3} x 200 tokens  {name:<16} {ms:7.3f} ms a review   {ms / best:.2f} of PyTorch's better")


def _network(manifest: Manifest) -> nn.Module:
    """The same network with fresh weights: time does not depend on them."""
    known = {field: value for field, value in manifest.training.config.items() if field in Config.__dataclass_fields__}
    shape = {"words": Config(**known).vocabulary + 2, "classes": len(manifest.labels)}
    return Deployed(sentiment.network(Config(**known), Data({}, {}, {}, NO_SOURCE, shape)), 1.0).eval()


def _with_packing(module: nn.Module, tokens: torch.Tensor) -> object:
    padded = recurrent._padded
    recurrent._padded = packed
    try:
        return module(tokens)
    finally:
        recurrent._padded = padded


if __name__ == "__main__":
    main()
