"""How a graph runs on an NVIDIA card: the provider's options, and runs whose inputs and outputs are bound to the card's memory.

Below `graph`, which opens the sessions. Knows no settings and nothing of what to do where a card is lost.
"""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from service.golden import Arrays
from service.manifest import ONNX_DATATYPES
from service.tensors import DTYPES

PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True)
class Card:
    """How a service wants the card used."""

    memory_mb: int = 0
    """That one graph may take; 0 for what the card has."""
    falls_back: bool = False
    """Whether graphs run on the CPU from where the card is lost."""


def options(memory_mb: int, *, recorded: bool = False) -> dict[str, str]:
    """The provider's. `memory_mb` bounds one graph's arena; 0 for what the card has.

    No TF32: its 10 bits of mantissa are further from PyTorch's answers than golden rows allow.
    """
    chosen = {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
        "enable_cuda_graph": str(int(recorded)),
    }
    return {**chosen, "gpu_mem_limit": str(memory_mb * 2**20)} if memory_mb else chosen


class Bound:
    """A session's run with inputs copied to the card once, and outputs copied from it once."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]

    def __call__(self, arrays: Arrays) -> Arrays:
        """Outputs by name for inputs by name. Raises what onnxruntime raises."""
        binding = self._session.io_binding()
        for name, array in arrays.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array), "cuda"))
        for name in self._outputs:
            binding.bind_output(name, "cuda")
        self._session.run_with_iobinding(binding)
        return dict(zip(self._outputs, binding.copy_outputs_to_cpu(), strict=True))


@dataclass(frozen=True)
class _Buffers:
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    binding: Any
    options: Any


class Recorded:
    """A session's runs as CUDA graphs, one for each power of two of rows: recorded once, then replayed on the same buffers."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session, self._lock = session, threading.Lock()
        self._buffers: dict[int, _Buffers] = {}

    def __call__(self, arrays: Arrays) -> Arrays:
        """Outputs by name for inputs by name, whose rows are filled up with zeros. Raises what onnxruntime raises."""
        rows = len(next(iter(arrays.values())))
        size = 1 << (rows - 1).bit_length()
        with self._lock:
            if size not in self._buffers:
                self._buffers[size] = self._made(size)
            buffers = self._buffers[size]
            for name, array in arrays.items():
                filler = np.zeros((size - rows, *array.shape[1:]), array.dtype)
                buffers.inputs[name].update_inplace(np.concatenate([array, filler]) if size > rows else array)
            self._session.run_with_iobinding(buffers.binding, buffers.options)
            return {name: value.numpy()[:rows] for name, value in buffers.outputs.items()}

    def _made(self, size: int) -> _Buffers:
        def empty(node: ort.NodeArg) -> Any:
            kind = DTYPES[ONNX_DATATYPES[node.type]].type
            return ort.OrtValue.ortvalue_from_shape_and_type([size, *node.shape[1:]], kind, "cuda")

        inputs = {node.name: empty(node) for node in self._session.get_inputs()}
        outputs = {node.name: empty(node) for node in self._session.get_outputs()}
        binding, run = self._session.io_binding(), ort.RunOptions()
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        run.add_run_config_entry("gpu_graph_id", str(size))
        return _Buffers(inputs, outputs, binding, run)


def recordable(session: ort.InferenceSession) -> bool:
    """Whether every axis but the first is fixed, so that a batch's size says all about its shapes."""
    nodes = [*session.get_inputs(), *session.get_outputs()]
    return all(isinstance(size, int) for node in nodes for size in node.shape[1:])
