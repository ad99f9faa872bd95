"""Requests at a steady pace by clients that go on when their connection breaks, from a process of its own.

    … | python -m tests.drills.enduring, where … is {"url": …, "requests": [base64 of a whole request, …],
                                                     "connections": 8, "rate": 200, "seconds": 5}

prints a line of JSON a request: when it was due (seconds since the start), milliseconds from then to the end of it, its status,
and that of the one time it was asked again where this was not 200. A status of 0 is an answer that never came.
"""

import asyncio
import base64
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import uvloop

from tests.conftest import ROOT

PATIENCE_S = 15.0


@dataclass(frozen=True)
class Asked:
    """One request."""

    due_s: float
    ms: float
    status: int
    again: int
    """What came when it was asked once more, or `status` where that was 200."""


class _Client:
    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._host, self._port = where.hostname, where.port
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> int:
        """The status, 0 where there was none."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._stream is None:
                    self._stream = await asyncio.open_connection(self._host, self._port)
                reader, writer = self._stream
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"\ncontent-length:", 1)[1].split(b"\r\n", 1)[0]))
        except (OSError, EOFError, TimeoutError):
            self.close()
            return 0
        if b"\nconnection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        if self._stream:
            self._stream[1].close()
            self._stream = None


async def pace(url: str, requests: list[bytes], *, connections: int, rate: float, seconds: float) -> list[Asked]:
    """All of them, until the time is over or SIGTERM. A `rate` of 0 is as many as there can be."""
    stop, found, begun = asyncio.Event(), list[Asked](), time.perf_counter()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def one(index: int) -> None:
        client, turn = _Client(url), 0
        while not stop.is_set():
            now = time.perf_counter() - begun
            due = (index + turn * connections) / rate if rate else now
            if due > seconds:
                break
            if due > now:
                await asyncio.sleep(due - now)
            request = requests[(index + turn) % len(requests)]
            status = again = await client.ask(request)
            ms = (time.perf_counter() - begun - due) * 1e3
            if status != 200:
                again = await client.ask(request)
            found.append(Asked(due, ms, status, again))
            turn += 1
        client.close()

    await asyncio.gather(*(one(index) for index in range(connections)))
    return found


class Load:
    """The process, at work until its answers are read."""

    def __init__(self, url: str, requests: list[bytes], *, rate: float, seconds: float, connections: int = 8) -> None:
        asked = {
            "url": url, "requests": [base64.b64encode(one).decode() for one in requests],
            "connections": connections, "rate": rate, "seconds": seconds,
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.drills.enduring"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process.stdin.write(json.dumps(asked))
        self._process.stdin.close()
        self._process.stdin = None  # so that `communicate` leaves it alone

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def answers(self, *, now: bool = False) -> list[Asked]:
        """All of them, at the end or as many as there are `now`."""
        if now:
            self._process.terminate()
        out, _ = self._process.communicate(timeout=300)
        return [Asked(*json.loads(line)) for line in out.splitlines()]


def main() -> None:
    """From the standard input to the standard output."""
    asked: dict[str, Any] = json.load(sys.stdin)
    requests = [base64.b64decode(one) for one in asked.pop("requests")]
    for one in uvloop.run(pace(asked.pop("url"), requests, **asked)):
        sys.stdout.write(json.dumps([one.due_s, one.ms, one.status, one.again]) + "\n")


if __name__ == "__main__":
    main()
