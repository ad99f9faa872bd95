"""The words that a version has vectors for: numbers, counts, beginnings, near spellings. Shared by service and training.

One file of a version, `vocabulary.json`. A word is a token as `service/text.py` makes them or, where a table was trained on, a
value with its column, such as `dest=ATL`. Knows nothing of vectors and of HTTP.
"""

import heapq
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson
from rapidfuzz import fuzz, process

from service import text

FILE = "vocabulary.json"
PADDING = 0
"""The number that stands for no word: what fills a shorter row up."""
FIRST = 1
LIKE_ENOUGH = 60
"""Of 100: how alike a near spelling must be (`rapidfuzz.fuzz.ratio`, from the longest common subsequence)."""
TERMS = 32
"""Words that one direction may be put together from."""
MOST = 100
"""Neighbours that a graph gives at most."""
BETWEEN = "="
"""Stands between a column and its value."""


@dataclass(frozen=True)
class Vocabulary:
    """Words and how often each came up in training, the commonest first."""

    words: tuple[str, ...]
    """`words[i]` has the number `FIRST + i`."""
    counts: tuple[int, ...]
    columns: tuple[str, ...] = field(default=())
    """Of the table whose values the words are; none where they are words of texts."""

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not fit each other."""
        if not self.words or len(self.words) != len(self.counts):
            raise ValueError(f"{FILE} has {len(self.words)} words and {len(self.counts)} counts")
        if len(set(self.words)) != len(self.words):
            raise ValueError(f"{FILE} has a word twice")

    @property
    def size(self) -> int:
        """Numbers there are, that of padding included."""
        return FIRST + len(self.words)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number by word."""
        return {word: number for number, word in enumerate(self.words, start=FIRST)}

    @cached_property
    def _values(self) -> list[str]:
        return [word.partition(BETWEEN)[2] for word in self.words]

    @cached_property
    def _alone(self) -> dict[str, int | None]:
        """Number by value without its column; None where several columns have it."""
        found: dict[str, int | None] = {}
        for number, value in enumerate(self._values, start=FIRST):
            found[value] = None if value in found else number
        return found

    @cached_property
    def _sorted(self) -> list[tuple[str, int]]:
        return sorted(self.numbers.items())

    def word(self, number: int) -> str:
        """The word of a number from `FIRST`."""
        return self.words[number - FIRST]

    def count(self, number: int) -> int:
        """How often it came up in training."""
        return self.counts[number - FIRST]

    def column(self, number: int) -> int:
        """Which of `columns` a value stands in."""
        return self.columns.index(self.word(number).partition(BETWEEN)[0])

    def find(self, written: str) -> int | None:
        """The number of a word, however it is capitalised; of a value, with or without its column. None: it has none."""
        if self.columns:
            return self.numbers.get(written) or self._alone.get(written)
        return self.numbers.get(text.normal(written.strip()))

    def near(self, written: str, most: int = 5) -> list[str]:
        """The words that are spelt most like `written`, the commoner first among equals."""
        form = written if self.columns else text.normal(written.strip())
        among = self._values if self.columns and BETWEEN not in form else self.words
        found = process.extract(form, among, scorer=fuzz.ratio, limit=most, score_cutoff=LIKE_ENOUGH)
        return [self.words[place] for _, _, place in found]

    def starting(self, prefix: str, most: int) -> tuple[list[int], int]:
        """The numbers of the commonest words that start with `prefix`, and how many words do."""
        form = prefix if self.columns else text.normal(prefix)
        first = bisect_left(self._sorted, (form,))
        # the last character there is: no word that starts with `form` sorts after this
        last = bisect_left(self._sorted, (form + "\U0010ffff",)) if form else len(self._sorted)
        numbers = [number for _, number in self._sorted[first:last]]
        return heapq.nsmallest(most, numbers), len(numbers)

    def dump(self) -> bytes:
        """As the bytes of `vocabulary.json`."""
        said = {"words": self.words, "counts": self.counts, "columns": self.columns}
        return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def load(cls, data: bytes) -> "Vocabulary":
        """From the bytes of `vocabulary.json`. Raises ValueError where it is none of ours."""
        try:
            found: Any = orjson.loads(data)
            return cls(_all(found["words"], str), _all(found["counts"], int), _all(found["columns"], str))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{FILE} cannot be read: {error}") from error


def _all(values: Sequence[Any], kind: type) -> tuple[Any, ...]:
    if not all(type(value) is kind for value in values):
        raise ValueError(f"it holds something else than {kind.__name__}")
    return tuple(values)
