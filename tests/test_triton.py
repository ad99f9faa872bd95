"""The Triton client as people have it, against a real server process."""

import itertools

import numpy as np
import pytest
import tritonclient.http
import tritonclient.http.aio

from service.samples import SEVEN_PNG
from tests.conftest import ROOT, write_version

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


def test_texts_and_encoded_pictures_go_as_they_are(start):
    address = start(models_dir=ROOT / "models").url.removeprefix("http://")
    with tritonclient.http.InferenceServerClient(address) as client:
        texts = np.array([["A slow start, but the ending is superb."], ["Dull."]], np.object_)
        for binary in (True, False):
            text = tritonclient.http.InferInput("text", [2, 1], "BYTES")
            text.set_data_from_numpy(texts, binary_data=binary)
            said = client.infer("reviews", [text]).as_numpy("probabilities")
            assert said.argmax(1).tolist() == [1, 0]
        picture = tritonclient.http.InferInput("picture", [1, 1], "BYTES")
        picture.set_data_from_numpy(np.array([[SEVEN_PNG]], np.object_))
        assert client.infer("digits", [picture]).as_numpy("probabilities").argmax() == 7


def test_the_repository_is_listed_and_controlled(address):
    with tritonclient.http.InferenceServerClient(address) as client:
        (entry,) = client.get_model_repository_index()
        assert entry == {"name": "light", "version": "1", "state": "READY", "reason": ""}
        client.unload_model("light")
        assert not client.is_model_ready("light")
        assert client.get_model_repository_index()[0]["reason"] == "unloaded"
        client.load_model("light")
        assert client.is_model_ready("light")
        with pytest.raises(tritonclient.utils.InferenceServerException, match="nobody"):
            client.load_model("nobody")


def test_configuration_and_statistics_are_told(address):
    with tritonclient.http.InferenceServerClient(address) as client:
        config, metadata = client.get_model_config("light"), client.get_model_metadata("light")
        names = {one["name"] for one in metadata["inputs"] + metadata["outputs"]}
        assert {one["name"] for one in config["input"] + config["output"]} <= names
        assert config["max_batch_size"] > 0
        client.infer("light", [tensor(binary=True)])
        for found in (client.get_inference_statistics("light", "1"), client.get_inference_statistics()):
            (model,) = found["model_stats"]
            assert (model["name"], model["version"]) == ("light", "1")
            assert (model["inference_count"], model["execution_count"]) == (5, 1)
            assert model["inference_stats"]["success"]["count"] == 1


def test_what_samples_ask_first_is_answered_and_shared_memory_is_refused(address):
    with tritonclient.http.InferenceServerClient(address) as client:
        client.unregister_system_shared_memory()
        client.unregister_cuda_shared_memory()
        assert client.get_system_shared_memory_status() == []
        assert client.update_trace_settings("light", {"trace_level": ["OFF"]}) == client.get_trace_settings("light")
        assert client.update_log_settings({"log_info": True}) == client.get_log_settings()
        with pytest.raises(tritonclient.utils.InferenceServerException, match="Shared memory is not offered"):
            client.register_system_shared_memory("x", "x", 4)


@pytest.mark.anyio
async def test_the_client_for_asyncio_gets_the_same(address):
    async with tritonclient.http.aio.InferenceServerClient(address) as client:
        assert await client.is_model_ready("light")
        for packed in (None, "gzip"):
            answer = await client.infer("light", [tensor(binary=True)], request_compression_algorithm=packed)
            np.testing.assert_allclose(answer.as_numpy("probabilities")[:, 1], LIGHT, atol=1e-6)
        assert (await client.get_model_repository_index())[0]["state"] == "READY"
        assert (await client.get_inference_statistics("light"))["model_stats"][0]["inference_count"] == 10
        await client.unload_model("light")
        await client.load_model("light")
        assert (await client.get_model_config("light"))["name"] == "light"
