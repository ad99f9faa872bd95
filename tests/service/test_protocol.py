"""The Open Inference Protocol's JSON."""

import numpy as np
import orjson
import pytest

from service import protocol
from service.errors import InvalidTensor, NotImplementedHere, ServiceError, TooLarge
from service.manifest import GraphSpec, Manifest, TensorSpec
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


def read(document, datatype="FP32"):
    return protocol.read_request(document, graph(datatype), SETTINGS)


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [1.0, 2.0, 3.0, 4.0]])
def test_data_is_flat_or_nested(data):
    arrays, wanted, identity = read(request(data=data))
    assert arrays["x"].tolist() == [[1, 2], [3, 4]]
    assert arrays["x"].dtype == np.float32
    assert (wanted, identity) == (["y", "z"], None)


def test_what_we_do_not_know_is_ignored():
    read({**request(), "model_name": "m", "id": "42", "parameters": {"priority": 1}})


def test_the_id_comes_back_and_the_outputs_can_be_chosen():
    _, wanted, identity = read({**request(), "id": "42", "outputs": [{"name": "z"}]})
    assert (wanted, identity) == (["z"], "42")


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
    arrays, _, _ = read(request(datatype="UINT8", data=[1.0, 2.0, 3.0, 255.0]), "UINT8")
    assert arrays["x"].tolist() == [[1, 2], [3, 255]]


def test_booleans_are_their_own_datatype():
    arrays, _, _ = read(request(datatype="BOOL", data=[True, False, True, False]), "BOOL")
    assert arrays["x"].dtype == np.bool_
    with pytest.raises(InvalidTensor):
        read(request(datatype="BOOL", data=[1, 0, 1, 0]), "BOOL")


@pytest.mark.parametrize("shape", [[11, 2], [2, 600]])
def test_too_many_rows_or_elements_are_refused_by_the_shape_alone(shape):
    with pytest.raises(TooLarge):
        read(request(shape=shape, data=[]))


@pytest.mark.parametrize(
    "document",
    [
        request(parameters={"binary_data_size": 16}),
        {**request(), "parameters": {"binary_data_output": True}},
        {**request(), "outputs": [{"name": "y", "parameters": {"binary_data": True}}]},
        {**request(), "outputs": [{"name": "y", "parameters": {"classification": 2}}]},
    ],
)
def test_what_is_not_offered_yet_says_so(document):
    with pytest.raises(NotImplementedHere):
        read(document)


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
    answer = orjson.loads(protocol.render_response(manifest, outputs, ["probabilities"], "7"))
    assert answer == {
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
