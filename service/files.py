"""Files that others read, write and put where they are: read whole, but no pipe, no device, and never more than is expected;
replaced in one step, by one at a time.

Knows paths and bytes; not what is in them.
"""

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def read(path: Path, most: int) -> bytes:
    """The bytes of a plain file. Raises OSError, also where it is none or holds more than `most` bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # to open a pipe would wait for who writes to it
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        if state.st_size > most:
            raise OSError(errno.EFBIG, f"it has {state.st_size} bytes; at most {most} are read")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def inside(folder: Path, name: str) -> Path:
    """The file of that name in `folder`. Raises OSError where a link leads out of the folder."""
    path = folder / name
    try:
        leaves = path.is_symlink() and not path.resolve().is_relative_to(folder.resolve())
    except RuntimeError as error:  # Python's word for a circle of links before 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from error
    if leaves:
        raise OSError(errno.EXDEV, "it is a link that leads out of its folder")
    return path


def stamp(path: Path) -> tuple[int, ...] | None:
    """Something that changes when the file or its mode does; None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino, state.st_mode


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """So that of two that read, change and write in it, the second reads what the first wrote. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, mode: int) -> None:
    """Put `data` in place of the file, whole or not at all, for good; who writes has `locked` the folder. Raises OSError."""
    prefix = f".{path.name}-"
    for left in path.parent.glob(f"{prefix}*"):  # by one that was killed
        left.unlink(missing_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=prefix, dir=path.parent)  # for its owner alone, from the first byte
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).chmod(mode)
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # so that it is so after a power cut too
    finally:
        os.close(folder)
