"""Pictures of a run: files that open, whatever the numbers."""

import numpy as np
import pytest
from PIL import Image

from training import plots


def opened(path):
    with Image.open(path) as picture:
        picture.load()
        return picture.size


@pytest.mark.parametrize("classes", [2, 10, 60])
def test_a_confusion_is_drawn_for_any_number_of_classes(tmp_path, classes):
    counts = np.random.default_rng(0).integers(0, 9, (classes, classes))
    counts[0] = 0  # a class without rows
    labels = [f"class number {index}" for index in range(classes)]
    assert min(opened(plots.confusion(counts, labels, tmp_path / "confusion.png"))) > 300


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shown", [0, 1, 20])
def test_mistakes_are_drawn_in_gray_and_colour_and_where_there_are_none(tmp_path, channels, shown):
    pictures = np.zeros((shown, 28, 28, channels), np.uint8)
    path = plots.mistakes(pictures, ["1 → 7  0.99"] * shown, tmp_path / "mistakes.png", wrong=shown, total=100)
    assert opened(path)[0] > 800


def test_a_label_is_written_as_it_is(tmp_path):
    """Dollars would be mathematics to matplotlib, and a broken formula an error."""
    labels = ["$x_{$", "a_b^c"]
    plots.confusion(np.eye(2, dtype=int), labels, tmp_path / "confusion.png")
    plots.mistakes(np.zeros((1, 28, 28, 1), np.uint8), ["$x_{ → $y_{  0.9"], tmp_path / "mistakes.png", wrong=1, total=1)


@pytest.mark.parametrize("confidence", [np.linspace(0.5, 1, 50), np.ones(50), np.full(50, 0.3)])
def test_reliability_is_drawn_whatever_the_confidence(tmp_path, confidence):
    right = np.arange(50) % 2 == 0
    assert min(opened(plots.reliability(confidence, right, tmp_path / "reliability.png"))) > 300


@pytest.mark.parametrize("rows", [1, 3, 500])
def test_accuracy_by_length_is_drawn_for_any_number_of_rows(tmp_path, rows):
    random = np.random.default_rng(0)
    path = plots.by_length(random.integers(1, 400, rows), random.random(rows) < 0.9, tmp_path / "lengths.png")
    assert min(opened(path)) > 300


@pytest.mark.parametrize("count", [1, 40])
def test_words_are_named_where_there_is_room(tmp_path, count):
    places = np.random.default_rng(0).uniform(-1, 1, (count, 2))
    names = [f"w${number}_^" for number in range(count)]
    path = plots.words(names, np.concatenate([places[:1], places])[:count], tmp_path / "map.png")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("channels", [1, 3])
def test_lines_of_pictures_are_drawn_below_each_other(tmp_path, channels):
    lines = [np.random.default_rng(0).integers(0, 256, (5, 8, 8, channels)).astype(np.uint8)] * 3
    path = plots.beside(lines, ["as it is", "noisy", "made again"], tmp_path / "pictures.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_says_what_it_shows(tmp_path):
    path = plots.confusion(np.array([[3, 1], [0, 2]]), ["a", "b"], tmp_path / "confusion.png")
    with Image.open(path) as picture:
        picture.load()
        assert "which" in picture.info["Title"]
        assert picture.info["Description"].endswith("5 of 6 right.")


def test_a_finished_png_is_made_to_say_it_too(tmp_path):
    png = plots.beside([np.zeros((2, 4, 4, 1), np.uint8)], ["→"], tmp_path / "a.png").read_bytes()
    with Image.open(plots.save_png(png, tmp_path / "b.png", "Made up", "Two → pictures.")) as picture:
        picture.load()
        assert (picture.info["Title"], picture.info["Description"]) == ("Made up", "Two → pictures.")
