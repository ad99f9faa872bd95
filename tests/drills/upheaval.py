"""Faults of the repository under a service: versions and folders vanish, and things lie in it that do not belong there."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import write_version
from tests.drills.asking import HEALTH, Answer, Line, answers, classify, logged, until
from tests.drills.figures import Figure, Ground
from tests.drills.host import bad, repository

PATIENCE_S = 5.0


class Asking:
    """What clients on kept connections hear all the while."""

    def __init__(self) -> None:
        self.heard: list[Answer] = []
        self.stop = threading.Event()

    @property
    def well(self) -> bool:
        return len(self.heard) > 0 and all(one.status == 200 for one in self.heard)

    def said(self) -> str:
        return bad(self.heard, len(self.heard))


@contextmanager
def asking(url: str, *requests: bytes, pause_s: float = 0.002) -> Iterator[Asking]:
    """These, in turn, until the end."""
    found = Asking()

    def ask() -> None:
        with Line(url, PATIENCE_S) as line:
            while not found.stop.is_set():
                for request in requests:
                    found.heard.append(line.ask(request))
                    time.sleep(pause_s)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield found
    finally:
        found.stop.set()
        thread.join()


def gone(ground: Ground, seconds: float = 1.0) -> list[Figure]:
    """The repository is renamed, comes back, is deleted, comes back."""
    models_dir = repository(ground, "gone")
    server = ground.start(models_dir=models_dir, access_log=False)
    aside = models_dir.with_name("aside")
    with asking(server.url, classify(), HEALTH) as found:
        models_dir.rename(aside)
        said = until(lambda: logged(server, "the repository cannot be read"), 5)
        time.sleep(seconds)
        aside.rename(models_dir)
        write_version(models_dir, version=2)
        back = until(lambda: answers(server.url, version=2), 20)
    told = "named in the log" if said is not None else "not in the log"
    returned = (
        f"a new version served {back:.1f} s after its return" if back is not None else "nothing new is served after its return"
    )
    first = Figure("The repository is renamed under the service: requests and readiness that fail", "0, named in the log, followed again",
                   f"{found.said()}, {told}, {returned}", ok=found.well and said is not None and back is not None)  # fmt: skip
    with asking(server.url, classify(), HEALTH) as found:
        shutil.rmtree(models_dir / "light/2")
        older = until(lambda: answers(server.url, version=1), 5)
    went = f"version 1 answers after {older:.1f} s" if older is not None else "version 1 does not answer"
    second = Figure("The version that answers is deleted: requests that fail", "0, the one before answers",
                    f"{found.said()}, {went}", ok=found.well and older is not None)  # fmt: skip
    return [first, second]


def _file(folder: Path) -> None:
    folder.write_text("not a folder")


def _loop(folder: Path) -> None:
    folder.symlink_to(folder)


def _shut(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0)


def _pipe(folder: Path) -> None:
    write_version(folder.parent, folder.name)
    for name in ("manifest.json", "golden.npz"):
        (folder / "1" / name).unlink()
        os.mkfifo(folder / "1" / name)


def _directory(folder: Path) -> None:
    (folder / "1/manifest.json").mkdir(parents=True)


def _strange(folder: Path) -> None:
    for name in ("a\nb", "..x", "a b", "\udcff", "A", "a" * 200, "-rf"):
        os.mkdir(os.fsencode(folder.parent / name))  # noqa: PTH102 - no text
    (folder.parent / "light/1\n").mkdir()
    (folder.parent / "light/0").mkdir()


def _many(folder: Path) -> None:
    for index in range(10_000):
        (folder.parent / f"{folder.name}-{index}").mkdir()


WRONG: dict[str, Callable[[Path], None]] = {
    "a file": _file, "a link to itself": _loop, "a folder that is shut": _shut, "pipes": _pipe, "a folder as a manifest": _directory,
    "names with newlines and worse": _strange, "10,000 folders": _many,
}  # fmt: skip


def littered(ground: Ground) -> list[Figure]:
    """Things that do not belong in a repository lie in it, while it is served and when it starts."""
    models_dir = repository(ground, "littered")
    server = ground.start(models_dir=models_dir, access_log=False)
    with asking(server.url, classify(), HEALTH) as found:
        for number, make in enumerate(WRONG.values()):
            make(models_dir / f"wrong{number}")
            time.sleep(0.3)
        write_version(models_dir, version=2)
        up = until(lambda: answers(server.url, version=2), 20)
    slowest = max(one.seconds for one in found.heard)
    went = f"after {up:.1f} s" if up is not None else "not within 20 s"
    served = Figure(f"{', '.join(WRONG)} in the repository: requests that fail", "0, and a new version is served",
                    f"{found.said()}, the slowest took {slowest * 1e3:.0f} ms; version 2 {went}", ok=found.well and up is not None)  # fmt: skip
    begun = time.monotonic()
    again = ground.start(wait=False, models_dir=models_dir, access_log=False)
    started = until(lambda: logged(again, '"version answers"') or again.process.poll() is not None, 20)
    ok = started is not None and again.process.poll() is None
    took = f"{time.monotonic() - begun:.1f} s" if ok else "it does not"
    return [served, Figure("A service starts on that repository", "<= 20 s", took, ok=ok)]
