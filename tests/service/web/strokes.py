"""Digits as two hands write them, as strokes on a pad of 100 by 100; knows no page and no browser.

A stroke is what a pen passes through, right and down from the upper left corner; between these points it goes in a smooth curve.
The first hand writes upright and round, the second one slanted, smaller and with other forms: a 7 with a bar, a closed 4, a 1 with
an upstroke, a 2 with a loop.
"""

from collections.abc import Iterator

Point = tuple[float, float]

FIRST = {
    "0": ["52 16, 36 24, 29 48, 36 75, 51 84, 66 73, 71 48, 64 25, 50 17"],
    "1": ["50 15, 50 40, 49 65, 49 86"],
    "2": ["32 30, 38 19, 53 15, 66 24, 66 40, 52 60, 32 82", "32 82, 50 81, 71 82"],
    "3": ["33 24, 45 16, 60 19, 65 32, 57 44, 45 48, 60 53, 68 66, 60 80, 45 85, 31 76"],
    "4": ["36 17, 33 35, 30 53", "30 53, 50 53, 73 51", "62 18, 61 50, 60 85"],
    "5": ["38 18, 37 32, 35 46, 50 43, 64 51, 66 67, 55 81, 34 81", "38 18, 52 18, 66 17"],
    "6": ["61 16, 45 29, 35 50, 34 70, 44 84, 59 83, 66 69, 57 56, 43 58, 35 70"],
    "7": ["30 20, 50 19, 69 19", "69 19, 59 42, 50 63, 43 86"],
    "8": ["62 23, 50 16, 37 24, 39 38, 55 50, 66 63, 62 79, 48 85, 35 77, 36 62, 50 49, 62 36, 63 24"],
    "9": ["64 27, 52 17, 38 24, 36 39, 46 49, 59 44, 65 28, 64 50, 61 68, 58 86"],
}

SECOND = {
    "0": ["60 25, 46 27, 36 46, 35 66, 44 75, 57 68, 66 48, 67 32, 56 24, 50 28"],
    "1": ["42 39, 50 32, 60 22", "60 22, 55 45, 48 77"],
    "2": ["40 33, 50 24, 63 27, 63 41, 51 57, 37 70, 32 76, 35 66, 43 68, 53 76, 66 74"],
    "3": ["42 26, 54 23, 66 25", "66 25, 57 36, 49 45, 60 48, 63 60, 54 73, 38 72"],
    "4": ["62 78, 64 50, 67 22, 50 40, 35 58", "35 58, 52 59, 74 58"],
    "5": ["69 23, 57 24, 47 24", "47 24, 44 36, 41 46, 53 44, 62 53, 58 68, 47 76, 34 72"],
    "6": ["66 23, 53 31, 42 47, 37 65, 43 76, 55 73, 61 61, 54 54, 44 58, 38 67"],
    "7": ["37 27, 53 26, 69 24", "69 24, 57 46, 45 77", "43 51, 55 50, 65 49"],
    "8": ["66 29, 57 22, 47 28, 48 40, 57 50, 60 63, 52 75, 40 72, 39 61, 50 50, 62 40, 67 29"],
    "9": ["66 32, 58 24, 46 30, 44 43, 53 48, 63 40, 67 29", "67 29, 61 50, 52 78"],
}

HANDS = {"first": FIRST, "second": SECOND}


def smooth(stroke: str, pieces: int = 2) -> Iterator[Point]:
    """Points along a stroke, shares of the pad's side, on Catmull and Rom's curve through those that are given."""
    given = [tuple(int(number) / 100 for number in point.split()) for point in stroke.split(", ")]
    ends = [given[0], *given, given[-1]]
    yield ends[0][0], ends[0][1]
    for before, start, end, after in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for share in (piece / pieces for piece in range(1, pieces + 1)):
            right, down = (_between(*four, share) for four in zip(before, start, end, after, strict=True))
            yield right, down


def _between(before: float, start: float, end: float, after: float, share: float) -> float:
    bend = 2 * before - 5 * start + 4 * end - after
    twist = 3 * (start - end) + after - before
    return start + share * (end - before + share * (bend + share * twist)) / 2
