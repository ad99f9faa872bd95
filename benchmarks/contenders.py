"""The servers that are compared: what each needs, how it is started for a number of clients, and how it is asked.

Each gets the same ONNX file, two processes with an onnxruntime session of one thread (one process where that is how people run
it), and, where it has a wait for batches, both with and without: the better one counts for each column. Knows no measuring.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from benchmarks import environments
from benchmarks.works import Asked, Graph, Work, over_form, over_protocol

PEERS = Path(__file__).parent / "peers"
RUNTIME = ("onnxruntime==1.32.0", "numpy", "orjson")
BATCH = 64
Start = Callable[[Graph, int, Path], tuple[list[str], dict[str, str]]]


@dataclass(frozen=True)
class Contender:
    """A server at one setting. `start` gives its command and environment for a graph, a port and a folder of its own; `asks`
    how it is asked for a work, or None where it cannot.
    """

    name: str
    setting: str
    start: Start
    asks: Callable[[Work], Asked | None]
    seconds_to_start: float = 60
    restless: bool = False
    """Takes a share of the machine while nobody asks."""


def _infer(path: str) -> Callable[[Work], Asked | None]:
    return lambda work: over_protocol(work, path)


def over_named(work: Work) -> Asked | None:
    """Servers of the whole protocol, bytes and all, under the model's name."""
    return over_protocol(work, f"/v2/models/{work.model}/infer", bytes_too=True)


def _ours(work: Work) -> Asked | None:
    return over_named(work) or over_form(work, f"/v1/classify?model={work.model}")


def _sync(work: Work) -> Asked | None:
    return over_protocol(work, "/infer") or over_form(work, "/classify")


def _bento(work: Work) -> Asked | None:
    """BentoML's own JSON: the method's argument by name. One input, no padding of its own."""
    if work.form != "json" or len(work.items[0]) > 1:
        return None
    return Asked("/infer", tuple(json.dumps({"rows": array.tolist()}).encode() for one in work.items for array in one.values()))


def _environment(graph: Graph, wait_ms: int | None = None) -> dict[str, str]:
    batch = {"BATCH": str(BATCH if wait_ms is not None else 1), "WAIT_MS": str(wait_ms or 0)}
    return {**os.environ, "GRAPH": str(graph.file), "OUTPUTS": ",".join(graph.outputs), "PYTHONPATH": str(PEERS), **batch}


def modelyard(graph: Graph, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Ours: checks, limits, metrics and request ids on, as they always are; no access log, as with all others."""
    settings = {"PORT": str(port), "WORKERS": "2", "MODELS_DIR": str(graph.repository), "ACCESS_LOG": "false"}
    return [sys.executable, "-m", "service"], {**os.environ, **{f"MODELYARD_{name}": value for name, value in settings.items()}}


def _by_hand(script: str, *more: str) -> Start:
    def start(graph: Graph, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, str(PEERS / script), str(port), *more], _environment(graph)

    return start


def _peer(venv: tuple[str, ...], command: Callable[[int], list[str]], wait_ms: int | None, **more: str) -> Start:
    def start(graph: Graph, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        python = environments.python(*venv, *RUNTIME)
        first, *rest = command(port)
        program = str(python) if first == "python" else str(python.parent / first)
        path = f"{python.parent}:{os.environ['PATH']}"
        return [program, *rest], {**_environment(graph, wait_ms), "PATH": path, "VIRTUAL_ENV": str(python.parents[1]), **more}

    return start


def _mlserver(wait_ms: int) -> Start:
    def start(graph: Graph, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        ports = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2}
        settings = {**ports, "metrics_dir": str(folder / "metrics"), "parallel_workers": 2, "debug": False}
        batches = {"max_batch_size": BATCH if wait_ms else 0, "max_batch_time": wait_ms / 1e3}
        model = {"name": graph.model, "implementation": "mlserver_model.Infer", **batches}
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(model))
        start = _peer(("mlserver", "mlserver==1.7.1", "uvloop==0.21.0"), lambda _: ["mlserver", "start", str(folder)], wait_ms)
        return start(graph, port, folder)

    return start


def _torchserve(wait_ms: int | None) -> Start:
    """Needs Java. A model's folder and configuration are written as its archiver writes them."""

    def start(graph: Graph, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        model = folder / "store" / graph.model
        (model / "MAR-INF").mkdir(parents=True)
        shutil.copy(PEERS / "torchserve_handler.py", model)
        shutil.copy(PEERS / "graph.py", model)
        batches = {"batchSize": BATCH if wait_ms is not None else 1, "maxBatchDelay": wait_ms or 1}
        (model / "config.yaml").write_text(
            "".join(f"{key}: {value}\n" for key, value in {"minWorkers": 2, "maxWorkers": 2, **batches}.items())
        )
        manifest = {
            "createdOn": "", "runtime": "python", "archiverVersion": "0.12.0",
            "model": {"modelName": graph.model, "handler": "torchserve_handler.py", "modelVersion": "1.0",
                      "configFile": "config.yaml"},
        }  # fmt: skip
        (model / "MAR-INF/MANIFEST.json").write_text(json.dumps(manifest))
        addresses = {"inference": port, "management": port + 1, "metrics": port + 2}
        lines = [f"{name}_address=http://127.0.0.1:{number}" for name, number in addresses.items()]
        grpc = ["grpc_inference_port=" + str(port + 3), "grpc_management_port=" + str(port + 4)]
        more = ["disable_token_authorization=true", "job_queue_size=1000", f"model_store={folder}/store", "load_models=all"]
        (folder / "config.properties").write_text("\n".join([*lines, *grpc, *more]) + "\n")
        command = ["torchserve", "--start", "--foreground", "--ts-config", str(folder / "config.properties"), "--ncs"]
        peer = ("torchserve", "torchserve==0.12.0", "torch==2.13.0", "setuptools<81", "pyyaml")
        places = dict.fromkeys(("LOG_LOCATION", "METRICS_LOCATION", "TMPDIR"), str(folder))  # TMPDIR: where its pid file is
        return _peer(peer, lambda _: command, wait_ms, **places)(graph, port, folder)

    return start


TRITON = """
name: "{model}"
backend: "{backend}"
max_batch_size: 64
input [ {inputs} ]
output [ {outputs} ]
instance_group [ {{ count: 2, kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: {delay} }}
{more}
"""
KINDS = {"tensor(uint8)": "UINT8", "tensor(int32)": "INT32", "tensor(int64)": "INT64", "tensor(float)": "FP32"}


def _triton_config(graph: Graph, backend: str, wait_ms: int, more: str = "") -> str:
    session = onnxruntime.InferenceSession(graph.file)

    def said(node: onnxruntime.NodeArg, *, ragged: bool) -> str:
        sizes = [size if isinstance(size, int) else -1 for size in node.shape[1:]]
        uneven = ", allow_ragged_batch: true" if ragged and -1 in sizes else ""
        return f'{{ name: "{node.name}", data_type: TYPE_{KINDS[node.type]}, dims: {sizes}{uneven} }}'

    inputs = ", ".join(said(node, ragged=backend == "python") for node in session.get_inputs())
    wanted = [node for node in session.get_outputs() if node.name in graph.outputs]
    outputs = ", ".join(said(node, ragged=False) for node in wanted)
    return TRITON.format(model=graph.model, backend=backend, inputs=inputs, outputs=outputs, delay=1000 * wait_ms, more=more)


def _triton_command(server: Path, port: int, models: Path, backends: Path) -> list[str]:
    return [
        str(server / "bin/tritonserver"), f"--model-repository={models}", f"--http-port={port}", "--allow-grpc=false",
        "--allow-metrics=false", "--log-info=false", f"--backend-directory={backends}", "--http-thread-count=4",
    ]  # fmt: skip


def _triton(wait_ms: int) -> Start:
    """The server that nvidia-pytriton carries, with the Python backend."""

    def start(graph: Graph, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        python = environments.python("triton", "nvidia-pytriton==0.7.0", *RUNTIME)
        site = next((python.parent.parent / "lib").glob("python3*/site-packages"))
        server, python_version = site / "pytriton/tritonserver", site.parent.name.removeprefix("python")
        models, backends = folder / "models", folder / "backends"
        shutil.copytree(server / "backends", backends)
        shutil.copy(server / "python_backend_stubs" / python_version / "triton_python_backend_stub", backends / "python")
        (models / graph.model / "1").mkdir(parents=True)
        shutil.copy(PEERS / "triton_model.py", models / graph.model / "1/model.py")
        (models / graph.model / "config.pbtxt").write_text(_triton_config(graph, "python", wait_ms))
        path = {"PYTHONPATH": f"{PEERS}:{site}", "LD_LIBRARY_PATH": str(site / "nvidia_pytriton.libs")}
        return _triton_command(server, port, models, backends), {**_environment(graph, wait_ms), **path}

    return start


def _triton_onnx(server: Path, wait_ms: int) -> Start:
    """Triton in the folder `server`, with its onnxruntime backend."""

    def start(graph: Graph, port: int, folder: Path) -> tuple[list[str], dict[str, str]]:
        (folder / graph.model / "1").mkdir(parents=True)
        shutil.copy(graph.file, folder / graph.model / "1/model.onnx")
        threads = ' parameters { key: "intra_op_thread_count" value: { string_value: "1" } }'
        (folder / graph.model / "config.pbtxt").write_text(_triton_config(graph, "onnxruntime", wait_ms, threads))
        return _triton_command(server, port, folder, server / "backends"), {
            **os.environ,
            "LD_LIBRARY_PATH": str(server / "lib"),
        }

    return start


RAY = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"}


def contenders(triton: Path | None = None) -> list[Contender]:
    """All of them, ours first. `triton` is a folder of a Triton that has the onnxruntime backend."""
    found = [
        Contender("Modelyard", "2 workers", modelyard, _ours),
        Contender("FastAPI by hand, sync", "1 worker, as most people write it", _by_hand("by_hand_sync.py"), _sync),
        Contender("FastAPI by hand, async", "2 workers, no batches", _by_hand("by_hand_async.py", "2"), _infer("/infer")),
    ]
    for wait_ms in (0, 2):
        setting = f"batches, {wait_ms} ms"
        found.append(Contender("Triton, Python backend", setting, _triton(wait_ms), over_named))
        if triton:
            found.append(Contender("Triton, onnxruntime backend", setting, _triton_onnx(triton, wait_ms), over_named))
        found.append(
            Contender("MLServer", setting, _mlserver(wait_ms), lambda work: _infer(f"/v2/models/{work.model}/infer")(work))
        )
    for wait_ms in (None, 2):
        setting = "no batches" if wait_ms is None else f"batches, {wait_ms} ms"
        scripts = {
            "Mosec": (("mosec", "mosec==0.9.8"), "mosec_server.py", _infer("/inference")),
            "LitServe": (("litserve", "litserve==0.2.19"), "litserve_server.py", _infer("/infer")),
            "Ray Serve": (("ray", "ray[serve]==2.60.0"), "ray_server.py", _infer("/infer")),
        }
        for name, (venv, script, asks) in scripts.items():
            command = ["python", str(PEERS / script)]
            start = _peer(venv, lambda port, command=command: [*command, "--port", str(port)], wait_ms, **RAY)
            found.append(Contender(name, setting, start, asks, restless=name in ("Ray Serve", "LitServe")))
        bento = _peer(
            ("bentoml", "bentoml==1.4.40", "uvloop"),
            lambda port: ["bentoml", "serve", "bentoml_server:Infer", "--port", str(port), "--working-dir", str(PEERS)],
            wait_ms,
            BENTOML_DO_NOT_TRACK="True",
        )
        found.append(Contender("BentoML", setting, bento, _bento))
        if shutil.which("java"):
            found.append(
                Contender("TorchServe", setting, _torchserve(wait_ms), lambda work: _infer(f"/predictions/{work.model}")(work))
            )
    return found
