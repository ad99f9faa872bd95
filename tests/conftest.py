"""Shared by all tests: a model whose answers can be worked out in the head, a repository of it, the app, a real server process."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from service import planes, text, vocabulary
from service.golden import Golden
from service.manifest import GOLDEN, MANIFEST, File, GraphSpec, Manifest, Source, TensorSpec, Training, sha256
from service.manifest import Golden as Recorded
from service.settings import Settings
from service.text import Tokenizer
from service.vocabulary import TERMS, Vocabulary

ROOT = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
SIDE = 28


def packed(graph: onnx.GraphProto) -> bytes:
    """A graph as the bytes of its file, checked."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def light_graph(gain: float = 1.0, *, fragile: bool = False) -> bytes:
    """`image` (uint8, batch x 28 x 28 x 1) -> `probabilities` [1 - light, light], light = gain * mean / 255.

    A `fragile` one gives NaN for a black picture.
    """
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])
    nodes = [
        helper.make_node("Cast", ["image"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["number", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["plain"]),
        helper.make_node("Div", ["mean", "mean" if fragile else "one"], ["nothing or one" if fragile else "unused"]),
        helper.make_node("Mul", ["plain", "nothing or one" if fragile else "one"], ["light"]),
        helper.make_node("Sub", ["one", "light"], ["dark"]),
        helper.make_node("Concat", ["dark", "light"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),  # the channel stays: (batch, 1)
        helper.make_tensor("scale", TensorProto.FLOAT, [], [gain / 255]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    graph = helper.make_graph(nodes, "light", [image], [answer], constants)
    return packed(graph)


def light_golden(gain: float = 1.0, rows: int = 4) -> Golden:
    images = np.random.default_rng(0).integers(0, 256, (rows, SIDE, SIDE, 1), np.uint8)
    light = (images.mean((1, 2, 3)) / 255 * gain).astype(np.float32)
    return Golden({"image": images}, {"probabilities": np.stack([1 - light, light], 1)})


WORDS = ("superb", "boring", "film", "the")
WEIGHTS = (2.0, -2.0, 0.25, 0.0)
"""Of `words_graph`: each word's log-odds of `positive`; an unknown word's are 0."""


def words_graph() -> bytes:
    """`tokens` (int32, batch x time) -> `probabilities` and `contributions` of [negative, positive]: a sum of words' weights."""
    table = np.zeros((2 + len(WORDS), 2), np.float32)
    table[2:, 1] = WEIGHTS
    free = ["batch", "time"]
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["contributions"]),
        helper.make_node("ReduceSum", ["contributions", "axes"], ["scores"], keepdims=0),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "words",
        [helper.make_tensor_value_info("tokens", TensorProto.INT32, free)],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2]),
            helper.make_tensor_value_info("contributions", TensorProto.FLOAT, [*free, 2]),
        ],
        [numpy_helper.from_array(table, "table"), helper.make_tensor("axes", TensorProto.INT64, [1], [1])],
    )
    return packed(graph)


QUANTILES = (0.1, 0.5, 0.9)


def steps_graph(context: int, horizon: int, columns: int) -> bytes:
    """`series` -> `mean`, the last value again and again, and `quantiles`: 1 less, the mean, 1 more."""
    series = helper.make_tensor_value_info("series", TensorProto.FLOAT, ["batch", context, columns])
    outputs = [
        helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch", horizon, columns]),
        helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["batch", horizon, columns, 3]),
    ]
    nodes = [
        helper.make_node("Gather", ["series", "places"], ["mean"], axis=1),
        helper.make_node("Unsqueeze", ["mean", "last"], ["apart"]),
        helper.make_node("Add", ["apart", "distances"], ["quantiles"]),
    ]
    constants = [
        helper.make_tensor("places", TensorProto.INT64, [horizon], [context - 1] * horizon),
        helper.make_tensor("last", TensorProto.INT64, [1], [3]),
        helper.make_tensor("distances", TensorProto.FLOAT, [3], [-1.0, 0.0, 1.0]),
    ]
    graph = helper.make_graph(nodes, "steps", [series], outputs, constants)
    return packed(graph)


def write_steps_version(
    models_dir: Path,
    name: str = "steps",
    *,
    columns: tuple[str, ...] = ("a", "b"),
    independent: bool = True,
    frequency: str = "1h",
    context: int = 8,
    horizon: int = 5,
    **changes: object,
) -> Path:
    """A complete version of a model that repeats the last value."""
    count = len(columns)
    series = np.random.default_rng(0).normal(size=(4, context, count)).astype(np.float32)
    mean = np.repeat(series[:, -1:], horizon, 1)
    quantiles = np.stack([mean - 1, mean, mean + 1], -1)
    spec = GraphSpec(
        file="model.onnx",
        inputs=(TensorSpec(name="series", datatype="FP32", shape=("batch", context, count)),),
        outputs=(
            TensorSpec(name="mean", datatype="FP32", shape=("batch", horizon, count)),
            TensorSpec(name="quantiles", datatype="FP32", shape=("batch", horizon, count, 3)),
        ),
    )
    preparation = {
        "columns": list(columns), "target": columns[-1], "context": context, "horizon": horizon, "least": 3, "season": 3,
        "independent": independent, "quantiles": list(QUANTILES), "frequency": frequency,
    }  # fmt: skip
    files = {
        "model.onnx": steps_graph(context, horizon, count),
        GOLDEN: Golden({"series": series}, {"mean": mean, "quantiles": quantiles}).pack(),
    }
    more = {"labels": columns, "preparation": preparation, **changes}
    return write_version(
        models_dir, name, 1, files=files, family="forecaster", summary="The last value", graphs={"model": spec}, **more
    )


def write_words_version(models_dir: Path, name: str = "words", version: int = 1, limit: int = 12, **changes: object) -> Path:
    """A complete version of a model for texts whose answers can be worked out in the head."""
    tokens = np.array([[2, 5, 4, 0], [3, 3, 0, 0], [1, 2, 2, 4], [5, 0, 0, 0]], np.int32)
    weights = np.array([0.0, 0.0, *WEIGHTS])[tokens]
    parts = np.stack([np.zeros_like(weights), weights], 2).astype(np.float32)
    positive = 1 / (1 + np.exp(-weights.sum(1)))
    golden = Golden(
        {"tokens": tokens},
        {"probabilities": np.stack([1 - positive, positive], 1).astype(np.float32), "contributions": parts},
    )
    spec = GraphSpec(
        file="model.onnx",
        inputs=(TensorSpec(name="tokens", datatype="INT32", shape=("batch", "time")),),
        outputs=(
            TensorSpec(name="probabilities", datatype="FP32", shape=("batch", 2)),
            TensorSpec(name="contributions", datatype="FP32", shape=("batch", "time", 2)),
        ),
    )
    return write_version(
        models_dir,
        name,
        version,
        files={"model.onnx": words_graph(), GOLDEN: golden.pack(), text.FILE: Tokenizer(WORDS, limit, limit // 3).dump()},
        family="sentiment",
        summary="Whether words are good",
        graphs={"model": spec},
        labels=("negative", "positive"),
        preparation={},
        limits={"time": limit},
        **changes,
    )


VECTORS = {
    "film": (0.2, 0.1, 2.0), "movie": (0.2, 0.0, 2.1), "man": (0.0, 1.0, 0.0), "woman": (0.0, -1.0, 0.0), "king": (1.0, 1.0, 0.0),
    "queen": (1.0, -1.0, 0.0), "brilliant": (-1.0, 0.1, 0.5), "superb": (-1.0, 0.0, 0.5), "lawnmower": (0.0, 0.0, -1.0),
}  # fmt: skip
"""Of `vectors_graph`, before they are brought to length 1."""


def unit_vectors(vectors: Sequence[Sequence[float]]) -> np.ndarray:
    """(1 + words, size), zeros for padding."""
    table = np.array(vectors, np.float32)
    return np.concatenate([np.zeros((1, table.shape[1]), np.float32), table / np.linalg.norm(table, axis=1, keepdims=True)])


def vectors_graph(table: np.ndarray) -> bytes:
    """`words`, `weights` -> `vectors`, `neighbors`, `cosines`, as the family's docstring has it, of these unit vectors."""
    free, size, most = ["batch", "terms"], table.shape[1], len(table) - 1
    nodes = [
        helper.make_node("Gather", ["table", "words"], ["vectors"]),
        helper.make_node("Unsqueeze", ["weights", "last"], ["wide"]),
        helper.make_node("Mul", ["vectors", "wide"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "terms"], ["sum"], keepdims=0),
        helper.make_node("ReduceL2", ["sum", "terms"], ["length"], keepdims=1),
        helper.make_node("Max", ["length", "little"], ["divisor"]),
        helper.make_node("Div", ["sum", "divisor"], ["direction"]),
        helper.make_node("MatMul", ["direction", "across"], ["all"]),
        helper.make_node("Cast", ["words"], ["places of words"], to=TensorProto.INT64),
        helper.make_node("OneHot", ["places of words", "depth", "values"], ["each"]),
        helper.make_node("ReduceMax", ["each", "terms"], ["sent"], keepdims=0),
        helper.make_node("Sub", ["all", "sent"], ["others"]),
        helper.make_node("Sub", ["others", "padding"], ["scores"]),
        helper.make_node("TopK", ["scores", "most"], ["cosines", "places"]),
        helper.make_node("Cast", ["places"], ["neighbors"], to=TensorProto.INT32),
    ]
    constants = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.ascontiguousarray(table.T), "across"),
        numpy_helper.from_array(np.array([4.0] + [0.0] * most, np.float32), "padding"),
        numpy_helper.from_array(np.array([0.0, 4.0], np.float32), "values"),
        numpy_helper.from_array(np.array([1e-9], np.float32), "little"),
        *(numpy_helper.from_array(np.array([number]), name)
          for name, number in (("last", 2), ("terms", 1), ("depth", len(table)), ("most", most))),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "vectors",
        [helper.make_tensor_value_info("words", TensorProto.INT32, free),
         helper.make_tensor_value_info("weights", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [*free, size]),
         helper.make_tensor_value_info("neighbors", TensorProto.INT32, ["batch", most]),
         helper.make_tensor_value_info("cosines", TensorProto.FLOAT, ["batch", most])],
        constants,
    )  # fmt: skip
    return packed(graph)


def write_vectors_version(
    models_dir: Path,
    name: str = "vectors",
    *,
    vectors: Mapping[str, Sequence[float]] = VECTORS,
    columns: tuple[str, ...] = (),
    **changes: object,
) -> Path:
    """A complete version of a model for words whose answers can be worked out in the head."""
    table = unit_vectors(list(vectors.values()))
    words = np.array([[1, 0], [2, 1], [2, 0], [1, 2]], np.int32)
    weights = (words != 0).astype(np.float32)
    spec = GraphSpec(
        file="model.onnx",
        inputs=(TensorSpec(name="words", datatype="INT32", shape=("batch", "terms")),
                TensorSpec(name="weights", datatype="FP32", shape=("batch", "terms"))),
        outputs=(TensorSpec(name="vectors", datatype="FP32", shape=("batch", "terms", table.shape[1])),
                 TensorSpec(name="neighbors", datatype="INT32", shape=("batch", len(vectors))),
                 TensorSpec(name="cosines", datatype="FP32", shape=("batch", len(vectors)))),
    )  # fmt: skip
    known = Vocabulary(tuple(vectors), tuple(range(100, 100 - len(vectors), -1)), columns)
    golden = Golden({"words": words, "weights": weights}, {"vectors": table[words]})
    more = {"labels": (), "preparation": {}, "limits": {"terms": TERMS, "words": len(vectors)}, **changes}
    return write_version(
        models_dir,
        name,
        1,
        files={
            "model.onnx": vectors_graph(table),
            GOLDEN: golden.pack(),
            vocabulary.FILE: known.dump(),
            planes.MAP: laid_out(words=list(vectors)),
        },
        family="word2vec",
        summary="Where words lie",
        graphs={"model": spec},
        **more,
    )


def laid_out(**columns: list) -> bytes:
    """Points on a plane, as training writes them."""
    count = len(next(iter(columns.values())))
    return json.dumps({"method": "by hand", "x": [0.5] * count, "y": [-0.5] * count, **columns}).encode()


TILES = 2
"""A side: a code of `codes_graphs` is the means of four quarters."""


def codes_graphs(channels: int, noisy: bool, decodes: bool, spare: int) -> dict[str, bytes]:
    """`image` -> `code`, the mean of each quarter in 0 to 1, and `reconstruction`, the quarters filled with it, and `error`.

    `spare` numbers of a code are 0 and mean nothing.
    """
    code, picture = ["batch", TILES**2 + spare], ["batch", SIDE, SIDE, channels]
    back = [
        helper.make_node("Slice", ["code", "begin", "end", "code axis"], ["meant"]),
        helper.make_node("Reshape", ["meant", "small"], ["tiles"]),
        helper.make_node("Mul", ["tiles", "scale"], ["light"]),
        helper.make_node("Expand", ["light", "large"], ["filled"]),
    ]
    there = [
        helper.make_node("Cast", ["image"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["number", "scale"], ["raw"]),
        helper.make_node("Reshape", ["raw", "split"], ["parts"]),
        helper.make_node("ReduceMean", ["parts", "axes"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "flat"], ["few"]),
        helper.make_node("Pad", ["few", "wider"], ["mean"]),
        helper.make_node("Add", ["mean", "noise"], ["code"]) if noisy else helper.make_node("Identity", ["mean"], ["code"]),
    ]
    measured = [
        helper.make_node("Reshape", ["filled", "whole"], ["reconstruction"]),
        helper.make_node("Div", ["reconstruction", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "raw"], ["apart"]),
        helper.make_node("Mul", ["apart", "apart"], ["squared"]),
        helper.make_node("ReduceMean", ["squared", "picture axes"], ["flat error"], keepdims=0),
        helper.make_node("Reshape", ["flat error", "one"], ["error"]),
    ]
    tile = SIDE // TILES
    numbers = {
        "small": [-1, TILES, 1, TILES, 1, 1], "large": [1, 1, tile, 1, tile, channels], "split": [-1, TILES, tile, TILES, tile, channels],
        "begin": [0], "end": [TILES**2], "code axis": [1], "wider": [0, 0, 0, spare], "axes": [2, 4, 5], "flat": [-1, TILES**2], "whole": [-1, SIDE, SIDE, channels], "picture axes": [1, 2, 3], "one": [-1, 1],
    }  # fmt: skip
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items()]
    constants.append(helper.make_tensor("scale", TensorProto.FLOAT, [], [255.0]))

    def graph(nodes: list[onnx.NodeProto], inputs: dict[str, list], outputs: dict[str, list]) -> bytes:
        sides = [
            [helper.make_tensor_value_info(name, TensorProto.UINT8 if name == "image" else TensorProto.FLOAT, shape)
             for name, shape in side.items()]
            for side in (inputs, outputs)
        ]  # fmt: skip
        used = {name for node in nodes for name in node.input}
        made = helper.make_graph(nodes, "codes", *sides, [one for one in constants if one.name in used])
        return packed(made)

    noise = {"noise": code} if noisy else {}
    outputs = {"reconstruction": picture, "code": code, "error": ["batch", 1]}
    graphs = {"model.onnx": graph([*there, *back, *measured], {"image": picture, **noise}, outputs)}
    if decodes:
        decoder = [*back, helper.make_node("Reshape", ["filled", "whole"], ["picture"])]
        graphs["decoder.onnx"] = graph(decoder, {"code": code}, {"picture": picture})
    return graphs


def write_codes_version(
    models_dir: Path,
    name: str = "codes",
    version: int = 1,
    *,
    kind: str = "undercomplete",
    channels: int = 1,
    decodes: bool = True,
    spare: int = 0,
    **changes: object,
) -> Path:
    """A complete version of a model of codes whose answers can be worked out in the head; the k-th percentile is k / 100."""
    noisy, size, tile = kind == "variational", TILES**2 + spare, SIDE // TILES
    images = np.random.default_rng(0).integers(0, 256, (4, SIDE, SIDE, channels), np.uint8)
    noise = np.random.default_rng(1).normal(size=(4, size)).astype(np.float32) if noisy else np.zeros((4, size), np.float32)
    raw = images.astype(np.float64) / 255
    means = raw.reshape(4, TILES, tile, TILES, tile, channels).mean((2, 4, 5)).reshape(4, TILES**2)
    code = np.pad(means, ((0, 0), (0, spare))) + noise
    filled = code[:, : TILES**2].reshape(4, TILES, TILES, 1).repeat(tile, 1).repeat(tile, 2).repeat(channels, 3)
    outputs = {"reconstruction": 255 * filled, "code": code, "error": ((filled - raw) ** 2).mean((1, 2, 3))[:, np.newaxis]}
    inputs = {"image": images, **({"noise": noise} if noisy else {})}
    golden = Golden(inputs, {key: value.astype(np.float32) for key, value in outputs.items()})

    def spec(name: str, shape: tuple, datatype: str = "FP32") -> TensorSpec:
        return TensorSpec(name=name, datatype=datatype, shape=("batch", *shape))

    picture = (SIDE, SIDE, channels)
    graphs = {
        "model": GraphSpec(
            file="model.onnx",
            inputs=(spec("image", picture, "UINT8"), *((spec("noise", (size,)),) if noisy else ())),
            outputs=(spec("reconstruction", picture), spec("code", (size,)), spec("error", (1,))),
        )
    }
    if decodes:
        graphs["decoder"] = GraphSpec(file="decoder.onnx", inputs=(spec("code", (size,)),), outputs=(spec("picture", picture),))
    training = Training(
        config={"kind": kind}, seed=0, parameters=1, seconds=0, epochs=0, finished="2026-01-01T00:00:00Z", code="-", libraries={}, command="-"
    )  # fmt: skip
    more = {
        "labels": (), "graphs": graphs, "training": training, "statistics": {"error_percentiles": [k / 100 for k in range(101)]},
        "preparation": {"mode": "plain", "height": SIDE, "width": SIDE, "channels": channels}, **changes,
    }  # fmt: skip
    files = {**codes_graphs(channels, noisy, decodes, spare), GOLDEN: golden.pack()}
    if decodes:
        files[planes.PLANE] = laid_out(label=[0, 1], code=[[0.0] * size, [1.0] * size])
    return write_version(models_dir, name, version, files=files, family="autoencoder", summary="Means of quarters", **more)


def write_version(
    models_dir: Path,
    name: str = "light",
    version: int = 1,
    *,
    gain: float = 1.0,
    files: dict[str, bytes] | None = None,
    **changes: object,
) -> Path:
    """A complete version of the light model on disk. `files` replaces contents, `changes` replaces manifest fields."""
    contents = {"model.onnx": light_graph(gain), GOLDEN: light_golden(gain).pack(), **(files or {})}
    spec = GraphSpec(
        file="model.onnx",
        inputs=(TensorSpec(name="image", datatype="UINT8", shape=("batch", SIDE, SIDE, 1)),),
        outputs=(TensorSpec(name="probabilities", datatype="FP32", shape=("batch", 2)),),
    )
    manifest = Manifest(
        name=name,
        version=version,
        family="classifier",
        summary="How light a picture is",
        graphs={"model": spec},
        files={file: File(sha256=sha256(data), size_bytes=len(data)) for file, data in contents.items()},
        labels=("dark", "light"),
        preparation={"mode": "plain", "height": SIDE, "width": SIDE, "channels": 1},
        golden=Recorded(rows=4, tolerance=1e-4, parity=0.0),
        scores={"accuracy": 1.0},
        evaluate="-",
        gate="accuracy",
        source=Source(name="made", size_bytes=0, sha256="0" * 64, rows={"train": 1, "validation": 1, "test": 1}),
        training=Training(
            config={}, seed=0, parameters=1, seconds=0, epochs=0, finished="2026-01-01T00:00:00Z", code="-", libraries={}, command="-"
        ),
    )  # fmt: skip
    manifest = manifest.model_copy(update=changes)
    folder = models_dir / name / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in contents.items():
        (folder / file).write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest.dump())
    return folder


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio, which the service runs on."""
    return "asyncio"


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """A repository with version 1 of the light model."""
    folder = tmp_path / "models"
    write_version(folder)
    return folder


@pytest.fixture
def settings(models_dir: Path) -> Settings:
    return Settings(models_dir=models_dir, reload_s=0.05, rehearse=False, drain_delay_s=0, max_batch=8)


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app in this process, once the repository was looked at."""
    from service.app import create_app

    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            client.app = app  # type: ignore[attr-defined]
            await until(lambda: app.state.registry.looked)
            yield client


async def until(condition: Callable[[], object], seconds: float = 10) -> None:
    """Let the event loop turn until `condition()`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.005)


@dataclass
class Process:
    """A real `python -m service`."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def stop(self, sig: int = signal.SIGTERM) -> int:
        self.process.send_signal(sig)
        return self.process.wait(40)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start real servers with settings in words; they are killed at the end."""
    with servers(tmp_path) as begin:
        yield begin


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Callable[..., Process]]:
    """The same, with their logs in `folder`."""
    started: list[Process] = []

    def begin(wait: bool = True, command: Sequence[str] = (sys.executable, "-m", "service"), **settings: object) -> Process:
        log = folder / f"log-{len(started)}"
        named = {f"MODELYARD_{key.upper()}": str(value) for key, value in {"port": 0, **settings}.items()}
        with log.open("w") as file:
            process = subprocess.Popen([*command], cwd=ROOT, env={**os.environ, **named}, stderr=file, text=True)
        one = Process(process, "", log)
        started.append(one)
        if wait:
            one.url = _address(one)
            _ready(one)
        return one

    try:
        yield begin
    finally:
        for one in started:
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait()


def _address(one: Process, seconds: float = 20) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := re.search(r"listening on (http://[^\"]+)", one.log.read_text()):
            return found[1]
        assert one.process.poll() is None, one.log.read_text()
        time.sleep(0.01)
    raise AssertionError(one.log.read_text())


def _ready(one: Process, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{one.url}/v2/health/ready").status_code == 200:
                return
        time.sleep(0.01)
    raise AssertionError(one.log.read_text())
