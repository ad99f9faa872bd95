"""Triton's Python backend running onnxruntime: the model.py of a repository that `side_by_side.py` writes."""

import os
import sys

sys.path[:0] = os.environ["PYTHONPATH"].split(":")  # the server's Python does not look there

import numpy as np  # noqa: E402
import triton_python_backend_utils as utils  # noqa: E402 - comes with the server
from graph import Graph  # noqa: E402


class TritonPythonModel:
    """An instance: a process with a session of one thread."""

    def initialize(self, args: dict) -> None:
        """In the process."""
        self.graph = Graph()

    def execute(self, requests: list) -> list:
        """The requests that Triton put together."""
        names = list(self.graph.inputs)
        items = [{name: utils.get_input_tensor_by_name(one, name).as_numpy() for name in names} for one in requests]
        return [
            utils.InferenceResponse([utils.Tensor(name, np.ascontiguousarray(array)) for name, array in outputs.items()])
            for outputs in self.graph.run_all(items)
        ]
