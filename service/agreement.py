"""Workers on one port begin to answer with another version at the same moment: no client is sent back to the one before.

    each worker, once it could answer with it: a file <model>@<decision>@<pid> --all are there--> the last one's time + LAG_S

A decision is made of what every worker sees on disk, so that all give it the same name. One worker alone agrees at once. Knows
files and process numbers; knows no model.
"""

import os
from contextlib import suppress
from pathlib import Path

LAG_S = 0.1
"""Between the last worker's word and the switch: time for all to read it. Each asks every POLL_S."""
POLL_S = 0.02


class Agreement:
    """Among `workers` processes that share `folder`."""

    def __init__(self, folder: Path | None, workers: int) -> None:
        self._folder, self._workers = folder, workers
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def needed(self) -> bool:
        """Whether there is anybody to agree with."""
        return self._folder is not None and self._workers > 1

    def ready(self, model: str, decision: str) -> None:
        """This worker could follow the decision now."""
        if self._folder:
            mine = f"@{os.getpid()}"
            for before in self._folder.glob(f"{model}@*{mine}"):
                if before.name != f"{model}@{decision}{mine}":
                    before.unlink(missing_ok=True)
            (self._folder / f"{model}@{decision}{mine}").touch(exist_ok=True)

    def when(self, model: str, decision: str) -> float | None:
        """When all follow it, in seconds since 1970; None while some could not yet."""
        times = []
        for one in self._folder.glob(f"{model}@{decision}@*") if self._folder else ():
            if _alive(int(one.name.rpartition("@")[2])):
                with suppress(OSError):
                    times.append(one.stat().st_mtime)
        return max(times) + LAG_S if len(times) >= self._workers else None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
