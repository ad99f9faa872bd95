"""Texts and tables as one long stream of word numbers: IMDb, files and folders of the user's own, columns of a table.

Read piece by piece: a text is in memory as 4 bytes a word, once. Some texts are held out, for validation and for the test.
Knows files, encodings and vocabularies; knows nothing of vectors.
"""

import gzip
import hashlib
import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.manifest import Source
from service.vocabulary import BETWEEN, FIRST, Vocabulary
from training import texts
from training.documents import Lexicon
from training.room import Sources, TrainingError
from training.sources import SEPARATORS

Numbers = NDArray[np.int32]
Unit = Literal["line", "file"]
TEXT_ENDS = (".txt", ".txt.gz", ".gz")
TABLE_ENDS = tuple(f"{end}{packed}" for end in SEPARATORS for packed in ("", ".gz", ".zip"))
PIECE_BYTES, LONGEST_WORD_BYTES = 1 << 16, 1 << 20
"""Of a line that is read at once, and of one that has no space in it."""
ROWS_AT_ONCE = 100_000
RENUMBERED_AT_ONCE = 1 << 20
NOT_KEPT = -1


@dataclass(frozen=True)
class Wanted:
    """How a corpus is read. Shares are of the texts."""

    gap: int
    """Separators between two texts: no window may reach over them."""
    least: int
    """Times that a word must come up to get a vector."""
    most: int
    validation_share: float
    test_share: float
    seed: int


@dataclass(frozen=True)
class Corpus:
    """What a source holds, in the vocabulary's numbers; words that are not in it are left out."""

    train: Numbers
    """(tokens,), separators between the texts"""
    validation: list[Numbers]
    test: list[Numbers]
    vocabulary: Vocabulary
    source: Source


@dataclass
class _Stream:
    """Grows text by text. The lexicon's numbers are held one higher, so that 0 is free for the separator."""

    wanted: Wanted
    lexicon: Lexicon = field(default_factory=Lexicon)
    numbers: "array[int]" = field(default_factory=lambda: array("i"))
    held: dict[str, list[Numbers]] = field(default_factory=lambda: {"validation": [], "test": []})
    count: int = 0

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.wanted.seed)
        self._gap = np.zeros(self.wanted.gap, np.int32)

    def add(self, parts: Iterable[Numbers]) -> None:
        """A text in the lexicon's numbers, piece by piece: to train on, or held out. An empty one is none."""
        pieces = (part + 1 for part in parts if len(part))
        first = next(pieces, None)
        if first is None:
            return
        drawn, wanted = self._random.random(), self.wanted
        if drawn < wanted.validation_share + wanted.test_share:
            split = "validation" if drawn < wanted.validation_share else "test"
            self.held[split].append(np.concatenate([first, *pieces]))
            return
        for piece in chain([first], pieces):
            self.numbers.frombytes(piece.tobytes())
        self.numbers.frombytes(self._gap.tobytes())
        self.count += 1

    def corpus(self, where: str, columns: tuple[str, ...], source: Source) -> Corpus:
        """Settle the vocabulary and renumber, in place. Raises TrainingError where nothing is left."""
        stream: Numbers = np.frombuffer(self.numbers, np.int32) if self.numbers else np.empty(0, np.int32)
        counts = np.bincount(stream, minlength=len(self.lexicon) + 1)[1:]
        words = self.lexicon.ranked(counts, self.wanted.most, self.wanted.least)
        if len(words) < 2:
            has = f"{where}: of {len(self.lexicon)} different words to train on {len(words)} come up"
            least = f"{self.wanted.least} times or more; expected two at least, --min-count lowers it."
            raise TrainingError(f"{has} {least}")
        renumbering = self.lexicon.renumbering(words, FIRST, NOT_KEPT)
        of_words = counts[self.lexicon.numbers_of(words)].tolist()
        numbers = np.concatenate([np.zeros(1, np.int32), renumbering])
        kept = {split: [_kept(numbers[one]) for one in held] for split, held in self.held.items()}
        rows = {"train": self.count, **{split: len(held) for split, held in self.held.items()}}
        return Corpus(
            train=_renumbered(stream, numbers),
            validation=kept["validation"],
            test=kept["test"],
            vocabulary=Vocabulary(words, tuple(of_words), columns),
            source=source.model_copy(update={"rows": rows}),
        )


def _kept(numbers: Numbers) -> Numbers:
    kept: Numbers = numbers[numbers != NOT_KEPT]
    return kept


def _renumbered(stream: Numbers, numbers: Numbers) -> Numbers:
    """`numbers[stream]` without what is not kept, written over `stream`."""
    end = 0
    for start in range(0, len(stream), RENUMBERED_AT_ONCE):
        part = _kept(numbers[stream[start : start + RENUMBERED_AT_ONCE]])
        stream[end : end + len(part)] = part
        end += len(part)
    return stream[:end]


def texts_of(stream: Numbers) -> list[Numbers]:
    """The texts of a stream, apart."""
    ends = np.flatnonzero((stream == 0) & (np.append(0, stream[:-1]) != 0))
    return [one for part in np.split(stream, ends) if len(one := part[part != 0])]


def imdb(origin: Sources, wanted: Wanted) -> Corpus:
    """All 100,000 reviews of the Large Movie Review Dataset (Maas et al. 2011)."""
    found = texts.imdb(origin)
    written = [*found.rest.texts, *(found.test.texts if found.test else ()), *found.unlabelled]
    stream = _Stream(wanted)
    with origin.bar("reading (texts)", len(written)) as advance:
        for one in written:
            stream.add([stream.lexicon.numbers(one)])
            advance(1)
    return stream.corpus(found.name, (), found.source({}))


def own(origin: Sources, path: Path, wanted: Wanted, unit: Unit | None) -> Corpus:
    """A text file, packed or not, or a folder of them. `unit` is what ends a text; by default a line of one file, or a file.

    Raises TrainingError naming file and line.
    """
    files = _files(path)
    stream, digest, size = _Stream(wanted), hashlib.sha256(), 0
    whole = (unit or ("file" if path.is_dir() else "line")) == "file"

    def numbers(file: Path) -> Iterator[Numbers]:
        nonlocal size
        for number, data in enumerate(_pieces(file, advance), start=1):
            digest.update(data)
            size += len(data)
            yield stream.lexicon.numbers(_decoded(file, number, data))

    with origin.bar("reading (bytes)", sum(file.stat().st_size for file in files)) as advance:
        for file in files:
            if whole:
                stream.add(numbers(file))
            else:
                for line in numbers(file):
                    stream.add([line])
    note = "the user's own texts; size and digest are of what is inside"
    source = Source(name=path.resolve().name, size_bytes=size, sha256=digest.hexdigest(), rows={}, note=note)
    return stream.corpus(str(path), (), source)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.name.lower().endswith(TEXT_ENDS) and file.is_file())
        if not files:
            raise TrainingError(f"{path} holds no .txt or .gz file.")
        return files
    if not path.is_file() or not path.name.lower().endswith((*TEXT_ENDS, *TABLE_ENDS)):
        raise TrainingError(f"{path} is no .txt or .gz file, no folder of them, and no .csv or .tsv table.")
    if path.name.lower().endswith(TABLE_ENDS):
        raise TrainingError(f"{path} is a table; --columns names the columns whose values get vectors.")
    return [path]


def _pieces(file: Path, advance: Callable[[int], None]) -> Iterator[bytes]:
    """The lines of a file; of a long one, pieces that end at a space. `advance` is told of the bytes read from the disk."""
    packed, told = file.name.lower().endswith(".gz"), 0
    try:
        with file.open("rb") as raw, cast(IO[bytes], gzip.GzipFile(fileobj=raw) if packed else nullcontext(raw)) as opened:
            rest = b""
            while data := rest + opened.readline(PIECE_BYTES):
                if len(data) == len(rest):
                    yield rest
                    return
                advance(raw.tell() - told)
                told = raw.tell()
                end = len(data) if data.endswith(b"\n") else data.rfind(b" ") + 1
                if not end and len(data) > LONGEST_WORD_BYTES:
                    end = _whole_characters(data)
                if end:
                    yield data[:end]
                rest = data[end:]
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise TrainingError(f"{file} cannot be unpacked: {error}.") from error


def _whole_characters(data: bytes) -> int:
    """Where the last character of UTF-8 starts."""
    end = len(data) - 1
    while end > 0 and data[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _decoded(file: Path, number: int, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        where = f"{file}, line {number}" if number > 1 or data.endswith(b"\n") else str(file)
        raise TrainingError(f"{where}: byte {data[error.start]:#04x} is not UTF-8; expected text in UTF-8.") from error


def table(path: Path, wanted: Wanted, columns: tuple[str, ...]) -> Corpus:
    """Rows of a `.csv` or `.tsv`, packed or not, as texts of values such as `dest=ATL`; an empty cell is no value.

    Raises TrainingError naming the file and what was expected.
    """
    if not path.name.lower().endswith(TABLE_ENDS) or not path.is_file():
        raise TrainingError(f"{path} is no .csv or .tsv table; --columns wants one.")
    if len(set(columns)) != len(columns) or len(columns) < 2:
        raise TrainingError(f"--columns is {' '.join(columns)}; expected two different columns or more.")
    stream = _Stream(wanted)
    for part in _rows(path, columns):
        cells = np.stack([_values(part[column], column, stream.lexicon) for column in columns], 1)
        for row in cells:
            if (row != NOT_KEPT).sum() > 1:
                stream.add([row[row != NOT_KEPT]])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    source = Source(name=path.name, size_bytes=path.stat().st_size, sha256=digest, rows={}, note="the user's own table")
    return stream.corpus(str(path), columns, source)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[pd.DataFrame]:
    name = path.name.lower().removesuffix(".gz").removesuffix(".zip")
    try:
        header = pd.read_csv(path, sep=SEPARATORS[Path(name).suffix], nrows=0, dtype=str).columns
        for column in columns:
            if column not in header:
                raise TrainingError(f"{path} has no column {column!r}; there are {', '.join(header)}.")
            if BETWEEN in column:
                raise TrainingError(f"{path}: column {column!r} has {BETWEEN!r} in its name; expected a name without it.")
        yield from pd.read_csv(
            path,
            sep=SEPARATORS[Path(name).suffix],
            usecols=list(columns),
            dtype=str,
            chunksize=ROWS_AT_ONCE,
            skipinitialspace=True,
        )
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} cannot be read as a table: {' '.join(str(error).split())[:200]}.") from error


def _values(cells: "pd.Series[str]", column: str, lexicon: Lexicon) -> Numbers:
    """(rows,) the lexicon's numbers of a column's values; NOT_KEPT of an empty cell."""
    codes, values = pd.factorize(cells.str.strip().replace("", None))
    numbers = lexicon.numbers_of(f"{column}{BETWEEN}{value}" for value in values)
    found: Numbers = np.append(numbers, NOT_KEPT).astype(np.int32)[codes]
    return found
