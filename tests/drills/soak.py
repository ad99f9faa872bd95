"""A hundred thousand requests of every kind, one in twenty of them hostile: nothing grows, nothing breaks.

Memory, files and threads are read from /proc of a service of one's own, and from /metrics of one elsewhere where it tells them:
one worker does, several do not, and threads are told by neither.
"""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import uvloop

from tests.conftest import ROOT
from tests.drills import mixture
from tests.drills.figures import Figure, Ground
from tests.drills.mixture import Request

ANYWHERE = True
CONNECTIONS = 8
WARMING = 32
"""Connections while it warms up: every pool has all its threads after that."""
PATIENCE_S = 30.0


@dataclass
class Heard:
    """What came back."""

    honest: Counter[int] = field(default_factory=Counter)
    hostile: Counter[int] = field(default_factory=Counter)
    worst: dict[str, str] = field(default_factory=dict)
    """The first answer of each kind that ought not to be."""

    def add(self, request: Request, status: int, body: bytes) -> None:
        (self.hostile if request.hostile else self.honest)[status] += 1
        if status >= 500 or (status != 200 and not request.hostile):
            self.worst.setdefault(f"{request.name}: {status}", body[:200].decode(errors="replace"))


class Client:
    """One connection: a request at a time, the next one when the answer is here."""

    def __init__(self, url: str, heard: Heard) -> None:
        where = urlsplit(url)
        self._host, self._port, self._heard = where.hostname, where.port, heard
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: Request) -> None:
        """One request, its answer heard; a connection that was closed before it was sent is made anew, once."""
        for last in (False, True):
            kept = self._stream is not None
            try:
                async with asyncio.timeout(PATIENCE_S):
                    status, body, closes = await self._asked(request)
                break
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.close()
                status, body, closes = 0, repr(error).encode(), True
                if last or not kept:
                    break
        if closes or request.leaves:
            self.close()
        if not request.leaves:
            self._heard.add(request, status, body)

    async def _asked(self, request: Request) -> tuple[int, bytes, bool]:
        if self._stream is None:
            self._stream = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._stream
        writer.write(request.sent)
        if request.leaves:
            await writer.drain()
            return 0, b"", True
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
        return int(head.split(b" ", 2)[1]), await reader.readexactly(length), b"\nconnection: close" in head

    def close(self) -> None:
        """Until the next request."""
        if self._stream:
            self._stream[1].close()
            self._stream = None


async def send(url: str, turns: Iterator[Request], heard: Heard, connections: int = CONNECTIONS) -> None:
    """All of `turns`, over several connections."""

    async def one() -> None:
        client = Client(url, heard)
        for request in turns:
            await client.ask(request)
        client.close()

    await asyncio.gather(*(one() for _ in range(connections)))


def mixed(made: list[Request], count: int, hostile: float, seed: int) -> Iterator[Request]:
    """`count` of them in a fixed random order; a share of them hostile."""
    chance = random.Random(seed)
    sides = {side: [one for one in made if one.hostile == side] for side in (False, True)}
    weights = {side: [one.weight for one in sides[side]] for side in sides}
    for _ in range(count):
        side = chance.random() < hostile
        yield chance.choices(sides[side], weights[side])[0]


def resources(url: str, key: str, pid: int | None) -> dict[str, float]:
    """Megabytes, open files and threads, as far as they can be read."""
    if pid is not None:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return {"MB": int(status["VmRSS"].split()[0]) / 1024, "files": files, "threads": int(status["Threads"])}
    text = httpx.get(f"{url}/metrics", headers=mixture.authorized(key), timeout=30).text
    told = {
        name: float(found[1])
        for name, series in (("MB", "process_resident_memory_bytes"), ("files", "process_open_fds"))
        if (found := re.search(rf"^{series} (\S+)$", text, re.MULTILINE))
    }
    return {name: value / 2**20 if name == "MB" else value for name, value in told.items()}


def settled(url: str, key: str, pid: int | None) -> dict[str, float]:
    """The same once the connections that were closed are gone: the least of a second."""
    seen = []
    for _ in range(5):
        time.sleep(0.2)
        seen.append(resources(url, key, pid))
    return {name: min(one[name] for one in seen) for name in seen[0]}


def figures(heard: Heard, before: dict[str, float], after: dict[str, float], most_mb: float) -> list[Figure]:
    """What came of it."""
    total, honest = heard.honest.total() + heard.hostile.total(), heard.honest
    broken = sum(count for side in (honest, heard.hostile) for status, count in side.items() if status >= 500)
    shown = f"; first: {next(iter(heard.worst.items()))}" if heard.worst else ""
    found = [
        Figure(f"{total:,} mixed requests: answers of 5xx", "0", f"{broken}{shown}", ok=broken == 0),
        Figure("Of these, honest ones that got another answer than 200", "0", _wrong(honest), ok=set(honest) == {200}),
        Figure(
            "Hostile ones that got no answer though they waited for it", "0", f"{heard.hostile[0]} of {heard.hostile.total()}",
            ok=heard.hostile[0] == 0 and heard.hostile.total() > 0,
        ),
    ]  # fmt: skip
    if "MB" in before:
        grown = after["MB"] - before["MB"]
        found.append(
            Figure("Memory grown under them, after those to warm up", f"<= {most_mb:g} MB",
                   f"{grown:.1f} MB, from {before['MB']:.0f} to {after['MB']:.0f} MB", ok=grown <= most_mb)
        )  # fmt: skip
    for name in ("files", "threads"):
        if name in before:
            said = f"from {before[name]:.0f} to {after[name]:.0f}"
            found.append(
                Figure(
                    f"Open {name} meanwhile" if name == "files" else "Threads meanwhile",
                    "no more",
                    said,
                    ok=after[name] <= before[name],
                )
            )
    return found


def _wrong(honest: Counter[int]) -> str:
    wrong = honest.total() - honest[200]
    return f"{wrong} of {honest.total():,}"


def drill(
    ground: Ground, count: int = 100_000, warm: int = 10_000, hostile: float = 0.05, most_mb: float = 20.0, **settings: Any
) -> list[Figure]:
    """All figures."""
    url, pid = ground.url, None
    if not url:
        server = ground.start(models_dir=ROOT / "models", **settings)
        url, pid = server.url, server.process.pid
    made = mixture.every(url, ground.key, chosen=bool(ground.url))
    heard = Heard()
    uvloop.run(send(url, mixed(made, warm, hostile, 0), heard, WARMING))
    before = settled(url, ground.key, pid)
    uvloop.run(send(url, mixed(made, count, hostile, 1), heard))
    return figures(heard, before, settled(url, ground.key, pid), most_mb)
