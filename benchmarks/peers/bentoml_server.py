"""BentoML: adaptive batching between its API processes and its runners' ones.

GRAPH=model.onnx BATCH=64 WAIT_MS=2 bentoml serve bentoml_server:Infer --port PORT
"""

import os

import bentoml
import numpy as np
from graph import Graph

BATCH, WAIT_MS = int(os.environ["BATCH"]), int(os.environ["WAIT_MS"])


@bentoml.service(workers=2, traffic={"timeout": 30, "max_concurrency": 1000}, logging={"access": {"enabled": False}})
class Infer:
    """A graph of one input and one output; its JSON is BentoML's own: the method's argument by name."""

    def __init__(self) -> None:
        self.graph = Graph()
        (self.name, self.dtype), (self.output,) = next(iter(self.graph.inputs.items())), self.graph.outputs

    if BATCH > 1:

        @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=max(WAIT_MS, 1) * 100)
        def infer(self, rows: np.ndarray) -> np.ndarray:
            """Rows in, rows out."""
            return self.graph.run({self.name: rows.astype(self.dtype)})[self.output]
    else:

        @bentoml.api
        def infer(self, rows: np.ndarray) -> np.ndarray:
            """Rows in, rows out."""
            return self.graph.run({self.name: rows.astype(self.dtype)})[self.output]
