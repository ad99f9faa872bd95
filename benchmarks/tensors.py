"""64 pictures a request as tensors: bytes beside JSON beside onnxruntime alone in process, in turns.

python benchmarks/tensors.py [--models models] [--model digits] [--clients 16] [--rounds 5] [--seconds 4]

The network of Chollet's book, on which servers are compared elsewhere, is trained to the side by
python -m training train classifier --architecture book --epochs 1 --name book --models-dir runs/book
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.serving import ROOT, free_port, until_answered
from service.graph import Graph
from service.samples import SEVEN_PNG


def pictures(count: int) -> np.ndarray:
    """Real test pictures of MNIST."""
    with np.load(ROOT / "tests/data/mnist.npz") as archive:
        return archive["test_images"][:count, :, :, np.newaxis]


def as_bytes(path: str, images: np.ndarray) -> list[str]:
    """A request whose tensors go and come as bytes."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape)}
    document = {
        "inputs": [{**tensor, "parameters": {"binary_data_size": images.nbytes}}],
        "parameters": {"binary_data_output": True},
    }
    written = json.dumps(document).encode()
    body = b64encode(written + images.tobytes()).decode()
    return [path, "application/octet-stream", body, f"Inference-Header-Content-Length: {len(written)}"]


def as_json(path: str, images: np.ndarray) -> list[str]:
    """The same as JSON, there and back."""
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(images.shape), "data": images.ravel().tolist()}
    return [path, "application/json", b64encode(json.dumps({"inputs": [tensor]}).encode()).decode()]


def over_http(url: str, request: list[str], clients: int, seconds: float) -> float:
    """Pictures a second, of a process that asks one request after the other on each connection."""
    asked = {"url": url, "requests": [request], "connections": clients, "rate": 0, "seconds": seconds}
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(asked).encode(), stdout=subprocess.PIPE, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one[3] for one in answers} == {200}
    return 64 * len(answers) / seconds


def alone(data: bytes, images: np.ndarray, threads: int, seconds: float) -> float:
    """Pictures a second of onnxruntime in process: a session of one thread in each of `threads`, or one session of them all."""

    def best_of(sessions: int, inside: int) -> float:
        counts = [0] * sessions
        end = time.perf_counter() + seconds / 2

        def work(index: int) -> None:
            graph = Graph(data, "cpu", inside)
            while time.perf_counter() < end:
                graph.run({"image": images})
                counts[index] += len(images)

        workers = [threading.Thread(target=work, args=(index,)) for index in range(sessions)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(counts) / (seconds / 2)

    return max(best_of(threads, 1), best_of(1, threads))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="digits")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    arguments = parser.parse_args()
    images, cores = pictures(64), len(os.sched_getaffinity(0))
    path, data = f"/v2/models/{arguments.model}/infer", (arguments.models / arguments.model / "1/model.onnx").read_bytes()
    servers, ways = [], dict[str, Callable[[], float]]()
    for workers in (1, cores):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        settings = {
            "MODELYARD_PORT": str(port),
            "MODELYARD_WORKERS": str(workers),
            "MODELYARD_MODELS_DIR": str(arguments.models.resolve()),
        }
        servers.append(
            subprocess.Popen(
                [sys.executable, "-m", "service"], cwd=ROOT, env={**os.environ, **settings}, stderr=subprocess.DEVNULL
            )
        )
        until_answered(
            httpx.Client(base_url=url), "/v1/classify", {"content": SEVEN_PNG, "headers": {"content-type": "image/png"}}
        )
        for name, request in (("bytes", as_bytes(path, images)), ("JSON", as_json(path, images))):
            ways[f"{name}, {workers} workers"] = lambda url=url, request=request: over_http(
                url, request, arguments.clients, arguments.seconds
            )
    ways["onnxruntime alone"] = lambda: alone(data, images, cores, arguments.seconds)
    time.sleep(5)
    found: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for _ in range(arguments.rounds):
            for way, measure in ways.items():
                found[way].append(measure())
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    medians = {way: statistics.median(rates) for way, rates in found.items()}
    for way, rates in found.items():
        print(f"{way:22} {medians[way]:9,.0f} pictures a second ({min(rates):,.0f} to {max(rates):,.0f})")
    for workers in (1, cores):
        binary = medians[f"bytes, {workers} workers"]
        print(
            f"{workers} workers: bytes / onnxruntime alone {binary / medians['onnxruntime alone']:.2f}, "
            f"bytes / JSON {binary / medians[f'JSON, {workers} workers']:.2f}"
        )


if __name__ == "__main__":
    main()
