"""Requests at a steady pace over kept connections, without a client library: the bytes are made once, answers are read whole.

    … | python -m benchmarks.load, where … is {"url": …, "requests": [[path, content type, base64 body, header …], …],
                                               "connections": 8, "rate": 200, "seconds": 5}

prints a line of JSON an answer: its connection, when it was due (seconds since the start), milliseconds from then, status, and
the body's first `keep` characters. A request that is late because the one before it was slow counts from when it was due.
"""

import asyncio
import base64
import json
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """One request: seconds after the start that it was due, milliseconds from then to its last byte."""

    due_s: float
    ms: float
    status: int
    body: bytes


def request(url: str, path: str, media: str, body: bytes, *more: str) -> bytes:
    """The bytes of a POST; `more` are headers as they stand on the wire."""
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {urlsplit(url).netloc}",
        f"Content-Type: {media}",
        f"Content-Length: {len(body)}",
        *more,
    )
    return "\r\n".join((*lines, "", "")).encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
    return int(head.split(b" ", 2)[1]), await reader.readexactly(length)


async def pace(
    url: str, requests: list[bytes], stop: asyncio.Event, *, connections: int, rate: float, seconds: float
) -> list[list[Answer]]:
    """What each connection got, in order, until `stop`. `rate` requests a second in all; 0 for as many as there can be."""
    where, begun, found = urlsplit(url), time.perf_counter(), list[list[Answer]]()

    async def one(index: int) -> None:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        mine = list[Answer]()
        found.append(mine)
        turn = 0
        while True:
            now = time.perf_counter() - begun
            due = (index + turn * connections) / rate if rate else now
            if due > seconds or stop.is_set():
                break
            if due > now:
                await asyncio.sleep(due - now)
            writer.write(requests[(index + turn) % len(requests)])
            status, body = await _answer(reader)
            mine.append(Answer(due, (time.perf_counter() - begun - due) * 1e3, status, body))
            turn += 1
        writer.close()

    await asyncio.gather(*(one(index) for index in range(connections)))
    return found


async def _until_told(url: str, requests: list[bytes], how: dict[str, Any]) -> list[list[Answer]]:
    """`pace`, ended early by SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return await pace(url, requests, stop, **how)


def main() -> None:
    """From the command line, so that the load has a process of its own."""
    asked = json.load(sys.stdin)
    keep = asked.pop("keep", 0)
    made = [request(asked["url"], path, media, base64.b64decode(body), *more) for path, media, body, *more in asked["requests"]]
    del asked["requests"]
    found = asyncio.run(_until_told(asked.pop("url"), made, asked))
    for index, connection in enumerate(found):
        for one in connection:
            print(json.dumps([index, one.due_s, one.ms, one.status, one.body[:keep].decode(errors="replace")]))


if __name__ == "__main__":
    main()
