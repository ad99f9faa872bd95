"""Texts as numbers of tokens: the words that come up, rows to train on, and pieces of texts. Knows no files and no networks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service import text
from service.golden import Arrays

Document = NDArray[np.int32]
MOST_PIECES, SHORTEST_PIECE = 3, 5
"""Pieces put together to one text, and tokens of one piece, where its text has as many."""


class Lexicon:
    """Numbers for words as they come: what texts are held in until the vocabulary is known."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def numbers(self, written: str) -> NDArray[np.int32]:
        """A text in numbers, new words getting new ones."""
        return self.numbers_of(text.normal(token) for token in text.tokens(written))

    def numbers_of(self, words: Iterable[str]) -> NDArray[np.int32]:
        """Words in numbers, new ones getting new ones."""
        known = self._numbers
        return np.array([known.setdefault(word, len(known)) for word in words], np.int32)

    def commonest(self, documents: Iterable[NDArray[np.int32]], most: int, least: int) -> tuple[str, ...]:
        """The `most` commonest words that come up `least` times or more, commonest first, ties by the alphabet."""
        return self.ranked(np.bincount(np.concatenate(list(documents)), minlength=len(self._numbers)), most, least)

    def ranked(self, counts: NDArray[np.int64], most: int, least: int) -> tuple[str, ...]:
        """The same by how often each number came up."""
        common = sorted((-int(counts[number]), word) for word, number in self._numbers.items() if counts[number] >= least)
        return tuple(word for _, word in common[:most])

    def renumbering(self, words: Iterable[str], first: int = text.FIRST_WORD, other: int = text.UNKNOWN) -> NDArray[np.int32]:
        """What to index with a lexicon's number to get a vocabulary's: `first` of the first of `words`, `other` of no word."""
        numbers = np.full(len(self._numbers), other, np.int32)
        for number, word in enumerate(words, start=first):
            numbers[self._numbers[word]] = number
        return numbers


@dataclass(frozen=True)
class Documents:
    """The training texts in numbers, whole, those without a label apart."""

    labelled: list[Document]
    unlabelled: list[Document]

    @property
    def both(self) -> list[Document]:
        """All of them, the labelled ones first."""
        return [*self.labelled, *self.unlabelled]

    def renumbered(self, numbers: NDArray[np.int32]) -> "Documents":
        """With `numbers[n]` for each number n."""
        return Documents([numbers[one] for one in self.labelled], [numbers[one] for one in self.unlabelled])


def training_rows(documents: Sequence[Document], targets: NDArray[np.floating], limit: int, head: int) -> Arrays:
    """What a step gets: numbers cut to the limit and padded, their lengths, and the share of each label that is meant."""
    tokens = shortened(documents, limit, head)
    return {"tokens": tokens, "length": (tokens != text.PADDING).sum(1), "target": targets.astype(np.float32)}


def shortened(documents: Sequence[Document], limit: int, head: int) -> NDArray[np.int32]:
    """(rows, limit), as the tokenizer cuts long texts."""
    return padded([text.cut(one, limit, head) for one in documents], limit)


def padded(rows: Sequence[Document], width: int) -> NDArray[np.int32]:
    """(rows, width)"""
    tokens = np.full((len(rows), width), text.PADDING, np.int32)
    for row, numbers in zip(tokens, rows, strict=True):
        row[: len(numbers)] = numbers
    return tokens


def pieces(documents: Sequence[Document], count: int, seed: int) -> list[Document]:
    """So many new texts, each one to three pieces of the given ones, cut at random: the words in other company."""
    random = np.random.default_rng(seed)

    def piece() -> Document:
        document = documents[int(random.integers(len(documents)))]
        length = int(random.integers(min(SHORTEST_PIECE, len(document)), len(document) + 1))
        start = int(random.integers(len(document) - length + 1))
        return document[start : start + length]

    return [np.concatenate([piece() for _ in range(int(random.integers(1, MOST_PIECES + 1)))]) for _ in range(count)]
