"""A network to an ONNX graph that answers like it: export, parity, golden. The only file here that knows ONNX and onnxruntime.

Knows no family. The graph is one file without external data, without the exporter's notes on where the sources lie, and its
answers are compared with PyTorch's on real rows, together and one by one, before anybody sees it.
"""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import torch

from service.golden import SINGLE_ROWS, Array, Arrays, Golden
from service.manifest import ONNX_DATATYPES, GraphSpec, TensorSpec
from training.operators import TRANSLATIONS
from training.room import Export, Predict, TrainingError

PARITY = 1e-4
"""Largest difference between ONNX and PyTorch that is let through: see `Golden.difference`."""
GOLDEN_ROWS = 16
MANY = 10_000
"""Weights of a layer from which on their precision matters to the file's size."""
RUN_ROWS = 250


@dataclass(frozen=True)
class Exported:
    """A graph and the proof that it answers like its network."""

    graph: bytes
    spec: GraphSpec
    golden: Golden
    parity: float


def export(wanted: Export, rows: Arrays, file: str = "model.onnx") -> Exported:
    """The graph of `wanted`, compared on `rows` (real ones, the first are recorded). Raises TrainingError on disparity."""
    module = wanted.module.cpu().eval().requires_grad_(False)  # or a loop in it would be exported with its gradients
    if wanted.half:
        for weights in (one for one in module.parameters() if one.numel() >= MANY):
            weights.copy_(weights.half())
    graph = _onnx(module, wanted)
    predict = open_graph(graph)
    checked = {name: rows[name] for name in wanted.inputs}
    reference = Golden(checked, _torch(module, wanted, checked))
    spec = _spec(graph, file)
    parity = max(reference.difference(predict), _unpadded(reference, predict, wanted, spec))
    if not parity <= PARITY:
        raise TrainingError(f"The ONNX graph differs from PyTorch by {parity:.3g}; at most {PARITY:g} is let through.")
    golden = Golden(
        {name: array[:GOLDEN_ROWS] for name, array in reference.inputs.items()},
        {name: array[:GOLDEN_ROWS] for name, array in reference.outputs.items()},
    )
    return Exported(graph, spec, golden, parity)


def graphs(wanted: Export, rows: Arrays) -> dict[str, Exported]:
    """The graph `model` of `wanted`, compared on `rows`, and its further ones, compared on their own. Raises TrainingError."""
    further = {name: export(one, one.rows, f"{name}.onnx") for name, one in wanted.more.items()}
    return {"model": export(wanted, rows), **further}


def _unpadded(reference: Golden, predict: Predict, wanted: Export, spec: GraphSpec) -> float:
    """The largest difference of rows asked alone and without the zeros at their end from the same rows padded.

    Raises TrainingError where an answer's shape is not as the graph states it: no service would take the version.
    """
    worst = 0.0
    stated = {tensor.name: tensor.row_shape for tensor in spec.outputs}
    for row in range(min(SINGLE_ROWS, reference.rows) if wanted.axes else 0):
        alone = {name: _trimmed(array[row : row + 1], wanted.axes.get(name, {})) for name, array in reference.inputs.items()}
        for name, got in predict(alone).items():
            if any(isinstance(axis, int) and axis != size for axis, size in zip(stated[name], got.shape[1:], strict=True)):
                raise TrainingError(f"The graph states rows of {stated[name]} for {name!r}; one has {got.shape[1:]}.")
            recorded = reference.outputs[name][row : row + 1][tuple(slice(size) for size in got.shape)]
            worst = max(worst, reference.apart(name, got, recorded))
    return worst


def _trimmed(array: Array, axes: dict[int, str]) -> Array:
    for axis in axes:
        used = np.flatnonzero(np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1).any(1))
        array = np.take(array, range(int(used[-1]) + 1 if len(used) else 1), axis)
    return array


def _torch(module: torch.nn.Module, wanted: Export, rows: Arrays) -> Arrays:
    with torch.inference_mode():
        answer = module(*(torch.from_numpy(rows[name]) for name in wanted.inputs))
    parts = answer if isinstance(answer, tuple) else (answer,)
    return {name: part.numpy() for name, part in zip(wanted.outputs, parts, strict=True)}


def _onnx(module: torch.nn.Module, wanted: Export) -> bytes:
    """The bytes of the graph; the first axis of everything is `batch`."""
    shapes = tuple({0: "batch", **wanted.axes.get(name, {})} for name in wanted.inputs)
    with _quiet():
        program = torch.onnx.export(
            module,
            tuple(wanted.inputs.values()),
            input_names=list(wanted.inputs),
            output_names=list(wanted.outputs),
            dynamic_shapes=shapes,
            custom_translation_table=TRANSLATIONS,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise TrainingError("torch.onnx gave no program.")
    results = set(map(id, program.model.graph.outputs))
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # stack traces, with the paths of this machine
        for value in node.outputs:
            if value.name in wanted.outputs and id(value) not in results:
                value.name = f"{value.name}_inside"  # the exporter names a value after its operator, such as mean
    graph = program.model_proto
    graph.producer_name, graph.producer_version, graph.doc_string = "modelyard", "", wanted.summary
    _store_in_half(graph.graph)
    onnx.checker.check_model(graph, full_check=True)
    data: bytes = graph.SerializeToString(deterministic=True)
    return data


def _store_in_half(graph: onnx.GraphProto) -> None:
    """Many weights that lose nothing in half precision are stored so, and cast when the graph is opened."""
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or np.prod(tensor.dims) < MANY:
            continue
        values = onnx.numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):  # what is too large becomes infinite, which is not what it was
            half = values.astype(np.float16)
        if np.array_equal(half, values):
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
            graph.node.insert(0, onnx.helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT))


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks of packages that are not needed and of its own future; neither is news to whoever trains."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _session(graph: bytes, threads: int = 0) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def milliseconds(wanted: Export, graph: bytes, rows: Arrays) -> float:
    """Median time of one row alone, without padding, on one thread."""
    session = _session(graph, threads=1)
    inputs = [
        {name: _trimmed(rows[name][row : row + 1], wanted.axes.get(name, {})) for name in wanted.inputs}
        for row in range(len(next(iter(rows.values()))))
    ]
    seconds = []
    for one in [*inputs[:10], *inputs]:  # the first to warm up
        begun = time.perf_counter()
        session.run(None, one)
        seconds.append(time.perf_counter() - begun)
    return float(np.median(seconds[10:]) * 1e3)


def open_graph(model: bytes, **further: bytes) -> Predict:
    """A version's graphs as something to ask: arrays in, arrays out, any number of rows."""
    sessions = {name: _session(content) for name, content in {"model": model, **further}.items()}

    def predict(arrays: Arrays, graph: str = "model") -> Arrays:
        rows = next(iter(arrays.values())).shape[0]
        names = [output.name for output in sessions[graph].get_outputs()]
        parts = [
            sessions[graph].run(names, {name: array[start : start + RUN_ROWS] for name, array in arrays.items()})
            for start in range(0, rows, RUN_ROWS)
        ]
        return {name: np.concatenate([part[index] for part in parts]) for index, name in enumerate(names)}

    return predict


def _spec(graph: bytes, file: str) -> GraphSpec:
    session = _session(graph)

    def tensors(nodes: list[ort.NodeArg]) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(name=node.name, datatype=ONNX_DATATYPES[node.type], shape=tuple(node.shape)) for node in nodes)

    return GraphSpec(file=file, inputs=tensors(session.get_inputs()), outputs=tensors(session.get_outputs()))


def runtime_version() -> str:
    """Onnxruntime's version, for provenance."""
    return str(ort.__version__)
