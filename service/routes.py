"""The HTTP table: path -> one call. Knows FastAPI, the registry and the verbs; computes nothing itself.

Bodies are read as bytes and parsed by `bodies` and `protocol`, not by FastAPI: no pydantic over large arrays, and one error
form. What FastAPI would have documented is written beside each route from the same pydantic classes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Path, Request, Response
from starlette.requests import ClientDisconnect

from service import __version__, bodies, compression, images, metrics, openapi, protocol, tensors
from service.bodies import Body
from service.digit import Pixels
from service.errors import (
    DeadlineExceeded,
    RequestTimeout,
    TooLarge,
    Unavailable,
)
from service.family import Item, Lookup, Room, Verb, lookups
from service.golden import Arrays
from service.model import Model, Timing
from service.registry import Registry
from service.settings import Settings

Result = TypeVar("Result")
SHORT_WORK = 64 * 1024
"""Bytes to touch (a body's, a picture's pixels) that the event loop may see to itself."""
WATCH_AFTER_S = 0.05
"""A request that waits longer than this is watched for a client that leaves."""

Name = Annotated[str, Path(max_length=200, examples=["digits"])]
Version = Annotated[str, Path(max_length=200, examples=["1"])]


def answer(content: object, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """`content` as JSON with the content type that the protocol's clients compare letter by letter."""
    data = content if isinstance(content, bytes) else orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(data, status, headers, media_type="application/json")


async def read_body(request: Request, settings: Settings) -> bytes:
    """The whole body, unpacked, within its limits. Raises TooLarge, RequestTimeout, UnsupportedMedia, BadRequest."""
    headers = request.headers
    too_large = TooLarge(f"The body is larger than {settings.max_body_bytes} bytes.")
    stated = headers.get("content-length", "")
    if stated.isdecimal() and (len(stated) > 18 or int(stated) > settings.max_body_bytes):
        raise too_large
    data = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for chunk in request.stream():
                data += chunk
                if len(data) > settings.max_body_bytes:
                    raise too_large
    except TimeoutError:
        raise RequestTimeout(f"The body took longer than {settings.body_timeout_s:g} s to arrive.") from None
    encoding = headers.get("content-encoding", "identity").lower()
    if encoding == "identity":
        return bytes(data)
    return await asyncio.to_thread(compression.unpacked, bytes(data), encoding, settings.max_body_bytes)


async def patiently(future: "asyncio.Future[Result]", request: Request, deadline_s: float) -> Result:
    """`future`'s result; it is cancelled when the deadline passes (DeadlineExceeded) or the client leaves."""
    gone: asyncio.Task[None] | None = None
    try:
        await asyncio.wait({future}, timeout=min(WATCH_AFTER_S, deadline_s))
        if not future.done():
            gone = asyncio.create_task(_gone(request))
            waits: set[asyncio.Future[Any]] = {future, gone}
            await asyncio.wait(waits, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if future.done():
            return future.result()
        if gone and gone.done():
            raise ClientDisconnect
        raise DeadlineExceeded(f"No answer within {deadline_s:g} s.")
    finally:
        future.cancel()
        if gone:
            gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Routes:
    """The handlers, with what they share."""

    def __init__(self, settings: Settings, registry: Registry, rooms: dict[str, Room], provider: str) -> None:
        self._settings, self._registry, self._rooms, self._provider = settings, registry, rooms, provider

    def router(self) -> APIRouter:
        """All routes but the page's."""
        router = APIRouter(redirect_slashes=False)
        self._operations(router)
        self._tensors(router)
        for family, room in self._rooms.items():
            for verb in room.verbs:
                self._verb(router, family, verb)
            for lookup in lookups(room):
                self._lookup(router, family, lookup)
        return router

    # typed verbs

    def _verb(self, router: APIRouter, family: str, verb: Verb) -> None:
        async def handler(request: Request) -> Response:
            return await self._answer_verb(family, verb, request)

        router.add_api_route(
            f"/v1/{verb.name}",
            handler,
            methods=["POST"],
            name=verb.name,
            summary=verb.summary,
            description=verb.Request.__doc__,
            tags=[family],
            response_model=openapi.verb_response(verb),
            responses=openapi.verb_responses(verb),
            openapi_extra=openapi.verb_extra(verb),
        )

    async def _answer_verb(self, family: str, verb: Verb, request: Request) -> Response:
        options = bodies.validated(verb.Options, dict(request.query_params)) if request.url.query else verb.Options()
        body = Body.of(await read_body(request, self._settings), request.headers.get("content-type", "").encode("latin-1"))
        with self._registry.chosen(family, options.model, options.version, verb).lease() as model:
            begun = time.perf_counter()
            items, long = await self._items(verb, body, model)
            decode_s = time.perf_counter() - begun
            rows, timing = await model.predict([item.arrays for item in items], verb.predict, self._wait(request))
            headers = {"Server-Timing": _server_timing(decode_s, timing)}
            if verb.draw and bodies.wants(bodies.PNG, request.headers.getlist("accept")):
                picture = (
                    await asyncio.to_thread(self._drawn, verb.draw, model, rows)
                    if long
                    else self._drawn(verb.draw, model, rows)
                )
                return Response(picture, headers={**headers, "X-Model": f"{model.name}:{model.version}"}, media_type=bodies.PNG)
            told = (verb, model, options, rows, items)
            predictions = await asyncio.to_thread(self._said, *told) if long else self._said(*told)
        return answer({"model": model.name, "version": model.version, "predictions": predictions}, headers)

    def _lookup(self, router: APIRouter, family: str, lookup: Lookup) -> None:
        async def handler(request: Request) -> Response:
            options = bodies.validated(lookup.Options, dict(request.query_params))
            with self._registry.chosen(family, options.model, options.version).lease() as model:
                said = await asyncio.to_thread(lookup.answer, model.assets, options)
            return answer({"model": model.name, "version": model.version, **said})

        router.add_api_route(
            f"/v1/{lookup.name}",
            handler,
            name=lookup.name,
            summary=lookup.summary,
            description=lookup.Answer.__doc__,
            tags=[family],
            response_model=openapi.lookup_response(lookup),
            responses={status: openapi.ERRORS[status] for status in (404, 422, 503)},
            openapi_extra={"parameters": openapi.query(lookup.Options)},
        )

    async def _items(self, verb: Verb, body: Body, model: Model) -> tuple[list[Item], bool]:
        """The body's inputs, prepared, and whether that was long; in a thread when it is."""
        if len(body.data) > SHORT_WORK:
            return await asyncio.to_thread(self._prepare, verb, body, model), True
        inputs = verb.reader.read(body, verb.Request, self._settings)
        if sum(verb.reader.work(one, self._settings) for one in inputs) > SHORT_WORK:
            return await asyncio.to_thread(self._preprocess, verb, inputs, model), True
        return self._preprocess(verb, inputs, model), False

    @staticmethod
    def _said(verb: Verb, model: Model, options: Any, rows: list[Arrays], items: list[Item]) -> list[dict[str, Any]]:
        """The answers as predictions, one for each row."""
        return [
            verb.postprocess(row, item.about, model.assets, options)
            for answered, item in zip(rows, items, strict=True)
            for row in tensors.singles(answered)
        ]

    @staticmethod
    def _drawn(draw: Callable[[Arrays, Any], Pixels], model: Model, rows: list[Arrays]) -> bytes:
        """The answers' pictures as one PNG."""
        return images.to_png(images.grid([draw(row, model.assets) for answered in rows for row in tensors.singles(answered)]))

    def _prepare(self, verb: Verb, body: Body, model: Model) -> list[Item]:
        inputs = verb.reader.read(body, verb.Request, self._settings)
        for one in inputs:
            verb.reader.work(one, self._settings)  # refuses what is too large before any of it is decoded
        return self._preprocess(verb, inputs, model)

    @staticmethod
    def _preprocess(verb: Verb, inputs: list[Any], model: Model) -> list[Item]:
        return [verb.preprocess(one, model.assets) for one in inputs]

    def _wait(self, request: Request) -> Callable[["asyncio.Future[Result]"], Awaitable[Result]]:
        return lambda future: patiently(future, request, self._settings.deadline_s)

    # operations

    def _operations(self, router: APIRouter) -> None:
        registry = self._registry

        @router.get("/v1/models", tags=["models"], summary="What is served")
        async def models() -> Response:
            return answer(
                {
                    "models": [_card(versions) for versions in registry.models().values()],
                    "refused": [
                        {"name": one.found.name, "version": one.found.version, "reason": one.reason}
                        for one in registry.refused()
                    ],
                }
            )

        @router.get(
            "/v1/models/{name}", tags=["models"], summary="Where a model comes from", responses={404: openapi.ERRORS[404]}
        )
        async def model(name: Name) -> Response:
            newest = registry.get(name)
            versions = registry.models()[newest.name]
            return answer(
                {
                    **_card(versions),
                    "provider": self._provider,
                    "manifest": newest.manifest.public(),
                    "cost": newest.cost.public(),
                }
            )

        @router.get("/metrics", tags=["operations"], summary="For Prometheus", response_class=Response)
        async def prometheus() -> Response:
            return Response(metrics.expose(), media_type=metrics.CONTENT_TYPE)

        @router.get("/v2/health/live", tags=["operations"], summary="Whether the process runs")
        async def live() -> Response:
            return answer({"live": True})

        @router.get(
            "/v2/health/ready",
            tags=["operations"],
            summary="Whether it should get requests",
            responses={503: openapi.ERRORS[503]},
        )
        async def ready() -> Response:
            if reason := registry.not_ready():
                raise Unavailable(reason)
            return answer({"ready": True, "live": True, "provider": self._provider})

    # tensors

    def _tensors(self, router: APIRouter) -> None:
        registry = self._registry

        @router.get("/v2/", tags=["tensors"], include_in_schema=False)
        @router.get("/v2", tags=["tensors"], summary="What this server is")
        async def server() -> Response:
            return answer({"name": "modelyard", "version": __version__, "extensions": list(protocol.EXTENSIONS)})

        async def metadata(name: Name, version: Version | None = None) -> Response:
            found = registry.get(name, version)
            return answer(protocol.model_metadata(found.manifest, [one.version for one in registry.models()[found.name]]))

        async def ready(name: Name, version: Version | None = None) -> Response:
            found = registry.get(name, version)
            if found.dead or registry.draining:
                raise Unavailable(found.dead or "The service is shutting down.")
            return answer({"name": found.name, "ready": True})

        async def infer(request: Request, name: Name, version: Version | None = None) -> Response:
            return await self._infer(request, name, version)

        table: tuple[tuple[str, str, Callable[..., Any], str, dict[str, Any] | None], ...] = (
            ("", "GET", metadata, "A model's inputs and outputs", None),
            ("/ready", "GET", ready, "Whether a model answers", None),
            ("/infer", "POST", infer, "Tensors in, tensors out", openapi.INFER_EXTRA),
        )
        for suffix, method, handler, summary, extra in table:
            for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
                router.add_api_route(
                    path + suffix,
                    handler,
                    methods=[method],
                    tags=["tensors"],
                    summary=summary,
                    responses=openapi.ERRORS,
                    openapi_extra=extra,
                    operation_id=f"{handler.__name__}{'_of_version' if 'version}' in path else ''}",
                )

    async def _infer(self, request: Request, name: str, version: str | None) -> Response:
        stated = request.headers.get(protocol.LENGTH_HEADER)
        data = await read_body(request, self._settings)
        with self._registry.get(name, version).lease() as model:
            begun = time.perf_counter()
            inline = len(data) <= SHORT_WORK
            asked = (
                self._tensor_request(data, stated, model)
                if inline
                else await asyncio.to_thread(self._tensor_request, data, stated, model)
            )
            decode_s = time.perf_counter() - begun
            rows, timing = await model.predict([asked.arrays], model.room.predict, self._wait(request))
            content, written = protocol.render_response(model.manifest, rows[0], asked)
        headers = {"Server-Timing": _server_timing(decode_s, timing)}
        if written is None:
            return answer(content, headers)
        return Response(content, headers={**headers, protocol.LENGTH_HEADER: str(written)}, media_type=bodies.OCTETS)

    def _tensor_request(self, data: bytes, stated: str | None, model: Model) -> protocol.Inference:
        def parse(written: bytes | memoryview) -> object:
            return bodies.parse_json(bytes(written), self._settings.max_json_depth)

        asked = protocol.read_request(data, stated, model.manifest.graph, self._settings, parse)
        tensors.check(asked.arrays, model.manifest.graph.inputs, model.manifest.limits)
        return asked


def _card(versions: list[Model]) -> dict[str, Any]:
    manifest = versions[0].manifest
    return {
        "name": manifest.name,
        "family": manifest.family,
        "summary": manifest.summary,
        "version": manifest.version,
        "versions": [one.version for one in versions],
        "default": manifest.default,
        "verbs": [f"/v1/{verb.name}" for verb in versions[0].room.verbs if verb.suits(manifest)],
        "scores": manifest.scores,
        "baselines": manifest.baselines,
        "evaluate": manifest.evaluate,
        "source": manifest.source.model_dump(),
        "trained": manifest.training.finished.isoformat(),
        "parameters": manifest.training.parameters,
        "size_bytes": sum(file.size_bytes for file in manifest.files.values()),
    }


def _server_timing(decode_s: float, timing: Timing) -> str:
    return (
        f"decode;dur={decode_s * 1e3:.3f}, queue;dur={timing.queue_s * 1e3:.3f}, "
        f'compute;dur={timing.compute_s * 1e3:.3f};desc="batch of {timing.batch_rows}"'
    )
