"""A hundred connections that send, or read, a byte now and then: whoever is honest notices nothing, and each of them is closed."""

import asyncio
import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.drills.figures import Figure, Ground
from tests.drills.load import Answer, Stream, loading, measured, quantile
from tests.drills.work import CLASSIFY, pictures, resident_mb

ANYWHERE = True

HEADERS, BODIES, READERS = 45, 45, 10
RATE = 100.0
"""Honest requests a second, of one picture."""
EVERY_S = 0.5
"""Between two bytes."""
WORDS = json.dumps({"words": ["film"] * 256}).encode()
ASKED = 64
"""Answers, about 0.2 MB each, that a slow reader asks for at once."""
SETTING_UP_S = 3.0


@dataclass
class Closed:
    """Seconds after which connections of a kind were closed; infinite for those that were not."""

    headers: list[float] = field(default_factory=list)
    bodies: list[float] = field(default_factory=list)
    readers: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Limits:
    """Seconds until a connection has to be closed."""

    headers_s: float = 15.0
    bodies_s: float = 60.0


def drill(
    ground: Ground, *, window_s: float = 6.0, limits: Limits | None = None, settings: Mapping[str, object] | None = None
) -> list[Figure]:
    """`window_s` is how long honest requests are measured: before, beside, and after; `settings` are those of our own service."""
    limits = limits or Limits()
    own = None if ground.url else ground.start(**(settings or {}))
    url, honest = own.url if own else ground.url, Stream(CLASSIFY, pictures(1), rate=RATE, seconds=window_s)
    measured(url, ground.key, Stream(CLASSIFY, honest.body, rate=RATE, seconds=0.5))
    (without,) = measured(url, ground.key, honest)
    held = resident_mb(own.process.pid) if own else 0.0
    with _Tricklers(url, ground.key, limits) as tricklers:
        time.sleep(min(SETTING_UP_S, window_s))
        with loading(url, ground.key, honest) as load:
            (beside,) = load.answers()
        grown = resident_mb(own.process.pid) - held if own else None
        closed = tricklers.closed()
    (after,) = measured(url, ground.key, honest)
    return [_honest(without + after, beside), *_closings(closed, limits), *_memory(grown)]


class _Tricklers:
    """All of them, in a thread."""

    def __init__(self, url: str, key: str, limits: Limits) -> None:
        self._where, self._limits, self._closed = urlsplit(url), limits, Closed()
        self._login = f"Authorization: Bearer {key}\r\n" if key else ""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> "_Tricklers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def closed(self) -> Closed:
        """When all are, or their time is up."""
        self._thread.join()
        return self._closed

    async def _all(self) -> None:
        head = f"POST {{}} HTTP/1.1\r\nHost: localhost\r\n{self._login}Content-Type: application/json\r\n"
        begun = head.format(CLASSIFY)
        asks = (head.format("/v1/embed") + f"Content-Length: {len(WORDS)}\r\n\r\n").encode() + WORDS
        await asyncio.gather(
            *(self._sends(f"{begun}X-Slow: ".encode(), self._closed.headers, self._limits.headers_s) for _ in range(HEADERS)),
            *(
                self._sends(f"{begun}Content-Length: 100000\r\n\r\n".encode(), self._closed.bodies, self._limits.bodies_s)
                for _ in range(BODIES)
            ),
            *(self._reads(asks * ASKED, reads=index % 2 == 0) for index in range(READERS)),
        )

    async def _sends(self, first: bytes, closed: list[float], limit_s: float) -> None:
        begun = time.monotonic()
        reader, writer = await asyncio.open_connection(self._where.hostname, self._where.port)
        ended = asyncio.create_task(reader.read())
        with contextlib.suppress(OSError):
            writer.write(first)
            while time.monotonic() < begun + limit_s and not ended.done():
                await asyncio.wait([ended], timeout=EVERY_S)
                writer.write(b" ")
        closed.append(time.monotonic() - begun if ended.done() else float("inf"))
        ended.cancel()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await ended
        writer.transport.abort()

    async def _reads(self, asks: bytes, *, reads: bool) -> None:
        """Asks for much, and reads a byte now and then, or none. Only a reset tells at once: an end stands behind all that is unread."""
        begun, loop = time.monotonic(), asyncio.get_running_loop()
        with socket.socket() as wire:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.setblocking(False)
            await loop.sock_connect(wire, (self._where.hostname, self._where.port))
            sending = asyncio.create_task(loop.sock_sendall(wire, asks))
            gone = select.poll()
            gone.register(wire, 0)  # tells of errors and of an end only
            closed = False
            while not closed and time.monotonic() < begun + self._limits.bodies_s:
                await asyncio.sleep(EVERY_S)
                closed = bool(gone.poll(0))
                if reads and not closed:
                    with contextlib.suppress(OSError):
                        closed = wire.recv(1) == b""
            self._closed.readers.append(time.monotonic() - begun if closed else float("inf"))
            sending.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await sending


def _honest(without: list[Answer], beside: list[Answer]) -> Figure:
    usual, late = quantile(without, 0.99), quantile(beside, 0.99)
    wrong = sum(one.status != 200 for one in (*without, *beside))
    return Figure(
        f"p99 of honest requests beside {HEADERS + BODIES + READERS} connections that send or read a byte every {EVERY_S:g} s; not 200",
        "<= 2 times that without them; 0",
        f"{late:.1f} ms ({usual:.1f} ms without); {wrong}",
        late <= 2 * usual and not wrong,
    )


def _closings(closed: Closed, limits: Limits) -> list[Figure]:
    kinds = [
        (f"{HEADERS} that trickle headers", closed.headers, limits.headers_s),
        (f"{BODIES} that trickle a body", closed.bodies, limits.bodies_s),
        (f"{READERS} that trickle or stop reading", closed.readers, limits.bodies_s),
    ]
    return [
        Figure(f"{what}: the last was closed after", f"<= {limit_s:g} s", f"{max(found):.1f} s", max(found) <= limit_s)
        for what, found, limit_s in kinds
    ]


def _memory(grown: float | None) -> list[Figure]:
    """Of a service of our own."""
    if grown is None:
        return []
    return [Figure("memory that all of these hold", "<= 64 MB", f"{grown:.1f} MB", grown <= 64)]
