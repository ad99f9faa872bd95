"""A request that is answered below ASGI: body in, one write out. No scope, no `receive` and `send`, no router, no middleware.

Stands where uvicorn's protocol has its cycle of request and response, with what that protocol touches of one; the handler is
the one that the ASGI route has. Knows uvicorn's flow control; knows no route and no model.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from service import access, logs
from service.access import Guard
from service.edge import CLIENT_LEFT, Passage, Said, refused
from service.errors import DeadlineExceeded, RequestTimeout, ServiceError
from service.http import EVERY, Asked, Headers, Lean
from service.registry import Registry
from service.settings import Settings

Result = TypeVar("Result")
LONG_BODY = 64 * 1024
"""Bytes of an answer that are not copied behind its head."""
LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
ALWAYS = "".join(f"{name.lower()}: {value}\r\n" for name, value in EVERY.items())
CLOSES = "connection: close\r\n"


@dataclass(slots=True)
class Requested:
    """What the request's head said."""

    lean: Lean
    names: dict[str, str]
    """What the template has in braces."""
    path: bytes
    query: bytes
    headers: Headers
    size: int
    """Bytes of its body."""
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class Line:
    """The connection: where the answer goes, and what is to be done when it is there."""

    transport: asyncio.Transport
    flow: FlowControl
    settings: Settings
    server: ServerState
    registry: Registry
    guard: Guard
    answered: Callable[[], None]


class Exchange:
    """One request and its answer.

    It drives the handler's coroutine as a task would, but takes its first step at once: what the turn of the event loop brought
    in is in the queue of its model before the turn ends. So `asyncio.current_task` is not there for handlers, nor is what
    needs it, as `asyncio.timeout`.
    """

    def __init__(self, requested: Requested, line: Line) -> None:
        self._requested, self._line = requested, line
        self._passage = Passage("POST", requested.path.decode(), requested.headers.get(b"x-request-id"))
        self._refusal: ServiceError | None = None
        if not line.guard.open:
            self._passage.key, self._refusal = access.refusal(line.guard, "POST", requested.path.decode(), requested.headers)
        self._parts: list[bytes] = []
        self._course: Coroutine[Any, None, Said] | None = None
        self._awaited: asyncio.Future[Any] | None = None
        self._since = time.monotonic()
        self._overdue: ServiceError | None = None
        # what uvicorn's protocol reads and sets
        self.keep_alive = requested.keep_alive
        self.response_complete = self.disconnected = False
        self.message_event = self

    def set(self) -> None:
        """Uvicorn calls it when the client left."""
        if self.disconnected and not self.response_complete:
            if self._course:
                self.cancel()
            else:
                self._leave(CLIENT_LEFT)

    def cancel(self, msg: str | None = None) -> None:
        """Give the answer up; uvicorn calls it where a drain takes too long."""
        if self._awaited:
            self._awaited.cancel(msg)

    def feed(self, part: bytes) -> None:
        """A part of the body."""
        if self._refusal is None:
            self._parts.append(part)

    def start(self) -> None:
        """The body is here."""
        if self.response_complete:
            return
        if self._refusal:
            with self._passage.named():
                self._write(refused(self._refusal))
            return
        self._since = time.monotonic()
        self._context = copy_context()  # nobody else sees what is set in it
        self._line.server.tasks.add(self)  # type: ignore[arg-type]  # it can be cancelled
        self._context.run(self._begin)

    def check(self, now: float) -> None:
        """Give up what took too long until `now` (monotonic seconds); called some times a second."""
        settings, waited_s = self._line.settings, now - self._since
        if self.response_complete:
            return
        if self._course is None and waited_s > settings.body_timeout_s:
            with self._passage.named():
                self._write(refused(RequestTimeout(f"The body took longer than {settings.body_timeout_s:g} s to arrive.")))
        elif self._course and waited_s > settings.deadline_s and not self._overdue:
            self._overdue = DeadlineExceeded(f"No answer within {settings.deadline_s:g} s.")
            self.cancel()

    def _begin(self) -> None:
        logs.request_id.set(self._passage.identity)
        requested, parts = self._requested, self._parts
        asked = Asked(parts[0] if len(parts) == 1 else b"".join(parts), requested.headers, requested.query, _plainly)
        self._course = self._handled(asked)
        self._step()

    def _step(self, _: "asyncio.Future[Any] | None" = None) -> None:
        """On to where the handler waits for something, or has its answer."""
        self._awaited = None
        try:
            awaited = self._course.send(None)  # type: ignore[union-attr]  # it is there from `_begin` on
        except StopIteration as done:
            self._write(done.value)
        except asyncio.CancelledError:
            if self._overdue:
                self._write(refused(self._overdue))
            else:  # the client left, or the service stops
                self._leave(CLIENT_LEFT)
        except Exception as error:  # noqa: BLE001 - the edge: it is logged, and the client is told
            self._write(refused(error))
        else:
            awaited._asyncio_future_blocking = False  # what a future wants of whoever drives a coroutine that awaits it
            awaited.add_done_callback(self._step, context=self._context)
            self._awaited = awaited

    async def _handled(self, asked: Asked) -> Said:
        """The handler's answer, when the client reads."""
        answered = await self._requested.lean.handler(asked, **self._requested.names)
        if self._line.flow.write_paused and not self.disconnected:
            await self._line.flow.drain()
        return answered

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
        lines = "".join([f"{name}: {value}\r\n" for name, value in answered.headers.items() if name != "Connection"])
        return (
            f"{LINES[answered.status]}{_common(self._line.server)}{lines}content-type: {answered.media}\r\n"
            f"{ALWAYS}content-length: {len(answered.body)}\r\nx-request-id: {self._passage.identity}\r\n"
            f"{CLOSES if closes else ''}\r\n"
        ).encode("latin-1")

    def _leave(self, status: int) -> None:
        self.response_complete = True
        if self._course:
            self._line.server.tasks.discard(self)
            self._course = None
        self._passage.left(self._requested.lean.template, status)
        self._line.answered()


_last: tuple[list[tuple[bytes, bytes]], str] = ([], "")


def _common(server: ServerState) -> str:
    """The headers of every answer, such as its date, which uvicorn makes anew each second."""
    global _last
    if server.default_headers is not _last[0]:
        lines = b"".join(b"%s: %s\r\n" % pair for pair in server.default_headers)
        _last = (server.default_headers, lines.decode("latin-1"))
    return _last[1]


async def _plainly(future: "asyncio.Future[Result]") -> Result:
    """The deadline and the client's leaving cancel the task that waits."""
    return await future
