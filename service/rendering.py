"""An inference response: outputs as JSON, as bytes or as classes, the way they were asked for.

Most requests want one output as JSON: then all but the numbers is as it was the last time, and these alone are written. Knows
the protocol and the manifest; knows neither routes nor models.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import orjson

from service import wire
from service.golden import Array, Arrays
from service.manifest import Datatype, Manifest
from service.protocol import Inference
from service.tensors import DATATYPES


def response(manifest: Manifest, outputs: Arrays, asked: Inference) -> tuple[bytes, int | None]:
    """An inference response, data flat in row-major order, and the length of its JSON where bytes follow it."""
    if len(asked.outputs) == 1 and asked.identity is None and not (wanted := asked.outputs[0]).binary and not wanted.classes:
        array = outputs[wanted.name]
        if array.dtype != object:
            head = _head(manifest.name, manifest.version, wanted.name, array.shape, DATATYPES[array.dtype])
            return b"".join((head, orjson.dumps(_written(array), option=orjson.OPT_SERIALIZE_NUMPY), b"}]}")), None
    answer: dict[str, Any] = {"model_name": manifest.name, "model_version": str(manifest.version)}
    if asked.identity is not None:
        answer["id"] = asked.identity
    tensors, parts = [], list[bytes | memoryview]()
    for wanted in asked.outputs:
        array = outputs[wanted.name]
        if wanted.classes:
            array = _classes(array, wanted.classes, manifest.labels)
        tensor: dict[str, Any] = {"name": wanted.name, "shape": array.shape, "datatype": DATATYPES[array.dtype]}
        if wanted.binary:
            parts.append(wire.pack(array))
            tensor["parameters"] = {"binary_data_size": len(parts[-1])}
        else:
            tensor["data"] = _written(array)
        tensors.append(tensor)
    written = orjson.dumps({**answer, "outputs": tensors}, option=orjson.OPT_SERIALIZE_NUMPY)
    return (b"".join((written, *parts)), len(written)) if parts else (written, None)


@lru_cache(maxsize=1024)
def _head(model: str, version: int, output: str, shape: tuple[int, ...], datatype: Datatype) -> bytes:
    """A response up to the numbers of its only output."""
    tensor = {"name": output, "shape": shape, "datatype": datatype, "data": None}
    written = orjson.dumps({"model_name": model, "model_version": str(version), "outputs": [tensor]})
    return written[: -len(b"null}]}")]


def _written(array: Array) -> object:
    flat = np.ascontiguousarray(array).reshape(-1)
    return [one.decode() for one in flat.tolist()] if array.dtype == object else flat


def _classes(array: Array, most: int, labels: tuple[str, ...]) -> Array:
    """(rows, …) -> BYTES (rows, classes): each row's largest values as `value:index:label`, the largest first."""
    rows = array.reshape(len(array), -1)
    order = np.argsort(-rows.astype(np.float64), axis=1, kind="stable")[:, :most]
    named = labels if len(labels) == rows.shape[1] else ()
    found = np.empty(order.shape, np.object_)
    for row, line in enumerate(order):
        for place, index in enumerate(line.tolist()):
            label = f":{named[index]}" if named else ""
            found[row, place] = f"{rows[row, index]:f}:{index}{label}".encode()
    return found
