"""A series in, what follows out: serves `POST /v1/forecast` for any version that `training/families/forecaster.py` exports.

The graph takes raw windows (float32, batch x context x columns) and gives `mean` (float32, batch x horizon x columns) and
`quantiles` (… x quantiles) in the same units; normalising and decoding are inside it. How a series becomes a window stands in
`service/series.py` and the manifest (`preparation`). Knows nothing of HTTP beyond its request's fields, and nothing of oil.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service import bodies, drift, family
from service.errors import InvalidInput, shown
from service.golden import Arrays
from service.manifest import Manifest
from service.series import Asked, Frequency, Preparation, window
from service.settings import Settings

EXAMPLE: dict[str, Any] = {
    "series": [round(20 + 5 * math.sin(hour * math.pi / 12) + hour / 48, 2) for hour in range(48)],
    "horizon": 6,
    "start": "2018-06-01T00:00:00",
}
"""Two days by the hour."""


class Request(BaseModel):
    """One series: numbers; or rows of numbers, one for each column; or columns by name, each a list of numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [EXAMPLE]})

    series: Annotated[
        Any,
        Field(
            description='oldest first: [1, 2, …], [[1, 10], [2, 20], …] or {"a": [1, 2, …], "b": [10, 20, …]}',
            json_schema_extra={
                "anyOf": [
                    {"type": "array", "items": {"type": "number"}},
                    {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
                    {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "number"}}},
                ]
            },
        ),
    ]
    horizon: Annotated[int | None, Field(ge=1, description="steps to forecast; the model's own where none is given")] = None
    start: Annotated[str | None, Field(description="time of the first value, ISO 8601; then the answer has timestamps")] = None
    frequency: Annotated[
        str | None,
        Field(description="time between two values: 15min, 1h, 1d, 1mo …; the model's own where none is given"),
    ] = None


class Prediction(BaseModel):
    """Mean and quantiles of each step ahead, in the form that the series came in."""

    horizon: int
    mean: list[float] | list[list[float]] | dict[str, list[float]]
    quantiles: dict[str, list[float] | list[list[float]] | dict[str, list[float]]]
    columns: list[str]
    used: Annotated[int, Field(description="steps of the series that were read: the last ones")]
    filled: Annotated[int, Field(description="steps that were missing in front, filled with the series' own seasons")]
    timestamps: list[str] | None = None


@dataclass(frozen=True)
class About:
    """What a series looked like: its form, which columns it had, and what is to be said of the time."""

    asked: Asked
    places: tuple[int, ...]
    """Of its columns in the graph's."""
    horizon: int
    timestamps: tuple[str, ...] | None


def assets(manifest: Manifest, files: Mapping[str, bytes], settings: Settings) -> Preparation:  # noqa: ARG001 - no file is needed
    """Raises ValueError where preparation and graph do not fit each other."""
    preparation = Preparation.model_validate(manifest.preparation)
    columns = len(preparation.columns)
    shapes = {tensor.name: tensor.row_shape for tensor in (*manifest.graph.inputs, *manifest.graph.outputs)}
    wanted = {
        "series": (preparation.context, columns),
        "mean": (preparation.horizon, columns),
        "quantiles": (preparation.horizon, columns, len(preparation.quantiles)),
    }
    if shapes != wanted:
        raise ValueError(f"the graph's rows are {shapes}; this family's are {wanted}")
    return preparation


def preprocess(asked: Asked, assets: Preparation) -> family.Item:
    """A series to `series` (float32, 1 x context x columns). Raises InvalidInput where the model cannot take it."""
    places, length = _places(asked, assets), len(asked.values)
    if length < assets.least:
        raise InvalidInput(f"Field 'series' has {length} steps; this model takes at least {assets.least}.")
    horizon = asked.horizon or assets.horizon
    if horizon > assets.horizon:
        raise InvalidInput(f"Field 'horizon' is {horizon}; this model forecasts at most {assets.horizon} steps.")
    whole = np.zeros((1, assets.context, len(assets.columns)), np.float32)  # a column that was left out is forecast for nobody
    whole[0][:, places] = window(asked.values, assets.context, assets.season)
    return family.Item({"series": whole}, About(asked, places, horizon, _timestamps(asked, assets, horizon)))


def _places(asked: Asked, wanted: Preparation) -> tuple[int, ...]:
    """Where the columns that were sent stand in the graph's."""
    listed = ", ".join(wanted.columns)
    if asked.names is not None:
        unknown = [name for name in asked.names if name not in wanted.columns]
        if unknown:
            raise InvalidInput(f"Field 'series' has a column {shown(unknown[0])}; this model has {listed}.")
        places = tuple(wanted.columns.index(name) for name in asked.names)
    elif asked.flat:
        places = (wanted.columns.index(wanted.target),)
    else:
        places = tuple(range(asked.values.shape[1]))
    if len(places) != len(wanted.columns) and ((asked.names is None and not asked.flat) or not wanted.independent):
        raise InvalidInput(f"Field 'series' has {len(places)} columns; this model takes {len(wanted.columns)}: {listed}.")
    return places


def _timestamps(asked: Asked, wanted: Preparation, horizon: int) -> tuple[str, ...] | None:
    if asked.start is None:
        return None
    if asked.frequency is None and not wanted.frequency:
        raise InvalidInput("Field 'frequency' is missing; expected one such as 1h beside 'start': this model has none.")
    frequency, length = asked.frequency or Frequency.parse(wanted.frequency), len(asked.values)
    try:
        return tuple(frequency.after(asked.start, length + step).isoformat() for step in range(horizon))
    except (OverflowError, ValueError):
        raise InvalidInput(
            f"Field 'start' is {shown(asked.start.isoformat())}: the forecast would be after the year 9999."
        ) from None


def predict(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """`series` of a batch to `mean` and `quantiles` of a batch."""
    return graphs["model"].run(arrays)


def postprocess(arrays: Arrays, about: About, assets: Preparation, options: family.Options) -> dict[str, Any]:  # noqa: ARG001 - it takes none
    """One row's arrays to a `Prediction`."""
    length = len(about.asked.values)
    mean = arrays["mean"][0, : about.horizon, about.places]  # (columns, horizon): an index of several axes goes first
    levels = arrays["quantiles"][0, : about.horizon, about.places]  # (columns, horizon, quantiles)
    prediction = {
        "horizon": about.horizon,
        "mean": _formed(mean, about.asked),
        "quantiles": {f"{level:g}": _formed(levels[..., index], about.asked) for index, level in enumerate(assets.quantiles)},
        "columns": [assets.columns[place] for place in about.places],
        "used": min(length, assets.context),
        "filled": max(0, assets.context - length),
    }
    if about.timestamps is not None:
        prediction["timestamps"] = about.timestamps
    return prediction


def _formed(values: NDArray[Any], asked: Asked) -> Any:
    """(columns, horizon) in the form in which the series came."""
    if asked.flat:
        return np.ascontiguousarray(values[0])
    if asked.names is not None:
        return {name: np.ascontiguousarray(column) for name, column in zip(asked.names, values, strict=True)}
    return np.ascontiguousarray(values.T)


def example(assets: Preparation) -> dict[str, Any]:
    """A body that this version answers: the documented one fits those that forecast each column alone."""
    return {"series": {name: [float(step % 7) for step in range(assets.least)] for name in assets.columns}}


def watched(manifest: Manifest) -> tuple[drift.Watched, ...]:
    """The last value of each column, where the column was sent."""
    stated = manifest.statistics.get("deciles")
    columns = stated if isinstance(stated, dict) else {}
    return tuple(
        one
        for place, column in enumerate(columns)
        for one in drift.ranged(f"last {column}", columns[column], "series", partial(_last, place))
    )


def _last(place: int, series: NDArray[Any]) -> NDArray[Any]:
    """(rows, time, columns) -> the last value of a column; NaN where it is all zeros, as one that was left out is."""
    column = series[:, :, place]
    return np.where(column.any(1), column[:, -1], np.nan)


verbs = (
    family.Verb(
        name="forecast",
        summary="What follows a series",
        reader=bodies.SERIES,
        Request=Request,
        Options=family.Options,
        Prediction=Prediction,
        preprocess=preprocess,
        predict=predict,
        postprocess=postprocess,
        example=EXAMPLE,
        warms_up=example,
    ),
)
