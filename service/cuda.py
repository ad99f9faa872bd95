"""How a graph runs on an NVIDIA card: the provider's options, and runs recorded as CUDA graphs on buffers bound once.

A small network is some dozens of kernels of a few microseconds: to start them one by one can take longer than they do. A
recorded run starts them all at once; `docs/gpu.md` has the figures, and why it is done only where it is asked for.
Below `graph`, which opens the sessions; knows no settings, and nothing of what to do where a card is lost.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort

from service import tensors
from service.golden import Array, Arrays
from service.manifest import ONNX_DATATYPES

PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True)
class Card:
    """How a service wants the card used."""

    memory_mb: int = 0
    """That one graph may take; 0 for what the card has."""
    falls_back: bool = False
    """Whether graphs run on the CPU from where the card is lost."""
    recorded: int = 0
    """Rows of the largest batch that is recorded as a CUDA graph; 0 for none."""


def options(memory_mb: int, *, recorded: bool = False) -> dict[str, str]:
    """The provider's. `memory_mb` bounds what one graph takes for its arrays; 0 for what the card has.

    No TF32: its 10 bits of mantissa are further from PyTorch's answers than golden rows allow.
    """
    chosen = {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "0",
        "enable_cuda_graph": str(int(recorded)),
    }
    return {**chosen, "gpu_mem_limit": str(memory_mb * 2**20)} if memory_mb else chosen


class Turns:
    """Many at a time, or one alone: while a run is recorded, no thread of the process may ask the card for memory."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running, self._alone = 0, False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Beside others, while nobody is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Once those who run are done; whoever comes meanwhile waits."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._running)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


turns = Turns()
"""Of everything in this process that uses the card."""


def recordable(session: ort.InferenceSession) -> bool:
    """Whether every axis but the first is fixed, so that a batch's size says all about its shapes."""
    nodes = [*session.get_inputs(), *session.get_outputs()]
    return all(isinstance(size, int) for node in nodes for size in node.shape[1:])


@dataclass(frozen=True)
class _Recording:
    """Arrays on the card, the binding that names them, and the options that name the recorded run."""

    inputs: dict[str, tuple[Any, Array]]
    """With zeros of the same shape and type."""
    outputs: dict[str, Any]
    binding: Any
    options: Any


class Recorded:
    """A session's runs, one recorded for each power of two of rows when it is first wanted, replayed with other numbers.

    In one thread of its own, because onnxruntime keeps what it records for each thread. The largest is recorded first: a matrix
    product adds its bias by way of a vector of ones as long as the batch, which moves when a longer one is wanted, and what was
    recorded before would go on reading where it was.
    """

    def __init__(self, session: ort.InferenceSession, most: int) -> None:
        """`most` rows are run together; more are run one after the other."""
        self._session, self._most = session, _power(most)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cuda")
        self._recordings: dict[int, _Recording] = {}

    def __call__(self, arrays: Arrays) -> Arrays:
        """Outputs by name for inputs by name. Raises what onnxruntime raises, and ValueError on arrays that do not fit."""
        return self._thread.submit(self._answers, arrays).result()

    def _answers(self, arrays: Arrays) -> Arrays:
        rows, most = len(next(iter(arrays.values()))), self._most
        if rows > most:
            parts = [{name: array[at : at + most] for name, array in arrays.items()} for at in range(0, rows, most)]
            return tensors.join([self._answers(part) for part in parts])
        recording = self._recording(_power(rows))
        with turns.shared():
            for name, (value, zeros) in recording.inputs.items():
                value.update_inplace(_filled(name, arrays[name], zeros, rows))
            self._session.run_with_iobinding(recording.binding, recording.options)
            return {name: value.numpy()[:rows] for name, value in recording.outputs.items()}

    def _recording(self, size: int) -> _Recording:
        for wanted in (self._most, size):
            if wanted not in self._recordings:
                with turns.alone():
                    self._recordings[wanted] = self._record(wanted)
        return self._recordings[size]

    def _record(self, size: int) -> _Recording:
        def zeros(node: ort.NodeArg) -> tuple[Any, Array]:
            array = np.zeros([size, *node.shape[1:]], tensors.DTYPES[ONNX_DATATYPES[node.type]])
            return ort.OrtValue.ortvalue_from_numpy(array, "cuda"), array

        inputs = {node.name: zeros(node) for node in self._session.get_inputs()}
        outputs = {node.name: zeros(node)[0] for node in self._session.get_outputs()}
        binding, run = self._session.io_binding(), ort.RunOptions()
        for name, (value, _) in inputs.items():
            binding.bind_ortvalue_input(name, value)
        for name, value in outputs.items():
            binding.bind_ortvalue_output(name, value)
        run.add_run_config_entry("gpu_graph_id", str(size))
        self._session.run_with_iobinding(binding, run)
        return _Recording(inputs, outputs, binding, run)


def _filled(name: str, array: Array, zeros: Array, rows: int) -> Array:
    """An input as the recorded run takes it, which checks nothing by itself: zeros for the rows that are wanting."""
    wanted = (rows, *zeros.shape[1:])
    if array.shape != wanted or array.dtype != zeros.dtype:
        raise ValueError(f"input {name!r} is {array.dtype} {array.shape}, expected {zeros.dtype} {wanted}")
    return np.concatenate([array, zeros[rows:]]) if rows < len(zeros) else array


def _power(rows: int) -> int:
    """The power of two that is not below it."""
    return 1 << max(0, rows - 1).bit_length()
