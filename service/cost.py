"""What a batch costs on this machine, measured when a version is loaded, and what a thread hop costs beside it.

Decides where a batch runs, and what is worth padding in it. Knows no model: it times whatever `run(rows, length)` it is given.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from service.manifest import Manifest

REPEATS = 3
ENOUGH_S = 0.004
"""A point of the curve is measured again only until it took this long: precision matters where a batch is short."""
DEARER = 1.1
"""What a row of a larger batch may cost of one in the best batch."""
LONG_S = 0.01
"""What takes longer leaves the event loop in any case: larger batches of that length are not timed."""


@dataclass(frozen=True)
class Cost:
    """Seconds by (rows, length), at the measured points."""

    points: dict[tuple[int, int], float]

    def __call__(self, rows: int, length: int = 1) -> float:
        """Seconds of the cheapest measured batch that is at least as large; infinite beyond the largest one measured."""
        return min((seconds for (r, n), seconds in self.points.items() if r >= rows and n >= length), default=float("inf"))

    def estimate(self, rows: int, length: int = 1) -> float:
        """Seconds, linearly between the measured points and on beyond them: what a little more of either would cost."""
        lengths, sizes = self._sizes
        place = _place(lengths, length)
        nearest = range(max(place - 1, 0), place + 1)
        return _line([lengths[one] for one in nearest], [_line(*sizes[one], rows) for one in nearest], length)

    def most_rows(self, length: int, around_s: float) -> int:
        """The largest measured batch of that length whose rows cost no more than a tenth above those of the best one.

        `around_s` is what any batch costs beside its run. Beyond it more rows only make everybody wait: recurrent graphs are
        fastest at 8 to 32 rows here, convolutions about the same from 1 to 64.
        """
        lengths, sizes = self._sizes
        rows, seconds = sizes[min(bisect_left(lengths, length), len(lengths) - 1)]
        each = [(around_s + took) / count for count, took in zip(rows, seconds, strict=True)]
        return max(count for count, one in zip(rows, each, strict=True) if one <= DEARER * min(each))

    @cached_property
    def _sizes(self) -> tuple[list[int], list[tuple[list[int], list[float]]]]:
        """The measured lengths, and of each the measured rows and their seconds; ascending."""
        found: dict[int, tuple[list[int], list[float]]] = {}
        for (rows, length), seconds in sorted(self.points.items()):
            of = found.setdefault(length, ([], []))
            of[0].append(rows)
            of[1].append(seconds)
        return sorted(found), [found[length] for length in sorted(found)]

    def public(self) -> list[dict[str, float]]:
        """The curve, for `GET /v1/models/{name}`."""
        return [
            {"rows": rows, "length": length, "ms": round(seconds * 1e3, 4)}
            for (rows, length), seconds in sorted(self.points.items())
        ]


def lengths(manifest: Manifest) -> tuple[int, ...]:
    """Lengths to time: 1 where every axis is fixed, else also 16, 64, 256 … up to the longest that the manifest allows."""
    free = {axis for spec in manifest.graph.inputs for axis in spec.free}
    longest = max((manifest.limits.get(axis, 1) for axis in free), default=1)
    return tuple(sorted({1, *(4**power for power in range(2, 16) if 4**power < longest), longest}))


def measure(
    run: Callable[[int, int], object],
    max_batch: int,
    lengths: tuple[int, ...] = (1,),
    max_padded: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> Cost:
    """Time `run(rows, length)` for 1, 2, 4 … `max_batch` rows and each length: the best of a few runs, one to warm up where
    it is short.

    The runs go in turns, all points in each, so that a machine that is busy for a moment spoils no point. Batches of more than
    `max_padded` rows times length are never made, and so not timed; one row of any length is.
    """
    sizes = [2**power for power in range(max_batch.bit_length()) if 2**power < max_batch] + [max_batch]
    points: dict[tuple[int, int], float] = {}
    for length in lengths:
        for rows in sizes:
            if rows > 1 and rows * length > max_padded:
                break
            first = _time(run, rows, length, clock)
            points[rows, length] = min(first, _time(run, rows, length, clock)) if first < LONG_S else first
            if points[rows, length] > LONG_S:
                break
    for turn in range(1, REPEATS):
        for (rows, length), seconds in points.items():
            if seconds * turn < ENOUGH_S:
                points[rows, length] = min(seconds, _time(run, rows, length, clock))
    return Cost(points)


def _time(run: Callable[[int, int], object], rows: int, length: int, clock: Callable[[], float]) -> float:
    begun = clock()
    run(rows, length)
    return clock() - begun


def _place(points: list[int], at: int) -> int:
    """Which of ascending `points` is the later of the two nearest around `at`."""
    return min(max(bisect_left(points, at), 1), len(points) - 1)


def _line(points: list[int], values: list[float], at: int) -> float:
    """The value at `at` on the line through the two nearest points; never below the first."""
    place = _place(points, at)
    if place < 1:
        return values[0]
    x, further = points[place - 1 : place + 1]
    y, value = values[place - 1 : place + 1]
    return max(y + (value - y) * (at - x) / (further - x), values[0])


async def hop_s(executor: Executor, repeats: int = 20) -> float:
    """Seconds from the event loop into a thread and back, the median of `repeats`."""
    loop = asyncio.get_running_loop()
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        await loop.run_in_executor(executor, _nothing)
        seconds.append(time.perf_counter() - begun)
    return median(seconds)


def _nothing() -> None:
    """What a hop carries when only the hop is timed."""
