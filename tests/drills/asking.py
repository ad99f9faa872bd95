"""Requests as bytes over connections of one's own, without a client library. Knows no drill.

A client library costs more than the service it asks, and has no way to leave in the middle of a request.
"""

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from service import images
from tests.conftest import SIDE, Process

GREY, BLACK, WHITE = (images.to_png(np.full((SIDE, SIDE, 1), light, np.uint8)) for light in (204, 0, 255))
"""Pictures for the light model."""


def raw(method: str, path: str, body: bytes = b"", media: str = "application/json", *more: str) -> bytes:
    """A request; `more` are headers as they stand on the wire."""
    typed = (f"Content-Type: {media}", f"Content-Length: {len(body)}") if method == "POST" else ()
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *typed, *more, "", "")).encode() + body


def classify(picture: bytes = GREY, model: str = "light") -> bytes:
    """A picture, posted."""
    return raw("POST", f"/v1/classify?model={model}", picture, "image/png")


HEALTH = raw("GET", "/v2/health/ready")


@dataclass(frozen=True)
class Answer:
    """`status` is 0 where there was none; `body` then says why."""

    status: int
    body: bytes
    seconds: float
    head: bytes = b""


class Line:
    """A kept connection; made anew after it broke."""

    def __init__(self, url: str, patience_s: float = 10.0) -> None:
        where = urlsplit(url)
        self._address, self._patience_s = (where.hostname, where.port), patience_s
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> Answer:
        """The answer to `request`, asked once."""
        begun = time.perf_counter()
        try:
            if not self._socket:
                self._socket = socket.create_connection(self._address, timeout=self._patience_s)
            self._socket.sendall(request)
            status, head, body = _read(self._socket)
        except (OSError, EOFError) as error:
            self.close()
            return Answer(0, f"{type(error).__name__}: {error}".encode(), time.perf_counter() - begun)
        if b"\r\nconnection: close\r\n" in head.lower():
            self.close()
        return Answer(status, body, time.perf_counter() - begun, head)

    def ask_around(self, request: bytes, meanwhile: Callable[[], object]) -> Answer:
        """The answer to `request`, the end of which is sent after `meanwhile`."""
        try:
            if not self._socket:
                self._socket = socket.create_connection(self._address, timeout=self._patience_s)
            self._socket.sendall(request[:-10])
        except OSError:
            self.close()  # told by what comes next
        meanwhile()
        return self.ask(request[-10:])

    def leave_after(self, request: bytes) -> None:
        """Send `request` and wait for nothing."""
        with contextlib.suppress(OSError):
            if not self._socket:
                self._socket = socket.create_connection(self._address, timeout=self._patience_s)
            self._socket.sendall(request)
        self.close()

    def close(self) -> None:
        """Until the next request."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _read(connection: socket.socket) -> tuple[int, bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    head += b"\r\n"
    length = int(head.lower().split(b"\ncontent-length:", 1)[1].split(b"\r\n", 1)[0])
    while len(body) < length:
        body += _some(connection)
    return int(head.split(b" ", 2)[1]), head, body


def _some(connection: socket.socket) -> bytes:
    if not (data := connection.recv(2**16)):
        raise EOFError("the connection was closed")
    return data


def until(condition: Callable[[], object], seconds: float, every_s: float = 0.02) -> float | None:
    """The seconds until `condition()` holds; None where it does not within `seconds`."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() - begun > seconds:
            return None
        time.sleep(every_s)
    return time.monotonic() - begun


def ready(url: str) -> bool:
    """Whether a new connection is told so."""
    with Line(url, 2) as line:
        return line.ask(HEALTH).status == 200


def answers(url: str, model: str = "light", version: int | None = None) -> bool:
    """Whether a new connection gets a picture classified, by that version."""
    with Line(url, 2) as line:
        said = line.ask(classify(model=model))
    return said.status == 200 and (version is None or f'"version":{version},'.encode() in said.body)


def logged(process: Process, words: str) -> bool:
    """Whether they stand in its log."""
    return words in process.log.read_text(errors="replace")
