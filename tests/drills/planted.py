"""The service with a fault planted in it, so that tests can show that drills find it.

    python -m tests.drills.planted FAULT        one of those below; settings as for `python -m service`

`clock` is no fault but a hand on the clock: at each SIGUSR1 the time of day jumps by a day.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

DAY_S = 86_400.0
JUMPED = "the clock jumps to"
JUMPS_S = (DAY_S, -DAY_S, 0.0)


def command(fault: str) -> Sequence[str]:
    """That starts it."""
    return (sys.executable, "-m", "tests.drills.planted", fault)


def clock(*names: str) -> None:
    """These clocks jump."""
    jumped = 0
    ahead_s = 0.0

    def jump(*_: object) -> None:
        nonlocal jumped, ahead_s
        ahead_s = JUMPS_S[jumped % len(JUMPS_S)]
        jumped += 1
        os.write(2, f"{JUMPED} {ahead_s} s\n".encode())

    def jumping(before: Callable[[], float], unit: int) -> Callable[[], float]:
        return lambda: before() + type(before())(ahead_s * unit)

    for name in names:
        setattr(time, name, jumping(getattr(time, name), 10**9 if name.endswith("_ns") else 1))
    signal.signal(signal.SIGUSR1, jump)


def leak() -> None:
    """64 KB and an open file with every body."""
    from service.exchange import Exchange

    before, kept = Exchange.feed, []

    def feed(self: Exchange, part: bytes) -> None:
        kept.append((b"x" * 2**16, os.open(os.devnull, os.O_RDONLY)))
        before(self, part)

    Exchange.feed = feed


def slow_replacement() -> None:
    from service import workers

    workers.FIRST_BACKOFF_S = 60.0


def waiting_log() -> None:
    """As it is where nothing is done about it."""
    from service import logs

    logs.Writer.put = lambda self, text: logs._to_stderr(text)


def endless_runs() -> None:
    from service import graph

    graph._Watch._look = lambda self: None


def shared_nan() -> None:
    """One item's NaN is all the batch's."""
    from service.model import Model

    def run(self: Model, *arguments: object) -> object:
        found = before(self, *arguments)
        for wrong in (one for one in found if isinstance(one, Exception)):
            raise wrong
        return found

    before, Model._run = Model._run, run


def forgetful() -> None:
    """A repository that cannot be read is an empty one."""
    from service import repository

    def look(models_dir: Path) -> object:
        try:
            return before(models_dir)
        except OSError:
            return [], set()

    before, repository.look = repository.look, look


FAULTS: dict[str, Callable[[], None]] = {
    "clock": lambda: clock("time", "time_ns"),
    "every-clock": lambda: clock("time", "time_ns", "monotonic"),
    "leak": leak,
    "slow-replacement": slow_replacement,
    "waiting-log": waiting_log,
    "endless-runs": endless_runs,
    "shared-nan": shared_nan,
    "forgetful": forgetful,
}


if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()

    from service import __main__ as service

    sys.exit(service.main())
