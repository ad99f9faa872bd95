"""Series cut into windows: what is read and what follows it, for training, validation and test, in the order of time.

A window belongs to the part that all of what it forecasts lies in; what it reads may lie before. Knows no file and no network.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.golden import Arrays
from training.room import TrainingError
from training.series import Corpus

Windows = NDArray[np.float32]
"""(n, context + horizon, columns); often views of one array, so that a window costs nothing until it is taken."""
ENOUGH = 4_096
"""Windows of an epoch: fewer are gone through several times, so that an epoch is as long as a network needs."""
MOST_BYTES = 1 << 30
"""Of windows that had to be copied; of more, every second or third and so on is taken."""
FEWEST = 10
"""Windows of a part."""


@dataclass(frozen=True)
class Cut:
    """Windows of each part, and the training steps' mean, spread and unrest of each column."""

    context: int
    season: int
    train: Windows
    validation: Windows
    test: Windows
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    unrest: NDArray[np.float64]
    """Mean absolute difference of training steps a season apart: what MASE is scaled by (Hyndman and Koehler 2006)."""

    def training_rows(self) -> Arrays:
        """What `step` gets; few windows several times."""
        again = -(-ENOUGH // len(self.train))
        train = self.train if again == 1 else np.concatenate([self.train] * again)
        return {"window": train, "context": _all(self.context, len(train))}

    def rows(self, part: Windows) -> Arrays:
        """A raw split: windows, and for each what its errors are measured in."""
        return {
            "window": part,
            "context": _all(self.context, len(part)),
            "season": _all(self.season, len(part)),
            "scale": np.broadcast_to(self.scale, (len(part), len(self.scale))),
            "unrest": np.broadcast_to(self.unrest, (len(part), len(self.unrest))),
        }


def _all(value: int, rows: int) -> NDArray[np.int64]:
    return np.full(rows, value, np.int64)


def suitable(corpus: Corpus, context: int | None, horizon: int | None, season: int | None) -> tuple[int, int]:
    """Steps to read and to forecast, for series as long as these: a season ahead, from three or as many as there are."""
    shortest = min(len(one) for one in corpus.series)
    season = season or corpus.season
    ahead = horizon or max(1, min(season if season > 1 else 8, shortest // 12))
    read = context or max(2, min(max(3 * season, 2 * ahead), shortest // 4))
    return read, ahead


def cut(corpus: Corpus, context: int, horizon: int, season: int, shares: tuple[float, float]) -> Cut:
    """Every window. `shares`: of the steps, held out for validation and test, where the source has no borders of its own.

    Raises TrainingError where a part has too few.
    """
    parts: tuple[list[Windows], list[Windows], list[Windows]] = ([], [], [])
    known = []
    for one in corpus.series:
        borders = corpus.borders or _borders(len(one), shares)
        known.append(one[: borders[0]])
        for part, begin, end in zip(parts, (context, *borders[:2]), borders, strict=True):
            part.extend(_windows(one[max(0, begin - context) : end], context + horizon))
    train, validation, test = (_joined(part) for part in parts)
    for name, found in (("training", train), ("validation", validation), ("test", test)):
        if len(found) < FEWEST:
            raise TrainingError(
                f"{corpus.name} has {len(found)} {name} windows of {context} + {horizon} steps; expected at least {FEWEST}: "
                "choose a smaller --context or --horizon, or bring a longer series."
            )
    steps = np.concatenate(known).astype(np.float64)
    apart = [np.abs(one[season:] - one[:-season]) for one in known if len(one) > season]
    unrest = np.concatenate(apart or [np.ones((1, steps.shape[1]))]).mean(0, dtype=np.float64)
    return Cut(context, season, train, validation, test, steps.mean(0), _positive(steps.std(0)), _positive(unrest))


def _positive(spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """A column that never changes is measured in its own units."""
    return np.where(spread > 0, spread, 1.0)


def _borders(length: int, shares: tuple[float, float]) -> tuple[int, int, int]:
    validation, test = (round(share * length) for share in shares)
    return length - validation - test, length - test, length


def _windows(steps: NDArray[np.float32], width: int) -> Iterator[Windows]:
    if len(steps) >= width:
        view = np.lib.stride_tricks.sliding_window_view(steps, width, axis=0, writeable=True)
        yield view.transpose(0, 2, 1)


def _joined(parts: list[Windows]) -> Windows:
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return np.empty((0, 1, 1), np.float32)
    every = max(1, -(-sum(part.nbytes for part in parts) // MOST_BYTES))
    return np.concatenate([part[::every] for part in parts])
