"""The service on a GPU beside the service on the processors, on one machine: the same answers, and pictures a second.

python benchmarks/gpu_service.py [--clients 16] [--rounds 3] [--seconds 3] [--out gpu_service.json]
"""

import argparse
import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.serving import ROOT, free_port
from benchmarks.tensors import as_bytes, over_http, pictures
from service.family import rooms


def start(provider: str, log: Path, **more: str) -> tuple[subprocess.Popen[bytes], str]:
    """A service and its address."""
    port = free_port()
    settings = {"MODELYARD_PORT": str(port), "MODELYARD_PROVIDER": provider, "MODELYARD_ACCESS_LOG": "false", **more}
    command = [sys.executable, "-m", "service"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings}, stderr=file)
    return process, f"http://127.0.0.1:{port}"


def until_ready(process: subprocess.Popen[bytes], client: httpx.Client, seconds: float = 120) -> float:
    """Seconds until every model is served or refused."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds and process.poll() is None:
        try:
            if client.get("/v2/health/ready").status_code == 200:
                return time.perf_counter() - begun
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the service was not ready")


def apart(one: Any, other: Any) -> float:
    """The largest difference of two answers' numbers, as a share of large ones; infinite where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((apart(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((apart(*pair) for pair in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, float | int) and isinstance(other, float | int):
        return abs(one - other) / max(1.0, abs(other))
    return 0.0 if one == other else float("inf")


def drawn(answer: Any) -> Any:
    """Pictures in an answer as their pixels: a PNG's bytes say nothing of how near two are."""
    if isinstance(answer, dict):
        return {key: drawn(value) for key, value in answer.items()}
    if isinstance(answer, list):
        return [drawn(value) for value in answer]
    if isinstance(answer, str) and answer.startswith("iVBOR"):
        with Image.open(io.BytesIO(base64.b64decode(answer))) as picture:
            return (np.asarray(picture, float) / 255).ravel().tolist()
    return answer


def compare(gpu: httpx.Client, cpu: httpx.Client) -> dict[str, Any]:
    """Every verb's example asked of both: the largest difference, or the status."""
    found: dict[str, Any] = {}
    for room in rooms().values():
        for verb in room.verbs:
            answers = [client.post(f"/v1/{verb.name}", json=verb.example) for client in (gpu, cpu)]
            codes = [answer.status_code for answer in answers]
            if codes == [200, 200]:
                one, other = (answer.json()["predictions"] for answer in answers)
                try:
                    found[verb.name] = apart(drawn(one), drawn(other))
                except Exception as error:  # noqa: BLE001 - said in the report
                    found[verb.name] = f"cannot be compared: {error}"[:100]
            else:
                found[verb.name] = codes
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--gpu", default="cuda", help="the first service's provider; `cpu` to try the script itself")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    document: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        logs = {way: Path(folder) / way for way in ("gpu", "cpu")}
        services = {"gpu": start(asked.gpu, logs["gpu"]), "cpu": start("cpu", logs["cpu"])}
        clients = {way: httpx.Client(base_url=url, timeout=60) for way, (_, url) in services.items()}
        try:
            for way, client in clients.items():
                document[f"{way}: seconds to ready"] = round(until_ready(services[way][0], client), 2)
                document[f"{way}: health"] = client.get("/v2/health/ready").json()
                index = client.post("/v2/repository/index", json={}).json()
                document[f"{way}: models"] = {one["name"]: [one["state"], one.get("reason", "")] for one in index}
            document["differences"] = compare(clients["gpu"], clients["cpu"])
            rates: dict[str, list[float]] = {}
            request = as_bytes("/v2/models/digits/infer", pictures(64))
            for _ in range(asked.rounds):
                for way, (_, url) in services.items():
                    rates.setdefault(way, []).append(over_http(url, request, asked.clients, asked.seconds))
            document["pictures a second"] = {
                way: [statistics.median(all_), min(all_), max(all_)] for way, all_ in rates.items()
            }
        finally:
            for process, _ in services.values():
                process.terminate()
            document["exits"] = [process.wait(40) for process, _ in services.values()]
            document["log"] = [line for line in logs["gpu"].read_text().splitlines() if "error" in line.lower()][-20:]
            print(json.dumps(document, indent=1))
            if asked.out:
                asked.out.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
