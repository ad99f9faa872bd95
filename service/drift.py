"""How far live requests are from the training data: a population stability index of each watched property in a sliding window.

    training statistics --bins, expected shares--> Watched <--counts of live rows in slots of time-- batches as they ran

A room says what is watched (`watched(manifest)`); this module knows no family. Memory is a few counters a slot, whatever the
traffic; of a busy model a sample is looked at, so that watching costs next to nothing.
Source of the index and of the usual thresholds: Siddiqi, Credit Risk Scorecards, 2006; its sampling error: Yurdakul, 2018.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import shown
from service.golden import Array, Arrays

SLOTS = 60
"""The window moves on by this part of its length."""
ROWS_A_BATCH, ROWS_A_SECOND = 16, 200
"""Looked at, at most."""
ENOUGH = 200
"""Observations before an index is told: with fewer, chance alone moves it by more than 0.05."""
FLOOR = 1e-3
"""The least share of a bin: an empty one would make the index infinite."""
MODERATE, LARGE = 0.1, 0.25

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Watched:
    """A property of rows: its bins, the share of training rows in each, and how a batch's rows fall into them."""

    name: str
    bins: tuple[str, ...]
    expected: tuple[float, ...]
    needs: tuple[str, ...]
    """Inputs and outputs; a batch without them says nothing of the property."""
    places: Callable[[Arrays], NDArray[np.intp]]
    """(inputs and outputs of a batch) -> the bin of each observation; -1 for none."""


def ranged(name: str, stated: object, needs: str, of: Callable[[Array], Array]) -> tuple[Watched, ...]:
    """A number, by the deciles (the smallest and the largest value included) that a manifest states of the training rows.

    `of(array)` gives it; nothing is watched where nothing is stated. Raises ValueError where that is something else.
    """
    if stated is None:
        return ()
    numbers = stated if isinstance(stated, list) and set(map(type, stated)) <= {int, float} else []
    edges = np.asarray(numbers, np.float64)
    if len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) < 0).any():
        raise ValueError(f"the statistics' {name} is {shown(stated)}; expected ascending numbers")
    uppers, counts = np.unique(edges[1:], return_counts=True)
    lowest, bounds = float(edges[0]), [float(edge) for edge in (edges[0], *uppers)]
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(bounds)]

    def places(arrays: Arrays) -> NDArray[np.intp]:
        values = np.asarray(of(arrays[needs])).reshape(-1)
        ends = uppers.astype(np.result_type(values, np.float32))  # else 0.1 of a float32 is above a stated 0.1
        found = np.where(values < lowest, 0, np.searchsorted(ends, values) + 1)
        return np.where(np.isnan(values), -1, found)

    shares = (0.0, *(counts / (len(edges) - 1)).tolist(), 0.0)
    return (Watched(name, (f"below {lowest:g}", *between, f"above {bounds[-1]:g}"), shares, (needs,), places),)


def chosen(name: str, stated: object, needs: str, of: Callable[[Array], NDArray[np.intp]]) -> tuple[Watched, ...]:
    """A choice among labels, by the share that a manifest states each has of the training rows.

    `of(array)` gives the labels' places; nothing is watched where nothing is stated. Raises ValueError where it is none.
    """
    if stated is None:
        return ()
    shares = stated if isinstance(stated, dict) and set(map(type, stated.values())) <= {int, float} else {}
    if not shares or min(shares.values()) < 0 or not 0.99 < sum(shares.values()) < 1.01:
        raise ValueError(f"the statistics' {name} is {shown(stated)}; expected shares by label")
    return (Watched(name, tuple(shares), tuple(shares.values()), (needs,), lambda arrays: of(arrays[needs]).reshape(-1)),)


def index(expected: Sequence[float], counts: Counts) -> float:
    """The population stability index of `counts` against `expected` shares: 0 where they are the same."""
    wanted = np.maximum(np.asarray(expected, np.float64), FLOOR)
    found = np.maximum(counts / max(1, counts.sum()), FLOOR)
    wanted, found = wanted / wanted.sum(), found / found.sum()
    return float(((found - wanted) * np.log(found / wanted)).sum())


class Drift:
    """Counts of one version's live rows. `observe` may be called from several threads at once."""

    def __init__(self, watched: Sequence[Watched], window_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._watched, self._window_s, self._clock = tuple(watched), window_s, clock
        self._counts = [np.zeros((SLOTS, len(one.bins)), np.int64) for one in watched]
        self._slot = self._now()
        self._allowed, self._refilled = float(ROWS_A_SECOND), clock()
        self._lock = threading.Lock()

    def _now(self) -> int:
        return int(self._clock() / self._window_s * SLOTS)

    def observe(self, inputs: Arrays, outputs: Arrays) -> None:
        """Rows of a batch that ran."""
        if not self._watched:
            return
        with self._lock:
            rows = self._sample(len(next(iter(inputs.values()))))
            if not rows:
                return
            self._move()
            seen = {name: array[:rows] for name, array in {**outputs, **inputs}.items()}
            for one, counts in zip(self._watched, self._counts, strict=True):
                if all(name in seen for name in one.needs):
                    places = one.places(seen)
                    counts[self._slot % SLOTS] += np.bincount(places[places >= 0], minlength=len(one.bins))

    def _sample(self, rows: int) -> int:
        now = self._clock()
        self._allowed = min(ROWS_A_SECOND, self._allowed + (now - self._refilled) * ROWS_A_SECOND)
        self._refilled = now
        taken = min(rows, ROWS_A_BATCH, int(self._allowed))
        self._allowed -= taken
        return taken

    def _move(self) -> None:
        """Forget the slots that have left the window."""
        now = self._now()
        for slot in range(self._slot + 1, min(now, self._slot + SLOTS) + 1):
            for counts in self._counts:
                counts[slot % SLOTS] = 0
        self._slot = max(now, self._slot)

    def totals(self) -> list[list[int]]:
        """Observations by property and bin in the window."""
        with self._lock:
            self._move()
            return [counts.sum(0).tolist() for counts in self._counts]

    def largest(self) -> float | None:
        """The largest index of all properties; None where there are too few observations of each."""
        known = [index(one.expected, counts) for one, counts in self._enough()]
        return max(known, default=None)

    def _enough(self) -> list[tuple[Watched, Counts]]:
        sums = [np.array(counts) for counts in self.totals()]
        return [(one, counts) for one, counts in zip(self._watched, sums, strict=True) if counts.sum() >= ENOUGH]

    def public(self, others: Sequence[list[list[int]]] = ()) -> dict[str, Any]:
        """The window's index for each property, `others` being the totals of processes beside this one."""
        sums = [np.sum(parts, axis=0) for parts in zip(self.totals(), *others, strict=True)]
        told = [_told(one, counts) for one, counts in zip(self._watched, sums, strict=True)]
        known = [one["index"] for one in told if one["index"] is not None]
        return {
            "window_s": self._window_s,
            "index": max(known, default=None),
            "thresholds": {"moderate": MODERATE, "large": LARGE},
            "properties": told,
        }


def _told(one: Watched, counts: Counts) -> dict[str, Any]:
    total = int(counts.sum())
    found = round(index(one.expected, counts), 4) if total >= ENOUGH else None
    verdict = "too few" if found is None else "large" if found >= LARGE else "moderate" if found >= MODERATE else "none"
    return {
        "name": one.name,
        "index": found,
        "drift": verdict,
        "observations": total,
        "bins": [
            {"bin": name, "expected": round(expected, 5), "found": round(count / total, 5) if total else None}
            for name, expected, count in zip(one.bins, one.expected, counts.tolist(), strict=True)
        ],
    }
