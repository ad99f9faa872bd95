"""Shared by the tests of training: a slice of MNIST, the same as folders of pictures, folders to write to, one quick training."""

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from service.golden import Arrays
from service.manifest import Manifest
from tests.conftest import DATA
from training.__main__ import main
from training.families import classifier
from training.room import Data
from training.sources import Sources

SIZES = ["--image-size", "28", "--channels", "1"]
QUICK = [*SIZES, "--architecture", "dense", "--epochs", "3", "--batch-size", "32", "--no-augment"]
"""Tells 60 unseen digits apart well above chance, in a fraction of a second."""
WORSE = [*QUICK, "--learning-rate", "1e-9"]
"""Learns nothing."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mnist() -> Arrays:
    """train_images (400, 28, 28), train_labels, test_images (100, 28, 28), test_labels; every digit as often."""
    with np.load(DATA / "mnist.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="session")
def pictures(mnist, tmp_path_factory) -> Path:
    """The 400 training digits as PNG, a folder for each."""
    root = tmp_path_factory.mktemp("own") / "pictures"
    for row, (pixels, label) in enumerate(zip(mnist["train_images"], mnist["train_labels"], strict=True)):
        folder = root / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{row:03}.png")
    return root


@dataclass(frozen=True)
class Place:
    """Where commands read and write in one test."""

    models: Path
    runs: Path

    @property
    def run(self) -> Path:
        """The newest run's folder."""
        return max(self.runs.glob("*/*"), key=lambda path: path.stat().st_mtime_ns)

    def manifest(self, version: int = 1, name: str = "x") -> Manifest:
        return Manifest.read(self.models / name / str(version))

    def tree(self) -> list[str]:
        """All that is published or half published."""
        return sorted(str(path.relative_to(self.models)) for path in self.models.rglob("*"))


def _place(root: Path, patch: pytest.MonkeyPatch) -> Place:
    for name in ("models", "runs", "data", "cache"):
        (root / name).mkdir(exist_ok=True)
        patch.setenv(f"MODELYARD_{name.upper()}_DIR", str(root / name))
    patch.setenv("COLUMNS", "300")  # so that no table is cut
    patch.setattr("signal.signal", lambda *_: None)  # pytest keeps its own handlers
    return Place(root / "models", root / "runs")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    """Empty folders, named by the environment; no public data is there and none is downloaded."""
    return _place(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def _trained(pictures, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        _place(root, patch)
        words = ["train", "classifier", "--data", str(pictures), "--name", "x", *QUICK]
        patch.setattr("sys.argv", ["training", *words])
        assert main(words) == 0
    return root


@pytest.fixture
def trained(_trained, tmp_path, place) -> Place:
    """A place where x:1 is published, trained on the pictures."""
    shutil.copytree(_trained, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoint.safetensors"))
    return place


@pytest.fixture
def train(pictures) -> Callable[..., int]:
    """`train classifier` on the pictures as model x with these words; its exit code."""
    return lambda *words: main(["train", "classifier", "--data", str(pictures), "--name", "x", *words])


@pytest.fixture(scope="session")
def data(pictures) -> Data:
    """The pictures as the classifier takes them, 28 x 28 gray."""
    config = classifier.Config(image_size=28, channels=1)
    return classifier.data(config, Sources(pictures, None, None, Console(quiet=True)))


def idx(array: np.ndarray) -> bytes:
    """The bytes of an idx file."""
    return b"\0\0\x08" + bytes([array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


def idx_files(mnist: Arrays) -> dict[str, bytes]:
    """The slice as MNIST's four files, gzipped as upstream's are."""
    names = {"train-images-idx3": "train_images", "train-labels-idx1": "train_labels",
             "t10k-images-idx3": "test_images", "t10k-labels-idx1": "test_labels"}  # fmt: skip
    return {f"{name}-ubyte.gz": gzip.compress(idx(mnist[key]), mtime=0) for name, key in names.items()}
