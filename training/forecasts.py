"""Forecasts beside what came: errors, what the bands hold, simpler forecasts of the same windows. Knows arrays only.

Errors are of standardised values (of the training steps), as the literature has them. `mase` is the absolute error over the
training steps' mean difference a season apart (Hyndman and Koehler 2006); `skill` is 1 less the squared error over that of
repeating the last season (Murphy 1988).
"""

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from statsforecast.models import AutoETS
from torch import Tensor

from service.golden import Arrays
from service.series import window
from training.bands import Settled, settle
from training.forecasters import Forecaster
from training.room import Predict, Scores

Floats = NDArray[Any]
AT_ONCE = 512
"""Windows computed together."""
ETS_WINDOWS, ETS_FITS, ETS_STEPS = 40, 280, 504
"""Most windows that AutoETS forecasts, most fits (one for each window and column), and most steps of a fit."""


def evaluate(predict: Predict, rows: Arrays, labels: tuple[str, ...], season: int, quantiles: tuple[float, ...]) -> Scores:
    """Of anything that answers like the graph, on `series`, `future`, `scale` and `unrest` (see `windows.Cut.rows`)."""
    found = _asked(predict, rows["series"])
    error = _error(found["mean"], rows)
    held = _held(found, rows)
    band = f"coverage_{round(100 * (quantiles[-1] - quantiles[0]))}"
    naive = _error(_seasonal(rows, season), rows)
    values = {
        **_values(error, rows, naive),
        band: float(held.mean()),
        "pinball": _pinball(found, rows, quantiles),
    }
    columns = [
        {
            "column": label,
            "mse": float(np.square(error[..., index]).mean()),
            "mae": float(np.abs(error[..., index]).mean()),
            band: float(held[..., index].mean()),
        }
        for index, label in enumerate(labels)
    ]
    return Scores(
        values=values,
        tables={"by column": columns, "by how much of a window is sent": list(_shortened(predict, rows, season, band))},
        arrays={
            "mean": found["mean"],
            "quantiles": found["quantiles"],
            "by_step": np.stack([np.square(one).mean((0, 2)) for one in (naive, error)]),
            "residuals": error[:: max(1, len(error) // 500)],
            "squared": np.square(error[..., -1]).mean(1),  # of the column that is drawn
        },
    )


def _asked(predict: Predict, series: Floats) -> Arrays:
    parts = [predict({"series": np.ascontiguousarray(series[at : at + AT_ONCE])}) for at in range(0, len(series), AT_ONCE)]
    return {name: np.concatenate([part[name] for part in parts]) for name in ("mean", "quantiles")}


def _shortened(predict: Predict, rows: Arrays, season: int, band: str) -> Iterator[dict[str, Any]]:
    """Errors and coverage where less than the context is sent, filled as the service fills it; on every eighth window."""
    every = {key: array[:: max(1, min(8, len(array) // 100))] for key, array in rows.items()}
    context = every["series"].shape[1]
    for sent in sorted({context, context * 2 // 3, context // 3, max(2, min(context, season))}, reverse=True):
        filled = np.stack([window(one[-sent:], context, season) for one in every["series"]])
        found = _asked(predict, filled)
        error = _error(found["mean"], every)
        yield {
            "steps": sent,
            "mse": float(np.square(error).mean()),
            "mae": float(np.abs(error).mean()),
            band: float(_held(found, every).mean()),
        }


def _held(found: Arrays, rows: Arrays) -> NDArray[np.bool_]:
    """Where the truth is between the outermost quantiles: (n, horizon, columns)."""
    held: NDArray[np.bool_] = (rows["future"] >= found["quantiles"][..., 0]) & (rows["future"] <= found["quantiles"][..., -1])
    return held


def _error(forecast: Floats, rows: Arrays) -> Floats:
    """Standardised, (n, horizon, columns)."""
    error: Floats = (forecast.astype(np.float64) - rows["future"]) / rows["scale"][:, None]
    return error


def _values(error: Floats, rows: Arrays, naive: Floats) -> dict[str, float]:
    squared, reference = float(np.square(error).mean()), float(np.square(naive).mean())
    return {
        "mse": squared,
        "mae": float(np.abs(error).mean()),
        "mase": float((np.abs(error) * (rows["scale"] / rows["unrest"])[:, None]).mean()),
        "skill": 1 - squared / reference if reference else 0.0,
    }


def _pinball(found: Arrays, rows: Arrays, quantiles: tuple[float, ...]) -> float:
    """Mean quantile loss, standardised (Koenker and Bassett 1978)."""
    losses = [-_error(found["quantiles"][..., index], rows) for index in range(len(quantiles))]
    return float(np.mean([np.maximum(q * one, (q - 1) * one).mean() for q, one in zip(quantiles, losses, strict=True)]))


def _seasonal(rows: Arrays, season: int) -> Floats:
    """The last season again and again; of a window that is shorter, the last value."""
    series, horizon = rows["series"], rows["future"].shape[1]
    season = season if season <= series.shape[1] else 1
    places = series.shape[1] - season + np.arange(horizon) % season
    return series[:, places]


def baselines(rows: Arrays, season: int, linear: Floats, centre: Floats, scale: Floats) -> dict[str, dict[str, float]]:
    """Simpler forecasts of the same windows; `linear` (columns, context, horizon) is of standardised ones."""
    naive = _seasonal(rows, season)
    reference = _error(naive, rows)
    straight = np.empty(rows["future"].shape)
    for at in range(0, len(straight), AT_ONCE):
        standardised = (rows["series"][at : at + AT_ONCE] - centre) / scale
        straight[at : at + AT_ONCE] = np.einsum("ntc,cth->nhc", standardised, linear) * scale + centre
    forecasts = {
        "repeat the last value": np.repeat(rows["series"][:, -1:], rows["future"].shape[1], 1),
        "repeat the last season": naive,
        "linear model": straight,
    }
    found = {name: _values(_error(forecast, rows), rows, reference) for name, forecast in forecasts.items()}
    return {**found, **_ets(rows, season)}


def _ets(rows: Arrays, season: int) -> dict[str, dict[str, float]]:
    """AutoETS (Hyndman et al. 2002) on some of the windows, evenly spaced; its skill is over the last season on those."""
    most = max(1, min(ETS_WINDOWS, ETS_FITS // rows["future"].shape[2]))
    some = {key: array[:: max(1, len(array) // most)][:most] for key, array in rows.items()}
    count, horizon, columns = some["future"].shape
    reference = _error(_seasonal(some, season), some)
    forecast = np.empty((count, horizon, columns))
    for at, column in product(range(count), range(columns)):
        steps = np.asarray(some["series"][at][-ETS_STEPS:, column], np.float64)
        model = AutoETS(season_length=season if 1 < season <= min(24, len(steps) // 2) else 1)
        try:
            with np.errstate(all="ignore"):  # the spread of a perfect fit
                made = model.forecast(y=steps, h=horizon)["mean"]
        except NotImplementedError:  # what the library raises on a handful of steps, and nowhere else
            made = np.full(horizon, np.nan)
        forecast[at, :, column] = np.where(np.isfinite(made), made, steps[-1])
    return {f"AutoETS, {count} of the windows": _values(_error(forecast, some), some, reference)}


def settled(forecaster: Forecaster, linear: Tensor | None, rows: Arrays, *, alone: bool) -> Settled:
    """What suits these windows: see `bands.settle`. `alone` where the linear forecast is the only one."""
    device = forecaster.centre.device
    parts: list[tuple[Tensor, ...]] = []
    with torch.inference_mode():
        for at in range(0, len(rows["series"]), AT_ONCE):
            part = torch.from_numpy(np.ascontiguousarray(rows["series"][at : at + AT_ONCE])).to(device)
            truth = torch.from_numpy(np.ascontiguousarray(rows["future"][at : at + AT_ONCE])).to(device)
            mean, apart = forecaster.answers(part)
            straight = mean if linear is None else forecaster.straight(part, linear.to(device))
            parts.append((mean, apart, straight, forecaster.standardised(truth)))
    mean, apart, straight, truth = (torch.cat(one).cpu() for one in zip(*parts, strict=True))
    return settle(mean, apart, None if linear is None else straight, truth, forecaster.plan.quantiles, alone=alone)
