"""One picture over HTTP on an idle machine: ours beside a service written by hand, in turns; the time to a first answer,
one word's neighbours, and one picture without its noise.

python benchmarks/serving.py [--requests 500] [--rounds 5]
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np

from service import images
from service.golden import Golden
from service.manifest import GOLDEN, Manifest

ROOT = Path(__file__).parent.parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_answered(client: httpx.Client, path: str, request: dict, seconds: float = 30) -> float:
    """Seconds until the first 200."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds:
        try:
            if client.post(path, **request).status_code == 200:
                return time.perf_counter() - begun
        except httpx.TransportError:
            pass
        time.sleep(0.005)
    raise TimeoutError(path)


def latencies(client: httpx.Client, path: str, request: dict, count: int) -> list[float]:
    """Milliseconds of `count` requests, one after the other."""
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        client.post(path, **request).raise_for_status()
        found.append((time.perf_counter() - begun) * 1e3)
    return sorted(found)


def spoilt(pixels: images.Pixels) -> bytes:
    """A PNG of the picture with noise of half its range."""
    noise = np.random.default_rng(0).normal(0, 127.5, pixels.shape)
    return images.to_png(np.clip(pixels + noise, 0, 255).round().astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="digits")
    arguments = parser.parse_args()
    folder = max(
        (path for path in (ROOT / "models" / arguments.model).iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
    )
    manifest = Manifest.read(folder)
    pixels = Golden.unpack((folder / GOLDEN).read_bytes()).inputs["image"][0]
    picture = images.to_png(pixels)
    ports = [free_port(), free_port()]
    clients = [httpx.Client(base_url=f"http://127.0.0.1:{port}") for port in ports]
    ours = ("/v1/classify", {"content": picture, "headers": {"content-type": "image/png"}})
    by_hand = ("/classify", {"files": {"file": ("a.png", picture, "image/png")}})
    environment = {**os.environ, "MODELYARD_PORT": str(ports[0]), "MODELYARD_ACCESS_LOG": "true"}
    starts = []
    for _ in range(arguments.rounds):
        server = subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
        starts.append(until_answered(clients[0], *ours))
        server.terminate()
        server.wait()
    command = [sys.executable, str(ROOT / "benchmarks/peers/by_hand.py"), str(folder / manifest.graph.file), str(ports[1])]
    servers = [
        subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL),
        subprocess.Popen(command, stderr=subprocess.DEVNULL),
    ]
    try:
        for client, request in zip(clients, (ours, by_hand), strict=True):
            until_answered(client, *request)
            latencies(client, *request, count=100)
        rounds: list[list[list[float]]] = [[], []]
        for _ in range(arguments.rounds):
            for index, request in enumerate((ours, by_hand)):
                rounds[index].append(latencies(clients[index], *request, count=arguments.requests))
        words = latencies(clients[0], "/v1/neighbors", {"json": {"word": "brilliant"}}, count=arguments.requests)
        noisy = {"content": spoilt(pixels), "headers": {"content-type": "image/png", "accept": "image/png"}}
        denoised = latencies(clients[0], "/v1/denoise", noisy, count=arguments.requests)
    finally:
        for server in servers:
            server.terminate()
            server.wait()
    p50 = [statistics.median(statistics.median(one) for one in found) for found in rounds]
    p99 = [statistics.median(one[int(0.99 * len(one))] for one in found) for found in rounds]
    print(
        f"one 28x28 PNG, one client, p50 / p99 ms   Modelyard {p50[0]:.2f} / {p99[0]:.2f}   by hand {p50[1]:.2f} / {p99[1]:.2f}"
    )
    print(f"p50 of Modelyard / by hand: {p50[0] / p50[1]:.2f}")
    print(f"neighbours of a word, p50 {statistics.median(words):.2f} ms")
    print(f"a noisy 28x28 PNG to a clean one, p50 {statistics.median(denoised):.2f} ms")
    print(f"from start to the first 200: {statistics.median(starts):.2f} s (median of {len(starts)})")
    print(json.dumps({"p50_ms": p50, "p99_ms": p99, "start_s": starts}))


if __name__ == "__main__":
    main()
