"""`create_app(settings)`: lifespan, the one error handler, and what surrounds every request (id, metrics, access log).

Knows FastAPI and Starlette; the table of paths is in `routes`, the listening in `server`.
"""

import logging
import os
import re
import time
from asyncio import create_task
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import __version__, logs, metrics, pages
from service.errors import (
    BadRequest,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    RequestTimeout,
    ServiceError,
    TooLarge,
    shown,
)
from service.family import rooms
from service.follower import Follower
from service.graph import choose_provider
from service.http import answer
from service.registry import Registry
from service.routes import Routes
from service.settings import Settings
from service.tensor_routes import TensorRoutes

FIRST_LOOK_S = 30.0
"""A worker beside others listens after so long at the latest, its models loaded or not."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
CLIENT_LEFT = 499
"""What logs and metrics call a request whose client did not wait; no client ever reads it."""

log = logging.getLogger("modelyard.app")


def create_app(settings: Settings) -> FastAPI:
    """The service. Raises ProviderMissing where `settings.provider` cannot be had."""
    provider, reason = choose_provider(settings.provider)
    families = rooms()
    registry = Registry(families)
    follower = Follower(registry, settings, provider)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        log.info(reason)
        metrics.PROVIDER.labels(provider).set(1)
        following = create_task(follower.follow())
        if settings.workers > 1:  # uvicorn listens after this: no request comes to a worker that has nothing loaded yet
            await registry.first_look(FIRST_LOOK_S)
        yield
        following.cancel()
        with suppress(BaseException):
            await following
        await follower.close()

    app = FastAPI(
        title="Modelyard",
        version=__version__,
        description="Small neural networks behind an API. Every example here runs as it stands.",
        docs_url=None,  # FastAPI's pages load their scripts from another host: ours is in service/web
        redoc_url=None,
        redirect_slashes=False,  # a redirect would come before any check
        lifespan=lifespan,
    )
    app.state.registry, app.state.follower = registry, follower
    app.include_router(Routes(settings, registry, families, provider).router())
    app.include_router(TensorRoutes(settings, registry, follower).router())
    pages.add(app)
    for kind in (ServiceError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _handler)
    app.add_middleware(Edge, registry=registry)
    return app


async def _handler(request: Request, error: Exception) -> Response:
    return render(translate(error, request))


def translate(error: Exception, request: Request) -> ServiceError:
    """Any error as one of ours; what we do not know becomes `internal`, without its words."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, RequestValidationError):  # only path parameters are left to FastAPI
        first = error.errors()[0]
        return InvalidInput(f"Parameter {shown(first['loc'][-1])} is {shown(first.get('input'))}: {first['msg']}.")
    if isinstance(error, HTTPException):
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed(f"{request.method} is not for this path; expected {(error.headers or {}).get('Allow')}.")
        if error.status_code == HTTPStatus.NOT_FOUND:
            return NotFound(f"There is nothing at {shown(request.url.path)}; /docs lists what there is.")
        return BadRequest(str(error.detail)[:200])
    return ServiceError()


def render(error: ServiceError) -> Response:
    """The one error body."""
    metrics.REJECTS.labels(error.code).inc()
    headers = {"Retry-After": str(error.retry_after_s)} if error.retry_after_s else {}
    if isinstance(error, RequestTimeout | TooLarge):
        headers["Connection"] = "close"  # the rest of its body is not waited for
    body = {"error": error.message[:900], "code": error.code, "request_id": logs.request_id.get()}
    return answer(body, headers, error.status)


class Edge:
    """Around every request: its id, its metrics, its log line, and the answer to what nobody expected."""

    def __init__(self, app: ASGIApp, registry: Registry) -> None:
        self._app, self._registry = app, registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        token = logs.request_id.set(_request_id(scope))
        seen = _Seen(send, self._registry)
        metrics.IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, seen)
        except ClientDisconnect:
            seen.status = CLIENT_LEFT
        except Exception:
            log.exception("a request failed")
            if not seen.status:
                await render(ServiceError())(scope, receive, seen)
        finally:
            metrics.IN_FLIGHT.dec()
            _record(scope, seen.status, time.perf_counter() - begun)
            logs.request_id.reset(token)


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


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text if REQUEST_ID.fullmatch(text) else os.urandom(8).hex()
    return os.urandom(8).hex()


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", None) or "unmatched"
    method = scope["method"] if route != "unmatched" else "any"  # a client can make up methods: labels stay few
    metrics.REQUESTS.labels(route, method, str(status)).inc()
    metrics.SECONDS.labels(route).observe(seconds)
    if not logs.access.disabled:
        fields = {
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "ms": round(seconds * 1e3, 2),
        }
        logs.access.info("request", extra={"fields": fields})
