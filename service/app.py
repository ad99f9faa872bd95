"""`create_app(settings)`: lifespan, the one error handler, and `edge` around every request that comes by ASGI.

Knows FastAPI and Starlette; the table of paths is in `routes`, the listening in `server`.
"""

import logging
from asyncio import create_task, sleep
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import __version__, access, logs, metrics, openapi, pages
from service.access import Guard
from service.agreement import Board, Folder
from service.edge import CLIENT_LEFT, Passage, refused
from service.errors import BadRequest, MethodNotAllowed, NotFound, ServiceError, shown
from service.family import rooms
from service.follower import Follower
from service.graph import choose_provider
from service.http import headers, response, wrong_parameter
from service.registry import Registry
from service.routes import Routes
from service.settings import Settings, shared_folder
from service.tensor_routes import TensorRoutes

FIRST_LOOK_S = 30.0
"""A worker beside others listens after so long at the latest, its models loaded or not."""

log = logging.getLogger("modelyard.app")


@dataclass(frozen=True)
class Crew:
    """Others that serve the same repository, on this machine or elsewhere."""

    board: Board
    stay: Callable[[], Coroutine[Any, Any, None]]
    """Runs as long as the app does."""
    numbers: Callable[[], Awaitable[bytes]]
    """The metrics of all of them."""


def create_app(settings: Settings, crew: Crew | None = None) -> FastAPI:
    """The service. Raises ProviderMissing where `settings.provider` cannot be had, OSError and ValueError for unusable keys.

    `crew`: others that serve the same repository; without one, the processes on this port, if there are others.
    """
    provider, reason = choose_provider(settings.provider)
    families = rooms()
    registry, guard = Registry(families), Guard(settings)
    folder = shared_folder()
    board = crew.board if crew else Folder(folder, settings.workers) if folder else None
    follower = Follower(registry, settings, provider, board)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log.info(reason)
        metrics.PROVIDER.labels(provider).set(1)
        tasks = [create_task(one) for one in (follower.follow(), guard.follow(), _write(), *([crew.stay()] if crew else []))]
        if crew or settings.workers > 1:  # uvicorn listens after this: no request comes to a worker that has nothing loaded yet
            await registry.first_look(FIRST_LOOK_S)
        yield
        for task in tasks:
            task.cancel()
            with suppress(BaseException):
                await task
        await follower.close()
        logs.access.write()

    app = App(
        title="Modelyard",
        version=__version__,
        description="Small neural networks behind an API. Every example here runs as it stands.",
        docs_url=None,  # FastAPI's pages load their scripts from another host: ours is in service/web
        redoc_url=None,
        redirect_slashes=False,  # a redirect would come before any check
        lifespan=lifespan,
    )
    typed, tensors = Routes(settings, registry, families, provider), TensorRoutes(settings, registry, follower)
    if crew:
        typed.numbers = crew.numbers
    app.state.registry, app.state.follower, app.state.guard = registry, follower, guard
    app.state.lean = (*typed.lean(), *tensors.lean())
    app.include_router(typed.router())
    app.include_router(tensors.router())
    pages.add(app)
    for kind in (ServiceError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _handler)
    app.add_middleware(Edge, registry=registry, guard=guard)
    app.guarded = not guard.open
    return app


class App(FastAPI):
    """FastAPI, whose document says no more than is so, and what wants a key."""

    guarded = False

    def openapi(self) -> dict[str, Any]:
        """Made once."""
        if not self.openapi_schema:
            document = openapi.without_validation(super().openapi())
            self.openapi_schema = openapi.with_roles(document, access.needed) if self.guarded else document
        return self.openapi_schema


async def _write() -> None:
    """Hand on what requests left to be written, some times a second."""
    while True:
        await sleep(metrics.WRITTEN_EVERY_S)
        metrics.LOG_LINES_DROPPED.inc(logs.writer.dropped())
        metrics.write()
        logs.access.write()


async def _handler(request: Request, error: Exception) -> Response:
    return response(refused(translate(error, request)))


def translate(error: Exception, request: Request) -> Exception:
    """FastAPI's errors as ours."""
    if isinstance(error, RequestValidationError):  # only path parameters are left to FastAPI
        return wrong_parameter(error.errors()[0])
    if isinstance(error, HTTPException):
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed(f"{request.method} is not for this path; expected {(error.headers or {}).get('Allow')}.")
        if error.status_code == HTTPStatus.NOT_FOUND:
            return NotFound(f"There is nothing at {shown(request.url.path)}; /docs lists what there is.")
        return BadRequest(str(error.detail)[:200])
    return error


class Edge:
    """Around every ASGI request: whether it may, its passage, and the answer to what nobody expected."""

    def __init__(self, app: ASGIApp, registry: Registry, guard: Guard) -> None:
        self._app, self._registry, self._guard = app, registry, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = headers(scope["headers"])
        method, path = scope["method"], scope["path"]
        passage, seen = Passage(method, path, sent.get(b"x-request-id")), _Seen(send, self._registry)
        try:
            with passage.named():
                refusal = self._guard.elsewhere(path, sent.get(b"host"))
                if not refusal:
                    passage.key, refusal = access.refusal(self._guard, method, path, sent)
                if refusal:
                    await response(refused(refusal))(scope, receive, seen)
                else:
                    await self._through(scope, receive, seen)
                self._guard.told(method, path, passage.key, seen.status)
        finally:
            passage.left(getattr(scope.get("route"), "path", None), seen.status)

    async def _through(self, scope: Scope, receive: Receive, seen: "_Seen") -> None:
        try:
            await self._app(scope, receive, seen)
        except ClientDisconnect:
            seen.status = CLIENT_LEFT
        except Exception as error:  # noqa: BLE001 - the edge: it is logged, and the client is told
            answered = refused(error)
            if not seen.status:
                await response(answered)(scope, receive, seen)


class _Seen:
    """`send`, with the request's id in the headers, and the status remembered."""

    def __init__(self, send: Callable[[Message], Awaitable[None]], registry: Registry) -> None:
        self._send, self._registry = send, registry
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"].append((b"x-request-id", logs.request_id.get().encode()))
            if self._registry.draining:
                message["headers"].append((b"connection", b"close"))  # so that clients go elsewhere before the port closes
        await self._send(message)
