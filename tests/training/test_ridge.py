"""Closed-form linear forecasts, beside what they are the closed form of."""

import numpy as np
import pytest

from training import ridge
from training.ridge import Moments

CONTEXT, HORIZON = 12, 4


@pytest.fixture
def windows():
    """Two columns of seasons and noise."""
    random = np.random.default_rng(0)
    time = np.arange(400)[:, None]
    steps = np.sin(time * [[0.5, 1.1]]) + 0.1 * random.normal(size=(400, 2)) + time * [[0.01, -0.02]]
    return np.lib.stride_tricks.sliding_window_view(steps, CONTEXT + HORIZON, axis=0).transpose(0, 2, 1)


def moments(windows):
    return Moments.of(windows, CONTEXT, np.zeros(2), np.ones(2))


def test_the_error_of_the_moments_is_that_of_the_windows(windows):
    forecast = np.random.default_rng(1).normal(size=(2, CONTEXT, HORIZON))
    made = np.einsum("ntc,cth->nhc", windows[:, :CONTEXT], forecast)
    assert moments(windows).error(forecast) == pytest.approx(np.square(made - windows[:, CONTEXT:]).mean(), rel=1e-4)


@pytest.mark.parametrize("shared", [True, False])
def test_a_member_is_ridge_regression_of_the_window_less_its_level(windows, shared):
    (first, *_) = moments(windows).fits(CONTEXT, "last", shared=shared)
    columns = [0, 1] if shared else [1]
    level = windows[:, CONTEXT - 1 : CONTEXT]
    x = np.concatenate([(windows - level)[:, :CONTEXT, column] for column in columns])
    y = np.concatenate([(windows - level)[:, CONTEXT:, column] for column in columns])
    weights = np.linalg.solve(x.T @ x / len(x) + ridge.PENALTIES[0] * np.eye(CONTEXT), x.T @ y / len(x))
    wanted = (windows - level)[:, :CONTEXT, 1] @ weights + level[:, :, 1]
    assert np.abs(windows[:, :CONTEXT, 1] @ first[1] - wanted).max() < 1e-3


@pytest.mark.parametrize("level", ["last", "mean"])
def test_a_member_moves_with_the_level_and_looks_no_further_back_than_it_may(windows, level):
    for forecast in moments(windows).fits(5, level, shared=False):
        assert forecast.sum(1) == pytest.approx(np.ones((2, HORIZON)))
        assert not forecast[:, : CONTEXT - 5].any()


def test_the_penalty_is_the_one_that_suits_the_validation_windows(windows):
    train, validation = moments(windows[:20]), moments(windows[200:])
    found = validation.error(ridge.best(train, validation, CONTEXT, "last", shared=False))
    assert found == min(validation.error(one) for one in train.fits(CONTEXT, "last", shared=False))


def test_the_average_beats_repeating_the_last_value(windows):
    train, validation, test = moments(windows[:200]), moments(windows[216:290]), moments(windows[306:])
    repeat = np.zeros((2, CONTEXT, HORIZON))
    repeat[:, -1] = 1
    assert test.error(ridge.average(train, validation, 2)) < 0.3 * test.error(repeat)
