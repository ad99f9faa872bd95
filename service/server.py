"""One process that listens: uvicorn with limits on headers and connections, and a SIGTERM that loses nothing.

Knows uvicorn's server and its httptools protocol (pinned in pyproject.toml, tested against a real process); knows the app only
as one with a registry and with paths that are answered without it (`exchange`). Limits of bodies that the app reads are in
`http`; several processes are in `workers`.
"""

import asyncio
import gc
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import BadRequest, HeadersTooLarge, Overloaded, RequestTimeout, ServiceError, UriTooLong
from service.exchange import Exchange, Line, Requested
from service.heads import Heads
from service.http import Paths, headers
from service.settings import Settings
from service.sockets import Listeners, reset

LAST_LOOK_S = 0.2
"""Between the last connection that is begun and the closed port: those that were begun still come to be."""
FIRST_LOOKS = 20
"""So often, twenty times a second, it is looked whether who is connected has asked something, before it is left alone."""

ACCEPTED_AT_ONCE = 32
SWITCH_S = 0.0005
"""After so long a thread that loads a model lets the event loop have its turn; Python's own 5 ms outlast most answers."""


class Config(uvicorn.Config):
    """uvicorn's configuration for one worker, made from ours."""

    def __init__(self, build: Callable[[Settings], FastAPI], settings: Settings) -> None:
        """`build(settings)` makes the app, in the process that serves it."""
        super().__init__(
            partial(build, settings),
            factory=True,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=settings.keep_alive_s,
            timeout_graceful_shutdown=round(settings.drain_s),
        )
        self.settings = settings
        self.paths, self.heads = Paths(()), Heads()
        self.came: Callable[[], None] = lambda: None
        """Called when a connection was made."""

    def load(self) -> None:
        """Build the app."""
        super().load()
        self.paths = Paths(self.loaded_app.state.lean)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on the request line and headers, in size, number and time."""

    config: Config

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = self.config.settings
        self._header_bytes = self._unfinished_bytes = 0
        self.waiting_since: float | None = None
        """When a request's first byte is awaited or its headers are incomplete: since when. None while one is answered."""
        self.idle_since: float | None = None
        """Since when the connection waits for another request."""
        self.paused_since: float | None = None
        """Since when more of an answer waits to be read than should."""
        self.closing_since: float | None = None
        """Since when it is seen to be closing, while something of an answer waits to be read."""
        self._between = True
        """Whether the last request came whole, and nothing of another."""
        self._requested: Requested | None = None

    def connection_made(self, transport: Any) -> None:  # a transport of uvloop or of asyncio
        super().connection_made(transport)
        self.waiting_since = time.monotonic()
        self._line = Line(
            transport,
            self.flow,
            self.settings,
            self.server_state,
            self.config.loaded_app.state.registry,
            self.config.loaded_app.state.guard,
            self.on_response_complete,
        )
        self.config.came()
        if len(self.connections) > self.settings.max_connections:
            self.refuse(Overloaded(f"{self.settings.max_connections} connections are open already."))

    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False  # the scope is made where the app is asked
        self._header_bytes = self._unfinished_bytes = 0
        self.waiting_since, self.idle_since = time.monotonic(), None
        self._between = False

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.settings.max_uri_bytes:
            self.refuse(UriTooLong(f"The path and query are longer than {self.settings.max_uri_bytes} bytes."))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self.settings.max_header_bytes or len(self.headers) >= self.settings.max_header_count:
            limits = f"{self.settings.max_header_bytes} bytes and {self.settings.max_header_count} headers"
            self.refuse(HeadersTooLarge(f"The headers are larger than {limits}."))
            return
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.waiting_since = None
        if self.transport.is_closing():
            return
        self._requested = self._lean()
        if self._requested:
            self.cycle = Exchange(self._requested, self._line)  # type: ignore[assignment]  # it has what is asked of one
            return
        url, sent, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, sent, expects
        self.scope["headers"] = sent
        super().on_headers_complete()

    def _lean(self) -> Requested | None:
        """The request as one to be answered below ASGI, where it can be: everything unusual goes to the app."""
        if (self.cycle and not self.cycle.response_complete) or self.parser.get_method() != b"POST":
            return None
        path, _, query = self.url.partition(b"?")
        found = self.config.paths.find(path)
        if not found or self.expect_100_continue or self.parser.should_upgrade() or self.parser.get_http_version() != "1.1":
            return None
        sent = headers(self.headers)
        if not self._line.guard.answers_to(sent.get(b"host")):
            return None
        size = sent.get(b"content-length", b"")
        if len(size) > 18 or not size.isdigit() or int(size) > self.settings.max_body_bytes or b"content-encoding" in sent:
            return None
        return Requested(*found, path, query, sent, int(size), self.parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        if isinstance(self.cycle, Exchange):
            self.cycle.feed(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._between = True
        if isinstance(self.cycle, Exchange):
            self.cycle.start()
        else:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        between = self._between and (not self.cycle or self.cycle.response_complete)
        if between and (known := self.config.heads.read(data)):
            self._whole(*known)
            return
        self._requested = None
        super().data_received(data)
        if between and self._requested:
            self.config.heads.learn(data, self._requested)
        # httptools hands a header over when it is whole: one that never ends is bounded here
        if self.waiting_since is not None and not self.transport.is_closing():
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > self.settings.max_header_bytes + self.settings.max_uri_bytes:
                self.refuse(HeadersTooLarge(f"The headers are larger than {self.settings.max_header_bytes} bytes."))

    def _whole(self, requested: Requested, body: bytes) -> None:
        """A request whose head is known, with all of its body: nothing of it is parsed again."""
        self.waiting_since = self.idle_since = None
        self._unfinished_bytes = 0
        exchange = Exchange(requested, self._line)
        self.cycle = exchange  # type: ignore[assignment]  # it has what is asked of one
        exchange.feed(body)
        exchange.start()

    def on_response_complete(self) -> None:
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            self.idle_since = time.monotonic()  # and no timer for each answer: the server looks round

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():  # ours was sent already
            self.refuse(BadRequest(msg))

    def shutdown(self) -> None:
        """Close when nothing is left to be answered. A request whose first bytes are here is one to be answered."""
        if self._between:
            super().shutdown()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.paused_since = time.monotonic()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.paused_since = None

    def is_unread(self, now: float) -> bool:
        """Whether the client takes longer to read than it may take to send."""
        if self.transport.is_closing() and self.closing_since is None:
            self.closing_since = now
        since = [one for one in (self.paused_since, self.closing_since) if one is not None]
        return bool(since) and min(since) < now - self.settings.body_timeout_s

    def refuse(self, error: ServiceError) -> None:
        """Answer below the app, with its error body, and close."""
        body = orjson.dumps({"error": error.message, "code": error.code, "request_id": ""})
        retry = b"retry-after: %d\r\n" % error.retry_after_s if error.retry_after_s else b""
        head = b"HTTP/1.1 %d \r\ncontent-type: application/json\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n"
        self.transport.write(head % (error.status, len(body), retry) + body)
        self.transport.close()


class Server(uvicorn.Server):
    """uvicorn's server, that says 'not ready' before it stops listening."""

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._settings = config.settings
        self._stop_at: float | None = None
        self._settled = False
        self._listeners = Listeners(())
        self._joining: set[asyncio.Task[Any]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        self._listeners = Listeners(sockets or ())
        await super().startup(sockets)
        self.config.came = self._accept_others

    def _accept_others(self) -> None:
        """Those that wait behind one that was accepted: uvloop accepts one a turn, and under load a turn takes long."""
        if self._joining:
            return  # so that a crowd that comes and goes does not become a turn without an end
        for connection in self._listeners.waiting(ACCEPTED_AT_ONCE):
            task = asyncio.create_task(self._join(connection))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)

    async def _join(self, connection: socket.socket) -> None:
        make = partial(Protocol, self.config, self.server_state, self.lifespan.state)
        await asyncio.get_running_loop().connect_accepted_socket(make, connection)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a signal handler's signature
        """The first signal drains, the second one exits at once.

        uvicorn would raise the signal again after the drain, and so end with a traceback or the signal's exit code.
        """
        if self._stop_at is not None:
            self.force_exit = self.should_exit = True
            return
        delay = self._settings.drain_delay_s if sig == signal.SIGTERM else 0.0  # nobody routes around a Ctrl-C
        self._stop_at = time.monotonic() + delay
        self.config.loaded_app.state.registry.draining = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        self._check_exchanges()
        if counter % 10 == 0:
            self._close_slow()
        if not self._settled and self.config.loaded_app.state.registry.looked:
            self._settled = True
            gc.collect()
            gc.freeze()  # what is here now stays: no later collection looks at all of it again, while every request waits
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See to what is connected already, and to what was sent, before anything closes: uvicorn would reset both.

        Limits hold on meanwhile.
        """
        watching = asyncio.create_task(self._watch())
        self._listeners.deafen()
        await asyncio.sleep(0 if self.force_exit else LAST_LOOK_S)
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)  # the loop accepts no more
        for connection in self._listeners.emptied():
            await self._join(connection)
        for _ in range(FIRST_LOOKS):
            await asyncio.sleep(0.05)
            if self.force_exit or not any(map(_silent, self.server_state.connections)):
                break
        await super().shutdown(sockets)
        watching.cancel()

    async def _watch(self) -> None:
        while True:
            self._check_exchanges()
            self._close_slow()
            await asyncio.sleep(1)

    def _check_exchanges(self) -> None:
        now = time.monotonic()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Protocol) and isinstance(connection.cycle, Exchange):
                connection.cycle.check(now)

    def _close_slow(self) -> None:
        limit_s, now = self._settings.header_timeout_s, time.monotonic()
        for connection in list(self.server_state.connections):
            if not isinstance(connection, Protocol):
                continue
            if connection.is_unread(now):
                reset(connection.transport)
            elif connection.transport.is_closing():
                continue
            elif connection.idle_since is not None and connection.idle_since < now - self._settings.keep_alive_s:
                connection.transport.close()
            elif connection.waiting_since is not None and connection.waiting_since < now - limit_s:
                connection.refuse(RequestTimeout(f"The headers took longer than {limit_s:g} s to arrive."))


def _silent(connection: object) -> bool:
    """Whether it never asked anything."""
    return isinstance(connection, Protocol) and connection.cycle is None


def run(build: Callable[[Settings], FastAPI], settings: Settings, listener: socket.socket) -> None:
    """Serve on `listener` until told to stop."""
    sys.setswitchinterval(SWITCH_S)
    Server(Config(build, settings)).run([listener])
