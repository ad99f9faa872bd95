"""Workers are killed, one after another, under half of what the service can do: hardly a client notices.

A client whose connection is reset counts as failed. Which worker answers is seen by the ids that it makes up for requests.
"""

import os
import random
import re
import signal
from collections.abc import Callable
from statistics import median
from typing import Any

from tests.conftest import ROOT
from tests.drills.asking import HEALTH, Line, raw, until
from tests.drills.enduring import Asked, Load
from tests.drills.figures import Figure, Ground
from tests.drills.mixture import SMALL_PNG
from tests.drills.processes import workers

ANYWHERE = False
REQUEST = raw("POST", "/v1/classify", SMALL_PNG, "image/png")
ANSWERED = 0.99
PREFIX = re.compile(rb"\r\nx-request-id: ([0-9a-f]{12})")


def answering(url: str, tries: int = 16) -> set[bytes]:
    """Those of two workers that answer new connections now."""
    found = set[bytes]()
    for _ in range(tries):
        if len(found) == 2:
            break
        with Line(url, 2) as line:
            said = line.ask(HEALTH)
        if said.status == 200 and (worker := PREFIX.search(said.head)):
            found.add(worker[1])
    return found


def kill_one(url: str, pid: int, chance: random.Random, patience_s: float) -> float | None:
    """Seconds until as many answer as before, one of them new; None where that takes longer than patience has."""
    before, count = answering(url), len(workers(pid))
    os.kill(chance.choice(sorted(workers(pid))), signal.SIGKILL)
    return until(lambda: len(now := answering(url)) == count and now - before, patience_s, every_s=0.1)


def drill(ground: Ground, kills: int = 20, patience_s: float = 10.0, peak_s: float = 2.0, **settings: Any) -> list[Figure]:
    """All figures."""
    server = ground.start(**{"models_dir": ROOT / "models", "workers": 2, "access_log": False, **settings})
    pid, chance = server.process.pid, random.Random(0)
    if until(lambda: len(answering(server.url)) == len(workers(pid)) == 2, 30) is None:
        return [Figure("Two workers", "answer", "they do not", ok=False)]
    with Load(server.url, [REQUEST], rate=0, seconds=peak_s) as load:
        rate = len(load.answers()) / peak_s / 2
    took: list[float | None] = []
    with Load(server.url, [REQUEST], rate=rate, seconds=1e6) as load:
        while len(took) < kills and None not in took:
            took.append(kill_one(server.url, pid, chance, patience_s))
        asked = load.answers(now=True)
    return figures(asked, took, kills, rate, patience_s)


def figures(asked: list[Asked], took: list[float | None], kills: int, rate: float, patience_s: float) -> list[Figure]:
    """What came of it."""

    def share(status: Callable[[Asked], int]) -> tuple[float, str]:
        failed = sum(status(one) != 200 for one in asked)
        good = 1 - failed / max(len(asked), 1)
        return good, f"{good:.3%}, {failed} of {len(asked):,} failed, at {rate:.0f} a second"

    once, said = share(lambda one: one.status)
    twice, said_again = share(lambda one: one.again)
    back = sorted(one for one in took if one is not None)
    times = f"median {median(back):.1f} s, worst {back[-1]:.1f} s" if back else "never"
    missing = f"; not within {patience_s:g} s after {len(back)} kills" if None in took else ""
    done = len(back) == kills
    what = f"{kills} times a worker of two is killed with -9 under half of peak load"
    return [
        Figure(f"{what}: requests answered 200, a reset one counted as failed", f">= {ANSWERED:.0%}", said, ok=once >= ANSWERED and done),
        Figure("The same for clients that ask once more", f">= {ANSWERED:.0%}", said_again, ok=twice >= ANSWERED and done),
        Figure("A killed worker is replaced, both answer", f"<= {patience_s:g} s, each time", times + missing, ok=done),
    ]  # fmt: skip
