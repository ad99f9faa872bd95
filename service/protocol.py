"""The Open Inference Protocol, version 2: its JSON to arrays and back, and its metadata.

Knows the wire and the manifest's tensor specifications; knows neither routes nor models. So far: tensors as JSON. Binary
tensors, BYTES, repository control and statistics have their place here and answer 501 until then.
Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md.
"""

import math
from typing import Any

import numpy as np
import orjson

from service.errors import InvalidTensor, NotImplementedHere, TooLarge, shown
from service.golden import Array, Arrays
from service.manifest import GraphSpec, Manifest, TensorSpec
from service.settings import Settings
from service.tensors import DATATYPES, DTYPES

PLATFORM = "onnxruntime_onnx"
EXTENSIONS: tuple[str, ...] = ()
LENGTH_HEADER = "inference-header-content-length"


def model_metadata(manifest: Manifest, versions: list[int]) -> dict[str, Any]:
    """`GET /v2/models/{name}`."""
    return {
        "name": manifest.name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [_tensor_metadata(spec) for spec in manifest.graph.inputs],
        "outputs": [_tensor_metadata(spec) for spec in manifest.graph.outputs],
    }


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else -1 for size in spec.shape]
    return {"name": spec.name, "datatype": spec.datatype, "shape": shape}


def read_request(document: object, graph: GraphSpec, settings: Settings) -> tuple[Arrays, list[str], str | None]:
    """An inference request as (inputs, names of the outputs wanted, id). Raises InvalidTensor, TooLarge, NotImplementedHere.

    Whether the inputs are those that the graph takes is checked by `tensors.check`; keys we do not know are ignored, as the
    protocol wants.
    """
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise InvalidTensor("Field 'inputs' is missing; expected a list of tensors.")
    specs = {spec.name: spec for spec in graph.inputs}
    arrays: Arrays = {}
    for index, tensor in enumerate(document["inputs"]):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str) or name not in specs:
            raise InvalidTensor(f"Field 'inputs[{index}].name' is {shown(name)}; expected one of {sorted(specs)}.")
        if name in arrays:
            raise InvalidTensor(f"Input '{name}' is given twice.")
        arrays[name] = _array(tensor, specs[name], settings)
    return arrays, _wanted(document, graph), _id(document)


def _array(tensor: dict[str, Any], spec: TensorSpec, settings: Settings) -> Array:
    if "binary_data_size" in _parameters(tensor):
        raise NotImplementedHere("Binary tensors are not offered yet; send 'data' as JSON.")
    if tensor.get("datatype") != spec.datatype:
        raise InvalidTensor(f"Input '{spec.name}' has datatype {shown(tensor.get('datatype'))}; expected {spec.datatype}.")
    shape = _shape(tensor.get("shape"), spec.name, settings)
    if spec.datatype == "BYTES":
        raise NotImplementedHere("BYTES tensors are not offered yet.")
    values = _values(tensor.get("data"), spec, settings)
    if values.size != math.prod(shape):
        raise InvalidTensor(f"Input '{spec.name}' has {values.size} values; its shape {list(shape)} holds {math.prod(shape)}.")
    return values.reshape(shape)


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
    if not isinstance(data, list):
        raise InvalidTensor(f"Input '{spec.name}' has data {shown(data)}; expected a list.")
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
    with np.errstate(invalid="ignore", over="ignore"):
        converted = values.astype(wanted)
    exact = np.isfinite(converted).all() if wanted.kind == "f" else (converted == values).all()
    if not exact:
        raise InvalidTensor(f"Input '{spec.name}' holds values that do not fit {spec.datatype}.")
    return converted


def _wanted(document: dict[str, Any], graph: GraphSpec) -> list[str]:
    names = [spec.name for spec in graph.outputs]
    outputs = document.get("outputs")
    if _parameters(document).get("binary_data_output"):
        raise NotImplementedHere("Binary outputs are not offered yet; ask for JSON ('binary_data_output': false).")
    if not outputs:
        return names
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise InvalidTensor(f"Field 'outputs' is {shown(outputs)}; expected a list of objects with a name.")
    for output in outputs:
        if output.get("name") not in names:
            raise InvalidTensor(f"Output {shown(output.get('name'))} is unknown; expected one of {names}.")
        if set(_parameters(output)) & {"binary_data", "classification"}:
            raise NotImplementedHere("Binary and classification outputs are not offered yet.")
    return [output["name"] for output in outputs]


def _id(document: dict[str, Any]) -> str | None:
    identity = document.get("id")
    if identity is not None and (not isinstance(identity, str) or len(identity) > 100):
        raise InvalidTensor(f"Field 'id' is {shown(identity)}; expected a string of at most 100 characters.")
    return identity


def render_response(manifest: Manifest, outputs: Arrays, wanted: list[str], identity: str | None) -> bytes:
    """An inference response as JSON, data flat in row-major order."""
    answer: dict[str, Any] = {"model_name": manifest.name, "model_version": str(manifest.version)}
    if identity is not None:
        answer["id"] = identity
    answer["outputs"] = [
        {
            "name": name,
            "shape": outputs[name].shape,
            "datatype": DATATYPES[outputs[name].dtype],
            "data": np.ascontiguousarray(outputs[name]).reshape(-1),
        }
        for name in wanted
    ]
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
