"""Workers on one port begin to answer with another version at the same moment: no client is sent back to the one before.

    could answer with it:  <model>@<decision>@<pid>          each worker; once all are there, each of them writes
    looks at each request: <model>@<decision>@<pid>@bound    once all are there, the decision is settled:
    settled:               <model>@<decision>@settled        written by whoever sees that first, before it answers

Until the last worker is bound nobody answers with the new version; from then on everybody does, because a bound worker looks
before each answer whether all are bound. So no clock decides, and a worker that the machine keeps waiting is never late. These
are the two steps of a two-phase commit (Gray, 1978) whose last vote is the decision.

A decision is made of what every worker sees on disk, so that all give it the same name. One worker alone agrees at once. Knows
files and process numbers; knows no model.
"""

import os
import time
from pathlib import Path

POLL_S = 0.02
"""How often a worker looks while no request makes it."""
OLD_S = 60.0
"""After that a settled decision is known to all."""


class Agreement:
    """Among `workers` processes that share `folder`."""

    def __init__(self, folder: Path | None, workers: int) -> None:
        self._folder, self._workers = folder or Path(), workers
        self._shared = folder is not None
        if folder:
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def needed(self) -> bool:
        """Whether there is anybody to agree with."""
        return self._shared and self._workers > 1

    def ready(self, model: str, decision: str) -> None:
        """This worker could follow the decision now; what it said of others before is taken back."""
        if not self._shared:
            return
        for ending in (f"@{os.getpid()}", f"@{os.getpid()}@bound"):
            for before in self._folder.glob(f"{model}@*{ending}"):
                if before.name != f"{model}@{decision}{ending}":
                    before.unlink(missing_ok=True)
        self._forget(model, decision)
        self._word(model, decision, os.getpid()).touch()

    def workers(self, model: str, decision: str) -> list[int] | None:
        """The numbers of all processes, once each could follow it; None while some could not."""
        pattern = f"{model}@{decision}@*"
        found = [last for one in self._folder.glob(pattern) if (last := one.name.rpartition("@")[2]).isdigit()]
        alive = [pid for pid in map(int, found) if _alive(pid)]
        return alive if len(alive) >= self._workers else None

    def bind(self, model: str, decision: str) -> None:
        """This worker asks, from now on and before each answer, whether the decision is `settled`."""
        if self._shared:
            self._bound(model, decision, os.getpid()).touch()

    def settled(self, model: str, decision: str, workers: list[int]) -> bool:
        """Whether all `workers` are bound, so that all follow it."""
        settled = self._settled(model, decision)
        if settled.exists():
            return True
        if not all(self._bound(model, decision, pid).exists() for pid in workers):
            return False
        settled.touch()  # holds although one of them dies now
        return True

    def free(self, model: str, decision: str) -> bool:
        """This worker has another decision to follow; whether this one was settled before that."""
        self._bound(model, decision, os.getpid()).unlink(missing_ok=True)
        return self._settled(model, decision).exists()

    def _forget(self, model: str, decision: str) -> None:
        """What was settled earlier, the same decision too where this worker is not bound by it."""
        if not self._bound(model, decision, os.getpid()).exists():
            self._settled(model, decision).unlink(missing_ok=True)
        for one in self._folder.glob(f"{model}@*@settled"):
            if time.time() - one.stat().st_mtime > OLD_S and one != self._settled(model, decision):
                one.unlink(missing_ok=True)

    def _word(self, model: str, decision: str, pid: int) -> Path:
        return self._folder / f"{model}@{decision}@{pid}"

    def _bound(self, model: str, decision: str, pid: int) -> Path:
        return self._folder / f"{model}@{decision}@{pid}@bound"

    def _settled(self, model: str, decision: str) -> Path:
        return self._folder / f"{model}@{decision}@settled"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
