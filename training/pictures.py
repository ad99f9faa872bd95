"""Pictures as raw rows, split: MNIST with its own test rows, or a folder of the user's own. Knows sources; knows no network."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from service.golden import Arrays
from service.images import Preparation
from training import sources
from training.room import Data, Sources, TrainingError

SHADE = 26
"""How far from black or white a pixel may be to count as that."""
LOOKED_AT = 10_000
"""Pictures that tell whether all are two-toned."""


@dataclass(frozen=True)
class Wanted:
    """How pictures are read and split. None for what suits the source."""

    size: int | None
    channels: Literal[1, 3] | None
    mode: Literal["digit", "plain"] | None
    validation_share: float
    test_share: float
    seed: int
    least: int = 5
    """Pictures of a class, or in all where there are no classes."""
    classes: bool = True
    """Whether the user's own must have classes."""


def data(origin: Sources, wanted: Wanted) -> Data:
    """`image` (uint8, rows x height x width x channels) and `label` of each part. Raises TrainingError."""
    if origin.own is None:
        return _mnist(origin, wanted)
    size, channels = wanted.size or 64, wanted.channels or 3
    preparation = Preparation(mode=wanted.mode or "plain", height=size, width=size, channels=channels)
    folder = sources.folder(origin.own, preparation, wanted.least, classes=wanted.classes)
    train, validation, test = sources.split(folder.targets, (wanted.validation_share, wanted.test_share), wanted.seed)
    rows = {"train": len(train), "validation": len(validation), "test": len(test)}
    parts = [_split(folder.pixels[index], folder.targets[index]) for index in (train, validation, test)]
    return _data(parts, folder.source(rows), preparation, folder.labels)


def two_toned(pixels: NDArray[np.uint8]) -> bool:
    """Whether most pixels of the first ones are nearly black or white."""
    some = pixels[:LOOKED_AT]
    return bool(((some < SHADE) | (some > 255 - SHADE)).mean() > 0.5)


def _mnist(origin: Sources, wanted: Wanted) -> Data:
    if wanted.size not in (None, 28) or wanted.channels not in (None, 1):
        raise TrainingError("MNIST's pictures are 28 x 28 gray; leave --image-size and --channels out.")
    files = origin.public("mnist")
    pixels = sources.idx(files["train-images-idx3-ubyte"])[..., np.newaxis]
    targets = sources.idx(files["train-labels-idx1-ubyte"]).astype(np.int64)
    # the rows stand writer by writer, and nobody who wrote a test row wrote a training row: so it is for the last rows here
    train, validation = np.split(np.arange(len(targets)), [-max(1, round(wanted.validation_share * len(targets)))])
    held_out = [sources.idx(files[f"t10k-{name}-ubyte"]) for name in ("images-idx3", "labels-idx1")]
    test = _split(held_out[0][..., np.newaxis], held_out[1].astype(np.int64))
    labels = tuple(str(digit) for digit in range(10))
    rows = {"train": len(train), "validation": len(validation), "test": len(test["label"])}
    source = sources.fingerprint("MNIST", files.values(), rows, "LeCun, Cortes and Burges, CC BY-SA 3.0")
    preparation = Preparation(mode=wanted.mode or "digit", height=28, width=28, channels=1)
    parts = [*(_split(pixels[index], targets[index]) for index in (train, validation)), test]
    return _data(parts, source, preparation, labels)


def _split(pixels: Any, targets: Any) -> Arrays:
    return {"image": np.ascontiguousarray(pixels), "label": targets}


def _data(parts: list[Arrays], source: Any, preparation: Preparation, labels: tuple[str, ...]) -> Data:
    train, validation, test = parts
    sizes = {"height": preparation.height, "width": preparation.width, "channels": preparation.channels}
    shape = {**sizes, "classes": len(labels)}
    return Data(train, validation, test, source, shape, labels, preparation.model_dump())
