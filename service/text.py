"""Texts to tokens and their numbers; the service and the training side share it. One file of a version: `tokenizer.json`.

    text ── words ──> tokens, with offsets into the text as sent ── vocabulary ──> numbers, cut to the limit

A token is a word with its apostrophes, one of `!` and `?`, an ellipsis, a smiley, or a sign that is no punctuation (an emoji,
a currency). Tags and entities of HTML are passed over. Every pattern here takes time linear in the text. Knows nothing of
HTTP, of networks, and of what a text is about.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

FILE = "tokenizer.json"
PADDING, UNKNOWN = 0, 1
"""Numbers that stand for no word: what fills a shorter row up, and a word that is not in the vocabulary."""
FIRST_WORD = 2

_MARKS = "\u0300-\u036f"  # accents that follow their letter
_PASSED_OVER = r"<[A-Za-z/!][^<>]{0,200}>|&(?:\#[0-9]{1,7}|[A-Za-z]{2,10});"
_WORD = rf"[^\W_]+(?:[{_MARKS}]+[^\W_]*|['’][^\W_]+)*"
_PUNCTUATION = r"[!?]|\.{2,}|…|[:;]-?[)(DP]"
# no word, no space, none of ASCII, Latin-1's signs up to ¿, general and CJK punctuation, variation selectors, accents
_SIGN = rf"[^\w\s\u0000-\u00bf\u2000-\u206f\u3000-\u303f\ufe00-\ufe0f{_MARKS}]"
TOKEN = re.compile(rf"{_PASSED_OVER}|({_WORD}|{_PUNCTUATION}|{_SIGN})")


def tokens(text: str) -> list[str]:
    """The tokens of `text`, as they stand in it."""
    return [token for token in TOKEN.findall(text) if token]


def spans(text: str) -> list[tuple[int, int]]:
    """Where each of `tokens(text)` starts and ends, in characters (Unicode code points) of the text as sent."""
    return [match.span(1) for match in TOKEN.finditer(text) if match[1]]


def normal(token: str) -> str:
    """The form in which a token is looked up: lower case, one form of each letter and apostrophe."""
    if token.isascii():
        return token.lower()
    return unicodedata.normalize("NFKC", token).lower().replace("’", "'")


def kept_of(total: int, limit: int, head: int) -> tuple[range, ...]:
    """Which of `total` tokens are kept: all, or the first `head` and the last ones, `limit` together."""
    return (range(total),) if total <= limit else (range(head), range(total - (limit - head), total))


def cut(numbers: NDArray[np.int32], limit: int, head: int) -> NDArray[np.int32]:
    """A whole text's numbers cut as `Tokenizer.encode` cuts; one unknown word where there are none."""
    if not len(numbers):
        return np.array([UNKNOWN], np.int32)
    return np.concatenate([numbers[part.start : part.stop] for part in kept_of(len(numbers), limit, head)])


@dataclass(frozen=True)
class Encoded:
    """A text in numbers. `kept` says which of the text's tokens those are; all of them where it was not cut."""

    ids: NDArray[np.int32]
    """(time,), one or more: a text without a token is one unknown word."""
    total: int
    """Tokens of the whole text."""
    kept: tuple[range, ...]

    @property
    def truncated(self) -> bool:
        """Whether tokens were left out."""
        return self.total > sum(map(len, self.kept))

    @property
    def unknown_share(self) -> float:
        """Of the tokens used, those that are not in the vocabulary."""
        return float((self.ids == UNKNOWN).mean())


@dataclass(frozen=True)
class Tokenizer:
    """A vocabulary and a limit. Of a longer text the first `head` tokens are kept and the last ones, where verdicts stand."""

    words: tuple[str, ...]
    """In normal form; `words[i]` has the number `FIRST_WORD + i`."""
    limit: int
    head: int

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not fit each other."""
        if not 0 <= self.head <= self.limit or self.limit < 1:
            raise ValueError(f"{FILE} keeps {self.head} of {self.limit} tokens")
        if len(set(self.words)) != len(self.words):
            raise ValueError(f"{FILE} has a word twice")

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=FIRST_WORD)}

    @property
    def size(self) -> int:
        """Numbers there are, those that stand for no word included."""
        return FIRST_WORD + len(self.words)

    def encode(self, text: str) -> Encoded:
        """`text` in numbers."""
        found = tokens(text)
        kept = kept_of(len(found), self.limit, self.head)
        ids = [self._numbers.get(normal(found[place]), UNKNOWN) for part in kept for place in part]
        return Encoded(np.array(ids or [UNKNOWN], np.int32), len(found), kept)

    def dump(self) -> bytes:
        """As the bytes of `tokenizer.json`."""
        return json.dumps(
            {"kind": "words", "limit": self.limit, "head": self.head, "words": self.words}, ensure_ascii=False
        ).encode()

    @classmethod
    def load(cls, data: bytes) -> "Tokenizer":
        """From the bytes of `tokenizer.json`. Raises ValueError where it is none of ours."""
        try:
            found: Any = orjson.loads(data)
            return cls(_words(found), int(found["limit"]), int(found["head"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{FILE} cannot be read: {error}") from error


def _words(found: Any) -> tuple[str, ...]:
    if found["kind"] != "words" or not all(isinstance(word, str) for word in found["words"]):
        raise ValueError("it holds something else than words")
    return tuple(found["words"])
