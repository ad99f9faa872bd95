"""Whether one model's late answers get later while another is loaded: p99 of `digits`, with and without loads, in turns.

python benchmarks/reloading.py [--model reviews] [--rounds 7] [--seconds 6] [--every 0] [--share 0.5]

`--every 0` loads again and again; `--every 10` once in ten seconds. `--share` is that of the most requests there can be.
"""

import argparse
import base64
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.serving import ROOT, free_port, until_answered
from service import images
from service.golden import Golden
from service.samples import SEVEN_PNG

PICTURE = base64.b64encode(
    images.to_png(Golden.unpack((ROOT / "models/digits/1/golden.npz").read_bytes()).inputs["image"][0])
).decode()


def load(url: str, rate: float, seconds: float) -> list[list]:
    """Answers of a process of its own that asks for `digits`."""
    asked = {
        "url": url, "requests": [["/v1/classify", "image/png", PICTURE]], "connections": 8, "rate": rate, "seconds": seconds,
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(asked).encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def reload(client: httpx.Client, name: str, every: float, stop: threading.Event) -> list[float]:
    """Load the model again and again; how long each took."""
    took = []
    while not stop.is_set():
        client.post(f"/v2/repository/models/{name}/unload").raise_for_status()
        begun = time.perf_counter()
        client.post(f"/v2/repository/models/{name}/load").raise_for_status()
        took.append(time.perf_counter() - begun)
        stop.wait(max(0.1, begun + every - time.perf_counter()))
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="reviews")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--every", type=float, default=0)
    parser.add_argument("--share", type=float, default=0.5)
    arguments = parser.parse_args()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "models", Path(folder) / "models")
        settings = {"MODELYARD_PORT": str(port), "MODELYARD_MODELS_DIR": f"{folder}/models"}
        server = subprocess.Popen(
            [sys.executable, "-m", "service"], cwd=ROOT, env={**os.environ, **settings}, stderr=subprocess.DEVNULL
        )
        client = httpx.Client(base_url=url, timeout=60)
        try:
            until_answered(client, "/v1/classify", {"content": SEVEN_PNG, "headers": {"content-type": "image/png"}})
            time.sleep(2)
            peak = len(load(url, 0, 3)) / 3
            rate = peak * arguments.share
            p50, p99, loads = {"quiet": [], "reloading": []}, {"quiet": [], "reloading": []}, []
            for _ in range(arguments.rounds):
                for way in p99:
                    stop = threading.Event()
                    beside = threading.Thread(
                        target=lambda stop=stop: loads.extend(reload(client, arguments.model, arguments.every, stop))
                    )
                    if way == "reloading":
                        beside.start()
                    found = load(url, rate, arguments.seconds)
                    stop.set()
                    if way == "reloading":
                        beside.join()
                    assert {one[3] for one in found} == {200}
                    times = [one[2] for one in found]
                    p50[way].append(float(np.quantile(times, 0.5)))
                    p99[way].append(float(np.quantile(times, 0.99)))
        finally:
            server.terminate()
            server.wait()
    print(f"digits at {rate:.0f} a second ({arguments.share:g} of {peak:.0f}); {arguments.model} loaded {len(loads)} times")
    print(f"a load: median {statistics.median(loads):.2f} s")
    for way in p99:
        print(
            f"{way:10} p50 {statistics.median(p50[way]):.2f} ms, p99 {statistics.median(p99[way]):.2f} ms "
            f"(rounds: {', '.join(f'{one:.2f}' for one in p99[way])})"
        )
    print(f"p99 while reloading / quiet: {statistics.median(p99['reloading']) / statistics.median(p99['quiet']):.2f}")


if __name__ == "__main__":
    main()
