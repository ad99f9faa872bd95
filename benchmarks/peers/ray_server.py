"""Ray Serve: two replicas behind its proxy.

GRAPH=model.onnx BATCH=64 WAIT_MS=2 python ray_server.py --port PORT
"""

import os
import sys
import time

import ray
from graph import Graph, written
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

BATCH, WAIT_MS = int(os.environ["BATCH"]), int(os.environ["WAIT_MS"])


@serve.deployment(num_replicas=2, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.5})
class Infer:
    """A graph of one thread in each replica."""

    def __init__(self) -> None:
        self.graph = Graph()

    @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=WAIT_MS / 1e3)
    async def run(self, items: list) -> list:
        """A batch."""
        return self.graph.run_all(items)

    async def __call__(self, request: Request) -> Response:
        """One request."""
        item = self.graph.read(await request.body())
        return Response(written(await self.run(item) if BATCH > 1 else self.graph.run(item)), media_type="application/json")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[2])})
    serve.run(Infer.bind(), route_prefix="/infer")
    while True:
        time.sleep(1)
