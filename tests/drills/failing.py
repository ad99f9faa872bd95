"""The k-th call by which this process changes a file fails, or is its last one. For a child process: there is no way back.

Patches what Python's own modules call (`os.fsync`, `os.rename`, the raw file under `io.open`, …). Knows nothing of who calls.
"""

import errno
import io
import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from tests.conftest import ROOT

contexts = get_context("forkserver")
"""Of child processes that have imported what takes long before they are there."""
contexts.set_forkserver_preload(
    ["training.__main__", "tests.drills.publish"]
    + [f"training.families.{path.stem}" for path in sorted(ROOT.glob("training/families/[a-z]*.py"))]
)
Kind = Literal["full", "broken", "broken after", "killed", "killed after"]
KINDS: tuple[Kind, ...] = ("full", "broken", "broken after", "killed", "killed after")
"""ENOSPC; EIO; EIO though it took effect; SIGKILL before and after. Of a write, "after" means half of it."""
CALLS = ("open", "fsync", "rename", "replace", "mkdir", "chmod", "link", "unlink", "rmdir")


class Faults:
    """Counts calls that concern a path that has `within` in it, and spoils the `at`-th, from 1; none where that is 0."""

    def __init__(self, kind: Kind, at: int, within: str = "") -> None:
        self.kind, self.at, self.within = kind, at, within
        self.count = 0
        self.calls: list[tuple[str, str]] = []
        """What was called, and of what file."""

    @property
    def reached(self) -> bool:
        """Whether the call was spoiled."""
        return 0 < self.at <= self.count

    def plant(self) -> "Faults":
        """Patch this process."""
        for name in CALLS:
            setattr(os, name, self._around(name, getattr(os, name)))
        plain = io.open
        raw = self._raw()

        def opened(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
            if mode != "wb" or (isinstance(file, int) and not self._concerns(_path(file))):
                return plain(file, mode, buffering, *more, **named)
            return io.BufferedWriter(raw(file, mode))

        io.open = opened  # what pathlib and os.fdopen call
        return self

    def _raw(self) -> type[io.FileIO]:
        faults = self

        class Raw(io.FileIO):
            def __init__(self, file: Any, mode: str) -> None:
                faults.spoil("open", _path(file), lambda: super(Raw, self).__init__(file, mode))

            def write(self, data: Any) -> int:
                whole, half = bytes(data), bytes(data)[: len(data) // 2]
                write = super().write
                return faults.spoil("write", _path(self.fileno()), lambda: write(whole), lambda: write(half))

        return Raw

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def around(*args: Any, **named: Any) -> Any:
            return self.spoil(name, _path(args[0]), lambda: call(*args, **named))

        return around

    def _concerns(self, path: str) -> bool:
        return self.within in path

    def spoil(self, name: str, path: str, call: Callable[[], Any], after: Callable[[], Any] | None = None) -> Any:
        """Make the call, or what is to happen in its place."""
        if not self._concerns(path):
            return call()
        self.count += 1
        self.calls.append((name, path))
        if self.count != self.at:
            return call()
        if self.kind.endswith("after"):
            (after or call)()
        if self.kind.startswith("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        number = errno.ENOSPC if self.kind == "full" else errno.EIO
        raise OSError(number, os.strerror(number))


def _path(file: Any) -> str:
    return str(Path(f"/proc/self/fd/{file}").readlink()) if isinstance(file, int) else os.fspath(file)
