"""onnxruntime alone, in process: what no server on the same machine can pass. Two sessions of one thread, each in a thread.

    python benchmarks/alone.py

A work's requests are joined in batches of the size that is best of 1 to 64; texts of mixed length are sorted first, and, for
comparison, taken as they come and padded to the longest. Knows no server.
"""

import os
import sys
import threading
import time
from pathlib import Path

import onnxruntime

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.peers.graph import joined
from benchmarks.works import Arrays, Graph, Work, graphs, works

BATCHES = (1, 8, 16, 32, 64)
SESSIONS = 2


def rate(work: Work, graph: Graph, seconds: float = 0.7, *, ordered: bool = True) -> float:
    """Requests a second at the best size of batch."""
    items = list(work.items)
    if ordered:
        items.sort(key=lambda item: next(iter(item.values())).shape[1])
    return max(_rate(batches, graph, work.outputs, seconds) for batches in _batches(items))


def _batches(items: list[Arrays]) -> list[list[tuple[int, Arrays]]]:
    """For each size of batch: the batches, each with its number of requests."""
    sizes = [size for size in BATCHES if next(iter(items[0].values())).shape[0] * size <= max(BATCHES)]
    repeated = items * -(-max(sizes) // len(items))
    return [[_joined(repeated[start : start + size]) for start in range(0, len(repeated) - size + 1, size)] for size in sizes]


def _joined(items: list[Arrays]) -> tuple[int, Arrays]:
    return len(items), {name: joined([item[name] for item in items]) for name in items[0]}


def _rate(batches: list[tuple[int, Arrays]], graph: Graph, outputs: tuple[str, ...], seconds: float) -> float:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    counts, stop = [0] * SESSIONS, threading.Event()

    def run(index: int) -> None:
        session = onnxruntime.InferenceSession(graph.file, options)
        session.run(list(outputs), batches[0][1])
        together.wait()
        while not stop.is_set():
            for number, arrays in batches[index::SESSIONS] or batches:
                session.run(list(outputs), arrays)
                counts[index] += number

    together = threading.Barrier(SESSIONS + 1)
    threads = [threading.Thread(target=run, args=(index,)) for index in range(SESSIONS)]
    for thread in threads:
        thread.start()
    together.wait()
    begun = time.perf_counter()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - begun)


if __name__ == "__main__":
    os.environ.setdefault("OUTPUTS", "")
    files = graphs()
    for one in works():
        said = f"{one.said}: {rate(one, files[one.model]):,.0f} a second"
        unordered = f"; in the order in which they come {rate(one, files[one.model], ordered=False):,.0f}"
        print(said + unordered * (len(one.items) > 1), flush=True)
