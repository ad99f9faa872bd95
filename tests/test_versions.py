"""Versions come and go under load, against a real server process: nobody is failed, misled or sent back."""

import json
import os
import shutil
import subprocess
import sys
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from service import images
from tests.conftest import ROOT, write_version

PICTURE = images.to_png(np.full((28, 28, 1), 204, np.uint8))
GAINS = (1.0, 0.5)
"""Of even and odd versions."""


def publish(models_dir: Path, aside: Path, version: int) -> None:
    """A version in one step, as training does it; of older ones two stay."""
    write_version(aside, version=version, gain=GAINS[version % 2])
    (aside / f"light/{version}").rename(models_dir / f"light/{version}")
    shutil.rmtree(models_dir / f"light/{version - 3}", ignore_errors=True)


def expected(version: int) -> float:
    light = 0.8 * GAINS[version % 2]
    return max(light, 1 - light)


def resources(pid: int) -> dict[str, int]:
    """Of a process: resident kB, threads, open files."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    found = {key: int(status[name].split()[0]) for key, name in (("kB", "VmRSS"), ("threads", "Threads"))}
    return {**found, "files": len(list(Path(f"/proc/{pid}/fd").iterdir()))}


def load(url: str, rate: float, seconds: float) -> subprocess.Popen[str]:
    """A process that asks which version is how sure, over 8 connections."""
    asked = {
        "url": url, "requests": [["/v1/classify", "image/png", b64encode(PICTURE).decode()]],
        "connections": 8, "rate": rate, "seconds": seconds, "keep": 300,
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.load"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps(asked))
    process.stdin.close()
    process.stdin = None  # so that `communicate` leaves it alone
    return process


@dataclass(frozen=True)
class Answer:
    due_s: float
    done_s: float
    status: int
    version: int
    probability: float


def answers(process: subprocess.Popen[str]) -> list[Answer]:
    """All of them, in the order in which they were due."""
    out, _ = process.communicate(timeout=600)
    found = []
    for _, due_s, ms, status, body in map(json.loads, out.splitlines()):
        said = json.loads(body) if status == 200 else {"version": 0, "predictions": [{"probability": 0}]}
        found.append(Answer(due_s, due_s + ms / 1e3, status, said["version"], said["predictions"][0]["probability"]))
    return sorted(found, key=lambda one: one.due_s)


def never_back(found: list[Answer]) -> bool:
    """Whether nobody who had an answer got an older version when they asked again, on whatever connection."""
    done = sorted(found, key=lambda one: one.done_s)
    place = newest = 0
    for one in found:
        while place < len(done) and done[place].done_s < one.due_s:
            newest = max(newest, done[place].version)
            place += 1
        if one.version < newest:
            return False
    return True


def until(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def swap(start, tmp_path: Path, count: int, workers: int = 1) -> None:
    """Publish `count` versions under half load and look at every answer."""
    models_dir, aside = tmp_path / "models", tmp_path / "aside"
    write_version(models_dir, version=1, gain=GAINS[1])
    server = start(models_dir=models_dir, reload_s=0.02, workers=workers, access_log=False)
    peak = len(answers(load(server.url, 0, 2))) / 2
    asking = load(server.url, peak / 2, 5000)
    early = {}
    with server.client() as client:
        for version in range(2, count + 2):
            publish(models_dir, aside, version)
            until(lambda version=version: client.get("/v1/models/light").json().get("version") == version)
            if version == max(3, count // 10):
                early = resources(server.process.pid)
        late = resources(server.process.pid)
    asking.terminate()
    found = answers(asking)
    assert found
    assert {one.status for one in found} == {200}
    assert not [one for one in found if abs(one.probability - expected(one.version)) > 1e-5]
    assert never_back(found)
    assert max(one.version for one in found) >= count
    sys.stdout.write(f"{count} swaps, {len(found)} answers at {peak / 2:.0f} a second, from {early} to {late}\n")
    if workers == 1:
        assert late["threads"] <= early["threads"] + 2
        assert late["files"] <= early["files"] + 2
        assert late["kB"] <= early["kB"] + 10_000


def test_twenty_swaps_under_load_fail_mislead_and_send_back_nobody(start, tmp_path):
    swap(start, tmp_path, 20)


def test_workers_switch_together(start, tmp_path):
    swap(start, tmp_path, 5, workers=2)


def test_a_rollback_is_one_command_under_a_second_and_outlives_a_restart(start, tmp_path):
    models_dir = tmp_path / "models"
    for version in (1, 2):
        write_version(models_dir, version=version, gain=GAINS[version % 2])
    server = start(models_dir=models_dir)
    command = [sys.executable, "-m", "service", "models", "rollback", "light"]
    took = []
    with server.client() as client:
        for back_to in (1, 2, 1):
            begun = time.perf_counter()
            subprocess.run(command, cwd=ROOT, env={**os.environ, "MODELYARD_MODELS_DIR": str(models_dir)}, check=True)
            until(lambda back_to=back_to: client.get("/v1/models/light").json()["version"] == back_to)
            took.append(time.perf_counter() - begun)
    sys.stdout.write(f"rollbacks took {took} s\n")
    assert min(took) <= 1
    server.stop()
    with start(models_dir=models_dir).client() as client:
        assert client.get("/v1/models/light").json()["version"] == 1
        write_version(models_dir, version=3)
        until(lambda: client.get("/v2/models/light/versions/3/ready").status_code == 200)
        assert client.get("/v1/models/light").json()["version"] == 1


@pytest.mark.slow
def test_a_thousand_swaps_under_load_fail_mislead_and_send_back_nobody(start, tmp_path):
    swap(start, tmp_path, 1000)
