"""The HTTP table of typed verbs and operations: path -> one call. Knows FastAPI, the registry and the verbs; computes nothing.

Bodies are read as bytes and parsed by `bodies`, not by FastAPI: no pydantic over large arrays, and one error form. What FastAPI
would have documented is written beside each route from the same pydantic classes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from service import bodies, http, images, lineage, media, metrics, openapi, tensors
from service.answering import Answered, answering
from service.bodies import Body
from service.digit import Pixels
from service.edge import Said, said
from service.errors import InvalidInput, TooLarge, Unavailable, UnknownVersion, shown
from service.family import MOST_FURTHER, Item, Lookup, Options, Predict, Room, Verb, lookups
from service.golden import Arrays
from service.http import SHORT_WORK, Asked, Lean, answer
from service.manifest import VERSION, Manifest
from service.model import Model
from service.registry import Entry, Registry
from service.settings import Settings

Name = Annotated[str, Path(max_length=200, examples=["digits"])]
Version = Annotated[str | None, Query(max_length=20, examples=["1"], description="the one that answers where none is given")]
Against = Annotated[str | None, Query(max_length=20, examples=["1"], description="another version, to be compared with")]


@dataclass
class Typed:
    """A typed request that came in; each version prepares it with its own assets."""

    verb: Verb
    options: Options
    body: Body
    settings: Settings
    long: bool = False
    """Whether preparing it was long."""

    def predict(self, model: Model) -> Predict:
        """What the verb runs for these options."""
        return self.verb.further(self.options, model.manifest) or self.verb.predict

    def prepare(self, model: Model) -> list[Item]:
        """The body's inputs, prepared."""
        inputs = self._read(model)
        self._work(inputs)  # refuses what is too large before any of it is decoded
        return self._preprocess(inputs, model)

    async def decode(self, model: Model) -> list[Item]:
        """`prepare`, in a thread where it is long."""
        self.long = len(self.body.data) > SHORT_WORK
        if self.long:
            return await model.gate.aside(self.prepare, model)
        inputs = self._read(model)
        self.long = self._work(inputs) > SHORT_WORK
        return await model.gate.aside(self._preprocess, inputs, model) if self.long else self._preprocess(inputs, model)

    def _read(self, model: Model) -> list[Any]:
        if not self.verb.suits(model.manifest):
            raise InvalidInput(f"Model '{model.name}' (version {model.version}) does not answer '/v1/{self.verb.name}'.")
        inputs = self.verb.reader.read(self.body, self.verb.Request, self.settings)
        if self.verb.further(self.options, model.manifest) and len(inputs) > MOST_FURTHER:
            raise TooLarge(f"The request has {len(inputs)} inputs; with this query at most {MOST_FURTHER} are taken.")
        return inputs

    def _work(self, inputs: list[Any]) -> int:
        return sum(self.verb.reader.work(one, self.settings) for one in inputs)

    def _preprocess(self, inputs: list[Any], model: Model) -> list[Item]:
        return [self.verb.preprocess(one, model.assets) for one in inputs]


class Routes:
    """The handlers, with what they share."""

    def __init__(self, settings: Settings, registry: Registry, rooms: dict[str, Room], provider: str) -> None:
        self._settings, self._registry, self._rooms, self._provider = settings, registry, rooms, provider
        self.numbers: Callable[[], Awaitable[bytes]] = _own_numbers
        """The metrics that are told."""

    def router(self) -> APIRouter:
        """All routes but the page's and the protocol's."""
        router = APIRouter(redirect_slashes=False)
        for family, room in self._rooms.items():
            for verb in room.verbs:
                self._verb(router, family, verb)
            for lookup in lookups(room):
                self._lookup(router, family, lookup)
        self._models(router)
        self._operations(router)
        return router

    # typed verbs

    def _verb(self, router: APIRouter, family: str, verb: Verb) -> None:
        answers = self._leanly(family, verb)

        async def handler(request: Request) -> Response:
            return http.response(await answers(await http.asked(request, self._settings)))

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

    def lean(self) -> list[Lean]:
        """The verbs."""
        return [
            Lean(f"/v1/{verb.name}", self._leanly(family, verb)) for family, room in self._rooms.items() for verb in room.verbs
        ]

    def _leanly(self, family: str, verb: Verb) -> Callable[[Asked], Coroutine[Any, Any, Said]]:
        async def answers(asked: Asked) -> Said:
            options = bodies.validated(verb.Options, asked.parameters()) if asked.query else verb.Options()
            body = Body.of(asked.data, asked.headers.get(b"content-type", b""))
            typed = Typed(verb, options, body, self._settings)
            model = self._registry.chosen(family, options.model, options.version, verb)
            trial = self._registry.trial(model, options.version)

            async def say(done: Answered) -> Said:
                headers = http.server_timing(done.decode_s, done.timing)
                name, version = done.model.name, done.model.version
                if verb.draw and media.wants(media.PNG, asked.header(b"accept") or ""):
                    picture = await http.at_leisure(_drawn, verb.draw, done, long=typed.long)
                    return Said(picture, {**headers, "X-Model": f"{name}:{version}"}, media=media.PNG)
                predictions = await http.at_leisure(_said, verb, done, options, long=typed.long)
                return said({"model": name, "version": version, "predictions": predictions}, headers)

            return await answering(typed, model, trial, asked.wait, say)

        return answers

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
            responses=openapi.errors(404, 422, 503),
            openapi_extra={"parameters": openapi.query(lookup.Options)},
        )

    # models

    def _models(self, router: APIRouter) -> None:
        registry = self._registry
        errors = openapi.errors(404, 422, 503)

        @router.get("/v1/models", tags=["models"], summary="What is served", responses=openapi.errors())
        async def models() -> Response:
            return answer(
                {
                    "models": [_card(registry.get(name), entry) for name, entry in _answering(registry)],
                    "refused": [
                        {"name": one.found.name, "version": one.found.version, "reason": one.reason}
                        for one in registry.refused()
                    ],
                }
            )

        @router.get("/v1/models/{name}", tags=["models"], summary="Where a model comes from", responses=errors)
        async def model(name: Name, version: Version = None, against: Against = None) -> Response:
            found = registry.get(name, version)
            entry = registry.entries[found.name]
            other = None if against is None else await asyncio.to_thread(_manifest, entry, found.name, against)
            states = entry.states().items()
            return answer(
                {
                    **_card(found, entry),
                    "provider": found.provider,
                    "states": [{"version": number, "state": state, "reason": reason} for number, (state, reason) in states],
                    "policy": entry.policy.model_dump(),
                    "trial": entry.trial.public() if entry.trial else None,
                    "lineage": lineage.lineage(found.manifest),
                    "difference": lineage.difference(other, found.manifest) if other else None,
                    "manifest": found.manifest.public(),
                    "cost": found.cost.public(),
                }
            )

        @router.get("/v1/models/{name}/samples", tags=["models"], summary="Inputs to try a model with", responses=errors)
        async def samples(name: Name, version: Version = None) -> Response:
            found = registry.get(name, version)
            return answer({"model": found.name, "version": found.version, **found.samples.model_dump()})

        @router.get("/v1/models/{name}/drift", tags=["models"], summary="How far requests are from training", responses=errors)
        async def drift(name: Name, version: Version = None) -> Response:
            found = registry.get(name, version)
            return answer({"model": found.name, "version": found.version, **found.drift.public()})

    # operations

    def _operations(self, router: APIRouter) -> None:
        registry = self._registry

        @router.get(
            "/metrics", tags=["operations"], summary="For Prometheus", response_class=Response, responses=openapi.errors()
        )
        async def prometheus() -> Response:
            return Response(await self.numbers(), media_type=metrics.CONTENT_TYPE)

        @router.get("/v2/health/live", tags=["operations"], summary="Whether the process runs", responses=openapi.errors())
        async def live() -> Response:
            return answer({"live": True})

        @router.get(
            "/v2/health/ready",
            tags=["operations"],
            summary="Whether it should get requests",
            responses=openapi.errors(503),
        )
        async def ready() -> Response:
            if reason := registry.not_ready():
                raise Unavailable(reason)
            return answer({"ready": True, "live": True, "provider": registry.provider(self._provider)})


async def _own_numbers() -> bytes:
    return metrics.expose()


def _said(verb: Verb, done: Answered, options: Options) -> list[dict[str, Any]]:
    """The answers as predictions, one for each row."""
    return [
        verb.postprocess(row, item.about, done.model.assets, options)
        for answered, item in zip(done.rows, done.items, strict=True)
        for row in tensors.singles(answered)
    ]


def _drawn(draw: Callable[[Arrays, Any], Pixels], done: Answered) -> bytes:
    """The answers' pictures as one PNG."""
    pictures = [draw(row, done.model.assets) for answered in done.rows for row in tensors.singles(answered)]
    return images.to_png(images.grid(pictures))


def _answering(registry: Registry) -> list[tuple[str, Entry]]:
    return [(name, entry) for name, entry in sorted(registry.entries.items()) if entry.answering]


def _manifest(entry: Entry, name: str, version: str) -> Manifest:
    """Of a version that is served or on disk. Raises InvalidInput and UnknownVersion."""
    if not VERSION.fullmatch(version):
        raise InvalidInput(f"Parameter 'against' is {shown(version)}; expected a whole number from 1.")
    number = int(version)
    if number in entry.served:
        return entry.served[number][1].manifest
    try:
        return Manifest.read(entry.found[number].folder)
    except (KeyError, OSError, ValueError) as error:
        there = sorted({*entry.found, *entry.served}, reverse=True)
        raise UnknownVersion(f"Version {number} of '{name}' cannot be compared with; there are {there}.") from error


def _card(model: Model, entry: Entry) -> dict[str, Any]:
    manifest = model.manifest
    return {
        "name": manifest.name,
        "family": manifest.family,
        "summary": manifest.summary,
        "version": manifest.version,
        "versions": sorted(entry.served, reverse=True),
        "default": manifest.default,
        "verbs": [f"/v1/{verb.name}" for verb in model.room.verbs if verb.suits(manifest)],
        "gate": manifest.gate,
        "scores": manifest.scores,
        "baselines": manifest.baselines,
        "evaluate": manifest.evaluate,
        "source": manifest.source.model_dump(),
        "trained": manifest.training.finished.isoformat(),
        "parameters": manifest.training.parameters,
        "size_bytes": sum(file.size_bytes for file in manifest.files.values()),
    }
