"""Word vectors on a plane, and lists of neighbours: files for people. Knows vectors and words; draws through `plots`."""

import json
from collections.abc import Sequence
from pathlib import Path

from service.golden import Arrays
from service.vocabulary import FIRST
from training import planes, plots

NEIGHBORS, MAP, PICTURE = "neighbors.txt", "map.json", "map.png"
SHOWN = 10
"""Neighbours of a word in the list."""


def write(words: Sequence[str], found: Arrays, count: int, folder: Path) -> list[Path]:
    """`neighbors.txt`, `map.json` and `map.png` of the commonest `count` of all `words`."""
    shown = list(words[:count])
    places, method = planes.plane(found["vectors"][:count, 0])
    (folder / MAP).write_text(
        json.dumps(
            {"method": method, "words": shown, "x": places[:, 0].round(4).tolist(), "y": places[:, 1].round(4).tolist()},
            ensure_ascii=False,
        )
    )
    lines = [
        f"{word}: " + ", ".join(f"{words[number - FIRST]} {cosine:.2f}" for number, cosine in nearest)
        for word, nearest in zip(shown, _nearest(found), strict=True)
    ]
    (folder / NEIGHBORS).write_text("\n".join(lines) + "\n")
    return [folder / NEIGHBORS, folder / MAP, plots.words(shown, places, folder / PICTURE)]


def _nearest(found: Arrays) -> list[list[tuple[int, float]]]:
    """Of each word its first neighbours, those that must not be found left out."""
    return [
        [(number, cosine) for number, cosine in zip(numbers[:SHOWN], cosines[:SHOWN], strict=True) if cosine >= -1]
        for numbers, cosines in zip(found["neighbors"].tolist(), found["cosines"].tolist(), strict=True)
    ]
