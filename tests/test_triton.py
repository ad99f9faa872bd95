"""The Triton client as people have it, against a real server process."""

import itertools

import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio

from tests.conftest import write_version

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28, 1), np.uint8)
LIGHT = IMAGES.mean((1, 2, 3)) / 255


@pytest.fixture
def address(start, tmp_path):
    write_version(tmp_path / "models", labels=("dark", "light"))
    return start(models_dir=tmp_path / "models").url.removeprefix("http://")


def tensor(*, binary: bool):
    found = tritonclient.http.InferInput("image", list(IMAGES.shape), "UINT8")
    found.set_data_from_numpy(IMAGES, binary_data=binary)
    return found


def wanted(*, binary: bool, classes: int = 0):
    return tritonclient.http.InferRequestedOutput("probabilities", binary_data=binary, class_count=classes)


def test_health_and_metadata(address):
    with tritonclient.http.InferenceServerClient(address) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("light")
        assert not client.is_model_ready("nobody")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        assert client.get_model_metadata("light", "1")["outputs"][0]["datatype"] == "FP32"


def test_tensors_go_and_come_as_json_and_as_bytes_packed_or_not(address):
    with tritonclient.http.InferenceServerClient(address) as client:
        for sent, back, packed in itertools.product((True, False), (True, False, None), (None, "gzip", "deflate")):
            answer = client.infer(
                "light",
                [tensor(binary=sent)],
                request_id="7",
                outputs=None if back is None else [wanted(binary=back)],
                request_compression_algorithm=packed,
                response_compression_algorithm=packed,
            )
            assert answer.get_response()["id"] == "7"
            assert ("data" in answer.get_output("probabilities")) == (back is False)
            np.testing.assert_allclose(answer.as_numpy("probabilities")[:, 1], LIGHT, atol=1e-6)


def test_classes_come_with_their_places_and_labels(address):
    with tritonclient.http.InferenceServerClient(address) as client:
        for binary in (True, False):
            answer = client.infer("light", [tensor(binary=True)], outputs=[wanted(binary=binary, classes=1)])
            found = answer.as_numpy("probabilities").astype(str)
            ends = [":1:light" if light > 0.5 else ":0:dark" for light in LIGHT]
            assert found.shape == (5, 1)
            assert all(map(str.endswith, found[:, 0], ends)), found


def test_what_is_refused_is_an_error_with_our_sentence(address):
    with tritonclient.http.InferenceServerClient(address) as client:
        with pytest.raises(tritonclient.utils.InferenceServerException, match="nobody"):
            client.infer("nobody", [tensor(binary=True)])
        wrong = tritonclient.http.InferInput("image", [1, 28, 28, 1], "UINT8")
        wrong.set_data_from_numpy(IMAGES[:1])
        wrong._shape = [2, 28, 28, 1]
        with pytest.raises(tritonclient.utils.InferenceServerException, match="takes 1568"):
            client.infer("light", [wrong])


@pytest.mark.anyio
async def test_the_client_for_asyncio_gets_the_same(address):
    async with tritonclient.http.aio.InferenceServerClient(address) as client:
        assert await client.is_model_ready("light")
        for packed in (None, "gzip"):
            answer = await client.infer("light", [tensor(binary=True)], request_compression_algorithm=packed)
            np.testing.assert_allclose(answer.as_numpy("probabilities")[:, 1], LIGHT, atol=1e-6)
