"""The Open Inference Protocol's JSON."""

import json

import numpy as np
import orjson
import pytest

from service import protocol, wire
from service.errors import InvalidTensor, NotImplementedHere, ServiceError, TooLarge
from service.manifest import GraphSpec, Manifest, TensorSpec
from service.protocol import Inference, Wanted
from service.settings import Settings
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


def read(document, datatype="FP32", tensors=b""):
    written = json.dumps(document).encode()
    stated = str(len(written)) if tensors else None
    return protocol.read_request(written + tensors, stated, graph(datatype), SETTINGS, lambda data: json.loads(bytes(data)))


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
    asked = protocol.read_request(FOUR[:8], "0", graph(), SETTINGS, orjson.loads)
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
        protocol.read_request(orjson.dumps(request()), stated, graph(), SETTINGS, orjson.loads)


def test_a_raw_body_of_another_size_is_refused():
    with pytest.raises(InvalidTensor, match="has 7 bytes"):
        protocol.read_request(FOUR[:7], "0", graph(), SETTINGS, orjson.loads)


def test_bytes_inputs_are_not_offered_yet():
    with pytest.raises(NotImplementedHere):
        read(request(datatype="BYTES", data=["a", "b", "c", "d"]), "BYTES")


@pytest.mark.parametrize("parameters", [1, "x", [1]])
def test_parameters_that_are_no_object_are_never_our_failure(parameters):
    for document in ({**request(), "parameters": parameters}, request(parameters=parameters)):
        try:
            read(document)
        except ServiceError as error:
            assert error.status < 500


def test_a_response_has_flat_data_and_the_models_name(tmp_path):
    manifest = Manifest.read(write_version(tmp_path))
    outputs = {"probabilities": np.array([[0.25, 0.75]], np.float32)}
    content, length = protocol.render_response(manifest, outputs, Inference({}, (Wanted("probabilities"),), "7"))
    assert length is None
    assert orjson.loads(content) == {
        "model_name": "light",
        "model_version": "1",
        "id": "7",
        "outputs": [{"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "data": [0.25, 0.75]}],
    }


def test_metadata_has_minus_one_where_an_axis_is_free(tmp_path):
    manifest = Manifest.read(write_version(tmp_path))
    metadata = protocol.model_metadata(manifest, [2, 1])
    assert metadata["versions"] == ["2", "1"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 28, 28, 1]}]


def test_outputs_as_bytes_follow_the_json_in_its_order(tmp_path):
    manifest = Manifest.read(write_version(tmp_path))
    outputs = {"a": np.array([[1, 2]], np.float32), "b": np.array([[True]]), "c": np.array([[7]], np.int64)}
    asked = Inference({}, (Wanted("b", binary=True), Wanted("c"), Wanted("a", binary=True)))
    content, length = protocol.render_response(manifest, outputs, asked)
    said = orjson.loads(content[:length])["outputs"]
    assert [(one["name"], one.get("data")) for one in said] == [("b", None), ("c", [7]), ("a", None)]
    assert [one["parameters"]["binary_data_size"] for one in (said[0], said[2])] == [1, 8]
    assert content[length:] == b"\x01" + np.array([1, 2], "<f4").tobytes()


@pytest.mark.parametrize("labels", [(), ("dark", "light")])
def test_a_classification_is_the_largest_values_with_their_places_and_labels(tmp_path, labels):
    manifest = Manifest.read(write_version(tmp_path, labels=labels or ("dark",)))
    outputs = {"probabilities": np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)}
    wanted = [["0.750000:1:light"], ["0.500000:0:dark"]] if labels else [["0.750000:1"], ["0.500000:0"]]
    content, _ = protocol.render_response(manifest, outputs, Inference({}, (Wanted("probabilities", classes=1),)))
    (said,) = orjson.loads(content)["outputs"]
    assert (said["datatype"], said["shape"], said["data"]) == ("BYTES", [2, 1], [one for (one,) in wanted])
    asked = Inference({}, (Wanted("probabilities", binary=True, classes=1),))
    content, length = protocol.render_response(manifest, outputs, asked)
    found = wire.unpack(memoryview(content)[length:], "BYTES", (2, 1), "x")
    assert [[one.decode() for one in row] for row in found.tolist()] == wanted
