"""Versions on disk: which there are, and the checked bytes of one. Knows the manifest; opens no graph, keeps nothing.

    models/<name>/<version>/manifest.json    written last, so that its presence means that the folder is complete

A look at the folders costs a few system calls a version and works on every file system (bind mounts and network mounts send
no change events), so the repository is looked at again and again instead of watched.
"""

from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from service.manifest import FILE, MANIFEST, NAME, VERSION, Manifest, sha256


class BrokenVersion(Exception):
    """A version that must not be served; the message says why, in words for the log and the repository index."""


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
    if not S_ISREG(state.st_mode):  # to open a pipe would wait for ever
        return None
    return Found(name, int(folder.name), folder, (state.st_mtime_ns, state.st_size, state.st_ino))


def read(found: Found) -> Contents:
    """The manifest and files of a version. Raises BrokenVersion where anything is not as the manifest says."""
    try:
        manifest = Manifest.read(found.folder)
    except (OSError, ValueError) as error:
        raise BrokenVersion(f"its manifest cannot be read: {_short(error)}") from error
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
        state = (found.folder / name).stat()
        if not S_ISREG(state.st_mode):
            raise BrokenVersion(f"{name} is no file")
        if (size := state.st_size) != stated.size_bytes:
            raise BrokenVersion(f"{name} has {size} bytes, the manifest states {stated.size_bytes}")
        data = (found.folder / name).read_bytes()
    except OSError as error:
        raise BrokenVersion(f"{name} cannot be read: {error.strerror}") from error
    if sha256(data) != stated.sha256:
        raise BrokenVersion(f"{name} does not have the SHA-256 that the manifest states")
    return data


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
