"""Files that anybody may have put where they are: read whole, but no pipe, no device, and never more than is expected.

Knows paths and bytes; not what is in them.
"""

import errno
import os
import stat
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
