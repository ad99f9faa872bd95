"""Learning curves: of one run, and of several over one another."""

import pytest
from matplotlib.figure import Figure
from PIL import Image

from training import learning


def opened(path):
    with Image.open(path) as picture:
        picture.load()
        return picture.size


def row(epoch, **more):
    return {"epoch": epoch, "train_loss": 1 / epoch, "accuracy": 0.5, **more}


@pytest.mark.parametrize("history", [[row(1)], [row(1, log_loss=0.3), row(2, log_loss=0.2)], [row(1, log_loss=0.0)]])
def test_curves_are_drawn_from_one_epoch_on(tmp_path, history):
    assert opened(learning.curves(history, "accuracy", tmp_path / "curves.png")) == (1080, 408)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were made into files."""
    figures, save = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *words, **options: (figures.append(self), save(self, *words, **options))
    )
    return figures


def test_the_curves_say_what_they_show(tmp_path):
    with Image.open(learning.curves([row(1), row(2, accuracy=0.75)], "accuracy", tmp_path / "curves.png")) as picture:
        picture.load()
        assert "accuracy 0.5000 after the first epoch, 0.7500 at the end" in picture.info["Description"]


def test_runs_of_different_lengths_lie_over_one_another(tmp_path, drawn):
    short, long = [row(1)], [row(1), row(2), row(3, accuracy=0.9)]
    learning.overlay([("short", short), ("long", long)], "accuracy", tmp_path / "over.png")
    loss, score = drawn[0].axes
    assert [list(line.get_xdata()) for line in loss.lines] == [[1], [1, 2, 3]]
    assert [list(line.get_ydata()) for line in score.lines] == [[0.5], pytest.approx([0.5, 0.5, 0.1])]
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["short", "long"]


def test_no_two_of_many_runs_look_alike(tmp_path, drawn):
    learning.overlay([(f"run {number}", [row(1), row(2)]) for number in range(20)], "accuracy", tmp_path / "over.png")
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in drawn[0].axes[0].lines]
    assert len(set(looks)) == 20
    assert len({colour for colour, _, _ in looks[:8]}) == len({marker for _, marker, _ in looks[:7]}) + 1 == 8


def test_a_run_without_that_score_is_drawn_with_what_it_has(tmp_path, drawn):
    learning.overlay([("a", [row(1)]), ("b", [{"epoch": 1, "train_loss": 2.0}])], "accuracy", tmp_path / "over.png")
    assert [len(line.get_xdata()) for line in drawn[0].axes[1].lines] == [1, 0]


def test_a_name_is_written_as_it_is(tmp_path):
    assert opened(learning.overlay([("$x_{$", [row(1)])], "accuracy", tmp_path / "over.png"))
