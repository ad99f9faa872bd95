"""Workers begin to answer with another version at the same moment: no client is sent back to the one before.

    could answer with it:  <model>@<decision>@ready@<worker>    each worker; once all are there, each of them writes
    looks at each request: <model>@<decision>@bound@<worker>    once all are there, the decision is settled:
    settled:               <model>@<decision>@settled           written by whoever sees that first, before it answers
    answers now:           <model>@<version>@answers@<worker>   so that who comes later begins with what others answer

Until the last worker is bound nobody answers with the new version; from then on everybody does, because a bound worker looks
before each answer whether all are bound. So no clock decides, and a worker that the machine keeps waiting is never late. These
are the two steps of a two-phase commit (Gray, 1978) whose last vote is the decision.

A decision is made of what every worker sees in the repository, so that all give it the same name. Words are left on a `Board`:
a folder for the processes of one machine. Knows files and process numbers; knows no model.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

POLL_S = 0.02
"""How often a worker looks while no request makes it."""
OLD_S = 60.0
"""After that a settled decision is known to all."""


class Board(Protocol):
    """Where workers leave each other words that all of them see at once."""

    @property
    def me(self) -> str:
        """This worker."""
        ...

    def workers(self) -> int:
        """How many there are, or should be."""
        ...

    def alive(self, worker: str) -> bool:
        """Whether a worker that left a word still answers requests."""
        ...

    def put(self, word: str) -> None:
        """Leave a word."""
        ...

    def take(self, words: Iterable[str]) -> None:
        """Take words away, those that are there."""
        ...

    def words(self, model: str) -> dict[str, float]:
        """All words on a model, each with its age in seconds."""
        ...

    def has(self, words: Iterable[str]) -> bool:
        """Whether all of these are there."""
        ...


class Folder:
    """The board of `workers` processes of one machine."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._folder, self._workers = folder, workers
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def me(self) -> str:
        """The process's number."""
        return str(os.getpid())

    def workers(self) -> int:
        """As the settings say."""
        return self._workers

    def alive(self, worker: str) -> bool:
        """Whether there is such a process."""
        try:
            os.kill(int(worker), 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def put(self, word: str) -> None:
        """As an empty file."""
        (self._folder / word).touch()

    def take(self, words: Iterable[str]) -> None:
        """Their files."""
        for word in words:
            (self._folder / word).unlink(missing_ok=True)

    def words(self, model: str) -> dict[str, float]:
        """The files' names and ages."""
        found, now = {}, time.time()
        for one in self._folder.glob(f"{model}@*"):
            try:
                found[one.name] = now - one.stat().st_mtime
            except FileNotFoundError:  # taken away while we look
                continue
        return found

    def has(self, words: Iterable[str]) -> bool:
        """Whether all of their files are there."""
        return all((self._folder / word).exists() for word in words)


class Agreement:
    """Among the workers of a board; with nobody where there is none."""

    def __init__(self, board: Board | None) -> None:
        self._board = board

    @property
    def needed(self) -> bool:
        """Whether there is anybody to agree with."""
        return self._board is not None and self._board.workers() > 1

    def ready(self, model: str, decision: str) -> None:
        """This worker could follow the decision now; what it said of others before is taken back."""
        if not self._board:
            return
        words, mine = (
            self._board.words(model),
            (_ready(model, decision, self._board.me), _bound(model, decision, self._board.me)),
        )
        old = [word for word in words if _by(word, self._board.me) and word not in mine and not _answers(word)]
        settled = _settled(model, decision)
        if mine[1] not in words:  # the same decision may have been settled earlier, without this worker
            old.append(settled)
        old += [word for word, age_s in words.items() if word.endswith("@settled") and age_s > OLD_S and word != settled]
        self._board.take(old)
        self._board.put(mine[0])

    def workers(self, model: str, decision: str) -> list[str] | None:
        """All workers, once each could follow it; None while some could not."""
        if not self._board:
            return None
        said = [_worker(word) for word in self._board.words(model) if word.startswith(f"{model}@{decision}@ready@")]
        alive = [worker for worker in said if self._board.alive(worker)]
        return alive if len(alive) >= self._board.workers() else None

    def bind(self, model: str, decision: str) -> None:
        """This worker asks, from now on and before each answer, whether the decision is `settled`."""
        if self._board:
            self._board.put(_bound(model, decision, self._board.me))

    def settled(self, model: str, decision: str, workers: list[str]) -> bool:
        """Whether all `workers` are bound, so that all follow it."""
        if not self._board or self._board.has([_settled(model, decision)]):
            return True
        if not self._board.has(_bound(model, decision, worker) for worker in workers):
            return False
        self._board.put(_settled(model, decision))  # holds although one of them dies now
        return True

    def free(self, model: str, decision: str) -> bool:
        """This worker has another decision to follow; whether this one was settled before that."""
        if not self._board:
            return False
        self._board.take([_bound(model, decision, self._board.me)])
        return self._board.has([_settled(model, decision)])

    def tell(self, model: str, version: int | None) -> None:
        """This worker answers with that version now."""
        if not self._board:
            return
        word = f"{model}@{version}@answers@{self._board.me}"
        self._board.take(
            other for other in self._board.words(model) if _answers(other) and _by(other, self._board.me) and other != word
        )
        if version:
            self._board.put(word)

    def told(self, model: str) -> set[int]:
        """The versions that other workers answer with."""
        if not self._board:
            return set()
        others = (word for word in self._board.words(model) if _answers(word) and not _by(word, self._board.me))
        return {int(word.split("@")[1]) for word in others if self._board.alive(_worker(word))}


def _ready(model: str, decision: str, worker: str) -> str:
    return f"{model}@{decision}@ready@{worker}"


def _bound(model: str, decision: str, worker: str) -> str:
    return f"{model}@{decision}@bound@{worker}"


def _settled(model: str, decision: str) -> str:
    return f"{model}@{decision}@settled"


def _answers(word: str) -> bool:
    return word.split("@")[2] == "answers"


def _worker(word: str) -> str:
    return word.rpartition("@")[2]


def _by(word: str, worker: str) -> bool:
    return word.count("@") == 3 and _worker(word) == worker
