"""Windows and the times of steps."""

from datetime import datetime

import numpy as np
import pytest
from pydantic import ValidationError

from service.series import Frequency, Preparation, window

PREPARATION = {
    "columns": ["a", "b"], "target": "b", "context": 8, "horizon": 3, "least": 2, "season": 2, "independent": True,
    "quantiles": [0.1, 0.5, 0.9],
}  # fmt: skip


def test_a_window_is_the_last_part():
    values = np.arange(20.0).reshape(10, 2)
    assert window(values, 4, 2).tolist() == values[-4:].tolist()


def test_a_short_series_is_filled_in_front_with_its_own_seasons_in_phase():
    values = np.array([[1.0], [2.0], [3.0], [10.0], [20.0], [30.0], [100.0]])  # two seasons of three, and one step
    assert window(values, 10, 3)[:, 0].tolist() == [10, 20, 30, 1, 2, 3, 10, 20, 30, 100]


def test_less_than_a_season_is_repeated_as_it_is():
    assert window(np.array([[1.0], [2.0]]), 5, 24)[:, 0].tolist() == [2, 1, 2, 1, 2]


def test_a_window_is_of_32_bits():
    assert window(np.ones((3, 1)), 3, 1).dtype == np.float32


@pytest.mark.parametrize(
    ("frequency", "start", "steps", "then"),
    [
        ("15min", "2018-06-01T00:00:00", 5, "2018-06-01T01:15:00"),
        ("h", "2018-06-01T23:00:00", 1, "2018-06-02T00:00:00"),
        ("2w", "2018-06-01T00:00:00", 1, "2018-06-15T00:00:00"),
        ("1mo", "2019-12-31T00:00:00", 2, "2020-02-29T00:00:00"),
        ("1mo", "2019-12-31T00:00:00", 3, "2020-03-31T00:00:00"),
        ("1y", "2020-02-29T00:00:00", 1, "2021-02-28T00:00:00"),
        ("3mo", "2018-10-01T00:00:00", 1, "2019-01-01T00:00:00"),
        ("1d", "2018-06-01T00:00:00+02:00", 1, "2018-06-02T00:00:00+02:00"),
    ],
)
def test_a_step_is_some_time_after_the_one_before(frequency, start, steps, then):
    assert Frequency.parse(frequency).after(datetime.fromisoformat(start), steps) == datetime.fromisoformat(then)


@pytest.mark.parametrize("written", ["", "1", "0h", "1q", "-1h", "1 h", "999999h", "１h"])
def test_another_frequency_is_refused(written):
    with pytest.raises(ValueError, match="expected a number and one of"):
        Frequency.parse(written)


@pytest.mark.parametrize(("frequency", "start"), [("1h", "9999-12-31T23:30:00"), ("1mo", "9999-12-01T00:00:00")])
def test_what_is_after_the_last_year_is_an_error(frequency, start):
    with pytest.raises((OverflowError, ValueError)):
        Frequency.parse(frequency).after(datetime.fromisoformat(start), 1)


@pytest.mark.parametrize(
    "change", [{"target": "c"}, {"least": 9}, {"columns": []}, {"horizon": 0}, {"more": 1}, {"frequency": "often"}]
)
def test_a_preparation_that_does_not_fit_itself_is_refused(change):
    assert Preparation.model_validate(PREPARATION).columns == ("a", "b")
    with pytest.raises(ValidationError):
        Preparation.model_validate(PREPARATION | change)
