"""What of an input an answer rests on, found by asking again with a part of it hidden or left out.

Works with anything that gives probabilities: knows no network, no family, and nothing of HTTP.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PLACES = 10
"""Squares that are hidden along each side of a picture."""
RUN_ROWS = 32
"""Rows that are asked at once."""
STEPS = 64
"""Beginnings of a sequence that are asked at most."""
TINY = 1e-9
"""Added to probabilities, so that a log-odds of one that is 0 or 1 stays finite."""

Floats = NDArray[np.float32]
Ask = Callable[[NDArray[np.generic]], Floats]
"""Rows in, probabilities out: (rows, labels)."""


@dataclass(frozen=True)
class Squares:
    """Where squares of `patch` pixels stand: `tops` and `lefts` of each, first and last flush with the edges."""

    patch: int
    tops: NDArray[np.int64]
    lefts: NDArray[np.int64]


def squares(height: int, width: int) -> Squares:
    """A quarter of the shorter side each, PLACES along either side where there is room for as many."""
    patch = max(1, min(height, width) // 4)

    def along(side: int) -> NDArray[np.int64]:
        last = side - patch
        return np.rint(np.linspace(0, last, min(PLACES, last + 1))).astype(np.int64)

    return Squares(patch, along(height), along(width))


def occluded(pictures: NDArray[np.uint8], ask: Ask) -> Floats:
    """(rows, height, width, channels) -> (rows, down, across, labels): probabilities with each of `squares` hidden.

    Hidden by the picture's own median colour: its ground. Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional
    Networks".
    """
    _, height, width, _ = pictures.shape
    where = squares(height, width)
    found = []
    for picture in pictures:
        ground = np.median(picture.reshape(-1, picture.shape[2]), axis=0).astype(np.uint8)
        hidden = np.repeat(picture[np.newaxis], len(where.tops) * len(where.lefts), axis=0)
        for index, (top, left) in enumerate((top, left) for top in where.tops for left in where.lefts):
            hidden[index, top : top + where.patch, left : left + where.patch] = ground
        found.append(_asked(hidden, ask).reshape(len(where.tops), len(where.lefts), -1))
    return np.stack(found)


def log_odds(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Natural logarithm of p against 1 - p, finite."""
    p = probabilities.astype(np.float64)
    return np.log(p + TINY) - np.log(1 - p + TINY)


def beginnings(length: int) -> NDArray[np.int64]:
    """How long the beginnings are that are asked: 1 to `length`, all where they are few, else evenly spread."""
    return np.unique(np.rint(np.linspace(1, length, min(length, STEPS))).astype(np.int64))


def after(tokens: NDArray[np.int32], padding: int, ask: Ask) -> tuple[NDArray[np.int32], Floats]:
    """(rows, time) -> how long each beginning is (rows, STEPS; 0: none) and its probabilities (rows, STEPS, labels)."""
    places = np.zeros((len(tokens), STEPS), np.int32)
    found: list[Floats] = []
    for row, numbers in zip(places, tokens, strict=True):
        lengths = beginnings(max(1, int((numbers != padding).sum())))
        row[: len(lengths)] = lengths
        cut = np.where(np.arange(len(numbers)) < lengths[:, np.newaxis], numbers, np.int32(padding)).astype(np.int32)
        answers = np.concatenate(
            [
                ask(cut[part][:, : lengths[part][-1]]) for part in _parts(len(lengths))
            ]  # the shorter ones are not padded to the longest
        )
        found.append(np.concatenate([answers, np.zeros((STEPS - len(answers), answers.shape[1]), np.float32)]))
    return places, np.stack(found)


def _asked(rows: NDArray[np.generic], ask: Ask) -> Floats:
    return np.concatenate([ask(rows[part]) for part in _parts(len(rows))])


def _parts(rows: int) -> list[slice]:
    return [slice(start, min(start + RUN_ROWS, rows)) for start in range(0, rows, RUN_ROWS)]
