"""Tensor requests that differ in their numbers only: what the text around these means is read once.

    {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [ 0, 0, 17, … ]}], "outputs": […]}
    └───────────────────────────── before ─────────────────────────────────────────────┘└ numbers ┘└────── after ──────┘

A program sends the same text around other numbers again and again. A request that passed every check is remembered by the bytes
before and after; the next with just these bytes means the same, and only its numbers are read and checked. Nothing else is
taken for known: one input, whose `data` is flat and the only one in the text, and no escapes that could hide another. Knows the
protocol's requests; knows no model.
"""

import math
from dataclasses import dataclass

from service import protocol, tensor_json
from service.manifest import TensorSpec
from service.protocol import Inference, Wanted

FIELD = b'"data"'
GAP = 8
"""Bytes in which the list begins behind its field's name."""
LONGEST = 1024
"""Bytes on either side that are worth remembering."""
MOST = 1024
"""Texts that are remembered of one version."""


@dataclass(frozen=True, slots=True)
class Stencil:
    """What the text around some numbers means."""

    spec: TensorSpec
    shape: tuple[int, ...]
    size: int
    outputs: tuple[Wanted, ...]


class Stencils:
    """Those of one version."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Stencil] = {}

    def read(self, data: bytes) -> Inference | None:
        """The request, where the text around its numbers is known. Raises InvalidTensor where a number does not fit."""
        if not self._known:
            return None
        start, end = _numbers(data)
        known = self._known.get((data[:start], data[end:]))
        if known is None:
            return None
        values = tensor_json.numbers(data[start:end], known.spec.datatype)
        if values is None or values.size != known.size:
            return None  # the general reader says what is wrong
        array = protocol.fitted(values, known.spec).reshape(known.shape)
        return Inference({known.spec.name: array}, known.outputs)

    def learn(self, data: bytes, asked: Inference, spec: TensorSpec) -> None:
        """Remember a request that passed every check, where it is one of those; `spec` is its input's."""
        start, end = _numbers(data)
        before, after = data[:start], data[end:]
        if not 0 < start <= LONGEST or len(after) > LONGEST or b"[" in data[start + 1 : end] or b"\\" in before + after:
            return
        if asked.identity is not None or spec.datatype not in tensor_json.BUFFERS or data.count(FIELD) != 1:
            return
        if len(self._known) >= MOST:
            self._known.pop(next(iter(self._known)))
        (array,) = asked.arrays.values()
        self._known[before, after] = Stencil(spec, array.shape, math.prod(array.shape), asked.outputs)


def _numbers(data: bytes) -> tuple[int, int]:
    """Where the first flat `data` list begins and ends; (0, 0) where there is none."""
    field = data.find(FIELD, 0, LONGEST)
    start = data.find(b"[", field, field + len(FIELD) + GAP) if field >= 0 else -1
    end = data.find(b"]", start) if start >= 0 else -1
    return (start, end + 1) if end >= 0 else (0, 0)
