"""Learning curves: losses and validation score by epoch, of one run and of several over one another.

Knows histories (a row for each epoch) and how `plots` draws; knows no run's folder.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from cycler import cycler
from numpy.typing import NDArray

from training import plots

History = Sequence[dict[str, float]]
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#cf222e", "#57606a", "#bf3989")
MARKERS = "os^Dvx+"
"""As many as have no divisor in common with the colours' number: no two of the first runs look alike."""


def curves(history: History, score: str, path: Path) -> Path:
    """Losses and the validation score by epoch."""
    epochs = [row["epoch"] for row in history]
    figure = plots.new(9, 3.4)
    left, right = figure.subplots(1, 2)
    for key, colour, name in (("train_loss", plots.SECOND, "training loss"), ("log_loss", plots.ACCENT, "validation log loss")):
        if key in history[0]:
            left.plot(epochs, [row[key] for row in history], color=colour, marker=".", label=name)
    left.set(xlabel="epoch", yscale="log")
    left.set_title("Loss", fontsize=10)
    left.legend(frameon=False, fontsize=8)
    values = np.array([row[score] for row in history])
    share = _share(values)
    right.plot(epochs, 1 - values if share else values, color=plots.ACCENT, marker=".")
    name = score.replace("_", " ")
    right.set(xlabel="epoch")
    right.set_title(f"Validation: {'1 − ' if share else ''}{name}, {name} {values[-1]:.4f} at the end", fontsize=10)
    if share and _wide(1 - values):
        right.set_yscale("log")
    for axes in (left, right):
        plots.bare(axes)
        axes.xaxis.get_major_locator().set_params(integer=True)
    first = f"{name} {values[0]:.4f} after the first epoch"
    said = (
        f"Two charts of {len(history)} epochs: the losses, and on the validation rows the {first}, {values[-1]:.4f} at the end."
    )
    return plots.save(figure, path, "Losses and validation score by epoch", said)


def _share(values: NDArray[np.float64]) -> bool:
    """Whether all are shares: of one near 1 the interesting part is what is missing."""
    return bool(((values >= 0) & (values < 1)).all())


def _wide(values: NDArray[np.float64]) -> bool:
    return bool(values.max() > 3 * values.min() > 0)


def overlay(histories: Sequence[tuple[str, History]], score: str, path: Path) -> Path:
    """Training loss and validation score of several named runs over one another, however many epochs each has."""
    figure = plots.new(9, 3.6 + 0.22 * -(-len(histories) // 3))
    left, right = figure.subplots(1, 2)
    found = [row[score] for _, history in histories for row in history if score in row]
    share = bool(found) and _share(np.array(found))
    look = cycler(linestyle=["-", "--", "-.", ":"]) * cycler(color=COLOURS)  # the colours first, then the next line style
    for index, ((name, history), style) in enumerate(zip(histories, look(), strict=False)):
        drawn = {
            **style,
            "marker": MARKERS[index % len(MARKERS)],
            "markersize": 4,
            "linewidth": 1.3,
            "label": plots.plain(name),
        }
        for axes, key in ((left, "train_loss"), (right, score)):
            rows = [row for row in history if key in row]
            values = [1 - row[key] if share and axes is right else row[key] for row in rows]
            axes.plot([row["epoch"] for row in rows], values, **drawn)
    left.set(xlabel="epoch", title="Training loss")
    name = score.replace("_", " ")
    right.set(xlabel="epoch", title=f"Validation: {'1 − ' if share else ''}{name}")
    if share and _wide(1 - np.array(found)):
        right.set_yscale("log")
    for axes in (left, right):
        plots.bare(axes)
        axes.title.set_fontsize(10)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    ends = ", ".join(f"{name} {history[-1][score]:.4f}" for name, history in histories if history and score in history[-1])
    said = f"Two charts of {len(histories)} runs by epoch: training loss, and validation {name}; at the end {ends}."
    return plots.save(figure, path, f"Training loss and validation {score.replace('_', ' ')} of each run", said)
