"""Raw data: public data sets by name, and folders of the user's own pictures. Checked, whole or not at all.

Public files are taken from a folder that has them (`data_dir`), or downloaded once from their public address, resumed where
a download broke off, checked by digest and cached. Knows files and formats; knows no network and no family.
"""

import gzip
import hashlib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pooch
import requests
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from service import images
from service.errors import ServiceError
from service.manifest import Source
from training.room import TrainingError

Pixels = NDArray[np.uint8]
PICTURES = (".png", ".jpg", ".jpeg")
OTHER_PICTURES = (".avif", ".bmp", ".gif", ".heic", ".tif", ".tiff", ".webp")
SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Of the user's own tables, by the end of the file's name."""
CHUNK_BYTES = 1 << 18
TIMEOUT_S = 30


@dataclass(frozen=True)
class PublicFile:
    """One file: where it is, the MD5 of the download, and the MD5 of what is inside its gzip wrapper. Either is proof."""

    name: str
    md5: str
    content_md5: str


@dataclass(frozen=True)
class PublicData:
    """A public data set: its addresses (any of them has all files) and its files."""

    addresses: tuple[str, ...]
    files: tuple[PublicFile, ...]


MNIST = PublicData(
    addresses=("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    files=(
        PublicFile("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
        PublicFile("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
        PublicFile("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
        PublicFile("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
    ),
)
IMDB = PublicData(
    addresses=("https://ai.stanford.edu/~amaas/data/sentiment/",),
    # the second MD5 is of a copy in circulation whose archive was built again; see `texts.IMDB_COPY`
    files=(PublicFile("aclImdb_v1.tar.gz", "7c2ac02c03563afcf9b574c7e56c153a", "1a140a9b36dbd5ea0ee9388a4293dfd9"),),
)
ETT = PublicData(
    addresses=("https://raw.githubusercontent.com/zhouhaoyi/ETDataset/main/ETT-small/",),
    files=(PublicFile("ETTh1.csv", "8381763947c85f4be6ac456c508460d6", "8381763947c85f4be6ac456c508460d6"),),
)
WORDSIM = PublicData(
    addresses=("https://raw.githubusercontent.com/piskvorky/gensim/4.4.0/gensim/test/test_data/",),
    files=(
        PublicFile("wordsim353.tsv", "fa3334003a2c00a47810856c5813a990", "fa3334003a2c00a47810856c5813a990"),
        PublicFile("simlex999.txt", "ea3b421726e288d9c368d3db0f1831a4", "ea3b421726e288d9c368d3db0f1831a4"),
        PublicFile("questions-words.txt", "8b7461cbf7ecc0aec9b32eb626821105", "8b7461cbf7ecc0aec9b32eb626821105"),
    ),
)
PUBLIC = {"mnist": MNIST, "imdb": IMDB, "ett": ETT, "wordsim": WORDSIM}


@dataclass(frozen=True)
class Sources:
    """Where raw data comes from in this run."""

    own: Path | None
    """The user's own data, where `--data` names it."""
    data_dir: Path | None
    cache_dir: Path | None
    console: Console

    def public(self, name: str) -> dict[str, bytes]:
        """The unpacked files of a public data set by name without `.gz`. Raises TrainingError."""
        data = PUBLIC[name]
        found = {file.name.removesuffix(".gz"): self._file(name, data, file) for file in data.files}
        return {name: _checked(path, file) for (name, path), file in zip(found.items(), data.files, strict=True)}

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar with the time left; `advance(amount)`."""
        with Progress(console=self.console) as shown:
            task = shown.add_task(text, total=total)
            yield lambda amount: shown.advance(task, amount)

    def _file(self, name: str, data: PublicData, file: PublicFile) -> Path:
        if self.data_dir is None:
            return self._download(name, data, file)
        for folder in (self.data_dir, self.data_dir / name):
            for candidate in (folder / file.name, folder / file.name.removesuffix(".gz")):
                if candidate.is_file():
                    return candidate
        raise TrainingError(f"{file.name} is neither in {self.data_dir} nor in {self.data_dir / name}.")

    def _download(self, name: str, data: PublicData, file: PublicFile) -> Path:
        cache = Path(self.cache_dir or pooch.os_cache("modelyard")) / name
        troubles = []
        for address in data.addresses:
            try:
                path = pooch.retrieve(
                    address + file.name,
                    known_hash=f"md5:{file.md5}",
                    fname=file.name,
                    path=cache,
                    downloader=lambda url, output, _: _resumed(url, Path(output), cache, self.console),
                )
                return Path(path)
            except (requests.RequestException, OSError, ValueError) as error:
                troubles.append(f"{address}: {' '.join(str(error).split())[:150]}")
        raise TrainingError(f"{file.name} cannot be downloaded ({'; '.join(troubles)}); --data-dir takes a folder that has it.")


def _resumed(url: str, output: Path, cache: Path, console: Console) -> None:
    """Download to `output`, going on with what an earlier try left in `<cache>/<file>.part`."""
    part = cache / f"{url.rsplit('/', 1)[-1]}.part"
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if have and answer.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink()  # longer than the file: not a part of it
            raise OSError(f"{part.name} was no part of the file; run again")
        answer.raise_for_status()
        resumes = answer.status_code == requests.codes.partial_content
        total = int(answer.headers.get("Content-Length", 0)) + (have if resumes else 0)
        with (
            Progress(
                *Progress.get_default_columns()[:2],
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=console,
            ) as bar,
            part.open("ab" if resumes else "wb") as file,
        ):
            task = bar.add_task(part.stem, total=total or None, completed=have if resumes else 0)
            for chunk in answer.iter_content(CHUNK_BYTES):
                file.write(chunk)
                bar.advance(task, len(chunk))
    part.replace(output)


def _checked(path: Path, file: PublicFile) -> bytes:
    """What is in the file, unpacked, if it is what upstream published."""
    try:
        data = path.read_bytes()
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, zlib.error) as error:
        raise TrainingError(f"{path} is cut short or corrupt: {error}.") from error
    if _md5(data) != file.md5 and _md5(content) != file.content_md5:
        raise TrainingError(f"{path} is not the published file: the MD5 of its content is not {file.content_md5}.")
    return content


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def idx(data: bytes) -> NDArray[np.uint8]:
    """An array from the bytes of an idx file (http://yann.lecun.com/exdb/mnist, 'the IDX file format'), uint8 only."""
    axes = data[3] if data[:3] == b"\0\0\x08" and len(data) > 3 else 0
    sizes = [int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(axes)]
    if not axes or len(data) != 4 + 4 * axes + math.prod(sizes):
        raise TrainingError(f"The idx file states {sizes} and has {len(data)} bytes.")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(sizes).copy()  # writable, as PyTorch wants it


def fingerprint(name: str, parts: Iterable[bytes], rows: dict[str, int], note: str = "") -> Source:
    """A source's name, size and digest, for the manifest."""
    digest, size = hashlib.sha256(), 0
    for part in parts:
        digest.update(part)
        size += len(part)
    return Source(name=name, size_bytes=size, sha256=digest.hexdigest(), rows=rows, note=note)


@dataclass(frozen=True)
class Folder:
    """A folder of pictures, one folder a class (the layout that torchvision's ImageFolder made common)."""

    pixels: Pixels
    """(rows, height, width, channels)"""
    targets: NDArray[np.int64]
    """Indices into `labels`."""
    labels: tuple[str, ...]
    source: Callable[[dict[str, int]], Source]


def folder(root: Path, preparation: images.Preparation, least: int, *, classes: bool = True) -> Folder:
    """Every picture under `root`, prepared as the service will. Raises TrainingError naming the file or class at fault.

    Where no `classes` are needed, pictures that lie in `root` itself are one.
    """
    if not root.is_dir():
        raise TrainingError(f"{root} is no folder; expected one that holds a folder of pictures for each class.")
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if classes and len(folders) < 2:
        raise TrainingError(f"{root} holds {len(folders)} folders; expected two or more, one for each class.")
    if not classes and any(path.suffix.lower() in PICTURES for path in root.iterdir()):
        folders = [root]
    pixels: list[Pixels] = []
    targets: list[int] = []
    raw: list[bytes] = []
    size_bytes = 0
    for target, path in enumerate(folders):
        everything = sorted(path.rglob("*"))
        if other := next((file for file in everything if file.suffix.lower() in OTHER_PICTURES), None):
            raise TrainingError(f"{other} is neither PNG nor JPEG; convert the pictures of its kind, or take them out.")
        files = [file for file in everything if file.suffix.lower() in PICTURES]
        if len(files) < least:
            raise TrainingError(f"Class {path.name!r} has {len(files)} pictures (PNG or JPEG); expected at least {least}.")
        for file in files:
            data = file.read_bytes()
            try:
                pixels.append(images.prepare(data, preparation))
            except ServiceError as error:
                raise TrainingError(f"{file}: {error.message}") from error
            targets.append(target)
            raw.append(path.name.encode() + hashlib.sha256(data).digest())
            size_bytes += len(data)
    return Folder(
        np.stack(pixels),
        np.array(targets, np.int64),
        tuple(path.name for path in folders),
        lambda rows: fingerprint(
            root.resolve().name, raw, rows, "the user's own pictures; the digest is of their labels and digests"
        ).model_copy(update={"size_bytes": size_bytes}),
    )


def split(targets: NDArray[np.int64], shares: tuple[float, ...], seed: int) -> tuple[NDArray[np.int64], ...]:
    """Row indices of the rest and of each share, every class in proportion and in each part at least once."""
    random = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(shares) + 1)]
    for target in np.unique(targets):
        rows = random.permutation(np.flatnonzero(targets == target))
        start = 0
        for index, share in enumerate(shares, start=1):
            count = max(1, round(share * len(rows)))
            parts[index].append(rows[start : start + count])
            start += count
        parts[0].append(rows[start:])
    return tuple(np.sort(np.concatenate(part)) for part in parts)
