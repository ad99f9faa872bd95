"""A client that sends bytes as they are and reads what comes back. Knows HTTP/1.1's framing; believes nothing it is told.

An ordinary client would mend, refuse or follow what a drill wants to send and see.
"""

import asyncio
import contextlib
import time
import zlib
from dataclasses import dataclass

MOST = 64 * 2**20


class Garbled(Exception):
    """What came back is no HTTP answer."""


@dataclass(frozen=True)
class Answer:
    """One answer: its status, its headers by name in lower case, its body unpacked, and how long it took to be whole."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float

    @property
    def stays(self) -> bool:
        """Whether the connection can be used again."""
        return self.headers.get("connection", "").lower() != "close"


class Connection:
    """One, opened when it is needed and again when it was closed."""

    def __init__(self, host: str, port: int) -> None:
        self._address = host, port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._closes = False

    @property
    def open(self) -> bool:
        """Whether another request can go over it."""
        return self._writer is not None and not self._closes and not self._reader.at_eof()

    def close(self) -> None:
        if self._writer:
            self._writer.transport.abort()
        self._reader = self._writer = None
        self._closes = False

    async def send(self, data: bytes) -> None:
        """A peer that closes while it is sent to has answered, or has not: that shows when it is read."""
        if not self.open:
            self.close()
            self._reader, self._writer = await asyncio.open_connection(*self._address, limit=2**20)
        self._writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def answer(self, seconds: float, *, bare: bool = False) -> Answer | None:
        """The next one; None where the peer closes first. A `bare` one has no body. Raises TimeoutError and Garbled."""
        begun = time.perf_counter()
        async with asyncio.timeout(seconds):
            try:
                found = await self._answer(begun, bare=bare)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                self.close()
                if isinstance(error, asyncio.IncompleteReadError) and error.partial:
                    raise Garbled(f"it ends after {error.partial[:80]!r}") from None
                return None
        self._closes = not found.stays
        return found

    async def _answer(self, begun: float, *, bare: bool) -> Answer:
        reader, status = self._reader, 100
        while status in (100, 102, 103):  # what comes before an answer
            lines = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
            first = lines[0].split(" ", 2)
            if len(first) < 2 or not first[0].startswith("HTTP/1.") or not (first[1].isascii() and first[1].isdigit()):
                raise Garbled(f"it begins with {lines[0][:80]!r}")
            status = int(first[1])
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = b"" if bare or status in (204, 304) else await self._body(headers)
        return Answer(status, headers, _unpacked(body, headers), time.perf_counter() - begun)

    async def _body(self, headers: dict[str, str]) -> bytes:
        reader = self._reader
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while size := int(await reader.readuntil(b"\r\n"), 16):
                parts.append(await reader.readexactly(size + 2))
            await reader.readexactly(2)
            return b"".join(part[:-2] for part in parts)
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        return await reader.read(MOST)


def _unpacked(body: bytes, headers: dict[str, str]) -> bytes:
    if body and headers.get("content-encoding") in ("gzip", "deflate"):
        return zlib.decompress(body, 47)
    return body
