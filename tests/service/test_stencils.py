"""Requests known by the text around their numbers: the same answer as the general reader's, or none."""

import json

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import protocol, stencils, tensor_json
from service.errors import InvalidTensor
from service.manifest import GraphSpec, TensorSpec
from service.protocol import Sent, Taken
from service.settings import Settings
from service.stencils import Stencils

SHAPES = {"UINT8": (1, 4), "INT64": (2, 2), "FP32": (1, 4), "UINT64": (4,), "BOOL": (4,), "FP64": (4, 1)}


def body(data, datatype="UINT8", **more) -> bytes:
    tensor = {"name": "x", "datatype": datatype, "shape": list(SHAPES[datatype]), "data": data}
    return json.dumps({"inputs": [tensor], **more}).encode()


def spec(datatype="UINT8") -> TensorSpec:
    return TensorSpec(name="x", datatype=datatype, shape=("batch", *SHAPES[datatype][1:]))


def generally(data: bytes, datatype="UINT8") -> protocol.Inference:
    """What the general reader makes of it."""
    graph = GraphSpec(
        file="model.onnx", inputs=[spec(datatype)], outputs=[TensorSpec(name="y", datatype="FP32", shape=("batch", 2))]
    )

    def parse(written):
        return tensor_json.parse(bytes(written), 64) or orjson.loads(written)

    return protocol.read_request(Sent(data), Taken.of(graph, None), Settings(), parse)


def learned(data: bytes, datatype="UINT8") -> Stencils:
    known = Stencils()
    known.learn(data, generally(data, datatype), {"x": spec(datatype)})
    return known


@pytest.mark.parametrize("datatype", ["UINT8", "INT64", "FP32", "FP64", "UINT64"])
def test_other_numbers_in_known_text_are_read_as_the_general_reader_reads_them(datatype):
    known = learned(body([0, 0, 0, 0], datatype), datatype)
    other = body([1, 2, 3, 250], datatype)
    read, general = known.read(other), generally(other, datatype)
    assert read.arrays["x"].dtype == general.arrays["x"].dtype
    np.testing.assert_array_equal(read.arrays["x"], general.arrays["x"])
    assert read.outputs == general.outputs
    assert read.identity is None


@given(
    st.lists(st.integers(-3, 300) | st.floats(allow_nan=False, allow_infinity=False) | st.just(2**64), min_size=3, max_size=5)
)
def test_what_is_read_is_what_the_general_reader_reads_or_refuses(data):
    known, written = learned(body([0, 0, 0, 0])), body(data)
    try:
        general = generally(written)
    except InvalidTensor:
        general = None
    try:
        read = known.read(written)
    except InvalidTensor:
        assert general is None
    else:
        assert read is None or np.array_equal(read.arrays["x"], general.arrays["x"])


@pytest.mark.parametrize("value", [256, -1, 2**63])
def test_a_number_that_does_not_fit_is_refused_or_left(value):
    known = learned(body([0, 0, 0, 0]))
    try:
        assert known.read(body([0, 0, 0, value])) is None
    except InvalidTensor as refused:
        assert "do not fit UINT8" in refused.message


@pytest.mark.parametrize(
    "other",
    [
        body([0, 0, 0]),
        body([0, 0, 0, 0, 0]),
        body([0, 0, 0, 1.5]),
        body([0, 0, 0, True]),
        body([0, 0, 0, None]),
        body([0, 0, 0, "]"]),
        body([[0, 0, 0, 0]]),
        body([0, 0, 0, 0], outputs=[{"name": "y"}]),
        body([0, 0, 0, 0], id="one"),
        body([0, 0, 0, 0]).replace(b"x", b"z"),
        body([0, 0, 0, 0]).replace(b"[0, 0, 0, 0]", b"[0, 0 0, 0]"),
        body([0, 0, 0, 0]) + b" ",
        b"",
        b'{"data": [',
    ],
)
def test_what_differs_in_more_than_its_numbers_is_left_to_the_general_reader(other):
    assert learned(body([0, 0, 0, 0])).read(other) is None


@pytest.mark.parametrize(
    ("data", "datatype"),
    [
        (body([0, 0, 0, 0], id="one"), "UINT8"),
        (body([[0, 0, 0, 0]]), "UINT8"),
        (body([True, False, True, True], "BOOL"), "BOOL"),
        (body([0, 0, 0, 0], parameters={"a": '"data"'}), "UINT8"),
        (body([0, 0, 0, 0], parameters={"data": True}), "UINT8"),
        (body([0, 0, 0, 0]).replace(b'"data"', b'"dat\\u0061"'), "UINT8"),
        (body([0, 0, 0, 0]) + b" " * stencils.LONGEST, "UINT8"),
        (b" " * stencils.LONGEST + body([0, 0, 0, 0]), "UINT8"),
    ],
)
def test_text_that_is_not_plain_is_never_remembered(data, datatype):
    known = learned(data, datatype)
    assert known.read(data) is None
    assert not known._known


def test_numbers_hidden_behind_an_escape_are_not_taken_for_the_list():
    sly = b'{"inputs": [{"name": "x", "datatype": "UINT8", "shape": [1, 4], "dat\\u0061": [1, 2, 3, 4]}], "parameters": {"data": [1]}}'
    assert learned(sly).read(sly.replace(b"[1]", b"[5]")) is None


def test_of_several_inputs_each_gets_its_own_numbers():
    specs = {name: TensorSpec(name=name, datatype=kind, shape=("batch", 2)) for name, kind in (("a", "UINT8"), ("b", "FP32"))}
    graph = GraphSpec(
        file="model.onnx", inputs=list(specs.values()), outputs=[TensorSpec(name="y", datatype="FP32", shape=("batch", 2))]
    )

    def written(first, second) -> bytes:
        tensors = [
            {"name": name, "datatype": specs[name].datatype, "shape": [1, 2], "data": data}
            for name, data in (("b", second), ("a", first))
        ]
        return json.dumps({"inputs": tensors}).encode()

    def parse(data):
        return tensor_json.parse(bytes(data), 64)

    known, first = Stencils(), written([1, 2], [0.5, 1])
    known.learn(first, protocol.read_request(Sent(first), Taken.of(graph, None), Settings(), parse), specs)
    read = known.read(written([3, 4], [2.5, 5]))
    assert {name: array.tolist() for name, array in read.arrays.items()} == {"b": [[2.5, 5]], "a": [[3, 4]]}
    assert known.read(written([3, 4], [2.5])) is None


def test_no_more_than_some_are_remembered(monkeypatch):
    monkeypatch.setattr(stencils, "MOST", 2)
    known = Stencils()
    bodies = [body([0, 0, 0, 0], parameters={"a": number}) for number in range(3)]
    for data in bodies:
        known.learn(data, generally(data), {"x": spec()})
    assert [known.read(data) is None for data in bodies] == [True, False, False]
