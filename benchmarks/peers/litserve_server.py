"""LitServe: its own batching, two processes that run the graph.

GRAPH=model.onnx BATCH=64 WAIT_MS=2 python litserve_server.py --port PORT
"""

import os
import sys
from typing import Any

import litserve
from graph import Arrays, Graph, document

BATCH, WAIT_MS = int(os.environ["BATCH"]), int(os.environ["WAIT_MS"])


class Infer(litserve.LitAPI):
    """A graph of one thread in each process."""

    def setup(self, device: str) -> None:
        """In the process."""
        self.graph = Graph()

    def decode_request(self, request: dict) -> Arrays:
        """A document."""
        return self.graph.arrays(request)

    def batch(self, inputs: list[Arrays]) -> list[Arrays]:
        """As they are: `predict` joins them."""
        return list(inputs)

    def predict(self, x: Any) -> Any:
        """A batch, or one item where there are none."""
        return self.graph.run_all(x) if BATCH > 1 else self.graph.run(x)

    def unbatch(self, output: list[Arrays]) -> list[Arrays]:
        """As they are."""
        return output

    def encode_response(self, output: Arrays) -> dict:
        """A document."""
        return document(output)


if __name__ == "__main__":
    api = Infer(max_batch_size=BATCH, batch_timeout=WAIT_MS / 1e3, api_path="/infer")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[2]), num_api_servers=2, generate_client_file=False, log_level="error")
