"""The JSON of a tensor request, its numbers straight in arrays: no Python object for each of them.

Reads what clients send, which is numbers flat or nested as the shape says; of anything else it says nothing, and the general
reader (`bodies.parse_json`) takes it or says what is wrong with it. Knows simdjson and the protocol's field names; checks no
value. Source: Langdale and Lemire, Parsing gigabytes of JSON per second, VLDB Journal 2019.
"""

import threading
from functools import lru_cache
from typing import Any

import numpy as np
import simdjson
from numpy.typing import NDArray

SMALL = 64 * 1024
"""Bytes of a document whose parser, which grows with what it reads, is kept for the next."""
BUFFERS = {"FP16": "d", "FP32": "d", "FP64": "d"} | dict.fromkeys(
    ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"), "i"
)
"""How simdjson hands numbers over: as float64 or as int64. A number that is not of that kind is left to the general reader."""
DTYPES = {"d": np.dtype(np.float64), "i": np.dtype(np.int64)}
NO_STRUCTURE = bytes(set(range(256)) - set(b"[],"))
MEANT = ("id", "parameters", "outputs", "name", "datatype", "shape")
"""Fields beside `inputs` and `data`. Others mean nothing and are not made objects; each look for one goes through all."""
DEEPEST = 8
"""Levels of nested numbers that are read here."""


class _Unusual(Exception):
    """For the general reader."""


class _Parsers(threading.local):
    """One for each thread: a parser reads one document at a time."""

    def __init__(self) -> None:
        self.small = simdjson.Parser()


_parsers = _Parsers()


def parse(data: bytes, max_depth: int) -> dict[str, Any] | None:
    """The document, each input's `data` a 1-D array (float64 or int64); None where the general reader must see it."""
    if data.count(b"{") + DEEPEST + 2 > max_depth:
        return None
    parser = _parsers.small if len(data) <= SMALL else simdjson.Parser()
    try:
        return _document(parser, data)
    except (_Unusual, ValueError, TypeError, RuntimeError, KeyError, AttributeError):
        _parsers.small = simdjson.Parser()  # the other may still hold what it read
        return None


def numbers(data: bytes, datatype: str) -> NDArray[np.generic] | None:
    """A flat list of numbers as a 1-D array (float64 or int64); None where it is anything else."""
    parser = _parsers.small if len(data) <= SMALL else simdjson.Parser()
    kind = BUFFERS[datatype]
    try:
        found: Any = parser.parse(data)
        return np.frombuffer(found.as_buffer(of_type=kind), DTYPES[kind])
    except (ValueError, TypeError, RuntimeError, AttributeError):
        _parsers.small = simdjson.Parser()
        return None


def _document(parser: simdjson.Parser, data: bytes) -> dict[str, Any]:
    document = parser.parse(data)
    if not isinstance(document, simdjson.Object):
        raise _Unusual
    keys = _keys(document)
    found = {key: _plain(document[key]) for key in MEANT if key in keys}
    inputs = document["inputs"]
    if not isinstance(inputs, simdjson.Array):
        raise _Unusual
    found["inputs"] = [_tensor(tensor) for tensor in inputs]
    inside = sum(isinstance(tensor["shape"], list) + ("data" in tensor) for tensor in found["inputs"])
    lists = 1 + inside + isinstance(found.get("outputs"), list)
    if data.count(b"[") != lists:  # there is more than flat numbers
        _nested(data, found["inputs"])
    return found


def _keys(found: Any) -> set[str]:
    """Of an object; of one key that comes twice, others take the last value and simdjson the first."""
    names = list(found.keys())
    if len(names) != len(keys := set(names)):
        raise _Unusual
    return keys


def _plain(value: Any) -> Any:
    if isinstance(value, simdjson.Array):
        return value.as_list()
    return value.as_dict() if isinstance(value, simdjson.Object) else value


def _tensor(tensor: Any) -> dict[str, Any]:
    keys = _keys(tensor)
    found = {key: _plain(tensor[key]) for key in MEANT if key in keys}
    if "data" in keys:
        kind = BUFFERS[found["datatype"]]
        found["data"] = np.frombuffer(tensor["data"].as_buffer(of_type=kind), DTYPES[kind])
    return found


def _nested(data: bytes, tensors: list[dict[str, Any]]) -> None:
    """Raise unless the only numbers are nested as their tensor's shape says. simdjson would flatten anything."""
    if len(tensors) != 1 or len(tensors[0]["shape"]) > DEEPEST or tensors[0]["data"].size > len(data):
        raise _Unusual
    if _pattern(tuple(tensors[0]["shape"])) not in data.translate(None, NO_STRUCTURE):
        raise _Unusual


@lru_cache(maxsize=8)
def _pattern(shape: tuple[int, ...]) -> bytes:
    """The brackets and commas of numbers nested in that shape."""
    if not shape or min(shape) < 1 or np.prod(shape, dtype=np.float64) > 1e7:
        raise _Unusual
    inside = b"," * (shape[-1] - 1)
    for size in (*shape[-2::-1], 1):
        inside = b",".join([b"[" + inside + b"]"] * size)
    return inside
