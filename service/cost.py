"""What a batch costs on this machine, measured when a version is loaded, and what a thread hop costs beside it.

Decides where a batch runs. Knows no model: it times whatever `run(rows, length)` it is given.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from statistics import median

REPEATS = 3
ENOUGH_S = 0.004
"""A point of the curve is measured again only until it took this long: precision matters where a batch is short."""
LONG_S = 0.02
"""What takes longer leaves the event loop in any case: larger batches of that length are not timed."""


@dataclass(frozen=True)
class Cost:
    """Seconds by (rows, length), at the measured points."""

    points: dict[tuple[int, int], float]

    def __call__(self, rows: int, length: int = 1) -> float:
        """Seconds of the cheapest measured batch that is at least as large; infinite beyond the largest one measured."""
        return min((seconds for (r, n), seconds in self.points.items() if r >= rows and n >= length), default=float("inf"))

    def public(self) -> list[dict[str, float]]:
        """The curve, for `GET /v1/models/{name}`."""
        return [
            {"rows": rows, "length": length, "ms": round(seconds * 1e3, 4)}
            for (rows, length), seconds in sorted(self.points.items())
        ]


def measure(
    run: Callable[[int, int], object],
    max_batch: int,
    lengths: tuple[int, ...] = (1,),
    max_padded: float = float("inf"),
    clock: Callable[[], float] = time.perf_counter,
) -> Cost:
    """Time `run(rows, length)` for 1, 2, 4 … `max_batch` rows and each length: the median of a few runs, one to warm up.

    Batches of more than `max_padded` rows times length are never made, and so not timed; one row of any length is.
    """
    sizes = [2**power for power in range(max_batch.bit_length()) if 2**power < max_batch] + [max_batch]
    points: dict[tuple[int, int], float] = {}
    for length in lengths:
        for rows in sizes:
            if rows > 1 and rows * length > max_padded:
                break
            points[rows, length] = _time(partial(run, rows, length), clock)
            if points[rows, length] > LONG_S:
                break
    return Cost(points)


def _time(run: Callable[[], object], clock: Callable[[], float]) -> float:
    run()
    seconds: list[float] = []
    while len(seconds) < REPEATS and sum(seconds) < ENOUGH_S:
        begun = clock()
        run()
        seconds.append(clock() - begun)
    return median(seconds)


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
