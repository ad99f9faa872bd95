"""The Open Inference Protocol, version 2: its JSON and bytes to arrays and back, and its metadata.

Tensors as JSON and as bytes, both ways and mixed, BYTES, raw requests, classification. What a model takes in place of its
graph's inputs (texts, encoded pictures) is one more input of BYTES here; what its elements mean is the room's. Knows the wire
and the manifest's tensor specifications; knows neither routes nor models.
Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md; the extensions are those of the Triton
Inference Server, docs/protocol.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from service import wire
from service.errors import InvalidTensor, TooLarge, shown
from service.golden import Array, Arrays
from service.manifest import GraphSpec, Manifest, TensorSpec
from service.settings import Settings
from service.tensors import DTYPES

PLATFORM = "onnxruntime_onnx"
EXTENSIONS = ("binary_tensor_data", "classification", "model_repository", "model_configuration", "statistics")
LENGTH_HEADER = "inference-header-content-length"
LARGEST = {np.dtype(kind): np.iinfo(kind).max for kind in (np.uint8, np.uint16, np.uint32, np.uint64)}


def model_metadata(manifest: Manifest, versions: list[int], raw: str | None) -> dict[str, Any]:
    """`GET /v2/models/{name}`. `raw` names the input of BYTES that stands for all others, where there is one."""
    more = [_tensor_metadata(raw_spec(raw))] if raw else []
    return {
        "name": manifest.name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [_tensor_metadata(spec) for spec in manifest.graph.inputs] + more,
        "outputs": [_tensor_metadata(spec) for spec in manifest.graph.outputs],
    }


def model_config(manifest: Manifest, settings: Settings, raw: str | None) -> dict[str, Any]:
    """`GET /v2/models/{name}/config`, as Triton's ModelConfig. Every input is optional where there are two ways."""
    inputs = [*manifest.graph.inputs, *([raw_spec(raw)] if raw else [])]
    return {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"latest": {"num_versions": settings.versions}},
        "max_batch_size": settings.max_rows,
        "input": [{**_tensor_config(spec), "optional": raw is not None} for spec in inputs],
        "output": [_tensor_config(spec) for spec in manifest.graph.outputs],
        "dynamic_batching": {"max_queue_delay_microseconds": 0},
        "instance_group": [{"name": manifest.name, "kind": "KIND_CPU", "count": settings.slots}],
        "default_model_filename": manifest.graph.file,
        "response_cache": {"enable": False},
        "model_transaction_policy": {"decoupled": False},
    }


def _tensor_config(spec: TensorSpec) -> dict[str, Any]:
    kind = "STRING" if spec.datatype == "BYTES" else spec.datatype
    return {"name": spec.name, "data_type": f"TYPE_{kind}", "dims": _tensor_metadata(spec)["shape"][1:]}


def raw_spec(name: str) -> TensorSpec:
    """The input of BYTES, an element a row, that stands for all others."""
    return TensorSpec(name=name, datatype="BYTES", shape=("batch", 1))


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in spec.shape]
    return {"name": spec.name, "datatype": spec.datatype, "shape": shape}


@dataclass(frozen=True)
class Taken:
    """What a model takes and gives, looked up once for all of its requests."""

    graph: GraphSpec
    raw: str | None
    """The input of BYTES that stands for all others, where there is one."""
    specs: dict[str, TensorSpec]
    everything: tuple["Wanted", ...]
    """All outputs as JSON: what a request gets that names none."""

    @classmethod
    def of(cls, graph: GraphSpec, raw: str | None) -> "Taken":
        """From the graph that tensor requests reach."""
        specs = {spec.name: spec for spec in (*graph.inputs, *([raw_spec(raw)] if raw else []))}
        return cls(graph, raw, specs, tuple(Wanted(spec.name) for spec in graph.outputs))


@dataclass(frozen=True)
class Wanted:
    """An output that a request asks for."""

    name: str
    binary: bool = False
    classes: int = 0
    """Its largest values with their labels instead of all; 0 for all."""


@dataclass(slots=True)
class Inference:
    """A request for inference."""

    arrays: Arrays
    outputs: tuple[Wanted, ...]
    identity: str | None = None


@dataclass(slots=True)
class Sent:
    """A body, how long its JSON is as the header states it (all of it where there is none), and its media type."""

    data: bytes
    stated: str | None = None
    media: str = ""


def read_request(body: Sent, takes: Taken, settings: Settings, parse: Callable[[bytes | memoryview], object]) -> Inference:
    """An inference request from a body.

    Raises InvalidTensor, TooLarge and what `parse` raises. Whether the inputs are those that the graph takes is checked by
    `tensors.check`; keys we do not know are ignored, as the protocol wants.
    """
    written, rest = (body.data, memoryview(b"")) if body.stated is None else wire.divided(body.data, body.stated)
    if body.stated is not None and not written:
        return _raw(rest, takes.graph, takes.raw if body.media.startswith(("image/", "text/")) else None, settings)
    document = parse(written)
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise InvalidTensor("Field 'inputs' is missing; expected a list of tensors.")
    specs = takes.specs
    arrays: Arrays = {}
    for index, tensor in enumerate(document["inputs"]):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str) or name not in specs:
            raise InvalidTensor(f"Field 'inputs[{index}].name' is {shown(name)}; expected one of {sorted(specs)}.")
        if name in arrays:
            raise InvalidTensor(f"Input '{name}' is given twice.")
        arrays[name], rest = _array(tensor, specs[name], rest, settings)
    if rest:
        raise InvalidTensor(f"The body has {len(rest)} bytes more than its inputs.")
    plain = "outputs" not in document and "parameters" not in document
    return Inference(arrays, takes.everything if plain else _wanted(document, takes.graph), _id(document))


def _raw(data: memoryview, graph: GraphSpec, raw: str | None, settings: Settings) -> Inference:
    """A body that is nothing but one row of the only input, or of `raw`; all outputs come back as bytes."""
    outputs = tuple(Wanted(output.name, binary=True) for output in graph.outputs)
    if raw:
        element = np.empty((1, 1), np.object_)
        element[0, 0] = bytes(data)
        return Inference({raw: element}, outputs)
    free = [axis for axis, size in enumerate(graph.inputs[0].row_shape) if isinstance(size, str)]
    if len(graph.inputs) != 1 or len(free) > 1:
        raise InvalidTensor("A body without JSON is for a model with one input and at most one free axis; this one has more.")
    spec = graph.inputs[0]
    shape = [1, *(size if isinstance(size, int) else 1 for size in spec.row_shape)]
    if free:
        fixed = math.prod(shape) * DTYPES[spec.datatype].itemsize
        shape[1 + free[0]] = len(data) // fixed
    array = wire.unpack(data, spec.datatype, _shape(shape, spec.name, settings), spec.name)
    return Inference({spec.name: array}, outputs)


def _array(tensor: dict[str, Any], spec: TensorSpec, rest: memoryview, settings: Settings) -> tuple[Array, memoryview]:
    """The tensor, and the bytes behind its own."""
    if tensor.get("datatype") != spec.datatype:
        raise InvalidTensor(f"Input '{spec.name}' has datatype {shown(tensor.get('datatype'))}; expected {spec.datatype}.")
    shape = _shape(tensor.get("shape"), spec.name, settings)
    size = _parameters(tensor).get("binary_data_size")
    if size is None:
        values = _values(tensor.get("data"), spec, settings)
        if values.size != math.prod(shape):
            raise InvalidTensor(
                f"Input '{spec.name}' has {values.size} values; its shape {list(shape)} holds {math.prod(shape)}."
            )
        return values.reshape(shape), rest
    if "data" in tensor:
        raise InvalidTensor(f"Input '{spec.name}' has both 'data' and 'binary_data_size'; expected one of them.")
    if type(size) is not int or not 0 <= size <= len(rest):
        raise InvalidTensor(
            f"Field 'binary_data_size' of input '{spec.name}' is {shown(size)}; expected a whole number up to {len(rest)}, "
            "the bytes that are left."
        )
    return wire.unpack(rest[:size], spec.datatype, shape, spec.name), rest[size:]


def _parameters(owner: dict[str, Any]) -> dict[str, Any]:
    parameters = owner.get("parameters") or {}
    if not isinstance(parameters, dict):
        raise InvalidTensor(f"Field 'parameters' is {shown(parameters)}; expected an object.")
    return parameters


def _shape(shape: object, name: str, settings: Settings) -> tuple[int, ...]:
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < 2**31 for size in shape):
        raise InvalidTensor(f"Input '{name}' has shape {shown(shape)}; expected a list of whole numbers.")
    if len(shape) > settings.max_rank:
        raise InvalidTensor(f"Input '{name}' has {len(shape)} axes; expected at most {settings.max_rank}.")
    if math.prod(shape) > settings.max_elements:
        raise TooLarge(f"Input '{name}' has {math.prod(shape)} elements; expected at most {settings.max_elements}.")
    if shape and shape[0] > settings.max_rows:
        raise TooLarge(f"Input '{name}' has {shape[0]} rows; expected at most {settings.max_rows}.")
    return tuple(shape)


def _values(data: object, spec: TensorSpec, settings: Settings) -> Array:
    """`data`, nested or flat, as an array of the input's dtype, with no value changed on the way."""
    if not isinstance(data, list | np.ndarray):
        raise InvalidTensor(f"Input '{spec.name}' has data {shown(data)}; expected a list.")
    if spec.datatype == "BYTES" and isinstance(data, list):
        return _strings(data, spec.name)
    try:
        values = np.asarray(data)
    except ValueError:
        raise InvalidTensor(f"Input '{spec.name}' has ragged data; expected lists of one length.") from None
    if values.ndim > settings.max_rank:
        raise InvalidTensor(f"Input '{spec.name}' has data nested in {values.ndim} levels; expected {len(spec.shape)}.")
    wanted = DTYPES[spec.datatype]
    if values.size == 0:
        return values.astype(wanted)
    kinds = {"b": "b", "f": "iuf"}.get(wanted.kind, "iuf")
    if values.dtype.kind not in kinds:
        raise InvalidTensor(f"Input '{spec.name}' holds values that are not {spec.datatype}.")
    if wanted == np.uint64 and values.dtype.kind == "f":  # numpy takes small and large whole numbers together for floats
        exactly = np.asarray(data, np.object_)
        if all(type(value) is int and 0 <= value < 2**64 for value in exactly.reshape(-1).tolist()):
            return exactly.astype(wanted)
    return fitted(values, spec)


def fitted(values: Array, spec: TensorSpec) -> Array:
    """Numbers as the input's dtype. Raises InvalidTensor where one would be changed on the way."""
    wanted = DTYPES[spec.datatype]
    if wanted.kind == "u" and values.dtype == np.int64 and values.flags.c_contiguous and values.size:
        # one look at each value: a negative one is larger than all others without its sign
        exact = bool(np.maximum.reduce(values.reshape(-1).view(np.uint64)) <= LARGEST[wanted])
        converted = values.astype(wanted)
    else:
        with np.errstate(invalid="ignore", over="ignore") if values.dtype.kind == "f" else nullcontext():
            converted = values.astype(wanted)
        exact = bool(np.isfinite(converted).all() if wanted.kind == "f" else (converted == values).all())
    if not exact:
        raise InvalidTensor(f"Input '{spec.name}' holds values that do not fit {spec.datatype}.")
    return converted


def _strings(data: list[Any], name: str) -> Array:
    """Strings, in lists or in one, as their UTF-8."""
    flat: list[Any] = [one for part in data for one in (part if isinstance(part, list) else [part])]
    for index, one in enumerate(flat):
        if not isinstance(one, str):
            raise InvalidTensor(f"Input '{name}' has {shown(one)} at {index}; expected a string.")
    found = np.empty(len(flat), np.object_)
    found[:] = [one.encode() for one in flat]  # the parser let no lone surrogate in
    return found


def _wanted(document: dict[str, Any], graph: GraphSpec) -> tuple[Wanted, ...]:
    names = [spec.name for spec in graph.outputs]
    outputs = document.get("outputs")
    binary = _flag(_parameters(document), "binary_data_output", default=False)
    if not outputs:
        return tuple(Wanted(name, binary) for name in names)
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise InvalidTensor(f"Field 'outputs' is {shown(outputs)}; expected a list of objects with a name.")
    found: dict[str, Wanted] = {}
    for output in outputs:
        name, parameters = output.get("name"), _parameters(output)
        if name not in names:
            raise InvalidTensor(f"Output {shown(name)} is unknown; expected one of {names}.")
        if name in found:
            raise InvalidTensor(f"Output '{name}' is asked for twice.")
        classes = parameters.get("classification", 0)
        if type(classes) is not int or classes < 0:
            raise InvalidTensor(
                f"Field 'classification' of output '{name}' is {shown(classes)}; expected a whole number from 0."
            )
        found[name] = Wanted(name, _flag(parameters, "binary_data", default=binary), classes)
    return tuple(found.values())


def _flag(parameters: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidTensor(f"Field '{name}' is {shown(value)}; expected true or false.")
    return value


def _id(document: dict[str, Any]) -> str | None:
    identity = document.get("id")
    if identity is not None and (not isinstance(identity, str) or len(identity) > 100):
        raise InvalidTensor(f"Field 'id' is {shown(identity)}; expected a string of at most 100 characters.")
    return identity
