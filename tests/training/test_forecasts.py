"""Errors, bands and simpler forecasts, beside what can be counted by hand."""

import numpy as np
import pytest

from training import forecasts

LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture
def rows():
    """30 windows of two columns, a season of two; scale 2 and 4, unrest 1 and 8."""
    random = np.random.default_rng(0)
    return {
        "series": random.normal(size=(30, 8, 2)).astype(np.float32),
        "future": random.normal(size=(30, 4, 2)).astype(np.float32),
        "scale": np.tile([2.0, 4.0], (30, 1)),
        "unrest": np.tile([1.0, 8.0], (30, 1)),
        "season": np.full(30, 2),
    }


def off_by(rows, amount, low=-1.0, high=1.0):
    """Something that errs by `amount` everywhere, with a band around that."""
    truth = {
        row["series"].tobytes(): row["future"]
        for row in (dict(zip(rows, part, strict=True)) for part in zip(*rows.values(), strict=True))
    }

    def predict(arrays):
        mean = np.stack([truth.get(one.tobytes(), np.zeros((4, 2), np.float32)) for one in arrays["series"]]) + amount
        return {"mean": mean, "quantiles": np.stack([mean + low, mean, mean + high], -1)}

    return predict


def test_errors_are_standardised_and_scaled(rows):
    found = forecasts.evaluate(off_by(rows, 2.0), rows, ("a", "b"), 2, LEVELS).values
    assert found["mse"] == pytest.approx((1 + 0.25) / 2)
    assert found["mae"] == pytest.approx((1 + 0.5) / 2)
    assert found["mase"] == pytest.approx((2 / 1 + 2 / 8) / 2)


def test_the_coverage_is_the_share_inside_the_outermost_quantiles(rows):
    assert forecasts.evaluate(off_by(rows, 0.5), rows, ("a", "b"), 2, LEVELS).values["coverage_80"] == 1
    assert forecasts.evaluate(off_by(rows, 1.5), rows, ("a", "b"), 2, LEVELS).values["coverage_80"] == 0


def test_the_skill_is_over_repeating_the_last_season(rows):
    perfect = forecasts.evaluate(off_by(rows, 0.0), rows, ("a", "b"), 2, LEVELS).values
    assert perfect["skill"] == pytest.approx(1, abs=1e-6)
    naive = {"mean": np.tile(rows["series"][:, -2:], (1, 2, 1))}
    naive["quantiles"] = np.repeat(naive["mean"][..., None], 3, -1)
    order = {row.tobytes(): index for index, row in enumerate(rows["series"])}

    def predict(arrays):
        places = [order.get(one.tobytes(), 0) for one in arrays["series"]]
        return {name: array[places] for name, array in naive.items()}

    assert forecasts.evaluate(predict, rows, ("a", "b"), 2, LEVELS).values["skill"] == pytest.approx(0, abs=1e-6)


def test_tables_tell_of_each_column_and_of_shorter_windows(rows):
    tables = forecasts.evaluate(off_by(rows, 2.0), rows, ("a", "b"), 2, LEVELS).tables
    assert [(line["column"], line["mse"]) for line in tables["by column"]] == [
        ("a", pytest.approx(1)),
        ("b", pytest.approx(0.25)),
    ]
    assert [line["steps"] for line in tables["by how much of a window is sent"]] == [8, 5, 2]


def test_baselines_are_of_the_same_windows(rows):
    repeat = np.zeros((2, 8, 4))
    repeat[:, -1] = 1
    found = forecasts.baselines(rows, 2, repeat, np.array([5.0, 6.0]), np.array([2.0, 3.0]))
    assert found["linear model"]["mse"] == pytest.approx(found["repeat the last value"]["mse"])
    error = (rows["series"][:, -1:] - rows["future"]) / [2, 4]
    assert found["repeat the last value"]["mse"] == pytest.approx(np.square(error).mean(), rel=1e-5)
    assert found["repeat the last season"]["skill"] == 0
    assert "AutoETS, 30 of the windows" in found


def test_ets_is_fitted_to_each_window(rows):
    random = np.random.default_rng(1)
    longer = {**rows, "series": random.normal(size=(30, 60, 2)).astype(np.float32)}
    found = forecasts.baselines(longer, 2, np.zeros((2, 60, 4)), np.zeros(2), np.ones(2))
    # of noise, the mean is better than the last value
    assert found["AutoETS, 30 of the windows"]["mse"] < 0.8 * found["repeat the last value"]["mse"]


def test_a_constant_series_has_finite_baselines(rows):
    still = {**rows, "series": np.full_like(rows["series"], 3), "future": np.full_like(rows["future"], 3)}
    found = forecasts.baselines(still, 2, np.zeros((2, 8, 4)), np.zeros(2), np.ones(2))
    assert all(np.isfinite(list(values.values())).all() for values in found.values())
