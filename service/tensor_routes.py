"""The paths of the Open Inference Protocol: path -> one call. Knows FastAPI, the registry and `protocol`; computes nothing.

What a model's family makes of raw inputs (texts, encoded pictures) is asked of its room, so that tensors and typed verbs give
the same numbers. Every error under these paths is one that the protocol's clients know.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Path, Request, Response
from fastapi.routing import APIRoute

from service import __version__, bodies, compression, family, http, openapi, protocol, tensors
from service.answering import Answered, answering
from service.errors import BadRequest, NotImplementedHere, ServiceError, TooLarge, Unavailable, UnsupportedMedia, shown
from service.family import Item, Predict, Raw
from service.follower import Follower
from service.golden import Array, Arrays
from service.http import SHORT_WORK, answer
from service.model import Model
from service.registry import Registry
from service.settings import Settings

Done = TypeVar("Done")
Name = Annotated[str, Path(max_length=200, examples=["digits"])]
Version = Annotated[str, Path(max_length=200, examples=["1"])]
KNOWN = frozenset({400, 404, 405, 408, 413, 501, 503, 504})
"""Of the statuses below 500 and beyond, those that the protocol's clients expect: any other fault of a request is 400."""
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


@dataclass
class Tensors:
    """A request for inference that came in; each version reads it by its own manifest."""

    body: protocol.Sent
    settings: Settings
    asked: protocol.Inference | None = None
    """As the version that was asked last read it."""

    def predict(self, model: Model) -> Predict:
        """All outputs."""
        return model.room.predict

    def prepare(self, model: Model) -> list[Item]:
        """The tensors as one item; raw inputs as an item each."""
        return self._items(model, *self._read(model))

    async def decode(self, model: Model) -> list[Item]:
        """`prepare`, in a thread where it is long; remembers what is `asked`."""
        asked, inputs = await http.at_leisure(self._read, model, long=len(self.body.data) > SHORT_WORK)
        self.asked = asked
        work = sum(_each(inputs or [], lambda raw, one: raw.verb.reader.work(one, self.settings), model))
        return await http.at_leisure(self._items, model, asked, inputs, long=work > SHORT_WORK)

    def _read(self, model: Model) -> tuple[protocol.Inference, list[Any] | None]:
        """What is asked, and its raw inputs where it has those instead of tensors."""

        def parse(written: bytes | memoryview) -> object:
            return bodies.parse_json(bytes(written), self.settings.max_json_depth)

        raw = family.raw(model.room)
        asked = protocol.read_request(self.body, model.manifest.graph, raw.name if raw else None, self.settings, parse)
        if raw is None or raw.name not in asked.arrays:
            tensors.check(asked.arrays, model.manifest.graph.inputs, model.manifest.limits)
            return asked, None
        elements = _elements(asked.arrays, raw, self.settings)
        return asked, _each(elements, lambda raw, element: raw.read(element, self.settings), model)

    @staticmethod
    def _items(model: Model, asked: protocol.Inference, inputs: list[Any] | None) -> list[Item]:
        if inputs is None:
            return [Item(asked.arrays)]
        return _each(inputs, lambda raw, one: raw.verb.preprocess(one, model.assets), model)


def _elements(arrays: Arrays, raw: Raw, settings: Settings) -> list[bytes]:
    """Of the input that stands for all others."""
    if len(arrays) > 1:
        raise BadRequest(f"Input '{raw.name}' stands for all inputs; {sorted(set(arrays) - {raw.name})} came beside it.")
    array: Array = arrays[raw.name]
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)) or not len(array):
        raise BadRequest(f"Input '{raw.name}' has shape {list(array.shape)}; expected [-1, 1] or [-1].")
    if len(array) > settings.max_items:
        raise TooLarge(f"Input '{raw.name}' has {len(array)} elements; expected at most {settings.max_items}.")
    return list(array.reshape(-1))


def _each(elements: Sequence[Any], does: Callable[[Raw, Any], Done], model: Model) -> list[Done]:
    """What `does` makes of each element of a model's raw input. Raises with the place of the first that is wrong."""
    raw = family.raw(model.room)
    found = list[Done]()
    for index, element in enumerate(elements):
        try:
            if raw:
                found.append(does(raw, element))
        except ServiceError as error:
            raise type(error)(f"Element {index} of an input of BYTES: {error.message}") from error
    return found


class ProtocolRoute(APIRoute):
    """A route whose errors are the protocol's: a value that is wrong is 400, as whatever else is wrong with a request."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """FastAPI's own, with other errors."""
        handler = super().get_route_handler()

        async def protocolled(request: Request) -> Response:
            try:
                found: Response = await handler(request)
            except ServiceError as error:
                if error.status < 500 and error.status not in KNOWN:
                    raise BadRequest(error.message) from error
                raise
            return found

        return protocolled


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
        @router.get("/v2", tags=["tensors"], summary="What this server is")
        async def server() -> Response:
            return answer({"name": "modelyard", "version": __version__, "extensions": list(protocol.EXTENSIONS)})

        @router.get("/v2/models", tags=["tensors"], summary="The names of what is served")
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
            for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
                router.add_api_route(
                    path + suffix,
                    handler,
                    methods=[method],
                    tags=["tensors"],
                    summary=summary,
                    responses=openapi.PROTOCOL_ERRORS,
                    openapi_extra=extra,
                    operation_id=f"{handler.__name__}{'_of_version' if 'version}' in path else ''}",
                )

    async def infer(self, request: Request, name: Name, version: Version | None = None) -> Response:
        """Tensors in, tensors out."""
        headers = request.headers
        try:
            data = await http.read_body(request, self._settings)
        except UnsupportedMedia as error:
            raise NotImplementedHere(error.message) from error
        body = bodies.Body.of(data, headers.get("content-type", "").encode("latin-1"))
        asked = Tensors(protocol.Sent(data, headers.get(protocol.LENGTH_HEADER), body.media), self._settings)
        model = self._registry.get(name, version)
        trial = self._registry.trial(model, version)
        async with answering(asked, model, trial, http.waits(request, self._settings)) as done:
            return await _rendered(done, asked, headers.get("accept-encoding", ""))

    # the repository

    def _repository(self, router: APIRouter) -> None:
        registry, follower = self._registry, self._follower

        @router.get("/v2/models/stats", tags=["tensors"], summary="How often each model ran")
        async def all_stats() -> Response:
            return answer(_statistics([one for versions in registry.models().values() for one in versions]))

        @router.post(
            "/v2/repository/index",
            tags=["repository"],
            summary="Every version, and why one is not served",
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
                raise NotImplementedHere(f"Parameters {sorted(parameters)} of a load are not taken; publish a version instead.")
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
        found = bodies.parse_json(data, self._settings.max_json_depth) if data.strip() else {}
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


async def _rendered(done: Answered, asked: Tensors, accepted: str) -> Response:
    """The outputs as they are wanted: as JSON or as bytes, packed where the client names just one way of packing."""
    if asked.asked is None:
        raise TypeError("answered without having been read")
    outputs = tensors.join(done.rows)
    long = sum(array.size for array in outputs.values()) > SHORT_WORK // 4
    content, written = await http.at_leisure(protocol.render_response, done.model.manifest, outputs, asked.asked, long=long)
    headers = http.server_timing(done.decode_s, done.timing)
    if written is not None:
        headers[protocol.LENGTH_HEADER] = str(written)
    if accepted in compression.WAYS:
        content = await http.at_leisure(compression.packed, content, accepted, long=len(content) > SHORT_WORK)
        headers["Content-Encoding"] = accepted
    if written is None:
        return answer(content, headers)
    return Response(content, headers=headers, media_type=bodies.OCTETS)


def _statistics(models: list[Model]) -> dict[str, Any]:
    return {"model_stats": [one.statistics.public(one.name, one.version) for one in models]}


def _raw_name(model: Model) -> str | None:
    raw = family.raw(model.room)
    return raw.name if raw else None


def _known(registry: Registry, name: str) -> None:
    """Raises where the repository has no such model."""
    if name not in registry.entries:
        registry.get(name)
