"""A request that is answered below ASGI: body in, one write out. No scope, no `receive` and `send`, no router, no middleware.

Stands where uvicorn's protocol has its cycle of request and response, with what that protocol touches of one; the handler is
the one that the ASGI route has. Knows uvicorn's flow control; knows no route and no model.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from service import logs
from service.edge import CLIENT_LEFT, Passage, Said, refused
from service.errors import DeadlineExceeded, RequestTimeout, ServiceError
from service.http import Asked, Headers, Lean
from service.registry import Registry
from service.settings import Settings

Result = TypeVar("Result")
LONG_BODY = 64 * 1024
"""Bytes of an answer that are not copied behind its head."""
LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}


@dataclass(slots=True)
class Requested:
    """What the request's head said."""

    lean: Lean
    names: dict[str, str]
    """What the template has in braces."""
    path: bytes
    query: bytes
    headers: Headers
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Line:
    """The connection: where the answer goes, and what is to be done when it is there."""

    transport: asyncio.Transport
    flow: FlowControl
    settings: Settings
    server: ServerState
    registry: Registry
    answered: Callable[[], None]


class Exchange:
    """One request and its answer."""

    def __init__(self, requested: Requested, line: Line) -> None:
        self._requested, self._line = requested, line
        self._passage = Passage("POST", requested.path.decode(), requested.headers.get(b"x-request-id"))
        self._parts: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._since = time.monotonic()
        self._overdue: ServiceError | None = None
        # what uvicorn's protocol reads and sets
        self.keep_alive = requested.keep_alive
        self.response_complete = self.disconnected = False
        self.message_event = self

    def set(self) -> None:
        """Uvicorn calls it when the client left."""
        if self.disconnected and not self.response_complete:
            if self._task:
                self._task.cancel()
            else:
                self._leave(CLIENT_LEFT)

    def feed(self, part: bytes) -> None:
        """A part of the body."""
        self._parts.append(part)

    def start(self) -> None:
        """The body is here."""
        if self.response_complete:
            return
        self._since = time.monotonic()
        self._task = asyncio.get_running_loop().create_task(self._answer())
        self._line.server.tasks.add(self._task)

    def check(self, now: float) -> None:
        """Give up what took too long until `now` (monotonic seconds); called some times a second."""
        settings, waited_s = self._line.settings, now - self._since
        if self._task is None and waited_s > settings.body_timeout_s:
            with self._passage.named():
                self._write(refused(RequestTimeout(f"The body took longer than {settings.body_timeout_s:g} s to arrive.")))
        elif self._task and waited_s > settings.deadline_s and not self._overdue:
            self._overdue = DeadlineExceeded(f"No answer within {settings.deadline_s:g} s.")
            self._task.cancel()

    async def _answer(self) -> None:
        logs.request_id.set(self._passage.identity)  # in a task of its own: nobody else sees it
        requested = self._requested
        asked = Asked(b"".join(self._parts), requested.headers, requested.query, _plainly)
        try:
            answered = await requested.lean.handler(asked, **requested.names)
        except asyncio.CancelledError:
            if not self._overdue:  # the client left, or the service stops
                self._leave(CLIENT_LEFT)
                return
            answered = refused(self._overdue)
        except Exception as error:  # noqa: BLE001 - the edge: it is logged, and the client is told
            answered = refused(error)
        if self._line.flow.write_paused and not self.disconnected:
            await self._line.flow.drain()
        self._write(answered)

    def _write(self, answered: Said) -> None:
        line = self._line
        if not line.transport.is_closing():
            closes = not self.keep_alive or line.registry.draining or "Connection" in answered.headers
            head = self._head(answered, closes=closes)
            if len(answered.body) < LONG_BODY:
                line.transport.write(head + answered.body)
            else:
                line.transport.writelines((head, answered.body))
            if closes:
                line.transport.close()
        self._leave(answered.status)

    def _head(self, answered: Said, *, closes: bool) -> bytes:
        lines = [f"{name}: {value}\r\n" for name, value in answered.headers.items() if name != "Connection"]
        more = b"".join(b"%s: %s\r\n" % pair for pair in self._line.server.default_headers)
        return b"%s%s%scontent-type: %s\r\ncontent-length: %d\r\nx-request-id: %s\r\n%s\r\n" % (
            LINES[answered.status],
            more,
            "".join(lines).encode("latin-1"),
            answered.media.encode(),
            len(answered.body),
            self._passage.identity.encode(),
            b"connection: close\r\n" if closes else b"",
        )

    def _leave(self, status: int) -> None:
        self.response_complete = True
        if self._task:
            self._line.server.tasks.discard(self._task)
        self._passage.left(self._requested.lean.template, status)
        self._line.answered()


async def _plainly(future: "asyncio.Future[Result]") -> Result:
    """The deadline and the client's leaving cancel the task that waits."""
    return await future
