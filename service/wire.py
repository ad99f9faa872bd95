"""Tensors as bytes, as the Open Inference Protocol's binary extension has them: little-endian, row by row, without padding.

Knows numpy and datatypes; knows neither models nor JSON. An element of BYTES is its length (uint32) and then itself.
Source: the Triton Inference Server's docs/protocol/extension_binary_data.md.
"""

import struct

import numpy as np

from service.errors import InvalidTensor, shown
from service.golden import Array
from service.manifest import Datatype
from service.tensors import DTYPES

LENGTH = struct.Struct("<I")


def divided(data: bytes, stated: str) -> tuple[memoryview, memoryview]:
    """A body as its JSON, whose length the header states, and the tensors' bytes behind it. Raises InvalidTensor."""
    if not stated.isdecimal() or len(stated) > 18 or int(stated) > len(data):
        raise InvalidTensor(
            f"Header 'Inference-Header-Content-Length' is {shown(stated)}; expected a whole number up to {len(data)}, "
            "the body's length."
        )
    whole = memoryview(data)
    return whole[: int(stated)], whole[int(stated) :]


def unpack(data: memoryview, datatype: Datatype, shape: tuple[int, ...], name: str) -> Array:
    """An array of that shape over `data` itself, copied only where its bytes do not lie as the processor wants them.

    Raises InvalidTensor where the bytes are more or fewer, or no booleans or elements.
    """
    count = int(np.prod(shape, dtype=np.int64))
    if datatype == "BYTES":
        return _elements(data, count, name).reshape(shape)
    dtype = DTYPES[datatype].newbyteorder("<")
    if len(data) != count * dtype.itemsize:
        raise InvalidTensor(
            f"Input '{name}' has {len(data)} bytes; its shape {list(shape)} of {datatype} takes {count * dtype.itemsize}."
        )
    if datatype == "BOOL" and (np.frombuffer(data, np.uint8) > 1).any():
        raise InvalidTensor(f"Input '{name}' holds bytes that are no BOOL; expected 0 or 1.")
    found = np.frombuffer(data, dtype).reshape(shape)
    return np.require(found, DTYPES[datatype], ["A", "C"])


def _elements(data: memoryview, count: int, name: str) -> Array:
    found = np.empty(count, np.object_)
    place = 0
    for index in range(count):
        end = place + LENGTH.size
        size = LENGTH.unpack(data[place:end])[0] if end <= len(data) else len(data)
        if end + size > len(data):
            raise InvalidTensor(f"Input '{name}' ends within its element {index} of {count}.")
        found[index] = bytes(data[end : end + size])
        place = end + size
    if place != len(data):
        raise InvalidTensor(f"Input '{name}' has {len(data) - place} bytes more than its {count} elements.")
    return found


def pack(array: Array) -> bytes | memoryview:
    """The bytes of an array."""
    if array.dtype == object:
        return b"".join(LENGTH.pack(len(one)) + one for one in array.reshape(-1).tolist())
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data
