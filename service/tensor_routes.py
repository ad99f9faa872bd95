"""The paths of the Open Inference Protocol: path -> one call. Knows FastAPI, the registry and `protocol`; computes nothing.

Every error under these paths is one that the protocol's clients know.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from service import __version__, bodies, compression, family, http, media, openapi, protocol, rendering, tensors
from service.answering import Answered, answering
from service.edge import Said
from service.errors import BadRequest, NotImplementedHere, ServiceError, Unavailable, UnsupportedMedia, shown
from service.follower import Follower
from service.http import SHORT_WORK, Asked, Lean, answer
from service.model import Model
from service.registry import Registry
from service.settings import Settings
from service.tensor_request import LONG_BODY, Tensors

Name = Annotated[str, Path(max_length=200, examples=["digits"])]
Version = Annotated[str, Path(max_length=200, examples=["1"])]
KNOWN = frozenset({400, 404, 405, 408, 413, 501, 503, 504})
"""Of the statuses below 500 and beyond, those that the protocol's clients expect: any other fault of a request is 400."""
PATHS = ("/v2/models/{name}", "/v2/models/{name}/versions/{version}")
LENGTH_HEADER = protocol.LENGTH_HEADER.encode()
TRACE = {"trace_level": ["OFF"], "trace_rate": "0", "trace_count": "0", "log_frequency": "0", "trace_file": ""}
LOGGING = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}
"""What clients that ask for settings of traces and logs are told; a setting that is sent changes nothing."""


class ProtocolRoute(APIRoute):
    """A route whose errors are the protocol's: a value that is wrong is 400, as whatever else is wrong with a request."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """FastAPI's own, with other errors."""
        handler = super().get_route_handler()

        async def protocolled(request: Request) -> Response:
            try:
                found: Response = await handler(request)
            except ServiceError as error:
                raise protocols(error) from error
            except RequestValidationError as error:
                raise protocols(http.wrong_parameter(error.errors()[0])) from error
            return found

        return protocolled


def protocols(error: ServiceError) -> ServiceError:
    """The error as the protocol has it: a value that is wrong is 400, as whatever else is wrong with a request."""
    return BadRequest(error.message) if error.status < 500 and error.status not in KNOWN else error


class TensorRoutes:
    """The handlers, with what they share."""

    def __init__(self, settings: Settings, registry: Registry, follower: Follower) -> None:
        self._settings, self._registry, self._follower = settings, registry, follower

    def router(self) -> APIRouter:
        """All of them."""
        router = APIRouter(redirect_slashes=False, route_class=ProtocolRoute)
        self._repository(router)
        self._not_offered(router)
        self._models(router)
        return router

    # models

    def _models(self, router: APIRouter) -> None:
        registry = self._registry

        @router.get("/v2/", include_in_schema=False)
        @router.get("/v2", tags=["tensors"], summary="What this server is", responses=openapi.errors())
        async def server() -> Response:
            return answer({"name": "modelyard", "version": __version__, "extensions": list(protocol.EXTENSIONS)})

        @router.get("/v2/models", tags=["tensors"], summary="The names of what is served", responses=openapi.errors())
        async def models() -> Response:
            return answer({"models": list(registry.models())})

        async def metadata(name: Name, version: Version | None = None) -> Response:
            found = registry.get(name, version)
            versions = [one.version for one in registry.models()[found.name]]
            return answer(protocol.model_metadata(found.manifest, versions, _raw_name(found)))

        async def ready(name: Name, version: Version | None = None) -> Response:
            found = registry.get(name, version)
            if found.dead or registry.draining:
                raise Unavailable(found.dead or "The service is shutting down.")
            return answer({"name": found.name, "ready": True})

        async def config(name: Name, version: Version | None = None) -> Response:
            found = registry.get(name, version)
            return answer(protocol.model_config(found.manifest, self._settings, _raw_name(found)))

        async def stats(name: Name, version: Version | None = None) -> Response:
            found = registry.get(name, version)
            return answer(_statistics([found] if version else registry.models()[found.name]))

        table: tuple[tuple[str, str, Callable[..., Any], str, dict[str, Any] | None], ...] = (
            ("", "GET", metadata, "A model's inputs and outputs", None),
            ("/ready", "GET", ready, "Whether a model answers", None),
            ("/config", "GET", config, "How a model is run", None),
            ("/stats", "GET", stats, "How often a model ran, and how long it took", None),
            ("/infer", "POST", self.infer, "Tensors in, tensors out", openapi.INFER_EXTRA),
        )
        for suffix, method, handler, summary, extra in table:
            for path in PATHS:
                router.add_api_route(
                    path + suffix,
                    handler,
                    methods=[method],
                    tags=["tensors"],
                    summary=summary,
                    responses=openapi.INFER_RESPONSES if extra else openapi.PROTOCOL_ERRORS,
                    openapi_extra=extra,
                    operation_id=f"{handler.__name__}{'_of_version' if 'version}' in path else ''}",
                )

    def lean(self) -> list[Lean]:
        """Inference."""
        return [Lean(f"{path}/infer", self._infer) for path in PATHS]

    async def infer(self, request: Request, name: Name, version: Version | None = None) -> Response:
        """Tensors in, tensors out."""
        try:
            asked = await http.asked(request, self._settings)
        except UnsupportedMedia as error:
            raise NotImplementedHere(error.message) from error
        return http.response(await self._infer(asked, name, version))

    async def _infer(self, asked: Asked, name: str, version: str | None = None) -> Said:
        try:
            kind = media.media_type(asked.headers.get(b"content-type", b""))
            sent = Tensors(protocol.Sent(asked.data, asked.header(LENGTH_HEADER), kind), self._settings)
            model = self._registry.get(name, version)
            trial = self._registry.trial(model, version)

            async def say(done: Answered) -> Said:
                return await _rendered(done, sent, asked.header(b"accept-encoding") or "")

            return await answering(sent, model, trial, asked.wait, say)
        except ServiceError as error:
            raise protocols(error) from error

    # the repository

    def _repository(self, router: APIRouter) -> None:
        registry, follower = self._registry, self._follower

        @router.get("/v2/models/stats", tags=["tensors"], summary="How often each model ran", responses=openapi.errors())
        async def all_stats() -> Response:
            return answer(_statistics([one for versions in registry.models().values() for one in versions]))

        @router.post(
            "/v2/repository/index",
            tags=["repository"],
            summary="Every version, and why one is not served",
            responses=openapi.errors(400, 413),
            openapi_extra=openapi.control_extra({"ready": True}),
        )
        async def index(request: Request) -> Response:
            only_ready = (await self._document(request)).get("ready") is True
            return answer(
                [
                    {"name": name, "version": str(version), "state": state, "reason": reason}
                    for name, entry in sorted(registry.entries.items())
                    for version, (state, reason) in entry.states().items()
                    if state == "READY" or not only_ready
                ]
            )

        @router.post(
            "/v2/repository/models/{name}/load",
            tags=["repository"],
            summary="Serve a model",
            responses=openapi.PROTOCOL_ERRORS,
            openapi_extra=openapi.control_extra({"parameters": {}}),
        )
        async def load(request: Request, name: Name) -> Response:
            parameters = (await self._document(request)).get("parameters") or {}
            if parameters:
                names = shown(", ".join(parameters))
                raise NotImplementedHere(f"Parameters {names} of a load are not taken; publish a version instead.")
            _known(registry, name)
            await follower.change(name, unloaded=False)
            entry = registry.entries.get(name)
            if entry is None or entry.answering is None:
                raise BadRequest(entry.silence(name) if entry else f"Model {shown(name)} is gone.")
            return answer({})

        @router.post(
            "/v2/repository/models/{name}/unload",
            tags=["repository"],
            summary="Serve a model no longer",
            responses=openapi.PROTOCOL_ERRORS,
            openapi_extra=openapi.control_extra({"parameters": {"unload_dependents": False}}),
        )
        async def unload(request: Request, name: Name) -> Response:
            await self._document(request)
            _known(registry, name)
            await follower.change(name, unloaded=True)
            return answer({})

    async def _document(self, request: Request) -> dict[str, Any]:
        """A control request's body: an object, or nothing."""
        data = await http.read_body(request, self._settings)
        deepest, long = self._settings.max_json_depth, len(data) > SHORT_WORK
        found = await http.at_leisure(bodies.parse_json, data, deepest, long=long) if data.strip() else {}
        if not isinstance(found, dict) or not isinstance(found.get("parameters") or {}, dict):
            raise BadRequest(f"The body is {shown(found)}; expected an object.")
        return found

    # what the protocol has and this service has not

    @staticmethod
    def _not_offered(router: APIRouter) -> None:
        def says(path: str, methods: list[str], content: object) -> None:
            async def handler() -> Response:
                return answer(content)

            router.add_api_route(path, handler, methods=methods, include_in_schema=False)

        async def register() -> Response:
            raise NotImplementedHere("Shared memory is not offered; send tensors in the body.")

        says("/v2/logging", ["GET", "POST"], LOGGING)
        for path in ("/v2/trace/setting", "/v2/models/{name}/trace/setting"):
            says(path, ["GET", "POST"], TRACE)
        for kind in ("system", "cuda"):
            for region in ("", "/region/{region}"):
                path = f"/v2/{kind}sharedmemory{region}"
                says(f"{path}/status", ["GET"], [])
                says(f"{path}/unregister", ["POST"], {})
                router.add_api_route(f"{path}/register", register, methods=["POST"], include_in_schema=False)


async def _rendered(done: Answered, asked: Tensors, accepted: str) -> Said:
    """The outputs as they are wanted: as JSON or as bytes, packed where the client names just one way of packing."""
    if asked.asked is None:
        raise TypeError("answered without having been read")
    outputs = tensors.join(done.rows)
    render = partial(rendering.response, done.model.manifest, outputs, asked.asked)
    long = sum(array.size for array in outputs.values()) > LONG_BODY // 8
    content, written = await asyncio.to_thread(render) if long else render()
    headers = http.server_timing(done.decode_s, done.timing)
    if written is not None:
        headers[protocol.LENGTH_HEADER] = str(written)
    if accepted in compression.WAYS:
        content = await http.at_leisure(compression.packed, content, accepted, long=len(content) > SHORT_WORK)
        headers["Content-Encoding"] = accepted
    return Said(content, headers, media=media.JSON if written is None else media.OCTETS)


def _statistics(models: list[Model]) -> dict[str, Any]:
    return {"model_stats": [one.statistics.public(one.name, one.version) for one in models]}


def _raw_name(model: Model) -> str | None:
    raw = family.raw(model.room)
    return raw.name if raw else None


def _known(registry: Registry, name: str) -> None:
    """Raises where the repository has no such model."""
    if name not in registry.entries:
        registry.get(name)
