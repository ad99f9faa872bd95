"""The paths of the Open Inference Protocol, asked in process; unmodified clients ask for them in tests/test_triton.py."""

import gzip
import zlib

import numpy as np
import orjson
import pytest

from service import images, wire
from tests.conftest import serving, until, write_vectors_version, write_version, write_words_version

pytestmark = pytest.mark.anyio
GREY = images.to_png(np.full((28, 28, 1), 51, np.uint8))
IMAGE = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [51] * 784}


@pytest.fixture
async def client(settings):
    write_words_version(settings.repository)
    write_vectors_version(settings.repository)
    async with serving(settings) as client:
        yield client


def elements(name: str, *values: str) -> dict:
    return {"inputs": [{"name": name, "datatype": "BYTES", "shape": [len(values), 1], "data": list(values)}]}


async def test_texts_are_tokenised_here_and_give_the_numbers_of_the_typed_verb(client):
    texts = ["a superb film", "boring", "the"]
    typed = (await client.post("/v1/sentiment", json={"texts": texts})).json()["predictions"]
    answer = (await client.post("/v2/models/words/infer", json=elements("text", *texts))).json()
    outputs = {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in answer["outputs"]}
    assert outputs["probabilities"].tolist() == [
        [one["probabilities"][label] for label in ("negative", "positive")] for one in typed
    ]
    assert outputs["contributions"].shape == (3, 3, 2)


async def test_encoded_pictures_give_the_numbers_of_the_typed_verb(client):
    typed = (await client.post("/v1/classify", content=GREY, headers={"content-type": "image/png"})).json()["predictions"]
    tensor = np.empty((2, 1), np.object_)
    tensor[:, 0] = [GREY, GREY]
    packed = bytes(wire.pack(tensor))
    head = orjson.dumps(
        {"inputs": [{"name": "picture", "datatype": "BYTES", "shape": [2, 1], "parameters": {"binary_data_size": len(packed)}}]}
    )
    answer = await client.post(
        "/v2/models/light/infer", content=head + packed, headers={"inference-header-content-length": str(len(head))}
    )
    (output,) = answer.json()["outputs"]
    assert output["data"] == [typed[0]["probabilities"][label] for label in ("dark", "light")] * 2


async def test_words_are_looked_up_here_and_an_unknown_one_is_named(client):
    answer = (await client.post("/v2/models/vectors/infer", json=elements("word", "king", "film"))).json()
    outputs = {one["name"]: one for one in answer["outputs"]}
    assert outputs["vectors"]["shape"] == [2, 1, 3]
    answer = await client.post("/v2/models/vectors/infer", json=elements("word", "king", "xqxq"))
    assert (answer.status_code, "Element 1" in answer.json()["error"], "'xqxq' is not among" in answer.json()["error"]) == (
        400,
        True,
        True,
    )


@pytest.mark.parametrize("body", [GREY, GREY + b"\0"])
async def test_a_raw_body_that_says_it_is_a_picture_is_decoded(client, body):
    headers = {"inference-header-content-length": "0", "content-type": "image/png"}
    answer = await client.post("/v2/models/light/infer", content=body, headers=headers)
    assert answer.status_code == 200
    written = int(answer.headers["inference-header-content-length"])
    np.testing.assert_allclose(np.frombuffer(answer.content[written:], np.float32), [0.8, 0.2], atol=1e-6)


@pytest.mark.parametrize(
    ("model", "document", "sentence"),
    [
        ("light", elements("picture", "x"), "Element 0 of an input of BYTES: The picture is of a kind"),
        ("words", elements("text", "fine", " "), "Element 1 of an input of BYTES"),
        ("words", elements("text", *["x"] * 40), "has 40 elements; expected at most 32"),
        ("words", {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1, 2], "data": ["a", "b"]}]}, "has shape"),
        ("words", {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [0, 1], "data": []}]}, "has shape"),
        ("words", {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [2, 1], "data": ["a"]}]}, "has 1 values"),
        ("light", {"inputs": [IMAGE, elements("picture", "x")["inputs"][0]]}, "stands for all inputs"),
        ("light", {"inputs": [{**IMAGE, "shape": [-1, 28, 28, 1]}]}, "expected a list of whole numbers"),
        ("light", {"inputs": [{**IMAGE, "shape": [2**62, 2**62, 28, 1]}]}, "expected a list of whole numbers"),
        ("light", {"inputs": [{**IMAGE, "shape": [2**30, 2**30, 28, 1]}]}, "elements; expected at most"),
        ("light", {"inputs": [{**IMAGE, "name": "nobody"}]}, "expected one of"),
        ("light", {"inputs": [IMAGE], "outputs": [{"name": "probabilities"}] * 2}, "asked for twice"),
    ],
)
async def test_what_is_wrong_is_one_of_the_protocols_errors(client, model, document, sentence):
    answer = await client.post(f"/v2/models/{model}/infer", json=document)
    assert answer.status_code in (400, 413)
    assert sentence in answer.json()["error"], answer.text
    assert answer.headers["content-type"] == "application/json"


async def test_a_document_that_is_nested_too_deep_is_refused(client):
    answer = await client.post("/v2/models/light/infer", content=b'{"inputs":' + b"[" * 200 + b"]" * 200 + b"}")
    assert (answer.status_code, "nested deeper" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    "path", ["/v2/models/../infer", "/v2/models/%2e%2e%2flight/infer", "/v2/models/..%2f..%2fetc/versions/1/infer"]
)
async def test_a_name_that_climbs_is_unknown(client, path):
    answer = await client.post(path, json={"inputs": [IMAGE]})
    assert (answer.status_code, bool(answer.json()["error"])) == (404, True)


@pytest.mark.parametrize("version", ["..%2f1", "%2e%2e", "0", "1.0", "9" * 30, "latest"])
async def test_a_version_that_is_no_number_is_the_clients_fault(client, version):
    answer = await client.post(f"/v2/models/light/versions/{version}/infer", json={"inputs": [IMAGE]})
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"]


async def test_an_encoding_that_is_not_offered_is_501(client):
    answer = await client.post("/v2/models/light/infer", content=b"x", headers={"content-encoding": "br"})
    assert (answer.status_code, "expected gzip" in answer.json()["error"]) == (501, True)


@pytest.mark.parametrize(("encoding", "unpack"), [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
async def test_an_answer_is_packed_for_who_names_just_one_way(client, encoding, unpack):
    document = {"inputs": [IMAGE], "parameters": {"binary_data_output": True}}
    async with client.stream("POST", "/v2/models/light/infer", json=document, headers={"accept-encoding": encoding}) as answer:
        assert answer.headers["content-encoding"] == encoding
        content = unpack(b"".join([part async for part in answer.aiter_raw()]))
    written = int(answer.headers["inference-header-content-length"])
    np.testing.assert_allclose(np.frombuffer(content[written:], np.float32), [0.8, 0.2], atol=1e-6)
    plain = await client.post("/v2/models/light/infer", json=document, headers={"accept-encoding": "gzip, deflate"})
    assert "content-encoding" not in plain.headers


async def test_the_index_names_every_version_its_state_and_the_reason(client, settings):
    write_version(settings.repository, version=2, files={"model.onnx": b"junk"})
    await until(lambda: client.app.state.registry.refused())
    index = (await client.post("/v2/repository/index")).json()
    told = {(one["name"], one["version"]): (one["state"], one["reason"]) for one in index}
    assert told["light", "1"] == ("READY", "")
    assert told["light", "2"][0] == "UNAVAILABLE"
    assert "cannot open the graph" in told["light", "2"][1]
    ready = (await client.post("/v2/repository/index", json={"ready": True})).json()
    assert [(one["name"], one["version"]) for one in ready] == [("light", "1"), ("vectors", "1"), ("words", "1")]


async def test_a_model_is_unloaded_and_loaded(client):
    assert (
        await client.post("/v2/repository/models/light/unload", json={"parameters": {"unload_dependents": False}})
    ).json() == {}
    answer = await client.post("/v2/models/light/infer", json={"inputs": [IMAGE]})
    assert (answer.status_code, answer.json()["error"]) == (503, "Model 'light' is unloaded.")
    assert (await client.post("/v2/repository/models/light/load")).status_code == 200
    assert (await client.post("/v2/models/light/infer", json={"inputs": [IMAGE]})).status_code == 200


async def test_a_model_that_cannot_be_loaded_says_why(client, settings):
    write_version(settings.repository, files={"model.onnx": b"junk"})
    await client.post("/v2/repository/models/light/unload")
    answer = await client.post("/v2/repository/models/light/load")
    assert (answer.status_code, "cannot open the graph" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("what", ["load", "unload"])
async def test_a_model_that_is_not_there_cannot_be_controlled(client, what, settings):
    for name in ("nobody", "%2e%2e", "..%2fmodels"):
        assert (await client.post(f"/v2/repository/models/{name}/{what}")).status_code == 404
    assert not list(settings.repository.glob("**/policy.json"))


async def test_a_load_with_files_is_not_offered(client):
    answer = await client.post("/v2/repository/models/light/load", json={"parameters": {"config": "{}"}})
    assert answer.status_code == 501


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b'{"parameters": 1}'])
@pytest.mark.parametrize("path", ["index", "models/light/load", "models/light/unload"])
async def test_a_control_request_that_is_no_object_is_refused_and_changes_nothing(client, path, body, settings):
    answer = await client.post(f"/v2/repository/{path}", content=body)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert not (settings.repository / "light/policy.json").exists()


async def test_a_model_that_is_being_loaded_is_503_and_not_unknown(client, settings, monkeypatch):
    follower, answers = client.app.state.follower, []
    real, loop_client = follower._load, client

    def watched(found, known):
        entry = client.app.state.registry.entries["new"]
        answers.append((entry.loading, entry.silence("new")))
        return real(found, known)

    monkeypatch.setattr(follower, "_load", watched)
    write_version(settings.repository, "new")
    await until(lambda: answers)
    assert answers[0][1] == "Model 'new' is being loaded."
    await until(lambda: "new" in client.app.state.registry.models())
    assert (await loop_client.get("/v2/models/new/ready")).status_code == 200


@pytest.mark.parametrize("kind", ["system", "cuda"])
async def test_shared_memory_is_not_offered_and_to_forget_it_is_nothing(client, kind):
    assert (await client.get(f"/v2/{kind}sharedmemory/status")).json() == []
    assert (await client.get(f"/v2/{kind}sharedmemory/region/x/status")).json() == []
    assert (await client.post(f"/v2/{kind}sharedmemory/unregister")).status_code == 200
    assert (await client.post(f"/v2/{kind}sharedmemory/region/x/unregister")).status_code == 200
    answer = await client.post(f"/v2/{kind}sharedmemory/region/x/register", json={"key": "x", "offset": 0, "byte_size": 1})
    assert (answer.status_code, "Shared memory is not offered" in answer.json()["error"]) == (501, True)


@pytest.mark.parametrize("path", ["/v2/logging", "/v2/trace/setting", "/v2/models/light/trace/setting"])
async def test_settings_of_logs_and_traces_are_told_and_changed_by_nobody(client, path):
    before = (await client.get(path)).json()
    assert (await client.post(path, json=dict.fromkeys(before, "changed"))).json() == before


async def test_names_of_models_and_what_the_server_is(client):
    assert (await client.get("/v2/models")).json() == {"models": ["light", "vectors", "words"]}
    for path in ("/v2", "/v2/"):
        assert {"binary_tensor_data", "model_repository", "statistics", "model_configuration"} <= set(
            (await client.get(path)).json()["extensions"]
        )


async def test_a_parameter_that_is_too_long_is_the_protocols_400_too(client):
    answer = await client.get("/v2/models/light", params={"version": "1" * 300})
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"


async def test_names_in_a_load_are_told_no_further_than_any_value(client):
    answer = await client.post("/v2/repository/models/light/load", json={"parameters": {"a" * 800: 1}})
    assert answer.status_code == 501
    assert len(answer.json()["error"]) < 200
