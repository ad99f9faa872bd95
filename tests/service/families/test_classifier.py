"""The classifier's room."""

import base64
import io

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from service import images
from service.families import classifier
from service.families.classifier import Assets, Options
from service.manifest import GraphSpec, Manifest, TensorSpec
from service.samples import SEVEN_PNG
from tests.conftest import packed, serving, write_version

ASSETS = Assets(("cat", "dog", "fox"), images.Preparation(mode="plain", height=4, width=4, channels=1), images.PictureLimits())


def predict(*probabilities: float, **options) -> dict:
    arrays = {"probabilities": np.array([probabilities], np.float32)}
    return classifier.postprocess(arrays, None, ASSETS, Options(**options))


def test_the_likeliest_label_comes_first():
    prediction = predict(0.25, 0.5, 0.25)
    assert (prediction["label"], prediction["probability"]) == ("dog", 0.5)
    assert list(prediction["probabilities"]) == ["dog", "cat", "fox"]


def test_top_cuts_the_list():
    assert list(predict(0.1, 0.2, 0.7, top=2)["probabilities"]) == ["fox", "dog"]


def test_top_beyond_the_labels_lists_them_all():
    assert len(predict(0.1, 0.2, 0.7, top=99)["probabilities"]) == 3


def test_a_picture_becomes_one_row_of_raw_pixels():
    picture = images.to_png(np.full((4, 4, 1), 7, np.uint8))
    image = classifier.preprocess(picture, ASSETS).arrays["image"]
    assert (image.shape, image.dtype, int(image.max())) == ((1, 4, 4, 1), np.uint8, 7)


def test_the_answer_is_a_prediction():
    assert classifier.Prediction.model_validate(predict(0.1, 0.2, 0.7))


@pytest.mark.parametrize("top", [0, -1, 10_001])
def test_top_has_bounds(top):
    with pytest.raises(ValueError, match="top"):
        Options(top=top)


def test_the_picture_as_the_network_saw_it_is_there_when_asked_for():
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    arrays = {"probabilities": np.array([[0.1, 0.2, 0.7]], np.float32)}
    seen = classifier.postprocess(arrays, picture, ASSETS, Options(seen=True))["seen"]
    assert np.array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(seen["image"])))), picture[:, :, 0])
    assert (seen["width"], seen["height"]) == (4, 4)


async def ask(client, query: str, *pictures: bytes):
    body = {"images": [base64.b64encode(one).decode() for one in pictures or [SEVEN_PNG]]}
    return await client.post(f"/v1/classify?{query}", json=body)


@pytest.fixture
async def client(settings):
    async with serving(settings) as one:
        yield one


@pytest.mark.anyio
async def test_an_explanation_says_where_the_label_comes_from(client):
    picture = np.zeros((28, 28, 1), np.uint8)
    picture[:7, :7] = 255
    prediction = (await ask(client, "explain=true", images.to_png(picture))).json()["predictions"][0]
    values = np.array(prediction["explanation"]["values"])
    assert (prediction["label"], prediction["explanation"]["label"]) == ("dark", "dark")
    assert values.shape == (10, 10)
    assert values.argmin() == 0  # what is light there speaks against dark
    assert np.abs(values[5:, 5:]).max() < 1e-6


@pytest.mark.anyio
async def test_layers_are_pictures_of_their_maps(settings):
    spec = GraphSpec(
        file="layers.onnx",
        inputs=(TensorSpec(name="image", datatype="UINT8", shape=("batch", 28, 28, 1)),),
        outputs=(TensorSpec(name="convolution_1", datatype="FP32", shape=("batch", 5, 28, 28)),),
    )
    graphs = {"model": Manifest.read(settings.repository / "light" / "1").graph, "layers": spec}
    write_version(settings.repository, version=2, files={"layers.onnx": layers_graph()}, graphs=graphs)
    async with serving(settings) as client:
        answer = (await ask(client, "layers=true&explain=true")).json()["predictions"][0]
        plain = (await ask(client, "layers=false")).json()["predictions"][0]
        refused = await ask(client, "layers=true&version=1")
    (layer,) = answer["layers"]
    sheet = np.array(Image.open(io.BytesIO(base64.b64decode(layer["image"]))))
    assert (layer["name"], layer["channels"], layer["height"], layer["across"]) == ("convolution_1", 5, 28, 3)
    assert sheet.shape == (2 * 28 + 1, 3 * 28 + 2)
    assert sheet[:28, :28].max() < sheet[29:57, 29:57].max() == 255  # the fifth map is five times the first
    assert answer["explanation"]["values"]
    assert set(plain) == {"label", "probability", "probabilities"}
    assert refused.status_code == 422
    assert "version 1 of 'light' has none" in refused.json()["error"]


@pytest.mark.anyio
async def test_reasons_are_given_for_few_pictures_at_a_time(client):
    assert (await ask(client, "explain=true", *[SEVEN_PNG] * 8)).status_code == 200
    answer = await ask(client, "explain=true", *[SEVEN_PNG] * 9)
    assert (answer.status_code, "9 inputs" in answer.json()["error"]) == (413, True)


@pytest.mark.parametrize("query", ["explain=maybe", "layers=", "seen=2"])
@pytest.mark.anyio
async def test_a_query_that_is_no_yes_or_no_is_refused(client, query):
    answer = await ask(client, query)
    assert answer.status_code == 422
    assert query.split("=")[0] in answer.json()["error"]


def layers_graph() -> bytes:
    """Five maps of the picture: 1, 2 … 5 times as light."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 28, 28, 1])
    maps = helper.make_tensor_value_info("convolution_1", TensorProto.FLOAT, ["batch", 5, 28, 28])
    gains = numpy_helper.from_array(np.arange(1, 6, dtype=np.float32).reshape(1, 5, 1, 1), "gains")
    nodes = [
        helper.make_node("Cast", ["image"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["number"], ["moved"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["moved", "gains"], ["convolution_1"]),
    ]
    return packed(helper.make_graph(nodes, "layers", [image], [maps], [gains]))
