"""Pictures, read and split."""

import shutil

import numpy as np
import pytest
from rich.console import Console

from training import pictures as read
from training.pictures import Wanted
from training.room import TrainingError
from training.sources import Sources

WANTED = Wanted(28, 1, None, 0.1, 0.2, 0)


def own(path):
    return Sources(path, None, None, Console(quiet=True))


def test_a_folder_is_split_by_its_shares(pictures):
    data = read.data(own(pictures), WANTED)
    assert data.source.rows == {"train": 280, "validation": 40, "test": 80}
    assert data.train["image"].shape == (280, 28, 28, 1)
    assert data.labels == tuple("0123456789")
    assert data.preparation == {"mode": "plain", "height": 28, "width": 28, "channels": 1}


def test_pictures_without_classes_are_taken_where_none_are_needed(pictures, tmp_path):
    for file in sorted(pictures.rglob("*.png"))[:40]:
        shutil.copy(file, tmp_path / file.name)
    data = read.data(own(tmp_path), Wanted(28, 1, None, 0.1, 0.2, 0, classes=False))
    assert sum(data.source.rows.values()) == 40
    assert len(data.labels) == 1
    assert (np.concatenate([data.train["label"], data.test["label"]]) == 0).all()
    with pytest.raises(TrainingError, match="holds 0 folders"):
        read.data(own(tmp_path), WANTED)


def test_digits_are_two_toned_and_photographs_are_not():
    random = np.random.default_rng(0)
    drawn = np.where(random.random((5, 8, 8, 1)) < 0.8, 0, 255).astype(np.uint8)
    assert read.two_toned(drawn)
    assert not read.two_toned(random.integers(0, 256, (5, 8, 8, 3)).astype(np.uint8))
