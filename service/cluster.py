"""The service on Ray Serve: the same app in replicas on several machines, scaled by how many requests wait.

    python -m service.cluster --replicas 2                 a Ray of its own, here; or, with --address, one that runs
    serve run service.cluster:application min=1 max=8      the same by Ray's own command

    clients -> Ray's proxy, on each machine (`gateway`) -> a replica: the app, its batcher, its graphs -> …
                                                           replicas -> `Registrar`, one actor: words, numbers

Batches are made in a replica, by its own batcher. Replicas switch versions together as workers on one port do, with an actor
for a board; any of them tells the metrics of all. Knows Ray, the app and the settings; knows no model. The extra `ray`.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, Field, ValidationError, model_validator
from ray import serve
from ray.serve.schema import LoggingConfig

from service import access, gateway, logs, metrics
from service.app import Crew, create_app
from service.settings import Settings

NAME = "modelyard"
SEEN_EVERY_S, GONE_S = 0.5, 2.5
"""A replica says so often that it is there; one that has not for so long has no say in a switch any more."""
ASKED_S = 2.0
"""An actor that does not answer within this is away."""
REPLICA = "replica"
"""The label of its own that each replica's metrics have."""

log = logging.getLogger("modelyard.cluster")


class Asked(BaseModel):
    """What a deployment can be told."""

    min: int = Field(1, ge=1, le=1000)
    """Replicas at least."""
    max: int = Field(1, ge=1, le=1000)
    """Replicas at most: more are started while more than `ongoing` requests wait in each."""
    ongoing: int = Field(64, ge=1, le=100_000)
    cpus: float = Field(1.0, gt=0, le=1024)
    """Of one replica."""

    @model_validator(mode="after")
    def _in_order(self) -> "Asked":
        self.max = max(self.min, self.max)
        return self


@ray.remote(num_cpus=0, max_restarts=-1)
class Registrar:
    """What replicas leave for each other: who is there, words on versions, numbers. Made anew it is told all of it again."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._words: dict[str, float] = {}
        self._numbers: dict[str, bytes] = {}

    def seen(self, replica: str, numbers: bytes) -> None:
        """A replica is there, and this is what it counted."""
        self._seen[replica], self._numbers[replica] = time.monotonic(), numbers
        for gone in [one for one, when in self._seen.items() if time.monotonic() - when > GONE_S]:
            self.left(gone)

    def left(self, replica: str) -> None:
        """A replica is not there any more, nor what it said."""
        self._seen.pop(replica, None)
        self._numbers.pop(replica, None)
        for word in [one for one in self._words if one.endswith(f"@{replica}")]:
            del self._words[word]

    def replicas(self) -> list[str]:
        """Those that are there."""
        now = time.monotonic()
        return [one for one, when in self._seen.items() if now - when <= GONE_S]

    def put(self, word: str) -> None:
        """Leave a word."""
        self._words[word] = time.monotonic()

    def take(self, words: list[str]) -> None:
        """Take words away."""
        for word in words:
            self._words.pop(word, None)

    def words(self, model: str) -> dict[str, float]:
        """On a model, with their ages in seconds."""
        now = time.monotonic()
        return {word: now - when for word, when in self._words.items() if word.startswith(f"{model}@")}

    def has(self, words: list[str]) -> bool:
        """Whether all are there."""
        return all(word in self._words for word in words)

    def numbers(self) -> dict[str, bytes]:
        """What each replica counted."""
        return dict(self._numbers)


def registrar() -> Any:
    """The one of this cluster, made where there is none."""
    return Registrar.options(name=f"{NAME}-registrar", namespace=NAME, lifetime="detached", get_if_exists=True).remote()  # type: ignore[attr-defined]  # Ray adds it


class ActorBoard:
    """The board of replicas. While the actor is away nothing is settled, and nothing changes."""

    def __init__(self, actor: Any, replica: str) -> None:
        self._actor, self._replica = actor, replica
        self._replicas: list[str] = [replica]

    @property
    def me(self) -> str:
        """The replica's name."""
        return self._replica

    def workers(self) -> int:
        """All that were there when this one last said that it is."""
        return len({*self._replicas, self._replica})

    def alive(self, worker: str) -> bool:
        """Whether it was heard of lately."""
        return worker in self._replicas

    def put(self, word: str) -> None:
        """Leave a word."""
        self._ask("put", None, word)

    def take(self, words: Iterable[str]) -> None:
        """Take words away."""
        self._ask("take", None, list(words))

    def words(self, model: str) -> dict[str, float]:
        """On a model, with their ages in seconds."""
        found: dict[str, float] = self._ask("words", {}, model)
        return found

    def has(self, words: Iterable[str]) -> bool:
        """Whether all are there."""
        return bool(self._ask("has", False, list(words)))

    async def stay(self) -> None:
        """Say again and again that this replica is there, and hear which others are."""
        try:
            while True:
                await asyncio.to_thread(self.said)
                await asyncio.sleep(SEEN_EVERY_S)
        finally:
            await asyncio.to_thread(self.leave)  # so that nobody waits for it

    def said(self) -> None:
        """Once."""
        self._ask("seen", None, self._replica, metrics.expose())
        self._replicas = self._ask("replicas", self._replicas)

    def leave(self) -> None:
        """Say that this replica goes."""
        self._ask("left", None, self._replica)

    def _ask(self, what: str, otherwise: Any, *words: Any) -> Any:
        try:
            return ray.get(getattr(self._actor, what).remote(*words), timeout=ASKED_S)
        except (ray.exceptions.RayError, ray.exceptions.GetTimeoutError) as error:
            log.warning("the registrar is away: %s", str(error).split("\n")[0][:200])
            return otherwise


def replica_app(settings: Settings) -> FastAPI:
    """The app as a replica has it. Called in the replica."""
    logs.configure(settings)
    name = serve.get_replica_context().replica_id.unique_id
    actor = registrar()
    board = ActorBoard(actor, name)
    board.said()

    async def numbers() -> bytes:
        told: dict[str, bytes] = {}
        with suppress(ray.exceptions.RayError):  # then at least its own
            told = await actor.numbers.remote()
        return metrics.joined({**told, name: metrics.expose()}, REPLICA)

    return create_app(settings, Crew(board, board.stay, numbers))


def deployment(asked: Asked, settings: Settings) -> Any:
    """The app of this service for Ray Serve."""

    def build() -> FastAPI:
        return replica_app(settings)

    @serve.deployment(
        name=NAME,
        max_ongoing_requests=settings.max_queue,
        autoscaling_config={
            "min_replicas": asked.min,
            "max_replicas": asked.max,
            "target_ongoing_requests": asked.ongoing,
            "upscale_delay_s": 3.0,
            "downscale_delay_s": 60.0,
        },
        ray_actor_options={"num_cpus": asked.cpus},
        graceful_shutdown_timeout_s=settings.drain_s,
        graceful_shutdown_wait_loop_s=0.5,
        health_check_period_s=2.0,
        health_check_timeout_s=10.0,
        logging_config=LoggingConfig(enable_access_log=False),  # ours has the request's id and the key's name
    )
    @serve.ingress(build)
    class Replica:
        """One process of the service."""

    return Replica


def application(args: dict[str, str]) -> Any:
    """For `serve run service.cluster:application min=1 max=8`. Raises ValidationError."""
    return deployment(Asked.model_validate(args), _settings()).bind()


def _settings() -> Settings:
    """Of a replica: it is one worker, and Ray's proxy is who listens."""
    return Settings(workers=1)


def main(arguments: Sequence[str]) -> int:
    """Serve until told to stop; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m service.cluster", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--replicas", type=int, default=1, help="as many, or that many at least (%(default)s)")
    parser.add_argument("--most", type=int, default=1, help="replicas at most (as many as --replicas)")
    parser.add_argument("--ongoing", type=int, default=64, help="requests in each beyond which there are more (%(default)s)")
    parser.add_argument("--cpus", type=float, default=1.0, help="processors of one replica (%(default)s)")
    parser.add_argument("--address", help="of a Ray that runs; without it there is one of its own")
    words = parser.parse_args(arguments)
    try:
        asked = Asked(min=words.replicas, max=words.most, ongoing=words.ongoing, cpus=words.cpus)
        settings = _settings()
    except ValidationError as error:
        first = error.errors()[0]
        return _fail(f"{'_'.join(map(str, first['loc']))} is {first['input']!r}: {first['msg']}.")
    if reason := access.closed(settings):
        return _fail(reason)
    stopped: list[bool] = []
    for sig in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sig, lambda *_: stopped.append(True))
    try:
        begin(asked, settings, words.address)
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        return _fail(f"Ray does not start: {str(error).splitlines()[0][:300].rstrip('.')}.")
    log.info("listening on http://%s:%d", settings.host, settings.port)
    while not stopped:
        time.sleep(0.2)
    end()
    return 0


def begin(asked: Asked, settings: Settings, address: str | None = None) -> None:
    """Deploy; returns when every replica of the least is ready. Raises what Ray raises."""
    logs.configure(settings)
    variables = {gateway.VARIABLE: gateway.NAMED, "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ.update(variables)  # noqa: TID251 - Ray's own settings, before it starts
    ray.init(
        address=address,
        namespace=NAME,
        ignore_reinit_error=True,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=True,
        runtime_env={"env_vars": variables},
    )
    serve.start(http_options={"host": settings.host, "port": settings.port, "location": "EveryNode"})
    serve.run(deployment(asked, settings).bind(), name=NAME, route_prefix="/")


def end() -> None:
    """Take the deployment away, and leave the cluster."""
    serve.delete(NAME)
    with suppress(ray.exceptions.RayError):
        ray.kill(registrar())
    ray.shutdown()


def _fail(sentence: str) -> int:
    sys.stderr.write(f"modelyard: {sentence}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
