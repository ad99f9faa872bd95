"""Pictures of an autoencoder: noisy and made again, the codes on a plane, walks between pictures, made-up ones.

Knows arrays and a version that answers; draws through `plots` and `planes`. Knows no family.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service import images
from service.golden import Array, Arrays
from training import planes, plots
from training.room import Predict

PICTURES, PLANE, PLANE_DATA, WALKS, SAMPLES = "pictures.png", "plane.png", "plane.json", "walks.png", "samples.png"
SHOWN = 16
"""Pictures of a line."""
STEPS = 12
"""Of a walk, both ends included."""
MOST_WALKS = 9
MADE_UP = 100
ON_PLANE = 1_000
"""Codes that are laid on a plane."""


def walks(predict: Predict, codes: Array, labels: NDArray[np.int64]) -> Arrays:
    """What the graph `decoder` makes on the straight way from one picture's code to another's: `walks`.

    From the first picture of each label to that of the next one, or from one picture to the next where all have one label:
    (walks, steps, height, width, channels), with the rows of the `ends` (walks, 2).
    """
    first = np.unique(labels, return_index=True)[1]
    stops = first if len(first) > 1 else np.arange(min(len(codes), MOST_WALKS + 1))
    ends = np.stack([stops[:-1], stops[1:]], 1)[:MOST_WALKS]
    share = np.linspace(0, 1, STEPS, dtype=np.float32)[:, np.newaxis]
    between = (1 - share) * codes[ends[:, :1]] + share * codes[ends[:, 1:]]
    made = predict({"code": between.reshape(-1, codes.shape[1])}, "decoder")["picture"]
    return {"walks": made.reshape(len(ends), STEPS, *made.shape[1:]), "ends": ends}


def samples(predict: Predict, size: int) -> Array:
    """What the graph `decoder` makes of standard normal codes of that size: (MADE_UP, height, width, channels)."""
    codes = np.random.default_rng(0).standard_normal((MADE_UP, size)).astype(np.float32)
    return predict({"code": codes}, "decoder")["picture"]


def draw(arrays: Arrays, rows: Arrays, noisy: Sequence[str], labels: Sequence[str], folder: Path) -> list[Path]:
    """The pictures of what there is: `made` always; `codes`, `walks` and `samples` where they are.

    `noisy` names arrays in `rows`.
    """
    every = max(1, len(rows["image"]) // SHOWN)
    lines = [rows[name][::every][:SHOWN] for name in ("image", *noisy)] + [images.pixels(arrays["made"][::every][:SHOWN])]
    drawn = [
        plots.beside(
            lines,
            ["as it is", *("noisy" for _ in noisy), "made again"],
            folder / PICTURES,
            "Test pictures, and what was made of them",
        )
    ]
    if "codes" in arrays:
        drawn += _plane(arrays["codes"], rows["label"], labels, folder)
    if len(arrays.get("walks", ())):
        names = [" to ".join(labels[rows["label"][end]] if labels else str(end) for end in pair) for pair in arrays["ends"]]
        drawn.append(
            plots.beside(
                list(images.pixels(arrays["walks"])), names, folder / WALKS, "Walks from one picture's code to another's"
            )
        )
    if "samples" in arrays:
        sheet = images.to_png(images.grid(list(images.pixels(arrays["samples"]))))
        said = f"A contact sheet of {len(arrays['samples'])} pictures that the decoder made of random codes."
        drawn.append(plots.save_png(sheet, folder / SAMPLES, "Made-up pictures", said))
    return drawn


def _plane(codes: Array, targets: NDArray[np.int64], labels: Sequence[str], folder: Path) -> list[Path]:
    """The plane as a picture and as numbers, with the codes, so that a page can decode what is pointed at."""
    codes, targets = codes[:ON_PLANE], targets[:ON_PLANE]
    places, method = planes.plane(codes, "euclidean")
    said = {
        "method": method,
        "x": places[:, 0].round(4).tolist(),
        "y": places[:, 1].round(4).tolist(),
        "label": targets.tolist(),
        "code": np.round(codes.astype(np.float64), 3).tolist(),
    }
    (folder / PLANE_DATA).write_text(json.dumps(said, separators=(",", ":")))
    return [plots.plane(places, targets, labels, method, folder / PLANE), folder / PLANE_DATA]
