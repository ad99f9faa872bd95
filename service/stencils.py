"""Tensor requests that differ in their numbers only: what the text around these means is read once.

    {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [ 0, 0, 17, … ]}], "outputs": […]}
    └─────────────────────────────── text ─────────────────────────────────────────────┘└ numbers ┘└─────── text ───────┘

A program sends the same text around other numbers again and again. A request that passed every check is remembered by that
text; the next with just these bytes means the same, and only its numbers are read and checked. Nothing else is taken for known:
every input has one flat `data`, there is no other in the text, and no escapes that could hide one. Knows the protocol's
requests; knows no model.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from service import protocol, tensor_json
from service.golden import Arrays
from service.manifest import TensorSpec
from service.protocol import Inference, Wanted

FIELD = b'"data"'
GAP = 8
"""Bytes in which the list begins behind its field's name."""
LONGEST = 1024
"""Bytes of text that are worth remembering."""
MOST = 1024
"""Texts that are remembered of one version: one for each length, where inputs have lengths."""


@dataclass(frozen=True, slots=True)
class Stencil:
    """What the text around some numbers means."""

    inputs: tuple[tuple[TensorSpec, tuple[int, ...], int], ...]
    """Each input's specification, its shape and how many numbers that holds, in the order of the text."""
    outputs: tuple[Wanted, ...]


class Stencils:
    """Those of one version."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, ...], Stencil] = {}

    def read(self, data: bytes) -> Inference | None:
        """The request, where the text around its numbers is known. Raises InvalidTensor where a number does not fit."""
        if not self._known:
            return None
        text, lists = _divided(data)
        known = self._known.get(text)
        if known is None:
            return None
        arrays: Arrays = {}
        for numbers, (spec, shape, size) in zip(lists, known.inputs, strict=True):
            values = tensor_json.numbers(numbers, spec.datatype)
            if values is None or values.size != size:
                return None  # the general reader says what is wrong
            arrays[spec.name] = protocol.fitted(values, spec).reshape(shape)
        return Inference(arrays, known.outputs)

    def learn(self, data: bytes, asked: Inference, specs: Mapping[str, TensorSpec]) -> None:
        """Remember a request that passed every check, where it is one of those; `specs` are its inputs', by name."""
        text, lists = _divided(data)
        if len(lists) != len(asked.arrays) or sum(map(len, text)) > LONGEST or b"\\" in b"".join(text):
            return
        if asked.identity is not None or data.count(FIELD) != len(lists) or any(b"[" in one[1:] for one in lists):
            return
        inputs = [(specs[name], array.shape, math.prod(array.shape)) for name, array in asked.arrays.items()]
        if any(spec.datatype not in tensor_json.BUFFERS for spec, _, _ in inputs):
            return
        if len(self._known) >= MOST:
            self._known.pop(next(iter(self._known)))
        self._known[text] = Stencil(tuple(inputs), asked.outputs)


def _divided(data: bytes) -> tuple[tuple[bytes, ...], list[bytes]]:
    """The text around flat `data` lists, and these, in turns."""
    text, lists, at = list[bytes](), list[bytes](), 0
    while (field := data.find(FIELD, at)) >= 0:
        start = data.find(b"[", field, field + len(FIELD) + GAP)
        end = data.find(b"]", start) + 1
        if start < 0 or not end:
            break
        text.append(data[at:start])
        lists.append(data[start:end])
        at = end
    text.append(data[at:])
    return tuple(text), lists
