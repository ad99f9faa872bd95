"""One served version: its graphs, its family's room and its batchers. Loads itself only when everything checks.

    files --digests--> graphs --names, shapes--> golden replayed --> example answered --> costs measured --> served
                                                                       any fault: BrokenVersion, and it never is

Knows no HTTP; knows families only as a `Room`.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, Protocol, TypeVar

import orjson

from service import cost, family, metrics, protocol, repository, samples, tensors
from service.batcher import Answered, Batcher, BatchLimits, Costs, Size
from service.bodies import Body
from service.cuda import Card
from service.drift import Drift
from service.errors import ModelFailed
from service.family import MOST_FURTHER, Predict, Room, Verb, watched
from service.gate import Gate
from service.golden import Arrays, Golden
from service.graph import Graph, Provider, TookTooLong, within
from service.manifest import GOLDEN, Manifest
from service.repository import BrokenVersion, Contents
from service.samples import Samples
from service.settings import Settings
from service.statistics import Statistics
from service.stencils import Stencils

SHORT_S = 0.002
"""What the event loop may be away for: a batch that costs more runs in a thread, or health checks and other models wait."""

AROUND_S = 0.0002
"""What a batch costs beside its graph, about: a hop into a thread and back, and what is counted of it."""

HUNG_S = 1.0
"""A batch on the event loop that takes longer, hundreds of times what was measured, is ended, and no other runs there."""

LATE_S = 1.0
"""So long after the deadline of who waits for it a batch elsewhere is ended: they have been told by then."""
log = logging.getLogger("modelyard.model")
Result = TypeVar("Result")


class Wait(Protocol):
    """How patiently a future is waited for; what gives up cancels it."""

    def __call__(self, future: "asyncio.Future[Result]", /) -> Awaitable[Result]: ...


@dataclass(slots=True)
class Timing:
    """How long the slowest part of a request waited and ran, and the rows of its batch."""

    queue_s: float
    compute_s: float
    batch_rows: int


@dataclass(frozen=True)
class Opened:
    """What the files of a version are to its room."""

    graphs: Mapping[str, Graph]
    assets: Any
    samples: Samples


class Model:
    """A version that passed every check. Use it inside `lease()`, so that it is not closed meanwhile."""

    def __init__(self, manifest: Manifest, room: Room, opened: "Opened", curve: cost.Cost, drift: Drift) -> None:
        self.manifest, self.room, self.cost = manifest, room, curve
        self.graphs, self.assets, self.samples = opened.graphs, opened.assets, opened.samples
        self.drift, self.statistics = drift, Statistics()
        raw = family.raw(room)
        self.takes = protocol.Taken.of(manifest.graph, raw.name if raw else None)
        self.stencils = Stencils()
        self._varying = [spec for graph in manifest.graphs.values() for spec in graph.inputs if spec.free]
        self._waits = metrics.kept(metrics.QUEUE_SECONDS.labels(self.name))
        self._seconds = metrics.kept(metrics.COMPUTE_SECONDS.labels(self.name))
        self._rows = metrics.kept(metrics.BATCH_ROWS.labels(self.name))
        self._batchers: dict[Predict, Batcher[Arrays, Arrays]] = {}
        self._executor: ThreadPoolExecutor | None = None
        self._limits, self.gate = BatchLimits(), Gate(1, lambda: True)
        self._loop_thread: int | None = None
        self._hung = False  # on the event loop, ever
        self._longest_s = float("inf")
        """Of a batch: longer nobody waits for its answers."""
        self._users = 0
        self._unused: asyncio.Future[None] | None = None

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def version(self) -> int:
        return self.manifest.version

    @property
    def dead(self) -> str | None:
        """Why it cannot run any more; None while it can."""
        reasons = [one.dead for one in self._batchers.values()] + [graph.dead for graph in self.graphs.values()]
        return next((reason for reason in reasons if reason), None)

    @property
    def provider(self) -> Provider:
        """Where it runs: `cpu` too where the card was lost."""
        return "cpu" if any(graph.provider == "cpu" for graph in self.graphs.values()) else "cuda"

    async def start(self, settings: Settings) -> None:
        """Make the threads and the batchers."""
        self._executor = ThreadPoolExecutor(settings.slots, thread_name_prefix=f"{self.name}-{self.version}")
        self._loop_thread, self._longest_s = threading.get_ident(), settings.deadline_s + LATE_S
        hop_s = await cost.hop_s(self._executor)
        self._limits = BatchLimits(
            settings.max_batch, settings.max_queue, settings.max_queue_s, settings.max_padded, slots=settings.slots
        )
        busy = (settings.slots + 1) * settings.max_batch  # with so many rows prepared no thread waits for work
        self.gate = Gate(settings.slots, lambda: self._queued() < busy, settings.max_queue, settings.max_queue_s)
        for predict in {self.room.predict, *(verb.predict for verb in self.room.verbs)}:
            self._batch(predict, self._limits, self._runs_here(hop_s, settings.slots))

    def _queued(self) -> int:
        return sum(one.queued_rows for one in self._batchers.values())

    def _runs_here(self, hop_s: float, slots: int) -> Callable[[int, int], bool]:
        """Whether a batch of (rows, length) runs on the event loop: a thread beside it helps where a core is free for one."""

        def short(rows: int, length: int) -> bool:
            return self.cost(rows, length) < (SHORT_S if slots == 1 or rows == 1 else hop_s)

        cached = lru_cache(2**10)(short)
        return lambda rows, length: not self._hung and cached(rows, length)

    def _batch(self, predict: Predict, limits: BatchLimits, runs_here: Callable[[int, int], bool]) -> Batcher[Arrays, Arrays]:
        """A new batcher for `predict`."""
        if self._executor is None:
            raise TypeError("the version was not started")
        costs = Costs(runs_here, lru_cache(2**13)(self._seconds_of), lru_cache(2**10)(self._most_rows))
        self._batchers[predict] = Batcher(partial(self._run, predict), self._size, limits, self._executor, costs=costs)
        return self._batchers[predict]

    def _seconds_of(self, rows: int, length: int) -> float:
        """Of a batch, with all that is around it."""
        return self.cost.estimate(rows, length) + AROUND_S

    def _most_rows(self, length: int) -> int:
        return self.cost.most_rows(length, AROUND_S)

    def _batcher(self, predict: Predict) -> Batcher[Arrays, Arrays]:
        """That of `predict`; one for what `Verb.further` named is made when it is first asked, and never blocks the loop."""
        if found := self._batchers.get(predict):
            return found
        limits = replace(self._limits, max_batch=min(MOST_FURTHER, self._limits.max_batch))
        return self._batch(predict, limits, lambda _rows, _length: False)

    async def predict(self, items: list[Arrays], predict: Predict, wait: Wait) -> tuple[list[Arrays], Timing]:
        """Answers to `items`, in order. An item has one or more rows; `wait(future)` says how patiently to wait for all.

        Raises what the batcher raises: Overloaded, Unavailable, ModelFailed.
        """
        batcher = self._batcher(predict)
        if len(items) == 1 and tensors.rows(items[0]) <= self._limits.max_batch:  # most requests
            (future,) = batcher.submit(items)
            one = await wait(future)
            self._waits.append(one.queue_s)
            return [one.answer], Timing(one.queue_s, one.compute_s, one.batch_rows)
        parts = [tensors.chunks(item, self._limits.max_batch) for item in items]
        answered = await wait(asyncio.gather(*batcher.submit([chunk for chunks in parts for chunk in chunks])))
        self._waits.extend(one.queue_s for one in answered)
        return _regroup(answered, parts), Timing(
            max(one.queue_s for one in answered),
            max(one.compute_s for one in answered),
            max(one.batch_rows for one in answered),
        )

    def compute(self, predict: Predict, item: Arrays) -> Arrays:
        """The answer to one item here and now, past the batches of requests. Raises ModelFailed where it holds NaN."""
        with within(self._longest_s):
            parts = [predict(self.graphs, chunk) for chunk in tensors.chunks(item, self._limits.max_batch)]
        for part in parts:
            tensors.finite(part)
        return tensors.join(parts)

    def lease(self) -> "Model":
        """A context that keeps the version from being closed while a request uses it; it only counts."""
        return self

    def __enter__(self) -> "Model":
        self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._users -= 1
        self.gate.look()
        if not self._users and self._unused and not self._unused.done():
            self._unused.set_result(None)

    async def close(self) -> None:
        """Wait for the requests that use it, then give its threads and memory back."""
        if self._users:
            self._unused = asyncio.get_running_loop().create_future()
            await self._unused
        for batcher in self._batchers.values():
            await batcher.close()
        self._batchers.clear()
        if self._executor:
            self._executor.shutdown(wait=False)

    def _run(self, predict: Predict, items: list[Arrays]) -> Sequence[Arrays | ModelFailed]:
        """One batch, in whatever thread the batcher chose."""
        counts = [tensors.rows(item) for item in items]
        inputs = tensors.join(items)
        here = threading.get_ident() == self._loop_thread
        begun = time.perf_counter()
        try:
            with within(HUNG_S if here else self._longest_s):
                outputs = predict(self.graphs, inputs)
        except Exception as error:
            self._hung |= here and isinstance(error, TookTooLong)
            log.exception("a batch failed", extra={"fields": {"model": self.name, "version": self.version}})
            raise
        seconds = time.perf_counter() - begun
        rows = sum(counts)
        self._seconds.append(seconds)
        self._rows.append(rows)
        self.statistics.ran(rows, seconds)
        answers = tensors.split(outputs, counts)
        try:
            tensors.finite(outputs)
        except ModelFailed:  # who asked for it is told so, and nobody else in the batch
            return [tensors.or_error(one) for one in answers]
        self.drift.observe(inputs, outputs)
        return answers

    def _size(self, item: Arrays) -> Size:
        varying = [spec for spec in self._varying if spec.name in item]
        return Size(tensors.rows(item), tensors.length(item, varying))


def _regroup(answered: list[Answered[Arrays]], parts: list[list[Arrays]]) -> list[Arrays]:
    """The answers to each item's chunks, put together again."""
    answers, start = [], 0
    for chunks in parts:
        answers.append(tensors.join([one.answer for one in answered[start : start + len(chunks)]]))
        start += len(chunks)
    return answers


@repository.refusing()
def load(
    contents: Contents, rooms: Mapping[str, Room], provider: Provider, settings: Settings, known: cost.Cost | None = None
) -> Model:
    """A version that passed every check; blocks, so call it in a thread. Raises BrokenVersion with the reason.

    Where its costs are `known`, another process has checked it: it is only opened here, and warmed up by its examples.
    """
    try:
        with within(settings.rehearsal_s):
            return _load(contents, rooms, provider, settings, known)
    except TookTooLong as error:
        raise BrokenVersion(f"it cannot be checked: {error}") from error


def _load(
    contents: Contents, rooms: Mapping[str, Room], provider: Provider, settings: Settings, known: cost.Cost | None
) -> Model:
    manifest = contents.manifest
    room = rooms.get(manifest.family)
    if room is None:
        raise BrokenVersion(f"its family is {manifest.family!r}; this service has {sorted(rooms)}")
    card = Card(settings.gpu_memory_mb, settings.falls_back, settings.max_batch if settings.gpu_graphs else 0)
    graphs = {name: _open(contents, name, provider, card) for name in manifest.graphs}
    assets = room.assets(manifest, contents.files, settings)
    verbs = [verb for verb in room.verbs if verb.suits(manifest)]
    opened = Opened(graphs, assets, samples.read(contents.files, _example(verbs[0], assets) if verbs else {}))
    properties = watched(room, manifest)

    def run(rows: int, length: int) -> Arrays:
        return room.predict(graphs, tensors.ones(manifest.graph.inputs, rows, length))

    if not known:
        _replay(contents, partial(room.predict, graphs), Drift(properties, settings.drift_window_s))
    for verb in verbs:
        _answer_example(verb, opened, settings)
    # a graph on the processor runs in the thread that asks, so that its time is the thread's, whoever else is at work
    clock = time.thread_time if provider == "cpu" else time.perf_counter
    curve = known
    if not curve:
        curve = cost.measure(run, settings.max_batch, cost.lengths(manifest), settings.max_padded, clock)
        for graph in graphs.values():
            graph.give_back()
        run(1, 1)
    return Model(manifest, room, opened, curve, Drift(properties, settings.drift_window_s))


def _open(contents: Contents, name: str, provider: Provider, card: Card) -> Graph:
    spec = contents.manifest.graphs[name]
    graph = Graph(contents.files[spec.file], provider, card=card)
    stated = graph.spec(spec.file)
    if stated != spec:
        raise BrokenVersion(f"{spec.file} has {stated.inputs} -> {stated.outputs}, the manifest states otherwise")
    return graph


def _replay(contents: Contents, predict: Callable[[Arrays], Arrays], drift: Drift) -> None:
    """Ask for the recorded rows again; BrokenVersion where an answer is not the recorded one, or cannot be watched."""
    stated = contents.manifest.golden
    try:
        golden = Golden.unpack(contents.files[GOLDEN])
        difference = golden.difference(predict)
        drift.observe(golden.inputs, golden.outputs)
    except Exception as error:
        raise BrokenVersion(f"{GOLDEN} cannot be replayed: {repository.told(error)}") from error
    if golden.rows != stated.rows:
        raise BrokenVersion(f"{GOLDEN} has {golden.rows} rows, the manifest states {stated.rows}")
    if not difference <= stated.tolerance:  # so that NaN is refused too
        raise BrokenVersion(f"its golden answers differ by {difference:.3g}; at most {stated.tolerance:g} is allowed")


def _example(verb: Verb, assets: Any) -> dict[str, Any]:
    return verb.warms_up(assets) if verb.warms_up else verb.example


def _answer_example(verb: Verb, opened: Opened, settings: Settings) -> None:
    """The verb's example through the whole room: what no request should be the first to find out."""
    graphs, assets = opened.graphs, opened.assets
    try:
        body = Body.of(orjson.dumps(_example(verb, assets)), b"application/json")
        for raw in verb.reader.read(body, verb.Request, settings):
            item = verb.preprocess(raw, assets)
            arrays = verb.predict(graphs, item.arrays)
            tensors.finite(arrays)
            for row in tensors.singles(arrays):
                said = verb.postprocess(row, item.about, assets, verb.Options())
                verb.Prediction.model_validate_json(orjson.dumps(said, option=orjson.OPT_SERIALIZE_NUMPY))
                if verb.draw:
                    verb.draw(row, assets)
    except Exception as error:
        raise BrokenVersion(f"it fails on the example of {verb.name!r}: {repository.told(error)}") from error
