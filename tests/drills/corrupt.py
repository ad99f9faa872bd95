"""Damaged versions: none is served, each is refused with its reason, no process of the service ends, the old version answers.

Through the very process in which the service checks new versions (`service.rehearsal`): two shipped versions, files cut short,
bits flipped, and every kind of `damage`. Then a part of it before a running service, and before one that starts with it.
"""

import asyncio
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from service.rehearsal import Rehearsal
from service.repository import BrokenVersion, Found
from service.settings import Settings
from tests.conftest import ROOT, Process
from tests.drills import damage
from tests.drills.client import asked
from tests.drills.damage import Spoil
from tests.drills.figures import Figure, Ground

ANYWHERE = False
SHIPPED = ("digits", "reviews")
"""With pictures, and with an asset of its own."""
FATAL = ("a graph that ends its process", "a graph that never ends")
"""Met only by versions that come while the service runs: what is there at its start, it opens itself."""
CHECK_S = 5.0
PATIENCE_S = 60.0
TOLD = re.compile(r"Traceback|https?://|\.(py|cc|cpp|h)\b")


@dataclass
class Met:
    """What came of a number of damaged versions."""

    cases: int = 0
    served: list[str] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)
    """Refused without a reason, or with one that tells too much."""
    ended: int = 0
    """Processes that a version took along, or that had to be ended."""

    def refused(self, what: str, reason: str, secrets: tuple[str, ...]) -> None:
        """Count a refusal."""
        self.ended += "the process that checked it ended" in reason or "it was not checked within" in reason
        if not reason or len(reason) > 600 or "\n" in reason or TOLD.search(reason) or any(word in reason for word in secrets):
            self.nameless.append(f"{what}: {reason}")

    def figure(self, what: str) -> Figure:
        """Of the table."""
        told = [f"served {len(self.served)}", f"refused without a plain reason {len(self.nameless)}", f"of {self.cases}"]
        first = "".join(f"; {one}"[:200] for one in (*self.served[:1], *self.nameless[:1]))
        return Figure(
            what, "served 0, refused without a plain reason 0", ", ".join(told) + first, not self.served + self.nameless
        )


def drill(ground: Ground, cuts: int = 200, flips: int = 200, kinds: int = 0, live: int = 40) -> list[Figure]:
    """Cut, flip, spoil in all ways (or the first `kinds`), then `live` of them before running services."""
    chance = random.Random(0)
    whole = [damage.renumbered(ROOT / "models" / name / "1", ground.folder / "models" / name / "2") for name in SHIPPED]
    ways = damage.kinds()
    ways = dict(sorted(ways.items(), key=lambda _: chance.random())[: kinds or len(ways)])
    figures, controls = asyncio.run(_rehearsed(whole, (cuts, flips), ways, chance))
    sample = {**{what: ways[what] for what in FATAL if what in ways}, **dict(list(ways.items())[:live])}
    return [*controls, *figures, *_before_services(ground, sample)]


# In the process that checks


async def _rehearsed(
    whole: list[Path], counts: tuple[int, int], ways: dict[str, Spoil], chance: random.Random
) -> tuple[list[Figure], list[Figure]]:
    rehearse = Rehearsal(Settings(max_batch=1, rehearsal_s=CHECK_S), "cpu")
    try:
        before = [await _judged(rehearse, folder, Met(), "whole") for folder in whole]
        cut, flipped, spoiled = Met(), Met(), Met()
        for path, place in _places(whole, counts[0], chance, edges=True):
            with _rewritten(path, lambda data, place=place: data[:place]):
                await _judged(rehearse, path.parent, cut, f"{path.name} cut at {place}")
        for path, place in _places(whole, counts[1], chance, edges=False):
            bit = 1 << chance.randrange(8)
            with _rewritten(path, lambda data, place=place, bit=bit: _flipped(data, place, bit)):
                await _judged(rehearse, path.parent, flipped, f"{path.name}, bit {bit} of byte {place} flipped")
        after = [await _judged(rehearse, folder, Met(), "whole") for folder in whole]
        for what, spoil in ways.items():
            with _spoiled(whole[0], spoil) as folder:
                await _judged(rehearse, folder, spoiled, what)
    finally:
        await rehearse.close()
    served = sum(before + after)
    said = f"{served} of {2 * len(whole)}"
    return [
        cut.figure(f"files of two shipped versions cut short at {cut.cases} places"),
        flipped.figure(f"one bit of them flipped, at {flipped.cases} places"),
        spoiled.figure(f"other damage, {spoiled.cases} kinds (the process that checks ended in {spoiled.ended})"),
    ], [Figure("the same versions whole, before and after: served", "all", said, served == 2 * len(whole))]


async def _judged(rehearse: Rehearsal, folder: Path, met: Met, what: str) -> bool:
    """Whether the service would serve it."""
    met.cases += 1
    found = Found(folder.parent.name, int(folder.name), folder, (0, 0, 0))
    try:
        await rehearse(found)
    except BrokenVersion as error:
        met.refused(what, str(error), (str(folder.parent.parent), str(ROOT), sys.prefix))
        return False
    met.served.append(what)
    return True


def _places(whole: list[Path], count: int, chance: random.Random, *, edges: bool) -> Iterator[tuple[Path, int]]:
    """`count` places in all files together, as many in each."""
    files = [path for folder in whole for path in sorted(folder.iterdir())]
    for index, path in enumerate(files):
        size, share = path.stat().st_size, len(range(index, count, len(files)))
        first = [0, 1, size - 1][:share] if edges else []
        yield from ((path, place) for place in [*first, *(chance.randrange(size) for _ in range(share - len(first)))])


def _flipped(data: bytes, place: int, bit: int) -> bytes:
    return data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :]


@contextmanager
def _rewritten(path: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    data = path.read_bytes()
    path.write_bytes(change(data))
    try:
        yield
    finally:
        path.write_bytes(data)


@contextmanager
def _spoiled(whole: Path, spoil: Spoil) -> Iterator[Path]:
    """A spoiled copy, in the repository of nobody."""
    folder = shutil.copytree(whole, whole.parents[2] / "spoiled" / whole.parent.name / whole.name)
    try:
        spoil(folder)
        yield folder
    finally:
        shutil.rmtree(folder.parents[1])


# Before running services


def _before_services(ground: Ground, ways: dict[str, Spoil]) -> list[Figure]:
    """They come to one that runs, all at once; then one starts with those that do not end a process."""
    models = ground.folder / "served"
    shutil.copytree(ROOT / "models/digits/1", models / "digits/1")
    settings = {"models_dir": models, "reload_s": 0.05, "rehearsal_s": CHECK_S, "access_log": False, "max_batch": 1}
    one = ground.start(**settings)
    with asked(one) as answers:
        folders = dict(enumerate(ways, 2))
        for number, what in folders.items():
            _arrive(ground.folder / "aside", models / "digits" / str(number), ways[what])
        running = _told(one, folders, models)
    alive = one.process.poll() is None
    figures = [_figure("damaged versions beside one that answers", running, alive, answers)]
    one.process.kill()
    one.process.wait()
    for number in (number for number, what in folders.items() if what in FATAL):
        shutil.rmtree(models / "digits" / str(number))
        folders = {key: what for key, what in folders.items() if key != number}
    another = ground.start(**settings)
    with asked(another) as answers:
        starting = _told(another, folders, models)
        time.sleep(0.2)
    alive = another.process.poll() is None
    another.process.kill()
    return [*figures, _figure("a start among damaged versions", starting, alive, answers)]


def _arrive(aside: Path, folder: Path, spoil: Spoil) -> None:
    """A damaged version comes in one step."""
    made = damage.renumbered(ROOT / "models/digits/1", aside / "digits" / folder.name)
    spoil(made)
    made.rename(folder)


def _told(one: Process, folders: dict[int, str], models: Path) -> Met:
    """What the service says of each, once it has judged all."""
    met, end = Met(cases=len(folders)), time.monotonic() + PATIENCE_S
    states: dict[int, dict[str, str]] = {}
    while time.monotonic() < end and one.process.poll() is None:
        found = httpx.get(f"{one.url}/v1/models/digits", timeout=10).json()["states"]
        states = {state["version"]: state for state in found}
        if all(number in states and states[number]["state"] != "LOADING" and states[number]["reason"] for number in folders):
            break
        time.sleep(0.1)
    for number, what in folders.items():
        if states.get(number, {}).get("state") == "READY":
            met.served.append(what)
        else:
            met.refused(what, states.get(number, {}).get("reason", ""), (str(models), str(ROOT), sys.prefix))
    return met


def _figure(what: str, met: Met, alive: bool, answers: Counter[str]) -> Figure:
    plain = met.figure(what)
    wrong = sum(answers.values()) - answers["7 by 1"]
    said = f"{'up' if alive else 'ENDED'}; answers {sum(answers.values())}, wrong or none {wrong}; {plain.reached}"
    return Figure(
        f"{what} ({met.cases})",
        f"up, wrong answers or none 0, {plain.aim}",
        said,
        plain.ok and alive and not wrong and answers.total() > 0,
    )
