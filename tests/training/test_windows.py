"""Windows of each part, in the order of time."""

import numpy as np
import pytest

from training import windows
from training.room import TrainingError
from training.series import Corpus


def corpus(*lengths, borders=None, season=4):
    series = [np.stack([np.arange(n), 100 + np.arange(n) * 2], 1).astype(np.float32) for n in lengths]
    return Corpus(series, ("a", "b"), "1h", season, "x", 1, [b"x"], "", borders)


def test_what_a_window_forecasts_lies_in_its_part_and_what_it_reads_may_lie_before():
    cut = windows.cut(corpus(200, borders=(100, 150, 200)), 10, 5, 4, (0.2, 0.2))
    assert (len(cut.train), len(cut.validation), len(cut.test)) == (86, 46, 46)
    assert cut.train[0, :, 0].tolist() == list(range(15))
    assert cut.train[-1, -1, 0] == 99
    assert cut.validation[0, 10:, 0].tolist() == [100, 101, 102, 103, 104]
    assert (cut.validation[-1, -1, 0], cut.test[0, 10, 0], cut.test[-1, -1, 0]) == (149, 150, 199)


def test_shares_are_cut_where_there_are_no_borders():
    cut = windows.cut(corpus(100), 5, 2, 4, (0.25, 0.2))
    assert (cut.validation[0, 5, 0], cut.test[0, 5, 0], cut.train[-1, -1, 0]) == (55, 80, 54)


def test_windows_of_one_series_are_views_and_those_of_several_never_mix_them():
    assert windows.cut(corpus(100), 5, 2, 4, (0.2, 0.2)).train.base is not None
    cut = windows.cut(corpus(100, 60), 5, 2, 4, (0.2, 0.2))
    assert (np.diff(cut.train[..., 0], axis=1) == 1).all()
    assert len(cut.train) == (60 - 6) + (36 - 6)


def test_scales_are_of_the_training_steps():
    cut = windows.cut(corpus(100), 5, 2, 4, (0.25, 0.2))
    assert cut.centre.tolist() == [27, 154]
    assert cut.scale == pytest.approx(np.arange(55).std() * np.array([1, 2]))
    assert cut.unrest.tolist() == [4, 8]  # a season is four steps


def test_a_column_that_never_changes_is_measured_in_its_own_units():
    still = Corpus([np.full((100, 1), 7, np.float32)], ("a",), "1h", 4, "x", 1, [b""], "")
    cut = windows.cut(still, 5, 2, 4, (0.2, 0.2))
    assert (cut.scale.tolist(), cut.unrest.tolist()) == ([1], [1])


def test_few_windows_are_gone_through_several_times():
    cut = windows.cut(corpus(100), 5, 2, 4, (0.2, 0.2))
    assert windows.ENOUGH <= len(cut.training_rows()["window"]) < windows.ENOUGH + len(cut.train)


def test_too_short_a_series_is_one_line_that_says_what_helps():
    with pytest.raises(TrainingError, match=r"has 0 training windows of 50 \+ 20 steps; .* smaller --context or --horizon"):
        windows.cut(corpus(80), 50, 20, 4, (0.2, 0.2))


@pytest.mark.parametrize(
    ("length", "season", "found"), [(1000, 24, (72, 24)), (257, 12, (36, 12)), (100, 1, (16, 8)), (40, 52, (10, 3))]
)
def test_context_and_horizon_suit_the_series(length, season, found):
    assert windows.suitable(corpus(length, season=season), None, None, None) == found
    assert windows.suitable(corpus(length, season=season), 9, 2, None) == (9, 2)


def test_more_than_fits_is_thinned_out(monkeypatch):
    monkeypatch.setattr(windows, "MOST_BYTES", 5_000)
    assert 0 < windows.cut(corpus(100, 100), 5, 2, 4, (0.2, 0.2)).train.nbytes <= 5_500
