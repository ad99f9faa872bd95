"""Inference responses: what comes back is what was asked for."""

import json

import numpy as np
import orjson
import pytest

from service import rendering, wire
from service.manifest import Manifest
from service.protocol import Inference, Wanted
from tests.conftest import write_version


@pytest.mark.parametrize(
    ("array", "data"),
    [
        (np.array([[0.25, 0.75]], np.float32), [0.25, 0.75]),
        (np.arange(6, dtype=np.int64).reshape(1, 2, 3)[:, :, ::-1], [2, 1, 0, 5, 4, 3]),
        (np.zeros((0, 2), np.float32), []),
        (np.array([[b"a", b"b"]], object), ["a", "b"]),
    ],
)
def test_one_output_as_json_reads_as_one_among_others(tmp_path, array, data):
    manifest = Manifest.read(write_version(tmp_path))
    (alone, _), (beside, _) = (
        rendering.response(manifest, {"y": array, "z": array}, Inference({}, wanted))
        for wanted in ((Wanted("y"),), (Wanted("y"), Wanted("z")))
    )
    assert json.loads(alone) == {**json.loads(beside), "outputs": json.loads(beside)["outputs"][:1]}
    assert json.loads(alone)["outputs"][0]["data"] == data


def test_a_response_has_flat_data_and_the_models_name(tmp_path):
    manifest = Manifest.read(write_version(tmp_path))
    outputs = {"probabilities": np.array([[0.25, 0.75]], np.float32)}
    content, length = rendering.response(manifest, outputs, Inference({}, (Wanted("probabilities"),), "7"))
    assert length is None
    assert orjson.loads(content) == {
        "model_name": "light",
        "model_version": "1",
        "id": "7",
        "outputs": [{"name": "probabilities", "shape": [1, 2], "datatype": "FP32", "data": [0.25, 0.75]}],
    }


def test_outputs_as_bytes_follow_the_json_in_its_order(tmp_path):
    manifest = Manifest.read(write_version(tmp_path))
    outputs = {"a": np.array([[1, 2]], np.float32), "b": np.array([[True]]), "c": np.array([[7]], np.int64)}
    asked = Inference({}, (Wanted("b", binary=True), Wanted("c"), Wanted("a", binary=True)))
    content, length = rendering.response(manifest, outputs, asked)
    said = orjson.loads(content[:length])["outputs"]
    assert [(one["name"], one.get("data")) for one in said] == [("b", None), ("c", [7]), ("a", None)]
    assert [one["parameters"]["binary_data_size"] for one in (said[0], said[2])] == [1, 8]
    assert content[length:] == b"\x01" + np.array([1, 2], "<f4").tobytes()


@pytest.mark.parametrize("labels", [(), ("dark", "light")])
def test_a_classification_is_the_largest_values_with_their_places_and_labels(tmp_path, labels):
    manifest = Manifest.read(write_version(tmp_path, labels=labels or ("dark",)))
    outputs = {"probabilities": np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)}
    wanted = [["0.750000:1:light"], ["0.500000:0:dark"]] if labels else [["0.750000:1"], ["0.500000:0"]]
    content, _ = rendering.response(manifest, outputs, Inference({}, (Wanted("probabilities", classes=1),)))
    (said,) = orjson.loads(content)["outputs"]
    assert (said["datatype"], said["shape"], said["data"]) == ("BYTES", [2, 1], [one for (one,) in wanted])
    asked = Inference({}, (Wanted("probabilities", binary=True, classes=1),))
    content, length = rendering.response(manifest, outputs, asked)
    found = wire.unpack(memoryview(content)[length:], "BYTES", (2, 1), "x")
    assert [[one.decode() for one in row] for row in found.tolist()] == wanted
