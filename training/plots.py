"""Pictures of an evaluation: confusion, mistakes, reliability, accuracy by length, forecasts. Knows matplotlib; draws files."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

INK, ACCENT, SECOND, GRID = "#1b1f24", "#0969da", "#bc4c00", "#d0d7de"
MOST_NAMED = 30
"""Labels that are written on a plane."""


def new(width: float, height: float) -> Figure:
    """A figure of that many inches."""
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path, title: str, description: str) -> Path:
    """As PNG that says in itself what it shows: a caption, and words for those who do not see it (see `page.Picture`)."""
    figure.savefig(path, metadata={"Title": title, "Description": description})
    return path


def save_png(png: bytes, path: Path, title: str, description: str) -> Path:
    """The same for a PNG that is there already."""
    words = PngInfo()
    words.add_text("Title", title)
    words.add_text("Description", description)
    with Image.open(io.BytesIO(png)) as picture:
        picture.save(path, pnginfo=words)
    return path


def bare(axes: Axes) -> None:
    """Axes with as little ink as they need."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=8)
    axes.grid(color=GRID, linewidth=0.5)
    axes.set_axisbelow(True)


def confusion(counts: NDArray[np.int64], labels: Sequence[str], path: Path) -> Path:
    """Which class was taken for which; colour is the share of the true class, on a scale that shows single mistakes."""
    classes = len(labels)
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = min(14.0, max(4.5, 0.55 * classes + 1.8))
    figure = new(size, size)
    axes = figure.subplots()
    axes.imshow(np.sqrt(share), cmap="Blues", vmin=0, vmax=1)
    numbered = classes <= 25
    for row, column in np.ndindex(counts.shape):
        if numbered and counts[row, column]:
            light = share[row, column] > 0.3
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if light else INK,
            )
    every = max(1, classes // 40)
    ticks = range(0, classes, every)
    names = [labels[tick][:12] for tick in ticks]
    long = max(map(len, names)) > 3
    look: dict[str, Any] = {"fontsize": 8, "parse_math": False}  # a label may hold a dollar
    axes.set_xticks(ticks, names, rotation=60 if long else 0, ha="right" if long else "center", **look)
    axes.set_yticks(ticks, names, **look)
    right = int(np.trace(counts))
    axes.set(xlabel="answer", ylabel="truth", title=f"{right:,} of {int(counts.sum()):,} right")
    every = int(counts.sum())
    said = f"A matrix of {classes} labels, a row for each true one, a column for each answer: {right:,} of {every:,} right."
    return save(figure, path, "Which label was taken for which; colour is the share of the true label", said)


def mistakes(
    pictures: NDArray[np.uint8], captions: Sequence[str], path: Path, *, wrong: int, total: int, columns: int = 8
) -> Path:
    """A contact sheet of pictures (n, height, width, channels), the most confident mistakes first."""
    shown = len(pictures)
    rows = max(1, -(-shown // columns))
    figure = new(columns * 1.15, rows * 1.45 + 0.5)
    cells = np.atleast_2d(figure.subplots(rows, columns, squeeze=False))
    for cell, picture, caption in zip(cells.flat, pictures, captions, strict=False):
        gray = picture.shape[2] == 1
        cell.imshow(picture[:, :, 0] if gray else picture, cmap="gray" if gray else None, vmin=0, vmax=255)
        cell.set_title(caption, fontsize=7.5, color=INK, parse_math=False)
    for cell in cells.flat:
        cell.axis("off")
    note = f"{wrong:,} of {total:,} wrong" + (f"; the {shown} most confident" if shown < wrong else "")
    figure.suptitle(f"{note}   (truth → answer, probability)", fontsize=10, color=INK)
    said = f"A contact sheet of {shown} of {wrong:,} pictures with a wrong answer, of {total:,} in all."
    return save(figure, path, "Mistakes, the most confident first: the true label, the answer, its probability", said)


def reliability(confidence: NDArray[Any], right: NDArray[np.bool_], path: Path, bins: int = 15) -> Path:
    """How often an answer is right, by how sure it was (n,): on the diagonal where it is calibrated."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    used = [one for one in range(bins) if (index == one).any()]
    figure = new(4.6, 4.6)
    axes = figure.subplots()
    low = min(float(confidence.min()), 0.5)
    axes.plot([low, 1], [low, 1], color=SECOND, linewidth=1, label="calibrated")
    mean = [float(confidence[index == one].mean()) for one in used]
    share = [float(right[index == one].mean()) for one in used]
    count = np.array([int((index == one).sum()) for one in used])
    axes.scatter(mean, share, s=12 + 300 * count / count.sum(), color=ACCENT, label="answers, by their number", zorder=3)
    axes.plot(mean, share, color=ACCENT, linewidth=1)
    axes.set(xlabel="probability of the answer", ylabel="share that is right", title=f"{len(right):,} answers")
    axes.legend(frameon=False, fontsize=8)
    bare(axes)
    found = f"{right.mean():.4f} at a mean probability of {confidence.mean():.4f}"
    said = f"Share of right answers by probability, of {len(right):,} answers: {found}."
    return save(figure, path, "How often an answer is right, by how sure it was: on the diagonal where it is calibrated", said)


def by_length(length: NDArray[Any], right: NDArray[np.bool_], path: Path, parts: int = 10) -> Path:
    """Share of right answers by length (n,), in parts of as many rows each, with twice its standard error."""
    order = np.argsort(length, kind="stable")
    groups = [group for group in np.array_split(order, min(parts, len(order))) if len(group)]
    figure = new(6.4, 3.6)
    axes = figure.subplots()
    share = np.array([right[group].mean() for group in groups])
    error = 2 * np.sqrt(share * (1 - share) / [len(group) for group in groups])
    places = np.arange(len(groups))
    axes.errorbar(places, share, error, fmt="o", color=ACCENT, capsize=3, linewidth=1)
    axes.axhline(right.mean(), color=SECOND, linewidth=1, label=f"all: {right.mean():.4f}")
    axes.set_xticks(
        places, [f"{length[group].min():.0f}-{length[group].max():.0f}" for group in groups], rotation=40, ha="right"
    )
    axes.set(xlabel="tokens", ylabel="share that is right", title="Accuracy by length")
    axes.legend(frameon=False, fontsize=8)
    bare(axes)
    lowest = f"from {share.min():.4f} in the worst to {share.max():.4f} in the best"
    said = f"Share of right answers in {len(groups)} parts of the rows by their length, {lowest}."
    return save(figure, path, "Share of right answers by length, with twice its standard error", said)


def forecasts(
    rows: Mapping[str, NDArray[Any]],
    found: Mapping[str, NDArray[Any]],
    labels: Sequence[str],
    path: Path,
    *,
    worst: bool = False,
    shown: int = 4,
) -> Path:
    """Windows of the last column: what was read, what came, the mean and the bands; evenly spaced ones, or the worst."""
    count, horizon = rows["future"].shape[:2]
    spaced = np.linspace(0, count - 1, min(shown, count)).astype(int)
    chosen = _apart(found["squared"], horizon, shown) if worst else spaced
    figure = new(11, 2.6 * -(-len(chosen) // 2))
    cells = figure.subplots(-(-len(chosen) // 2), 2, squeeze=False).flat
    past = min(rows["series"].shape[1], 2 * horizon)
    ahead = np.arange(1, horizon + 1)
    for axes, window in zip(cells, chosen, strict=False):
        before, after = rows["series"][window, -past:, -1], rows["future"][window, :, -1]
        levels = found["quantiles"][window, :, -1]
        for index in range(levels.shape[1] // 2):
            axes.fill_between(ahead, levels[:, index], levels[:, -1 - index], color=ACCENT, alpha=0.15, linewidth=0)
        axes.plot(np.arange(1 - past, 1), before, color=INK, linewidth=0.9)
        axes.plot(np.concatenate([[0], ahead]), np.concatenate([before[-1:], after]), color=SECOND, linewidth=1, label="truth")
        axes.plot(ahead, found["mean"][window, :, -1], color=ACCENT, linewidth=1.4, label="mean and bands")
        axes.axvline(0, color=GRID, linewidth=1)
        axes.set_title(f"test window {window:,}, squared error {found['squared'][window]:.3f}", fontsize=9)
        bare(axes)
    next(iter(figure.axes)).legend(frameon=False, fontsize=8)
    for axes in list(cells):  # the place that is left over
        axes.axis("off")
    figure.suptitle(f"{labels[-1]}: {'the worst windows' if worst else 'windows from all over the test steps'}", fontsize=10)
    shows = "worst windows" if worst else "windows from all over the test steps"
    said = (
        f"{len(chosen)} charts of {labels[-1]}: what was read, what came, the mean forecast and its bands over {horizon} steps."
    )
    return save(figure, path, f"Forecasts of the {shows}", said)


def _apart(squared: NDArray[Any], horizon: int, most: int) -> list[int]:
    """The worst windows, none within a horizon of another: neighbours fail alike."""
    chosen: list[int] = []
    for window in np.argsort(-squared, kind="stable"):
        if all(abs(int(window) - other) >= horizon for other in chosen):
            chosen.append(int(window))
        if len(chosen) == most:
            break
    return chosen


def by_step(errors: NDArray[Any], names: Sequence[str], path: Path) -> Path:
    """Mean squared error (forecasts, horizon) by step ahead."""
    figure = new(6.4, 3.6)
    axes = figure.subplots()
    for values, name, colour in zip(errors, names, (SECOND, ACCENT), strict=True):
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, label=name)
    axes.set(xlabel="step ahead", ylabel="squared error, standardised", title="Error by step", ylim=(0, None))
    axes.legend(frameon=False, fontsize=8)
    bare(axes)
    means = ", ".join(f"{name} {np.mean(values):.4f}" for values, name in zip(errors, names, strict=True))
    said = f"Lines of the mean squared error over {errors.shape[1]} steps ahead; their means: {means}."
    return save(figure, path, "Error by step ahead", said)


def residuals(errors: NDArray[Any], labels: Sequence[str], path: Path) -> Path:
    """Errors (windows, horizon, columns), forecast less truth: their spread by column, and their mean over the test time."""
    figure = new(10, 3.6)
    left, right = figure.subplots(1, 2)
    shown = min(len(labels), 12)
    left.boxplot([errors[..., column].ravel() for column in range(shown)], showfliers=False, widths=0.6)
    left.axhline(0, color=SECOND, linewidth=1)
    left.set_xticks(range(1, shown + 1), [label[:12] for label in labels[:shown]], fontsize=8, parse_math=False)
    left.set_title("Residuals by column, standardised", fontsize=10)
    for column in range(shown):
        right.plot(errors[..., column].mean(1), linewidth=0.8, label=labels[column][:12])
    right.axhline(0, color=INK, linewidth=0.8)
    right.set(xlabel="test windows, in the order of time")
    right.set_title("Mean residual of a window", fontsize=10)
    if shown > 1:
        right.legend(frameon=False, fontsize=7, ncols=2)
    for axes in (left, right):
        bare(axes)
    said = f"Boxes of the residuals of {shown} columns, and lines of their means over {len(errors):,} test windows."
    return save(figure, path, "Residuals, forecast less truth: by column, and over the test time", said)


def words(names: Sequence[str], places: NDArray[np.float64], path: Path) -> Path:
    """Words at their places (words, 2), as many of them named as there is room for, the first ones first."""
    figure = new(11, 11)
    axes = figure.subplots()
    axes.scatter(places[:, 0], places[:, 1], s=3, color=GRID)
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    taken = np.zeros((0, 2))
    for name, place in zip(names, places, strict=True):
        room = np.array([0.0115 * min(len(name), 24), 0.02])
        if len(taken) and ((np.abs(taken[:, :2] - place) < (taken[:, 2:] + room) / 2).all(1)).any():
            continue
        taken = np.concatenate([taken.reshape(-1, 4), [[*place, *room]]])
        axes.text(float(place[0]), float(place[1]), plain(name[:24]), size=6.5, color=INK, ha="center", va="center")
    axes.set_title(f"{len(names):,} words, {len(taken):,} of them named: those that lie together are used alike", fontsize=10)
    said = f"A map of {len(names):,} words, {len(taken):,} of them named."
    return save(figure, path, "Words on a plane: those that lie together are used alike", said)


def plane(places: NDArray[np.float64], targets: NDArray[np.int64], labels: Sequence[str], method: str, path: Path) -> Path:
    """Rows at their places (rows, 2), coloured by label (rows,), each label named in the middle of its rows."""
    figure = new(7.5, 7.5)
    axes = figure.subplots()
    colours = colormaps["tab10" if len(labels) <= 10 else "tab20"]
    axes.scatter(places[:, 0], places[:, 1], s=9, color=colours(targets % colours.N) if labels else ACCENT)
    for index, label in enumerate(labels[:MOST_NAMED]):
        if len(own := places[targets == index]):
            middle = np.median(own, 0)
            edge = {"facecolor": "white", "edgecolor": colours(index % colours.N), "boxstyle": "round,pad=.25", "alpha": 0.9}
            axes.text(
                float(middle[0]), float(middle[1]), plain(label[:24]), size=9, color=INK, ha="center", va="center", bbox=edge
            )
    axes.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_title(f"{len(places):,} codes of test pictures ({method})", fontsize=10)
    said = f"A scatter of the codes of {len(places):,} test pictures of {len(labels)} labels ({method})."
    return save(figure, path, "Codes of test pictures on a plane", said)


def plain(name: str) -> str:
    """For matplotlib, to which a dollar sign means mathematics."""
    return name.replace("$", r"\$")


def beside(lines: Sequence[NDArray[np.uint8]], names: Sequence[str], path: Path, title: str = "Pictures by line") -> Path:
    """Lines of pictures (n, height, width, channels) below each other, each with its name."""
    count = len(lines[0])
    figure = new(count * 0.75 + 0.9, len(lines) * 0.85)
    cells = figure.subplots(len(lines), count, squeeze=False)
    for line, name, row in zip(lines, names, cells, strict=True):
        for picture, cell in zip(line, row, strict=True):
            gray = picture.shape[2] == 1
            cell.imshow(picture[:, :, 0] if gray else picture, cmap="gray" if gray else None, vmin=0, vmax=255)
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
        row[0].set_ylabel(name, fontsize=8, color=INK)
    said = f"{len(lines)} lines of {count} pictures: {', '.join(names)}."
    return save(figure, path, title, said)
