"""Faults of the machine under a service: its clock jumps, its files run out, its log finds no reader or no room."""

import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx

from tests.conftest import Process, write_version
from tests.drills import planted
from tests.drills.asking import HEALTH, Line, answers, classify, ready, until
from tests.drills.figures import Figure, Ground
from tests.drills.processes import busy_s, open_files

PATIENCE_S = 5.0
"""Longer no answer may take."""


def repository(ground: Ground, name: str):
    """A new one, with the light model."""
    folder = ground.folder / name / "models"
    write_version(folder)
    return folder


def bad(asked: list, total: int) -> str:
    """For a figure: how many of them failed."""
    failed = [one for one in asked if one.status != 200]
    return f"{len(failed)} of {total:,}" + (f"; first: {failed[0].status} {failed[0].body[:80]!r}" if failed else "")


def clock(ground: Ground, seconds: float = 4.0, fault: str = "clock") -> Figure:
    """The time of day jumps a day ahead, two days back and to where it was."""
    models_dir = repository(ground, "clock")
    server = ground.start(command=planted.command(fault), models_dir=models_dir, access_log=False)
    asked, jumps = [], len(planted.JUMPS_S)
    with Line(server.url, PATIENCE_S) as line, Line(server.url, PATIENCE_S) as idle:
        idle.ask(HEALTH)

        def jump_now() -> None:
            time.sleep(0.1)  # what was sent has been read
            server.process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)  # the service looks ten times a second who takes too long

        for jump in range(jumps):
            asked.append(line.ask_around(classify(), jump_now))
            write_version(models_dir, version=jump + 2)
            end = time.monotonic() + seconds / jumps
            while time.monotonic() < end:
                asked.append(line.ask(classify()))
        asked.append(idle.ask(HEALTH))
    taken_up = until(lambda: answers(server.url, version=jumps + 1), 20)
    jumped = server.log.read_text().count(planted.JUMPED)
    ok = all(one.status == 200 for one in asked) and taken_up is not None and jumped == jumps
    after = "and a new version is served" if taken_up is not None else "no new version is served"
    return Figure("The clock jumps by a day ahead, two back and to where it was: requests that fail", "0, and new versions are served",
                  f"{bad(asked, len(asked))}, {after}", ok=ok)  # fmt: skip


def files(ground: Ground, spare: int = 8, seconds: float = 2.0) -> list[Figure]:
    """Connections take every file that the process may open."""
    server = ground.start(models_dir=repository(ground, "files"), access_log=False)
    pid, where = server.process.pid, urlsplit(server.url)
    with Line(server.url, PATIENCE_S) as line:
        line.ask(classify())
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_files(pid) + spare, hard))
        with ExitStack() as crowd:
            for _ in range(spare + 50):
                crowd.enter_context(socket.create_connection((where.hostname, where.port), PATIENCE_S))
            time.sleep(0.3)
            full, begun, busy = open_files(pid), time.monotonic(), busy_s(pid)
            asked = []
            while time.monotonic() - begun < seconds:
                asked.append(line.ask(classify()))
                time.sleep(0.1)
            share = (busy_s(pid) - busy) / (time.monotonic() - begun)
    back_s = until(lambda: ready(server.url) and answers(server.url), 10)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    went = f"after {back_s:.1f} s" if back_s is not None else "not within 10 s"
    return [
        Figure("No file is left to open: requests on a connection that is there fail", "0", f"{bad(asked, len(asked))} ({full} files open)",
               ok=all(one.status == 200 for one in asked) and len(asked) > 0),
        Figure("A processor's share that it takes meanwhile", "<= 50 %", f"{share:.0%}", ok=share <= 0.5),
        Figure("When the crowd has gone new connections are answered", "<= 5 s", went, ok=back_s is not None and back_s <= 5),
    ]  # fmt: skip


@contextmanager
def redirected(ground: Ground, where: str, name: str, command: tuple[str, ...]) -> Iterator[Process]:
    """A service whose standard error is the file `where`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shell = ("sh", "-c", 'exec 2>"$0"; exec "$@"', where, *command)
    server = ground.start(wait=False, command=shell, models_dir=repository(ground, name), port=port)
    server.url = f"http://127.0.0.1:{port}"
    until(lambda: answers(server.url), 20)
    yield server


SERVICE = (sys.executable, "-m", "service")


def stalled_log(ground: Ground, count: int = 3000, command: tuple[str, ...] = SERVICE) -> Figure:
    """Nobody reads the log; later somebody does."""
    pipe = ground.folder / "log-pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # there, so that the service can open it, and not reading
    with redirected(ground, str(pipe), "stalled", command) as server, Line(server.url, PATIENCE_S) as line:
        asked = [line.ask(classify())]
        while len(asked) < count and asked[-1].status == 200:
            asked.append(line.ask(classify()))
        until(lambda: False, 0.5)
        lines = _read_all(reader)
    os.close(reader)
    whole = sum(1 for one in lines if json.loads(one)["message"] == "request")
    failed, slowest = count - sum(one.status == 200 for one in asked), max(one.seconds for one in asked)
    return Figure(
        f"Nobody reads the log: of {count:,} requests fail", "0, and the log is whole when it is read",
        f"{failed}, the slowest took {slowest * 1e3:.0f} ms, {whole:,} lines of requests were read then",
        ok=failed == 0 and whole >= count,
    )  # fmt: skip


def _read_all(reader: int) -> list[bytes]:
    """What the pipe holds and what comes as it empties, as lines."""
    data, quiet = b"", 0
    while quiet < 10:
        try:
            part = os.read(reader, 2**16)
        except BlockingIOError:
            part = b""
        data += part
        quiet = 0 if part else quiet + 1
        time.sleep(0 if part else 0.05)
    return data.splitlines()


def full_log(ground: Ground, count: int = 500, command: tuple[str, ...] = SERVICE) -> Figure:
    """The disk of the log is full."""
    with redirected(ground, "/dev/full", "full", command) as server, Line(server.url, PATIENCE_S) as line:
        asked = [line.ask(classify()) for _ in range(count)]
        told = until(lambda: _dropped(server.url) >= count, 3)
        dropped = _dropped(server.url)
    return Figure(
        f"The log's disk is full: of {count} requests fail", "0, and the lost lines are counted",
        f"{bad(asked, count)}; {dropped:.0f} lines counted", ok=all(one.status == 200 for one in asked) and told is not None,
    )  # fmt: skip


def _dropped(url: str) -> float:
    for line in httpx.get(f"{url}/metrics").text.splitlines():
        if line.startswith("modelyard_log_lines_dropped_total "):
            return float(line.split()[1])
    return 0.0
