"""Closed-form linear forecasts: ridge regressions of what follows on what came before, averaged to one map a column.

The members differ in how far they look back, in which level they take off a window, and in whether the columns share their
weights; each one's penalty is chosen on the validation windows (Hoerl and Kennard 1970; on why such a model is hard to beat:
Zeng et al. 2023, "Are transformers effective for time series forecasting?", and Toner and Darlow 2024, "An analysis of linear
time series forecasting models"). All of them are made from second moments of the windows, so nothing is passed over twice.
Knows windows only, no family.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Per window, in units of the standardised columns' variance."""
SHORTER = (1, 2, 4)
"""A member looks back over the whole context, a half or a quarter of it."""
CHUNK = 512


@dataclass(frozen=True)
class Moments:
    """Second moments of windows: for each column the mean of w wᵀ, w being its context and what follows it."""

    mean: Floats
    """(columns, context + horizon, context + horizon)"""
    context: int

    @classmethod
    def of(cls, windows: NDArray[np.floating], context: int, centre: Floats, scale: Floats) -> "Moments":
        """Of windows (n, context + horizon, columns), standardised."""
        width, columns = windows.shape[1:]
        total = np.zeros((columns, width, width))
        for start in range(0, len(windows), CHUNK):
            part = ((windows[start : start + CHUNK] - centre) / scale).astype(np.float32).transpose(2, 0, 1)
            total += part.transpose(0, 2, 1) @ part
        return cls(total / len(windows), context)

    def error(self, forecast: Floats) -> float:
        """Mean squared error of linear forecasts (columns, context, horizon)."""
        x, xy, y = self._blocks(self.mean)
        follow = np.einsum("cii->c", y)
        crossed = np.einsum("clh,clh->c", forecast, xy)
        squared = np.einsum("clh,clh->c", forecast, x @ forecast)
        return float((follow - 2 * crossed + squared).mean() / y.shape[1])

    def _blocks(self, moments: Floats) -> tuple[Floats, Floats, Floats]:
        at = self.context
        return moments[:, :at, :at], moments[:, :at, at:], moments[:, at:, at:]

    def fits(self, length: int, level: str, *, shared: bool) -> Iterator[Floats]:
        """One member, (columns, context, horizon), for each of the penalties."""
        columns, width, horizon = self.mean.shape[0], self.mean.shape[1], self.mean.shape[1] - self.context
        taken = _level(self.context, length, level)  # (context,)
        off = np.eye(width)
        off[: self.context] -= taken[:, None]  # w @ off is the window without its level
        moments = self.mean.mean(0, keepdims=True) if shared else self.mean
        rest, seen = off.T @ moments @ off, slice(self.context - length, self.context)
        x, xy = rest[:, seen, seen], rest[:, seen, self.context :]
        values, vectors = np.linalg.eigh(x)
        turned = vectors.transpose(0, 2, 1) @ xy
        for penalty in PENALTIES:
            weights = vectors @ (turned / (values + penalty)[:, :, None])  # (1 or columns, length, horizon)
            whole = np.zeros((len(weights), self.context, horizon))
            whole[:, self.context - length :] = weights
            # a level, and what the window less its level gives
            forecast = whole + taken[None, :, None] * (1 - whole.sum(1, keepdims=True))
            yield np.broadcast_to(forecast, (columns, self.context, horizon))


def _level(context: int, length: int, kind: str) -> Floats:
    """The weights (context,) that make a window's level of its values."""
    taken = np.zeros(context)
    if kind == "last":
        taken[-1] = 1
    else:
        taken[-length:] = 1 / length
    return taken


def best(train: Moments, validation: Moments, length: int, level: str, *, shared: bool) -> Floats:
    """The member with the penalty that suits the validation windows."""
    return min(train.fits(length, level, shared=shared), key=validation.error)


def average(train: Moments, validation: Moments, least: int) -> Floats:
    """The mean of all members (columns, context, horizon); none looks back over fewer than `least` steps."""
    lengths = sorted({max(least, train.context // part) for part in SHORTER})
    sharing: Iterable[bool] = (True, False) if len(train.mean) > 1 else (True,)
    members = [
        best(train, validation, length, level, shared=shared)
        for length, level, shared in product(lengths, ("last", "mean"), sharing)
    ]
    return np.mean(members, axis=0, dtype=np.float64)  # type: ignore[no-any-return]  # numpy's stub says Any
