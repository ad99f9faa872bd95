"""TorchServe's handler: the requests that it put together, as one batch; lies beside `graph.py` in the model's folder."""

from typing import Any

from graph import Graph, written


class Handler:
    """A process with a session of one thread."""

    def initialize(self, context: Any) -> None:
        """In the process."""
        self.graph = Graph()

    def handle(self, data: list[dict], context: Any) -> list[bytes]:
        """Bodies in, bodies out; JSON comes read by TorchServe."""
        for index in range(len(data)):
            context.set_response_content_type(index, "application/json")
        items = [self.graph.arrays(one["body"]) for one in data]
        return [written(outputs) for outputs in self.graph.run_all(items)]
