"""Numbers of JSON straight to arrays: the same as the general reader's, or nothing."""

import time

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import bodies, tensor_json


def body(data, shape, datatype="FP32", **more) -> bytes:
    return orjson.dumps({"inputs": [{"name": "x", "shape": shape, "datatype": datatype, "data": data}], **more})


def parse(data: bytes, max_depth: int = 64):
    return tensor_json.parse(data, max_depth)


@pytest.mark.parametrize(
    ("data", "shape", "datatype", "values"),
    [
        ([1, 2.5, -3e-3], [3], "FP32", [1, 2.5, -3e-3]),
        ([1, 2, 3, 4], [2, 2], "UINT8", [1, 2, 3, 4]),
        ([[1, 2], [3, 4]], [2, 2], "INT64", [1, 2, 3, 4]),
        ([[[1], [2]], [[3], [4]]], [2, 2, 1], "FP64", [1, 2, 3, 4]),
        ([[7]], [1, 1], "INT8", [7]),
        ([], [0, 2], "FP32", []),
    ],
)
def test_numbers_come_as_an_array(data, shape, datatype, values):
    (tensor,) = parse(body(data, shape, datatype))["inputs"]
    assert tensor["data"].tolist() == values
    assert tensor["data"].dtype == (np.float64 if datatype.startswith("FP") else np.int64)
    assert (tensor["name"], tensor["shape"], tensor["datatype"]) == ("x", shape, datatype)


def test_everything_else_of_the_document_is_there():
    more = {"id": "1", "outputs": [{"name": "y", "parameters": {"classification": 2}}], "parameters": {"a": True}}
    found = parse(body([1], [1], **more))
    assert {key: value for key, value in found.items() if key != "inputs"} == more


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"5", b'{"inputs": 3}', b'{"inputs": [1]}', b'{"inputs": {"a": 1}}', b"\xff",
        body([[1, 2], [3]], [3]),  # ragged, though the count is right
        body([[1], [2, 3], []], [3, 1]),
        body([[1, 2]], [2, 1]),
        body([1, [2]], [2]),
        body([1, True], [2]),
        body([1, None], [2]),
        body(["1"], [1]),
        body(["a"], [1], "BYTES"),
        body([True], [1], "BOOL"),
        body([1.5], [1], "UINT8"),
        body([2**64 - 1], [1], "UINT64"),
        body([1], [1], "WHAT"),
        body([[1]], "x"),
        body([[1]], [1, -1]),
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1e999]}]}',
        b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [NaN]}]}',
        b'{"inputs": [{"name": "x", "name": "y", "shape": [1], "datatype": "FP32", "data": [1]}]}',
        b'{"inputs": [], "inputs": []}',
        b'{"inputs": [{"shape": [1], "data": [1]}]}',
        b'{"inputs": [{"datatype": "FP32", "data": [1]}]}',
    ],
)  # fmt: skip
def test_whatever_is_unusual_is_left_to_the_general_reader(data):
    assert parse(data) is None
    assert parse(body([1], [1])) is not None  # and the next document is read as ever


def test_a_deep_document_is_left_to_the_general_reader():
    deep = body([1], [1], parameters={"a": {"b": {"c": {}}}})
    assert parse(deep, 64) is not None
    assert parse(deep, 12) is None


NUMBERS = st.lists(st.integers(-(2**31), 2**31) | st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=1)


@given(values=NUMBERS, columns=st.integers(1, 4), nested=st.booleans())
def test_the_numbers_are_those_of_the_general_reader(values, columns, nested):
    rows = -(-len(values) // columns)
    values = (values * columns)[: rows * columns]
    data = [values[start : start + columns] for start in range(0, len(values), columns)] if nested else values
    written = body(data, [rows, columns], "FP64")
    expected = bodies.parse_json(written, 64)["inputs"][0]["data"]
    np.testing.assert_array_equal(parse(written)["inputs"][0]["data"], np.asarray(expected, np.float64).ravel())


def test_fields_that_mean_nothing_cost_nothing():
    """Each look for a field goes through all of them: 300,000 unknown ones were minutes."""
    spare = b",".join(b'"k%d":1' % index for index in range(300_000))
    written = b'{"inputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[1],%s}],%s}' % (spare, spare)
    begun = time.perf_counter()
    found = tensor_json.parse(written, 64)
    assert time.perf_counter() - begun < 3
    assert found is not None
    assert set(found) == {"inputs"}
    assert set(found["inputs"][0]) == {"name", "datatype", "shape", "data"}
