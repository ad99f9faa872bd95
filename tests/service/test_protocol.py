"""The Open Inference Protocol's JSON."""

import json

import numpy as np
import orjson
import pytest

from service import protocol, rendering, wire
from service.errors import InvalidTensor, ServiceError, TooLarge
from service.manifest import GraphSpec, Manifest, TensorSpec
from service.protocol import Inference, Sent, Taken, Wanted
from service.settings import Settings
from service.tensors import DTYPES
from tests.conftest import write_version

SETTINGS = Settings(max_rows=10, max_elements=1000)


def graph(datatype="FP32") -> GraphSpec:
    return GraphSpec(
        file="model.onnx",
        inputs=(TensorSpec(name="x", datatype=datatype, shape=("batch", 2)),),
        outputs=(
            TensorSpec(name="y", datatype="FP32", shape=("batch",)),
            TensorSpec(name="z", datatype="FP32", shape=("batch",)),
        ),
    )


def request(**changes) -> dict:
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4], **changes}
    return {"inputs": [tensor]}


def read(document, datatype="FP32", tensors=b"", raw=None):
    written = json.dumps(document).encode()
    sent = Sent(written + tensors, str(len(written)) if tensors else None)
    return protocol.read_request(sent, Taken.of(graph(datatype), raw), SETTINGS, lambda data: json.loads(bytes(data)))


def read_raw(data, stated="0", media="", raw=None):
    return protocol.read_request(Sent(data, stated, media), Taken.of(graph(), raw), SETTINGS, orjson.loads)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [1.0, 2.0, 3.0, 4.0]])
def test_data_is_flat_or_nested(data):
    asked = read(request(data=data))
    assert asked.arrays["x"].tolist() == [[1, 2], [3, 4]]
    assert asked.arrays["x"].dtype == np.float32
    assert (asked.outputs, asked.identity) == ((Wanted("y"), Wanted("z")), None)


def test_what_we_do_not_know_is_ignored():
    read({**request(), "model_name": "m", "id": "42", "parameters": {"priority": 1}})


def test_the_id_comes_back_and_the_outputs_can_be_chosen():
    asked = read({**request(), "id": "42", "outputs": [{"name": "z"}]})
    assert (asked.outputs, asked.identity) == ((Wanted("z"),), "42")


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "'inputs' is missing"),
        ({"inputs": {}}, "'inputs' is missing"),
        ({"inputs": [1]}, r"'inputs\[0\].name'"),
        (request(name="other"), r"expected one of \['x'\]"),
        ({"inputs": request()["inputs"] * 2}, "given twice"),
        (request(datatype="INT64"), "expected FP32"),
        (request(datatype=None), "expected FP32"),
        (request(shape=[4]), "x"),
        (request(shape="2"), "expected a list of whole numbers"),
        (request(shape=[-1, 2]), "expected a list of whole numbers"),
        (request(shape=[2.0, 2]), "expected a list of whole numbers"),
        (request(shape=[True, 2]), "expected a list of whole numbers"),
        (request(shape=[1] * 9), "9 axes; expected at most 8"),
        (request(shape=[3, 2]), "has 4 values; its shape"),
        (request(data=None), "expected a list"),
        (request(data="1"), "expected a list"),
        (request(data=[1, [2, 3], 4]), "ragged"),
        (request(data=["1", "2", "3", "4"]), "not FP32"),
        (request(data=[1, 2, None, 4]), "not FP32"),
        (request(data=[1, 2, {}, 4]), "not FP32"),
        (request(data=[True, False, True, False]), "not FP32"),
        (request(data=[1, 2, 3, 1e39]), "do not fit FP32"),
        (request(data=[1, 2, 3, 10**30]), "FP32"),
        ({**request(), "outputs": [{"name": "q"}]}, r"expected one of \['y', 'z'\]"),
        ({**request(), "outputs": "y"}, "expected a list of objects"),
        ({**request(), "id": 3}, "expected a string"),
        ({**request(), "id": "x" * 101}, "at most 100"),
    ],
)
def test_a_wrong_request_is_refused_with_the_field(document, sentence):
    if sentence == "x":  # a flat shape is for `tensors.check`, which knows the graph's axes
        read(document)
        return
    with pytest.raises(InvalidTensor, match=sentence):
        read(document)


@pytest.mark.parametrize("value", [256, -1, 1.5, 1e300])
def test_a_value_that_does_not_fit_a_whole_datatype_is_refused_and_not_wrapped(value):
    with pytest.raises(InvalidTensor, match="do not fit UINT8"):
        read(request(datatype="UINT8", data=[1, 2, 3, value]), "UINT8")


def test_whole_numbers_written_as_floats_fit_a_whole_datatype():
    arrays = read(request(datatype="UINT8", data=[1.0, 2.0, 3.0, 255.0]), "UINT8").arrays
    assert arrays["x"].tolist() == [[1, 2], [3, 255]]


def test_booleans_are_their_own_datatype():
    arrays = read(request(datatype="BOOL", data=[True, False, True, False]), "BOOL").arrays
    assert arrays["x"].dtype == np.bool_
    with pytest.raises(InvalidTensor):
        read(request(datatype="BOOL", data=[1, 0, 1, 0]), "BOOL")


@pytest.mark.parametrize("shape", [[11, 2], [2, 600]])
def test_too_many_rows_or_elements_are_refused_by_the_shape_alone(shape):
    with pytest.raises(TooLarge):
        read(request(shape=shape, data=[]))


def binary(**changes) -> dict:
    """A request whose tensor lies behind the JSON."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": 16}, **changes}
    return {"inputs": [tensor]}


FOUR = np.array([1, 2, 3, 4], "<f4").tobytes()


def test_a_tensor_behind_the_json_is_read_where_it_lies():
    asked = read(binary(), tensors=FOUR)
    assert asked.arrays["x"].tolist() == [[1, 2], [3, 4]]
    assert asked.arrays["x"].dtype == np.float32


def test_a_body_without_json_is_one_row_of_the_only_input():
    asked = read_raw(FOUR[:8])
    assert asked.arrays["x"].tolist() == [[1, 2]]
    assert asked.outputs == (Wanted("y", binary=True), Wanted("z", binary=True))


def test_an_output_says_whether_it_comes_as_bytes_and_else_the_request_does():
    outputs = [{"name": "y"}, {"name": "z", "parameters": {"binary_data": False, "classification": 2}}]
    asked = read({**request(), "parameters": {"binary_data_output": True}, "outputs": outputs})
    assert asked.outputs == (Wanted("y", binary=True), Wanted("z", binary=False, classes=2))


@pytest.mark.parametrize(
    ("document", "tensors", "sentence"),
    [
        (binary(), FOUR[:15], "expected a whole number up to 15"),
        (binary(), FOUR + b"1", "1 bytes more than its inputs"),
        (binary(parameters={"binary_data_size": 12}), FOUR, "has 12 bytes; its shape .2, 2. of FP32 takes 16"),
        (binary(parameters={"binary_data_size": -1}), FOUR, "'binary_data_size' of input 'x' is '-1'"),
        (binary(parameters={"binary_data_size": True}), FOUR, "'binary_data_size' of input 'x' is 'True'"),
        (binary(data=[1, 2, 3, 4]), FOUR, "both 'data' and 'binary_data_size'"),
        (binary(parameters={}), FOUR, "expected a list"),
        (request(), FOUR, "16 bytes more"),
        ({**binary(), "parameters": {"binary_data_output": "yes"}}, FOUR, "'binary_data_output' is 'yes'"),
        ({**binary(), "outputs": [{"name": "y"}, {"name": "y"}]}, FOUR, "asked for twice"),
        (
            {**binary(), "outputs": [{"name": "y", "parameters": {"classification": -1}}]},
            FOUR,
            "'classification' of output 'y'",
        ),
    ],
)
def test_bytes_that_do_not_fit_are_refused(document, tensors, sentence):
    with pytest.raises(InvalidTensor, match=sentence):
        read(document, tensors=tensors)


@pytest.mark.parametrize("stated", ["-1", "x", "", "1e3", "99999", "9" * 30])
def test_a_length_of_json_that_cannot_be_is_refused(stated):
    with pytest.raises(InvalidTensor, match="Inference-Header-Content-Length"):
        read_raw(orjson.dumps(request()), stated)


def test_a_raw_body_of_another_size_is_refused():
    with pytest.raises(InvalidTensor, match="has 7 bytes"):
        read_raw(FOUR[:7])


def test_a_raw_body_that_says_it_is_a_picture_or_a_text_is_one_element_of_the_raw_input():
    asked = read_raw(FOUR[:8], media="image/png", raw="picture")
    assert asked.arrays["picture"].tolist() == [[FOUR[:8]]]
    assert read_raw(FOUR[:8], media="text/plain", raw="text").arrays["text"].tolist() == [[FOUR[:8]]]
    assert list(read_raw(FOUR[:8], media="application/octet-stream", raw="picture").arrays) == ["x"]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_the_raw_input_takes_strings_and_bytes_of_any_length(shape):
    tensor = {"name": "text", "datatype": "BYTES", "shape": shape}
    asked = read({"inputs": [{**tensor, "data": ["a", "né"]}]}, raw="text")
    assert asked.arrays["text"].reshape(-1).tolist() == [b"a", "né".encode()]
    packed = b"\x01\0\0\0a\0\0\0\0"
    asked = read({"inputs": [{**tensor, "parameters": {"binary_data_size": len(packed)}}]}, tensors=packed, raw="text")
    assert asked.arrays["text"].reshape(-1).tolist() == [b"a", b""]


@pytest.mark.parametrize("data", [["a", 1], [None, "a"], ["a", ["b", {}]], "ab"])
def test_elements_that_are_no_strings_are_refused(data):
    with pytest.raises(InvalidTensor, match=r"expected a (string|list)"):
        read({"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2], "data": data}]}, raw="text")


def test_lengths_of_elements_that_lie_are_refused():
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1]}
    for packed in (b"\xff\xff\xff\xffa", b"\x01\0\0", b"\x01\0\0\0ab"):
        with pytest.raises(InvalidTensor, match=r"[iI]nput 'text'"):
            read({"inputs": [{**tensor, "parameters": {"binary_data_size": len(packed)}}]}, tensors=packed, raw="text")


VALUES = {
    "BOOL": [True, False, False, True],
    "UINT8": [0, 255, 1, 2], "UINT16": [0, 2**16 - 1, 1, 2], "UINT32": [0, 2**32 - 1, 1, 2], "UINT64": [0, 2**64 - 1, 1, 2],
    "INT8": [-128, 127, 0, 1], "INT16": [-(2**15), 2**15 - 1, 0, 1], "INT32": [-(2**31), 2**31 - 1, 0, 1],
    "INT64": [-(2**63), 2**63 - 1, 0, 1],
    "FP16": [0.5, -65504.0, 1.0, 2.0], "FP32": [0.5, -3.0e38, 1.0, 2.0], "FP64": [0.5, -1.0e308, 1.0, 2.0],
}  # fmt: skip


def test_large_whole_numbers_are_not_rounded_on_their_way():
    with pytest.raises(InvalidTensor, match="do not fit UINT64"):
        read(request(datatype="UINT64", data=[0, 2**64 - 1, 1.5, 2]), "UINT64")
    with pytest.raises(InvalidTensor, match=r"do not fit UINT64|not UINT64"):
        read(request(datatype="UINT64", data=[0, 2**64, 1, 2]), "UINT64")


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype_goes_and_comes_as_json_and_as_bytes_unchanged(tmp_path, datatype):
    manifest = Manifest.read(write_version(tmp_path))
    array = np.array(VALUES[datatype], DTYPES[datatype]).reshape(2, 2)
    tensors = wire.pack(array)
    for asked in (
        read(request(datatype=datatype, data=VALUES[datatype]), datatype),
        read(binary(datatype=datatype, parameters={"binary_data_size": len(tensors)}), datatype, bytes(tensors)),
    ):
        assert asked.arrays["x"].dtype == array.dtype
        np.testing.assert_array_equal(asked.arrays["x"], array)
    content, _ = rendering.response(manifest, {"y": array}, Inference({}, (Wanted("y"),)))
    (said,) = json.loads(content)["outputs"]
    assert said["datatype"] == datatype
    np.testing.assert_array_equal(np.array(said["data"], array.dtype).reshape(2, 2), array)
    content, length = rendering.response(manifest, {"y": array}, Inference({}, (Wanted("y", binary=True),)))
    np.testing.assert_array_equal(wire.unpack(memoryview(content)[length:], datatype, (2, 2), "y"), array)


@pytest.mark.parametrize("parameters", [1, "x", [1]])
def test_parameters_that_are_no_object_are_never_our_failure(parameters):
    for document in ({**request(), "parameters": parameters}, request(parameters=parameters)):
        try:
            read(document)
        except ServiceError as error:
            assert error.status < 500


def test_metadata_has_minus_one_where_an_axis_is_free(tmp_path):
    manifest = Manifest.read(write_version(tmp_path))
    metadata = protocol.model_metadata(manifest, [2, 1], None)
    assert metadata["versions"] == ["2", "1"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28, 1]}]


def test_the_raw_input_stands_beside_the_tensors_and_makes_each_optional(tmp_path):
    manifest = Manifest.read(write_version(tmp_path))
    raw = protocol.model_metadata(manifest, [1], "picture")["inputs"][1]
    assert raw == {"name": "picture", "datatype": "BYTES", "shape": [-1, 1]}
    config = protocol.model_config(manifest, SETTINGS, "picture")
    assert [(one["name"], one["data_type"], one["dims"], one["optional"]) for one in config["input"]] == [
        ("image", "TYPE_UINT8", [28, 28, 1], True),
        ("picture", "TYPE_STRING", [1], True),
    ]
    assert config["max_batch_size"] == SETTINGS.max_rows
    assert not any(one["optional"] for one in protocol.model_config(manifest, SETTINGS, None)["input"])
