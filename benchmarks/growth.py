"""How the service's cost grows with clients, with models beside the one that is asked, and with the words asked for; how long
it takes to start, and how much memory two workers hold.

    python benchmarks/growth.py [--rounds 3] [--seconds 2]

Closed loops by `wrk`, in turns; medians. Memory is the proportional set size of all processes together: pages that two of them
share count once. A start is timed from the command to the first `ready`.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.contenders import over_named
from benchmarks.serving import ROOT, free_port
from benchmarks.works import Graph, Work, graphs, works
from benchmarks.wrk import measured

CLIENTS = (16, 64, 256)
MODELS = (1, 5, 20)
WORDS = (10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Running:
    """A service that is ready, and the seconds that took."""

    url: str
    pid: int
    start_s: float

    def memory_mb(self) -> float:
        """Of it and all that it started."""
        return sum(_pss_kb(pid) for pid in _family(self.pid)) / 1024


@contextmanager
def service(repository: Path, workers: int) -> Iterator[Running]:
    """Ours, on a port of its own, ready."""
    port = free_port()
    settings = {"PORT": port, "WORKERS": workers, "MODELS_DIR": repository, "ACCESS_LOG": "false"}
    environment = {**os.environ, **{f"MODELYARD_{name}": str(value) for name, value in settings.items()}}
    begun = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-m", "service"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _is_ready(url):
            if time.perf_counter() - begun > 60:
                raise TimeoutError("the service is not ready after 60 s")
            time.sleep(0.005)
        yield Running(url, server.pid, time.perf_counter() - begun)
    finally:
        server.terminate()
        server.wait()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v2/health/ready", timeout=1).status_code == 200
    except httpx.TransportError:
        return False


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *(one for child in children.read_text().split() for one in _family(int(child)))]


def _pss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def rate(running: Running, work: Work, clients: int, seconds: int) -> float:
    """Requests a second, after a second to warm up. Raises RuntimeError where one failed."""
    asked = over_named(work)
    if asked is None:
        raise TypeError(work.name)
    measured(running.url, asked, clients, 1)
    found = measured(running.url, asked, clients, seconds)
    if found["failed"]:
        raise RuntimeError(f"{found['failed']:.0f} of {work.name} failed")
    return found["rate"]


def copies(graph: Graph, count: int, folder: Path) -> Path:
    """A repository with the model itself and more of it under other names."""
    repository = folder / str(count)
    source = graph.file.parent
    for index in range(count):
        name = graph.model if index == 0 else f"{graph.model}{index}"
        shutil.copytree(source, repository / name / source.name)
        manifest = repository / name / source.name / "manifest.json"
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "name": name, "sha256": None}))
    return repository


def size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 2**20


def shown(what: str, cells: dict[str, list[float]], unit: str = "requests a second") -> None:
    """A line of medians, each with its share of the highest."""
    medians = {name: statistics.median(values) for name, values in cells.items()}
    peak = max(medians.values())
    print(f"{what}: " + ", ".join(f"{name} {value:,.0f} ({value / peak:.2f})" for name, value in medians.items()) + f" {unit}")


def by_clients(graph: Graph, work: Work, rounds: int, seconds: int) -> None:
    """More clients, one model."""
    cells: dict[str, list[float]] = {str(clients): [] for clients in CLIENTS}
    with service(graph.repository, 2) as running:
        for _ in range(rounds):
            for clients in CLIENTS:
                cells[str(clients)].append(rate(running, work, clients, seconds))
    shown("clients", cells)


def by_models(graph: Graph, work: Work, rounds: int, seconds: int) -> None:
    """One is asked by 64 clients, others are there."""
    cells: dict[str, list[float]] = {str(count): [] for count in MODELS}
    memory: dict[int, list[float]] = {count: [] for count in MODELS}
    with tempfile.TemporaryDirectory() as folder:
        repositories = {count: copies(graph, count, Path(folder)) for count in MODELS}
        for _ in range(rounds):
            for count, repository in repositories.items():
                with service(repository, 2) as running:
                    memory[count].append(running.memory_mb())
                    cells[str(count)].append(rate(running, work, 64, seconds))
        shown("models", cells)
        files = size_mb(repositories[1])
        first, last = statistics.median(memory[MODELS[0]]), statistics.median(memory[MODELS[-1]])
        more = (last - first) / (MODELS[-1] - MODELS[0]) / 2
        print(f"memory of two workers: {first:.0f} to {last:.0f} MB, {more:.2f} a model and worker; its files {files:.2f}")


def by_words(graph: Graph, work: Work, rounds: int, seconds: int) -> None:
    """16 clients ask for the neighbours of so many different words."""
    generator = np.random.default_rng(0)
    chosen = generator.permutation(np.arange(2, 50_000))
    cells: dict[str, list[float]] = {f"{count:,}": [] for count in WORDS}
    with service(graph.repository, 2) as running:
        for _ in range(rounds):
            for count in WORDS:
                items = tuple({**work.items[0], "words": np.array([[word]], np.int32)} for word in chosen[:count])
                cells[f"{count:,}"].append(rate(running, replace(work, items=items), 16, seconds))
    shown("words", cells)


def start(rounds: int) -> None:
    """All shipped models."""
    seconds, idle = [], []
    for _ in range(rounds):
        for workers in (1, 2):
            with service(ROOT / "models", workers) as running:
                if workers == 1:
                    seconds.append(running.start_s)
                else:
                    idle.append(running.memory_mb())
    print(
        f"from the start to ready, all shipped models, one worker: {statistics.median(seconds):.2f} s "
        f"({min(seconds):.2f} to {max(seconds):.2f})"
    )
    print(f"two workers, proportional set size: {statistics.median(idle):.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    arguments = parser.parse_args()
    files, every = graphs(), {work.name: work for work in works()}
    start(arguments.rounds)
    by_clients(files["book"], every["one"], arguments.rounds, arguments.seconds)
    by_models(files["book"], every["one"], arguments.rounds, arguments.seconds)
    by_words(files["words"], every["neighbours"], arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
