"""Windows of a series to what follows them: trains what `service/families/forecaster.py` serves.

Task: the next `horizon` steps from the last `context` (sequence to sequence). Source: ETTh1 (Zhou et al. 2021), or `--data`, a
table with a column of times. Architectures: `blend`, a recurrent network over segments beside closed-form linear forecasts;
`segments` (SegRNN, Lin et al. 2023) and `linear` each alone; `seq2seq`, the encoder-decoder (Sutskever et al. 2014; Cho et al.
2014). Expected score and time: the README's table.

The graph: `series` (float32, batch x context x columns) -> `mean` (float32, batch x horizon x columns) and `quantiles`
(… x quantiles), in the units of the series.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.golden import Arrays
from service.series import Preparation
from training import forecasts, plots, ridge, series, windows
from training.forecasters import Deployed, Forecaster, Level, Plan
from training.room import NO_SOURCE, RECIPE_BOUNDS, Batch, Data, Export, Fit, Keeper, Predict, Scores, Sources, check

name = "oil"
gate = "skill"
reported = ("skill", "mse", "mae")
tolerance = 0.02
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SUITS: dict[str, dict[str, Any]] = {
    "blend": {"level": "last", "epochs": 6},
    "segments": {"level": "last", "epochs": 6},
    "linear": {"level": "last", "epochs": 4},
    "seq2seq": {"level": "none", "epochs": 6},
}
"""What suits an architecture where nothing was given; `seq2seq` is that of the textbooks."""
PLAIN: dict[str, Any] = {"level": None, "epochs": None}
"""What suits the architecture."""
VARIANTS: dict[str, dict[str, Any]] = {
    **{one: {"architecture": one, **PLAIN} for one in SUITS},
    "seq2seq, scheduled sampling": {"architecture": "seq2seq", **PLAIN, "decoding": "scheduled"},
    "seq2seq, level taken off": {"architecture": "seq2seq", **PLAIN, "level": "last"},
    "seq2seq, trend and season taken off": {"architecture": "seq2seq", **PLAIN, "detrend": True, "deseasonalize": True},
    "segments, no level taken off": {"architecture": "segments", **PLAIN, "level": "none"},
    "segments, trend and season taken off": {"architecture": "segments", **PLAIN, "detrend": True, "deseasonalize": True},
}
"""What `compare` trains beside each other."""
PUBLIC_CONTEXT, PUBLIC_HORIZON = 504, 96
BOUNDS = {**RECIPE_BOUNDS, "validation_share": (0.05, 0.4), "test_share": (0.05, 0.4), "dropout": (0, 1), "units": (2, 2048),
          "segment": (1, 10_000), "context": (2, 10_000), "horizon": (1, 1_000), "season": (1, 10_000)}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """How a forecaster is trained. The defaults are what the shipped `oil` was trained with."""

    # Which network.
    architecture: Literal["blend", "segments", "linear", "seq2seq"] = "blend"
    # The recurrent cell.
    cell: Literal["gru", "lstm", "rnn"] = "gru"
    # Units of the recurrent layer.
    units: int = 64
    # Steps of a segment; a season where none is given.
    segment: int | None = None
    # What the decoder of `seq2seq` is fed in training: its own forecasts, or the truth at first (scheduled sampling).
    decoding: Literal["free", "scheduled"] = "free"
    # Steps that are read; 504 for ETTh1, for your own what suits its length.
    context: int | None = None
    # Steps that are forecast; 96 for ETTh1, a season of your own where none is given.
    horizon: int | None = None
    # What is taken off a window and put back: its last value, its mean, mean and spread, or nothing. The architecture's own.
    level: Level | None = None
    # Take a straight line off each window, and put it back.
    detrend: bool = False
    # Take each window's mean season off, and put it back.
    deseasonalize: bool = False
    # Passes over the training windows; the architecture's own where none is given.
    epochs: int | None = None
    # Windows in one step.
    batch_size: int = 128
    # Peak rate of AdamW.
    learning_rate: float = 0.002
    # Decoupled weight decay (Loshchilov and Hutter 2019), not on biases.
    weight_decay: float = 0.01
    # How the rate changes.
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    # Share of the windows seen in an epoch, those not yet learnt first.
    focus: float = 1.0
    # Longest the gradient may be (Pascanu et al. 2013).
    clip: float | None = 1.0
    # Keep a moving average of the weights instead of the last ones.
    average: bool = True
    # Share of the decoder's features left out in a step.
    dropout: float = 0.3
    # Arithmetic of the matrix products while training; the graph is float32.
    precision: Literal["bfloat16", "float32"] = "float32"
    # Your table's column of times.
    time_column: str = "date"
    # The columns to forecast; all that are numbers where none is given. A series without a name is the last one.
    target: tuple[str, ...] = ()
    # Your table's column that says which series a row is of, where it holds several.
    series_column: str | None = None
    # What stands for steps that are missing: none refuses them.
    fill: series.Fill = "none"
    # Steps of a season; by the frequency where none is given: 24 for hours, 7 for days, 12 for months.
    season: int | None = None
    # Of the steps, held out to watch training and to settle the bands.
    validation_share: float = 0.2
    # Of your own steps, the last ones, held out to report on.
    test_share: float = 0.2
    # Of everything random.
    seed: int = 0

    def __post_init__(self) -> None:
        """What suits the architecture, where nothing was given. Raises TrainingError on a field out of bounds."""
        for field, value in SUITS[self.architecture].items():
            if getattr(self, field) is None:
                object.__setattr__(self, field, value)
        object.__setattr__(self, "target", tuple(self.target))  # a manifest has a list
        check(self, BOUNDS)


def data(config: Config, origin: Sources) -> Data:
    """ETTh1's 12, 4 and 4 months, or shares of your own steps in the order of time; every window of each."""
    if origin.own is None:
        corpus = series.ett(origin, config.target)
        context, horizon = config.context or PUBLIC_CONTEXT, config.horizon or PUBLIC_HORIZON
    else:
        corpus = series.own(origin.own, series.Asked(config.time_column, config.target, config.series_column, config.fill))
        context, horizon = windows.suitable(corpus, config.context, config.horizon, config.season)
    season = config.season or corpus.season
    cut = windows.cut(corpus, context, horizon, season, (config.validation_share, config.test_share))
    preparation = Preparation(
        columns=corpus.columns,
        target=corpus.columns[-1],
        context=context,
        horizon=horizon,
        least=min(context, max(2, season)),
        season=season,
        independent=config.architecture != "seq2seq",
        quantiles=QUANTILES,
        frequency=corpus.frequency,
    )
    return Data(
        train=cut.training_rows(),
        validation=cut.rows(cut.validation),
        test=cut.rows(cut.test),
        source=corpus.source({"train": len(cut.train), "validation": len(cut.validation), "test": len(cut.test)}),
        shape={"context": context, "horizon": horizon, "columns": len(corpus.columns), "season": season},
        labels=corpus.columns,
        preparation=preparation.model_dump(mode="json"),
        given={"centre": cut.centre, "scale": cut.scale},
    )


def pretrain(config: Config, data: Data, run: Keeper, fit: Fit) -> Data:  # noqa: ARG001 - the linear forecasts need no steps
    """The closed-form linear forecasts, for the architectures that have them."""
    if config.architecture not in ("blend", "linear"):
        return data
    return replace(data, given={**data.given, **run.kept("linear", lambda: {"linear": _linear(data)})})


def _linear(data: Data) -> NDArray[np.float32]:
    least = max(2, min(data.shape["context"], data.shape["season"]))
    return ridge.average(*_moments(data), least).astype(np.float32)


def _moments(data: Data) -> tuple[ridge.Moments, ridge.Moments]:
    """Of the training and the validation windows."""
    known = data.shape["context"], data.given["centre"], data.given["scale"]
    return ridge.Moments.of(data.train["window"], *known), ridge.Moments.of(data.validation["window"], *known)


def _plan(config: Config, shape: Mapping[str, int]) -> Plan:
    context, season = shape["context"], shape["season"]
    fits = 1 < season <= context // 2
    ahead = -(-shape["horizon"] // season) * season  # as far as the horizon, in whole seasons
    cores: dict[str, Any] = {"blend": "segments", "segments": "segments", "linear": "linear", "seq2seq": "seq2seq"}
    return Plan(
        core=cores[config.architecture],
        context=context,
        horizon=shape["horizon"],
        columns=shape["columns"],
        quantiles=QUANTILES,
        level=config.level or "none",
        detrend=config.detrend,
        season=season if config.deseasonalize and fits else 0,
        period=max(1, min(ahead, context // 2 // season * season if fits else context // 2)),
        cell=config.cell,
        units=config.units,
        segment=min(context, config.segment or (season if fits else max(1, context // 8))),
        dropout=config.dropout,
        scheduled=config.decoding == "scheduled",
    )


def network(config: Config, data: Data) -> nn.Module:
    """A forecaster that standardises with the training steps' mean and spread, and knows how calm training windows are."""
    made = Forecaster(_plan(config, data.shape), data.given["centre"].tolist(), data.given["scale"].tolist())
    if data.train:
        windows = data.train["window"]
        some = windows[:: max(1, len(windows) // 1000), : data.shape["context"]]
        made.meet(torch.from_numpy(np.ascontiguousarray(some)))
    return made


def sample(config: Config) -> tuple[nn.Module, Tensor]:
    """A forecaster of ETTh1's size and one window of zeros."""
    columns = len(config.target or series.ETT_COLUMNS)
    context, horizon = config.context or PUBLIC_CONTEXT, config.horizon or PUBLIC_HORIZON
    shape = {"context": context, "horizon": horizon, "columns": columns, "season": config.season or 24}
    given = {"centre": np.zeros(columns), "scale": np.ones(columns)}
    return network(config, Data({}, {}, {}, NO_SOURCE, shape, given=given)), torch.zeros(1, context, columns)


def step(network: nn.Module, batch: Batch, config: Config) -> Tensor:  # noqa: ARG001 - nothing of a step is an option
    """Absolute error of the mean and the quantiles' pinball loss (Koenker and Bassett 1978), standardised, of each row.

    The quantiles learn where they lie from the mean, and the mean nothing from them. The absolute error makes better means
    than the squared one here: the years that follow differ in level (measured on validation windows).
    """
    context = batch["context"][0]
    losses: Tensor = network(batch["window"][:, :context], batch["window"][:, context:])
    return losses


def rows(split: Arrays, files: Mapping[str, bytes]) -> Arrays:  # noqa: ARG001 - the split knows where its windows part
    """The windows parted into what is read and what follows."""
    context = int(split["context"][0])
    rest = {key: split[key] for key in ("scale", "unrest", "season")}
    return {"series": split["window"][:, :context], "future": split["window"][:, context:], **rest}


def evaluate(predict: Predict, rows: Arrays, labels: tuple[str, ...]) -> Scores:
    """Errors of the mean, standardised; what the bands hold; by column, and by how much of a window is sent."""
    return forecasts.evaluate(predict, rows, labels, int(rows["season"][0]), QUANTILES)


def export(network: nn.Module, data: Data, config: Config) -> Export:
    """The forecaster, with the linear forecasts where they pay, and with bands settled on the validation windows."""
    forecaster = cast(Forecaster, network)
    linear = torch.from_numpy(data.given["linear"]) if "linear" in data.given else None
    asked = rows(data.validation, data.files)
    found = forecasts.settled(forecaster, linear, asked, alone=config.architecture == "linear")
    return Export(
        module=Deployed(forecaster, linear, found),
        inputs={"series": torch.from_numpy(np.ascontiguousarray(asked["series"][:2]))},
        outputs=("mean", "quantiles"),
        summary=f"What the next {data.shape['horizon']} steps of {', '.join(data.labels)} are "
        f"({config.architecture} network, {data.source.name})",
        limits={"context": data.shape["context"], "horizon": data.shape["horizon"]},
    )


def baselines(data: Data) -> dict[str, dict[str, float]]:
    """What simpler things reach on the same test windows; AutoETS on some of them."""
    linear = ridge.best(*_moments(data), data.shape["context"], "last", shared=True)
    asked = rows(data.test, data.files)
    return forecasts.baselines(asked, data.shape["season"], linear, data.given["centre"], data.given["scale"])


def statistics(data: Data) -> dict[str, Any]:
    """Of the training steps, to compare what comes in with: deciles of each column."""
    steps = data.train["window"][:, 0]
    deciles = np.quantile(steps, np.linspace(0, 1, 11), axis=0).T
    return {
        "deciles": {label: [float(f"{value:.6g}") for value in row] for label, row in zip(data.labels, deciles, strict=True)}
    }


def draw(found: Scores, rows: Arrays, labels: tuple[str, ...], folder: Path) -> list[Path]:
    """`forecasts.png`, `failures.png`, `horizon.png` and `residuals.png`."""
    return [
        plots.forecasts(rows, found.arrays, labels, folder / "forecasts.png"),
        plots.forecasts(rows, found.arrays, labels, folder / "failures.png", worst=True),
        plots.by_step(found.arrays["by_step"], ("repeat the last season", "this model"), folder / "horizon.png"),
        plots.residuals(found.arrays["residuals"], labels, folder / "residuals.png"),
    ]
