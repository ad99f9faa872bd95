"""The HTTP table, asked in process."""

import asyncio
import base64

import numpy as np
import pytest

from service import images
from service.gate import Gate
from service.samples import SEVEN_PNG
from tests.conftest import serving, until, write_version

pytestmark = pytest.mark.anyio
PNG = {"content-type": "image/png"}


def grey(light: int, side: int = 28) -> bytes:
    return images.to_png(np.full((side, side, 1), light, np.uint8))


def tensor(*lights: int, **changes) -> dict:
    data = np.stack([np.full((28, 28, 1), light) for light in lights]).tolist()
    return {"inputs": [{"name": "image", "datatype": "UINT8", "shape": [len(lights), 28, 28, 1], "data": data, **changes}]}


@pytest.fixture
async def client(settings):
    async with serving(settings) as client:
        yield client


async def test_a_raw_picture_is_classified(client):
    answer = await client.post("/v1/classify", content=grey(51), headers=PNG)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model"], body["version"]) == ("light", 1)
    (prediction,) = body["predictions"]
    assert prediction["label"] == "dark"
    assert prediction["probability"] == pytest.approx(0.8, abs=1e-6)
    assert list(prediction["probabilities"]) == ["dark", "light"]


async def test_pictures_in_a_form_and_in_json_are_answered_in_order(client):
    pictures = [grey(0), grey(255), grey(51)]
    form = await client.post("/v1/classify", files=[("file", ("a.png", picture)) for picture in pictures])
    encoded = [base64.b64encode(picture).decode() for picture in pictures]
    document = await client.post("/v1/classify", json={"images": encoded})
    assert form.json() == document.json()
    assert [one["label"] for one in form.json()["predictions"]] == ["dark", "light", "dark"]


async def test_top_lists_so_many_labels(client):
    answer = await client.post("/v1/classify?top=1", content=grey(255), headers=PNG)
    assert answer.json()["predictions"] == [{"label": "light", "probability": 1, "probabilities": {"light": 1}}]


async def test_typed_and_tensor_answers_are_the_same_numbers(client):
    picture = np.random.default_rng(0).integers(0, 256, (28, 28, 1), np.uint8)
    typed = await client.post("/v1/classify", content=images.to_png(picture), headers=PNG)
    tensors = await client.post("/v2/models/light/infer", json=tensor(0, shape=[1, 28, 28, 1], data=picture.ravel().tolist()))
    (output,) = tensors.json()["outputs"]
    assert sorted(typed.json()["predictions"][0]["probabilities"].values()) == sorted(output["data"])


async def test_tensors_are_answered_row_by_row(client):
    answer = await client.post("/v2/models/light/versions/1/infer", json=tensor(*range(0, 250, 10)))
    (output,) = answer.json()["outputs"]
    assert output["shape"] == [25, 2]
    assert np.allclose(output["data"][1::2], np.arange(0, 250, 10) / 255, atol=1e-6)


async def test_a_version_can_be_named(client, models_dir):
    write_version(models_dir, version=2, gain=0.5)
    while (await client.post("/v1/classify", content=grey(255), headers=PNG)).json()["version"] != 2:
        await asyncio.sleep(0.02)
    old = await client.post("/v1/classify?version=1", content=grey(255), headers=PNG)
    assert old.json()["version"] == 1
    assert old.json()["predictions"][0]["probabilities"]["light"] == 1


BROKEN_PNG = SEVEN_PNG[:-30]
HUGE_HEADER = SEVEN_PNG[:16] + (50_000).to_bytes(4, "big") * 2 + SEVEN_PNG[24:]


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "code"),
    [
        ("/v1/classify", b"not an image", PNG, 415, "unsupported_media"),
        ("/v1/classify", BROKEN_PNG, PNG, 422, "invalid_input"),
        ("/v1/classify", HUGE_HEADER, PNG, 413, "too_large"),
        ("/v1/classify", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", {"content-type": "image/gif"}, 415, "unsupported_media"),
        ("/v1/classify", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", PNG, 415, "unsupported_media"),
        ("/v1/classify", b"", PNG, 400, "bad_request"),
        ("/v1/classify", b"x" * (12 * 2**20), PNG, 413, "too_large"),
        ("/v1/classify", b"{}", {"content-type": "application/json"}, 422, "invalid_input"),
        ("/v1/classify", b'{"images": ["!"]}', {"content-type": "application/json"}, 422, "invalid_input"),
        ("/v1/classify", b'{"images": [', {"content-type": "application/json"}, 400, "bad_request"),
        ("/v1/classify", b"x", {"content-type": "text/plain"}, 415, "unsupported_media"),
        ("/v1/classify", b"x", {**PNG, "content-encoding": "rot13"}, 415, "unsupported_media"),
        ("/v1/classify?model=nobody", SEVEN_PNG, PNG, 404, "unknown_model"),
        ("/v1/classify?version=9", SEVEN_PNG, PNG, 404, "unknown_version"),
        ("/v1/classify?version=one", SEVEN_PNG, PNG, 422, "invalid_input"),
        ("/v1/classify?top=0", SEVEN_PNG, PNG, 422, "invalid_input"),
        ("/v1/classify?topp=1", SEVEN_PNG, PNG, 422, "invalid_input"),
        ("/v1/nothing", b"", PNG, 404, "not_found"),
        ("/v2/models/nobody/infer", b"{}", {}, 404, "unknown_model"),
        ("/v2/models/light/versions/9/infer", b"{}", {}, 404, "unknown_version"),
        ("/v2/models/light/infer", b"{", {}, 400, "bad_request"),
        ("/v2/models/light/infer", b"{}", {}, 400, "invalid_tensor"),
        ("/v2/models/light/infer", b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1],"data":[NaN]}]}', {}, 400, "bad_request"),
        ("/v2/models/light/infer", b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1],"data":[1]}]}', {}, 400, "invalid_tensor"),
        ("/v2/models/light/infer", b"{}", {"inference-header-content-length": "3"}, 400, "invalid_tensor"),
        ("/v2/models/light/infer", b"{}", {"content-encoding": "gzip"}, 400, "bad_request"),
        ("/v2/models/" + "a" * 190 + "/infer", b"{}", {}, 404, "unknown_model"),
        ("/v2/models/" + "a" * 300 + "/infer", b"{}", {}, 400, "bad_request"),
        ("/v2/models/..%2f..%2fetc/infer", b"{}", {}, 404, "not_found"),
        ("/v2/models/%00/infer", b"{}", {}, 404, "unknown_model"),
    ],
)  # fmt: skip
async def test_bad_input_gets_one_sentence_and_the_right_status(client, path, body, headers, status, code):
    answer = await client.post(path, content=body, headers=headers)
    error = answer.json()
    assert (answer.status_code, error["code"]) == (status, code), error
    assert set(error) == {"error", "code", "request_id"}
    assert answer.headers["content-type"] == "application/json"
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in error["error"]
    assert len(answer.content) < 500


async def test_a_body_that_grows_past_its_limit_is_refused_without_a_content_length(client):
    async def chunks():
        for _ in range(12):
            yield b"x" * 2**20

    answer = await client.post("/v1/classify", content=chunks(), headers=PNG)
    assert answer.status_code == 413


async def test_a_wrong_method_says_which_is_right(client):
    answer = await client.get("/v1/classify")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.json()["error"]


async def test_overload_is_503_with_retry_after(settings):
    async with serving(settings.model_copy(update={"max_queue": 2})) as client:
        answer = await client.post("/v2/models/light/infer", json=tensor(1, 2, 3))
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"] == "1"


async def test_models_are_listed_with_their_scores_and_refusals(client, models_dir):
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    for _ in range(200):
        listed = (await client.get("/v1/models")).json()
        if listed["refused"]:
            break
        await asyncio.sleep(0.02)
    (model,) = listed["models"]
    assert (model["name"], model["version"], model["scores"], model["verbs"]) == (
        "light",
        1,
        {"accuracy": 1.0},
        ["/v1/classify"],
    )
    (refused,) = listed["refused"]
    assert (refused["version"], "cannot open the graph" in refused["reason"]) == (2, True)


async def test_a_model_tells_where_it_comes_from_and_what_a_batch_costs(client):
    model = (await client.get("/v1/models/light")).json()
    assert model["manifest"]["source"]["name"] == "made"
    assert model["cost"][0]["rows"] == 1


async def test_metadata_and_health_are_the_protocols(client):
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json()["ready"] is True
    for path in ("/v2", "/v2/"):
        assert set((await client.get(path)).json()) == {"name", "version", "extensions"}
    assert (await client.get("/v2/models/light")).json()["platform"] == "onnxruntime_onnx"
    assert (await client.get("/v2/models/light/ready")).json() == {"name": "light", "ready": True}
    assert (await client.get("/v2/models/nobody/ready")).status_code == 404


async def test_server_timing_tells_where_the_time_went(client):
    answer = await client.post("/v1/classify", content=grey(1), headers=PNG)
    timing = answer.headers["server-timing"]
    assert all(part in timing for part in ("decode;dur=", "queue;dur=", "compute;dur="))


def decoding(threads: list) -> list:
    """Without the looks at the repository."""
    return [call for call in threads if "Typed." in call.__qualname__ or call.__name__ == "_said"]


async def test_what_is_long_waits_for_its_turn_before_it_is_decoded(client, monkeypatch):
    model = client.app.state.registry.get("light")
    monkeypatch.setattr(model, "gate", Gate(0, lambda: True, most=0))
    monkeypatch.setattr(images, "prepare", lambda *_: pytest.fail("it was decoded"))
    pictures = {"images": [base64.b64encode(grey(9)).decode()] * 8}
    answer = await client.post("/v1/classify", json=pictures)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "overloaded", "1")


async def test_a_long_picture_is_decoded_off_the_event_loop(client, monkeypatch):
    threads = []
    real = asyncio.to_thread
    monkeypatch.setattr(asyncio, "to_thread", lambda call, *rest: threads.append(call) or real(call, *rest))
    await client.post("/v1/classify", content=grey(9), headers=PNG)
    assert not decoding(threads)
    await client.post("/v1/classify", content=grey(9, side=40), headers=PNG)
    assert [call.__name__ for call in decoding(threads)] == [
        "_preprocess",
        "_said",
    ]  # and what is long to read, is long to answer


async def test_a_model_tells_its_lineage_its_policy_and_every_versions_state(client, settings):
    write_version(settings.repository, version=2, files={"model.onnx": b"junk"})
    await until(lambda: client.app.state.registry.refused())
    told = (await client.get("/v1/models/light")).json()
    assert (told["lineage"]["version"], told["lineage"]["code"], told["lineage"]["source"]["name"]) == (1, "-", "made")
    assert [(one["version"], one["state"]) for one in told["states"]] == [(2, "UNAVAILABLE"), (1, "READY")]
    assert (told["policy"]["pinned"], told["trial"], told["difference"]) == (None, None, None)


async def test_two_versions_are_compared_whether_they_are_served_or_only_on_disk(client, settings):
    for version in (2, 3, 4):
        write_version(settings.repository, version=version, scores={"accuracy": version / 10}, gain=version / 10)
    await until(lambda: client.app.state.registry.get("light").version == 4)
    for against in ("3", "2"):
        told = (await client.get(f"/v1/models/light?version=4&against={against}")).json()["difference"]
        assert (told["from"], told["to"]) == (int(against), 4)
        assert told["scores"]["accuracy"]["change"] == pytest.approx((4 - int(against)) / 10)
        assert told["files"] == ["golden.npz", "model.onnx"]


@pytest.mark.parametrize(("against", "status"), [("7", 404), ("x", 422), ("0", 422), ("..%2f1", 422)])
async def test_a_version_that_cannot_be_compared_with_is_named(client, against, status):
    answer = await client.get(f"/v1/models/light?against={against}")
    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


async def test_drift_is_told_of_each_watched_property(settings):
    deciles = [float(light) for light in range(0, 253, 23)][:11]
    write_version(settings.repository, statistics={"mean_pixel_deciles": deciles, "label_shares": {"dark": 0.5, "light": 0.5}})
    async with serving(settings) as client:
        for light in (9, 9, 200):
            await client.post("/v1/classify", content=grey(light), headers=PNG)
        told = (await client.get("/v1/models/light/drift")).json()
        assert [(one["name"], one["observations"], one["drift"]) for one in told["properties"]] == [
            ("mean_pixel", 3, "too few"),
            ("label", 3, "too few"),
        ]
        assert [one["found"] for one in told["properties"][1]["bins"]] == [0.66667, 0.33333]


async def test_of_a_pinned_version_the_card_tells(client, settings):
    write_version(settings.repository, version=2, summary="newer")
    await client.app.state.follower.change("light", pinned=1)
    (card,) = (await client.get("/v1/models")).json()["models"]
    assert (card["version"], card["versions"], card["summary"]) == (1, [2, 1], "How light a picture is")
