"""Versions on disk: which there are, and the checked bytes of one. Knows the manifest; opens no graph, keeps nothing.

    models/<name>/<version>/manifest.json    written last, so that its presence means that the folder is complete

A look at the folders costs a few system calls a version and works on every file system (bind mounts and network mounts send
no change events), so the repository is looked at again and again instead of watched.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from service import files
from service.manifest import FILE, MANIFEST, NAME, VERSION, Manifest, faults, sha256

PLACE = re.compile(r"(?<!\S)\S{1,200}\.(?:cc|cpp|h|py):\d{1,6} ?")
"""Where in its sources a library found the fault."""


class BrokenVersion(Exception):
    """A version that must not be served; the message says why, in words for the log and the repository index."""

    def __init__(self, reason: str) -> None:
        super().__init__(PLACE.sub("", reason))


@dataclass(frozen=True, order=True)
class Found:
    """A version folder with a manifest. `stamp` changes when the manifest is replaced."""

    name: str
    version: int
    folder: Path
    stamp: tuple[int, int, int]


@dataclass(frozen=True)
class Contents:
    """A version's manifest and the bytes of its files, digests checked."""

    manifest: Manifest
    files: dict[str, bytes]


def scan(models_dir: Path) -> list[Found]:
    """Every complete version, by name and number. Raises OSError where the repository itself cannot be read."""
    return look(models_dir)[0]


def look(models_dir: Path) -> tuple[list[Found], set[str]]:
    """The same, and the models that may have versions and cannot be read now: not allowed, too many open files."""
    found, unread = list[Found](), set[str]()
    for model in models_dir.iterdir():
        if not NAME.fullmatch(model.name):
            continue
        try:
            found += [version for folder in model.iterdir() if (version := _found(model.name, folder))]
        except (FileNotFoundError, NotADirectoryError):  # a file, or removed while we look
            continue
        except OSError:
            unread.add(model.name)
    return sorted(one for one in found if one.name not in unread), unread


def _found(name: str, folder: Path) -> Found | None:
    if not VERSION.fullmatch(folder.name):
        return None
    try:
        state = (folder / MANIFEST).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Found(name, int(folder.name), folder, (state.st_mtime_ns, state.st_size, state.st_ino))


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever goes wrong with a version is why it must not be served: a room may expect more of its files than it checks."""
    try:
        yield
    except BrokenVersion:
        raise
    except ValueError as error:
        raise BrokenVersion(told(error)) from error
    except Exception as error:
        raise BrokenVersion(f"it cannot be loaded: {type(error).__name__}: {told(error)}") from error


@refusing()
def read(found: Found) -> Contents:
    """The manifest and files of a version. Raises BrokenVersion where anything is not as the manifest says."""
    try:
        manifest = Manifest.read(found.folder)
    except (OSError, ValueError) as error:
        raise BrokenVersion(f"its manifest cannot be read: {told(error)}") from error
    if (manifest.name, manifest.version) != (found.name, found.version):
        raise BrokenVersion(
            f"its manifest is of {manifest.name} {manifest.version}, its folder of {found.name} {found.version}"
        )
    return Contents(manifest, {name: _checked(found, manifest, name) for name in manifest.files})


def _checked(found: Found, manifest: Manifest, name: str) -> bytes:
    if not FILE.fullmatch(name):
        raise BrokenVersion(f"the file name {name!r} is not plain")
    stated = manifest.files[name]
    try:
        path = files.inside(found.folder, name)
        if (size := path.stat().st_size) != stated.size_bytes:
            raise BrokenVersion(f"{name} has {size} bytes, the manifest states {stated.size_bytes}")
        data = files.read(path, stated.size_bytes)
    except OSError as error:
        raise BrokenVersion(f"{name} cannot be read: {told(error)}") from error
    if sha256(data) != stated.sha256:
        raise BrokenVersion(f"{name} does not have the SHA-256 that the manifest states")
    return data


def told(error: Exception) -> str:
    """A fault in one line, without where in the file system it was met."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    said = faults(error) if isinstance(error, ValidationError) else str(error)
    return " ".join(said.split())[:300]
