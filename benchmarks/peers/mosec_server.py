"""Mosec: batches between processes.

GRAPH=model.onnx BATCH=64 WAIT_MS=2 python mosec_server.py --port PORT
"""

import os
from typing import Any

from graph import Arrays, Graph, written
from mosec import Server, Worker

BATCH, WAIT_MS = int(os.environ["BATCH"]), int(os.environ["WAIT_MS"])


class Infer(Worker):
    """A process with a session of one thread."""

    def __init__(self) -> None:
        self.graph = Graph()

    def deserialize(self, data: bytes) -> Arrays:
        """A body."""
        return self.graph.read(data)

    def forward(self, data: Any) -> Any:
        """A batch, or one item where there are none."""
        return self.graph.run_all(data) if BATCH > 1 else self.graph.run(data)

    def serialize(self, data: Arrays) -> bytes:
        """An answer."""
        return written(data)


if __name__ == "__main__":
    server = Server()
    if BATCH > 1:
        server.append_worker(Infer, num=2, max_batch_size=BATCH, max_wait_time=WAIT_MS)
    else:
        server.append_worker(Infer, num=2)
    server.run()
