"""Labelled texts as they are: the IMDb reviews, a table of the user's own, or a folder with one folder of texts a class.

Checked, whole or not at all. Knows files and encodings; knows neither tokens nor networks.
"""

import csv
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.manifest import Source
from training.room import Sources, TrainingError
from training.sources import SEPARATORS, fingerprint

csv.field_size_limit(1 << 27)
IMDB_COUNTS = {("train", "neg"): 12_500, ("train", "pos"): 12_500, ("train", "unsup"): 50_000,
               ("test", "neg"): 12_500, ("test", "pos"): 12_500}  # fmt: skip
IMDB_NOTE = "Maas et al. 2011, Large Movie Review Dataset v1"
IMDB_COPY = ("1a140a9b36dbd5ea0ee9388a4293dfd9", "; a copy of it: about 65 of its 50,000 labelled texts are not IMDb's")
"""MD5 of an archive that was built again from a mirror, and what is known of it."""
UNLABELLED = "unsup"
"""The folder of texts without a label, as in IMDb."""


@dataclass(frozen=True)
class Labelled:
    """Texts and the indices of their labels."""

    texts: list[str]
    targets: NDArray[np.int64]

    def part(self, index: NDArray[np.int64]) -> "Labelled":
        """Some of them, in this order."""
        return Labelled([self.texts[row] for row in index], self.targets[index])


@dataclass(frozen=True)
class Corpus:
    """What a source holds. `test` is None where the source has no split of its own."""

    rest: Labelled
    test: Labelled | None
    unlabelled: list[str]
    labels: tuple[str, ...]
    name: str
    size_bytes: int
    digest: list[bytes]
    note: str

    def source(self, rows: dict[str, int]) -> Source:
        """For the manifest."""
        return fingerprint(self.name, self.digest, rows, self.note).model_copy(update={"size_bytes": self.size_bytes})


def imdb(origin: Sources) -> Corpus:
    """The Large Movie Review Dataset (Maas et al. 2011): labels `negative` and `positive`, and its unlabelled reviews."""
    (data,) = origin.public("imdb").values()
    found: dict[tuple[str, str], list[tuple[str, str]]] = {key: [] for key in IMDB_COUNTS}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                place = member.name.split("/")
                key = (place[-3], place[-2]) if len(place) >= 4 else ("", "")
                if key in found and member.isfile() and (file := archive.extractfile(member)):
                    found[key].append((place[-1], file.read().decode()))
    except (tarfile.TarError, UnicodeDecodeError, EOFError) as error:
        raise TrainingError(f"The archive of IMDb reviews cannot be read: {error}.") from error
    counts = {key: len(texts) for key, texts in found.items()}
    if counts != IMDB_COUNTS:
        raise TrainingError(f"The archive of IMDb reviews holds {counts}; expected {IMDB_COUNTS}.")
    texts = {key: [written for _, written in sorted(named)] for key, named in found.items()}
    return Corpus(
        rest=_together([texts["train", "neg"], texts["train", "pos"]]),
        test=_together([texts["test", "neg"], texts["test", "pos"]]),
        unlabelled=texts["train", UNLABELLED],
        labels=("negative", "positive"),
        name="IMDb reviews",
        size_bytes=len(data),
        digest=[data],
        note=IMDB_NOTE + (IMDB_COPY[1] if _md5(data) == IMDB_COPY[0] else ""),
    )


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _together(classes: list[list[str]]) -> Labelled:
    return Labelled(
        [written for part in classes for written in part],
        np.repeat(np.arange(len(classes), dtype=np.int64), [len(part) for part in classes]),
    )


def own(path: Path, text_column: str, label_column: str, least: int) -> Corpus:
    """The user's own: a `.csv` or `.tsv` with a header, or a folder. Raises TrainingError naming file and row."""
    if path.is_dir():
        return _folders(path, least)
    if path.suffix.lower() in SEPARATORS and path.is_file():
        return _table(path, (text_column, label_column), least)
    raise TrainingError(f"{path} is neither a .csv or .tsv file nor a folder with one folder of .txt files for each class.")


def _table(path: Path, columns: tuple[str, str], least: int) -> Corpus:
    data = path.read_bytes()
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise TrainingError(
            f"{path}, line {row}: byte {data[error.start]:#04x} is not UTF-8; expected text in UTF-8."
        ) from error
    texts: list[str] = []
    names: list[str] = []
    try:
        reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=SEPARATORS[path.suffix.lower()], strict=True)
        for column in columns:
            if column not in (reader.fieldnames or ()):
                raise TrainingError(
                    f"{path} has no column {column!r}; there are {reader.fieldnames or 'none'}; "
                    "--text-column and --label-column name them."
                )
        for written, name, line in ((row[columns[0]], row[columns[1]], reader.line_num) for row in reader):
            for column, value in zip(columns, (written, name), strict=True):
                if not (value or "").strip():
                    raise TrainingError(
                        f"{path}, row {len(texts) + 1} (line {line}): column {column!r} is empty; expected a value."
                    )
            texts.append(written)
            names.append(name.strip())
    except csv.Error as error:
        raise TrainingError(f"{path}, line {reader.line_num}: {error}; expected a table with quoted texts.") from error
    labels = tuple(sorted(set(names)))
    _several(path, {label: names.count(label) for label in labels}, least)
    targets = np.array([labels.index(name) for name in names], np.int64)
    note = "the user's own table"
    return Corpus(Labelled(texts, targets), None, [], labels, path.name, len(data), [data], note)


def _several(place: Path, counts: dict[str, int], least: int) -> None:
    if len(counts) < 2:
        raise TrainingError(f"{place} has {len(counts)} classes ({', '.join(counts) or 'no rows'}); expected two or more.")
    for label, count in counts.items():
        if count < least:
            raise TrainingError(f"{place}: class {label!r} has {count} texts; expected at least {least}.")


def _folders(root: Path, least: int) -> Corpus:
    """`root/<class>/*.txt`, or `root/train/<class>` and `root/test/<class>`, as IMDb is laid out."""
    parted = (root / "train").is_dir() and (root / "test").is_dir()
    digest: list[bytes] = []
    parts: list[dict[str, list[str]]] = []
    size_bytes, unlabelled = 0, []
    for part in (root / "train", root / "test") if parted else (root,):
        classes: dict[str, list[str]] = {}
        for folder in sorted(path for path in part.iterdir() if path.is_dir() and not path.name.startswith(".")):
            texts: list[str] = []
            for file, data in _files(folder):
                digest.append(folder.name.encode() + hashlib.sha256(data).digest())
                size_bytes += len(data)
                texts.append(_decoded(file, data))
            if folder.name == UNLABELLED:
                unlabelled += texts
            else:
                classes[folder.name] = texts
        _several(part, {name: len(texts) for name, texts in classes.items()}, least)
        parts.append(classes)
    if parted and parts[0].keys() != parts[1].keys():
        raise TrainingError(
            f"{root}/train has the classes {sorted(parts[0])}, {root}/test has {sorted(parts[1])}; expected the same."
        )
    labelled = [_together(list(classes.values())) for classes in parts]
    return Corpus(
        rest=labelled[0],
        test=labelled[1] if parted else None,
        unlabelled=unlabelled,
        labels=tuple(parts[0]),
        name=root.resolve().name,
        size_bytes=size_bytes,
        digest=digest,
        note="the user's own texts; the digest is of their labels and digests",
    )


def _files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    for file in sorted(folder.rglob("*.txt")):
        yield file, file.read_bytes()


def _decoded(file: Path, data: bytes) -> str:
    try:
        written = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TrainingError(f"{file}: byte {data[error.start]:#04x} is not UTF-8; expected text in UTF-8.") from error
    if not written.strip():
        raise TrainingError(f"{file} is empty; expected a text.")
    return written
