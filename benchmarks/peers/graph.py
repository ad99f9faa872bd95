"""What every peer here does with a request: the protocol's JSON to arrays, onnxruntime on one thread, outputs to JSON.

Knows onnxruntime, numpy and orjson; the peers' own packages are in their files.
"""

import os

import numpy as np
import onnxruntime
import orjson

TYPES = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32, "tensor(int64)": np.int64, "tensor(float)": np.float32}
Arrays = dict[str, np.ndarray]


class Graph:
    """The graph that `GRAPH` names, and the outputs that `OUTPUTS` does; made in the process that runs it."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)
        self.inputs = {tensor.name: TYPES[tensor.type] for tensor in self.session.get_inputs()}
        self.outputs = os.environ["OUTPUTS"].split(",")

    def run(self, arrays: Arrays) -> Arrays:
        """Outputs by name."""
        return dict(zip(self.outputs, self.session.run(self.outputs, arrays), strict=True))

    def run_all(self, items: list[Arrays]) -> list[Arrays]:
        """Items of any number of rows as one batch."""
        if len(items) == 1:
            return [self.run(items[0])]
        outputs = self.run({name: joined([item[name] for item in items]) for name in items[0]})
        ends = np.cumsum([len(next(iter(item.values()))) for item in items])
        parts = {name: np.split(array, ends[:-1]) for name, array in outputs.items()}
        return [{name: parts[name][index] for name in parts} for index in range(len(items))]

    def arrays(self, document: dict) -> Arrays:
        """Of a request's document."""
        return {
            one["name"]: np.array(one["data"], self.inputs[one["name"]]).reshape(one["shape"]) for one in document["inputs"]
        }

    def read(self, body: bytes) -> Arrays:
        """Of a request's body."""
        return self.arrays(orjson.loads(body))


def joined(arrays: list[np.ndarray]) -> np.ndarray:
    """Rows under one another; those of texts padded with zeros to the longest."""
    longest = max(array.shape[1] for array in arrays)
    if all(array.shape[1] == longest for array in arrays):
        return np.concatenate(arrays)
    return np.concatenate([np.pad(array, ((0, 0), (0, longest - array.shape[1]))) for array in arrays])


def document(outputs: Arrays) -> dict:
    """An answer's document."""
    return {
        "outputs": [
            {"name": name, "shape": list(array.shape), "data": array.ravel().tolist()} for name, array in outputs.items()
        ]
    }


def written(outputs: Arrays) -> bytes:
    """An answer's body."""
    found = [{"name": name, "shape": array.shape, "data": array.ravel()} for name, array in outputs.items()]
    return orjson.dumps({"outputs": found}, option=orjson.OPT_SERIALIZE_NUMPY)
