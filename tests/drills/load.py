"""Requests sent when they are due, whatever became of those before them: an open loop, in a process of its own.

    … | python -m tests.drills.load

where … is `{"url", "key", "connections", "streams": [Stream as a dict, its body as base64]}`, prints a line of JSON for each answer. A closed loop
(each connection asks again when it is answered) is a stream with a rate of 0. Knows HTTP/1.1 as far as the service speaks it, and no
drill.
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import uvloop

from tests.conftest import ROOT

PATIENCE_S = 35.0
"""What has no answer so long after the last request was due was dropped: the service's own deadline is 30 s."""

CONNECTIONS = 900
"""At most, over all streams; what is due while all are taken counts as dropped. The service takes 1000."""


@dataclass(frozen=True)
class Stream:
    """Requests of one kind: a POST of `body`, or a GET where it is empty."""

    path: str
    body: bytes = b""
    rate: float = 0.0
    """A second."""
    seconds: float = 1.0
    after: float = 0.0
    """Seconds from the start to the first one."""
    connections: int = 0
    """Of a closed loop."""
    media: str = "application/json"


@dataclass(frozen=True)
class Answer:
    """One request; times are seconds of the monotonic clock, which all processes of a machine share."""

    due: float
    sent: float
    """When it was handed to the system."""
    ms: float
    """From when it was due to its last byte, however late it was sent."""
    status: int
    """0: the connection was closed or reset, could not be had, or no answer came."""
    retries: bool = False
    """Whether the answer says when to try again."""


class Load:
    """A running load."""

    def __init__(self, url: str, key: str, streams: Iterable[Stream], connections: int = CONNECTIONS) -> None:
        told = [{**dataclasses.asdict(one), "body": base64.b64encode(one.body).decode()} for one in streams]
        self._count = len(told)
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `stop`; a pipe would hold the load up when it is full
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.drills.load"], cwd=ROOT, stdin=subprocess.PIPE, stdout=self._out
        )
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"url": url, "key": key, "connections": connections, "streams": told}).encode())
        self._process.stdin.close()
        self._process.stdin = None

    def answers(self) -> list[list[Answer]]:
        """Of each stream, in the order of when they were due; waits for the end."""
        found: list[list[Answer]] = [[] for _ in range(self._count)]
        if self._process.wait():
            raise RuntimeError("the load could not be made")
        self._out.seek(0)
        for line in self._out:
            index, *values = json.loads(line)
            found[index].append(Answer(*values))
        return [sorted(one, key=lambda answer: answer.due) for one in found]

    def stop(self) -> None:
        """Before its end."""
        self._process.kill()
        self._process.wait()
        self._out.close()


@contextlib.contextmanager
def loading(url: str, key: str, *streams: Stream) -> Iterator[Load]:
    """A load that does not outlive the block."""
    load = Load(url, key, streams)
    try:
        yield load
    finally:
        load.stop()


def quantile(answers: Iterable[Answer], share: float) -> float:
    """Of their milliseconds; infinite where there are none."""
    found = sorted(one.ms for one in answers)
    return found[min(len(found) - 1, int(share * len(found)))] if found else math.inf


def measured(url: str, key: str, *streams: Stream) -> list[list[Answer]]:
    """A load from its start to its end."""
    with loading(url, key, *streams) as load:
        return load.answers()


Told = Callable[[int, bool], None]


class _Wire(asyncio.Protocol):
    """A connection with one request at a time."""

    def __init__(self) -> None:
        self._told: Told | None = None
        self._buffer = b""
        self.open = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport, self.open = transport, True

    def ask(self, request: bytes, told: Told) -> None:
        """`told` hears of the status, once."""
        self._told, self._buffer = told, b""
        self._transport.write(request)

    def give_up(self) -> None:
        """No answer will be waited for."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, there, body = self._buffer.partition(b"\r\n\r\n")
        if not there or self._told is None:
            return
        named = head.lower()
        length = int(named.split(b"\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        if b"\nconnection: close" in named:
            self.open = False
            self._transport.close()
        told, self._told = self._told, None
        told(int(head.split(b" ", 2)[1]), b"\nretry-after:" in named)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        if self._told:
            told, self._told = self._told, None
            told(0, False)


class _Pool:
    """Connections to one place, kept while they are open."""

    def __init__(self, url: str, most: int) -> None:
        self._where, self._most = urlsplit(url), most
        self._idle: list[_Wire] = []
        self._taken = 0

    def ready(self) -> _Wire | None:
        """One that is open and idle."""
        while self._idle:
            if (wire := self._idle.pop()).open:
                self._taken += 1
                return wire
        return None

    async def another(self) -> _Wire | None:
        """A new one, where it can be had."""
        if self._taken >= self._most:
            return None
        self._taken += 1
        try:
            _, wire = await asyncio.get_running_loop().create_connection(_Wire, self._where.hostname, self._where.port)
        except OSError:
            self._taken -= 1
            return None
        return wire

    def back(self, wire: _Wire) -> None:
        """It was answered, or is gone."""
        self._taken -= 1
        if wire.open:
            self._idle.append(wire)


class _Sender:
    """One stream on its way."""

    def __init__(self, url: str, key: str, stream: Stream, index: int, begun: float) -> None:
        self._stream, self._index, self._begun = stream, index, begun + stream.after
        lines = [f"{'POST' if stream.body else 'GET'} {stream.path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
        lines += [f"Authorization: Bearer {key}"] if key else []
        lines += [f"Content-Type: {stream.media}", f"Content-Length: {len(stream.body)}"] if stream.body else []
        self._request = "\r\n".join((*lines, "", "")).encode() + stream.body
        self._pending: set[asyncio.Future[None]] = set()
        self.lines: list[str] = []

    async def run(self, pool: _Pool) -> None:
        """Send all, and wait for what can be waited for."""
        await asyncio.sleep(self._begun - time.monotonic())
        if not self._stream.rate:
            await asyncio.gather(*(self._closed_loop(pool) for _ in range(self._stream.connections)))
            return
        for turn in range(round(self._stream.rate * self._stream.seconds)):
            due = self._begun + turn / self._stream.rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            asked = self._ask(pool, wire, due) if (wire := pool.ready()) else asyncio.ensure_future(self._anew(pool, due))
            self._pending.add(asked)
            asked.add_done_callback(self._pending.discard)
        if self._pending:
            await asyncio.wait(self._pending, timeout=PATIENCE_S)

    async def _closed_loop(self, pool: _Pool) -> None:
        while (now := time.monotonic()) < self._begun + self._stream.seconds:
            if wire := pool.ready():
                await self._ask(pool, wire, now)
            else:
                await self._anew(pool, now)

    async def _anew(self, pool: _Pool, due: float) -> None:
        if wire := await pool.another():
            await self._ask(pool, wire, due)
        else:
            self._note(due, time.monotonic(), 0, False)
            await asyncio.sleep(0.01)

    def _ask(self, pool: _Pool, wire: _Wire, due: float) -> "asyncio.Future[None]":
        """Send it now; done when it is answered, dropped or given up."""
        sent, over = time.monotonic(), asyncio.get_running_loop().create_future()

        def heard(status: int, retries: bool) -> None:
            late.cancel()
            pool.back(wire)
            self._note(due, sent, status, retries)
            if not over.done():
                over.set_result(None)

        late = asyncio.get_running_loop().call_later(PATIENCE_S, wire.give_up)
        wire.ask(self._request, heard)
        return over

    def _note(self, due: float, sent: float, status: int, retries: bool) -> None:
        self.lines.append(json.dumps([self._index, due, sent, (time.monotonic() - due) * 1e3, status, retries]))


async def _send(asked: dict) -> list[str]:
    begun = time.monotonic() + 0.05
    streams = [Stream(**{**one, "body": base64.b64decode(one["body"])}) for one in asked["streams"]]
    pool = _Pool(asked["url"], asked["connections"])
    senders = [_Sender(asked["url"], asked["key"], one, index, begun) for index, one in enumerate(streams)]
    await asyncio.gather(*(one.run(pool) for one in senders))
    return [line for one in senders for line in one.lines]


if __name__ == "__main__":
    sys.stdout.write("\n".join(uvloop.run(_send(json.load(sys.stdin)))) + "\n")
