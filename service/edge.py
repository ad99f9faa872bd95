"""Around every request, however it came in: its id, its numbers, its log line, and the answer to what went wrong.

Knows errors, logs and metrics; knows no HTTP library, no route and no model.
"""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count

import orjson

from service import logs, metrics
from service.errors import RequestTimeout, ServiceError, TooLarge, Unauthorized
from service.media import JSON

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
CLIENT_LEFT = 499
"""What logs and metrics call a request whose client did not wait; no client ever reads it."""
UNMATCHED = "unmatched"

log = logging.getLogger("modelyard.edge")
_numbers = count()


@dataclass(slots=True)
class Said:
    """An answer: its body, its headers beside type and length, its status and its media type."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    media: str = JSON


def said(content: object, headers: dict[str, str] | None = None, status: int = 200) -> Said:
    """`content` as JSON with the content type that the protocol's clients compare letter by letter."""
    body = content if isinstance(content, bytes) else orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Said(body, headers or {}, status)


def refused(error: Exception) -> Said:
    """The one error body. What we do not know becomes `internal`, without its words, which are logged."""
    if not isinstance(error, ServiceError):
        log.error("a request failed", exc_info=error)
        error = ServiceError()
    metrics.REJECTS.labels(error.code).inc()
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    if isinstance(error, RequestTimeout | TooLarge):
        headers["Connection"] = "close"  # the rest of its body is not waited for
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return said({"error": error.message[:900], "code": error.code, "request_id": logs.request_id.get()}, headers, error.status)


def request_id(sent: bytes | None) -> str:
    """The client's own, where it is one; else a new one."""
    if sent and REQUEST_ID.fullmatch(sent):
        return sent.decode()
    return f"{_prefix()}{next(_numbers):08x}"


@lru_cache
def _prefix() -> str:
    """Of this process; asked of the system once, which costs as much as a short request's whole parsing."""
    return os.urandom(6).hex()


class Passage:
    """A request on its way through: counted when it comes in and when it is `left`."""

    __slots__ = ("_begun", "_method", "_path", "identity", "key")

    def __init__(self, method: str, path: str, sent_id: bytes | None) -> None:
        self._begun = time.perf_counter()
        self._method, self._path = method, path
        self.identity = request_id(sent_id)
        self.key = ""
        """The name of the API key that allowed it."""
        metrics.requests.came()

    @contextmanager
    def named(self) -> Iterator[None]:
        """What is logged and answered within has the request's id."""
        token = logs.request_id.set(self.identity)
        try:
            yield
        finally:
            logs.request_id.reset(token)

    def left(self, route: str | None, status: int) -> None:
        """It was answered with `status` (0 for not at all), by the route of that template."""
        seconds = time.perf_counter() - self._begun
        # a client can make up methods: labels stay few
        metrics.requests.went(route or UNMATCHED, self._method if route else "any", status, seconds)
        if logs.access.enabled:
            logs.access.add(
                {
                    "request_id": self.identity,
                    "method": self._method,
                    "path": self._path[:200],
                    "status": status,
                    "ms": round(seconds * 1e3, 2),
                    **({"key": self.key} if self.key else {}),
                }
            )
