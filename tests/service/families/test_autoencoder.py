"""Pictures to codes and back over HTTP."""

import asyncio
import base64

import numpy as np
import pytest

from service import images
from service.manifest import MANIFEST, Manifest
from service.samples import NOUGHT, SEVEN, SEVEN_PNG
from service.settings import Settings
from tests.conftest import SIDE, serving, write_codes_version

pytestmark = pytest.mark.anyio
HALF = SIDE // 2
PREPARATION = images.Preparation(mode="plain", height=SIDE, width=SIDE, channels=1)


def quarters(*lights: float) -> np.ndarray:
    """A picture of four quarters, in the order of a code."""
    tiles = np.array(lights).reshape(2, 2, 1).repeat(HALF, 0).repeat(HALF, 1)
    return tiles.astype(np.uint8)


def sent(*lights: float) -> str:
    return base64.b64encode(images.to_png(quarters(*lights))).decode()


def shown(prediction: dict) -> np.ndarray:
    """The picture of an answer."""
    assert (prediction["width"], prediction["height"]) == (SIDE, SIDE)
    return images.prepare(base64.b64decode(prediction["image"]), PREPARATION)


def size(png: bytes) -> tuple[int, int]:
    return images.size(png, images.PictureLimits())


@pytest.fixture
async def client(tmp_path):
    folder = tmp_path / "models"
    write_codes_version(folder, default=True)
    write_codes_version(folder, "denoiser", kind="denoising", decodes=False)
    write_codes_version(folder, "generator", kind="variational")
    async with serving(Settings(models_dir=folder, reload_s=0.05, drain_delay_s=0, max_batch=8)) as one:
        yield one


async def ask(client, verb, body, by=None, **query):
    answer = await client.post(f"/v1/{verb}", json=body, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == (by or query.get("model", "codes"))
    return answer.json()["predictions"]


async def test_a_code_is_what_the_graph_says(client):
    (said,) = await ask(client, "encode", {"images": [sent(0, 51, 102, 255)]})
    np.testing.assert_allclose(said["code"], [0, 0.2, 0.4, 1], atol=1e-6)


async def test_a_picture_that_the_model_can_tell_has_no_error(client):
    (said,) = await ask(client, "reconstruct", {"images": [sent(0, 51, 102, 255)]})
    assert np.array_equal(shown(said), quarters(0, 51, 102, 255))
    assert said["error"] == pytest.approx(0, abs=1e-9)
    assert said["percentile"] == pytest.approx(0, abs=1e-6)


async def test_the_percentile_counts_the_training_pictures_of_less_error(client):
    stripes = np.zeros((SIDE, SIDE, 1), np.uint8)
    stripes[::2] = 255  # 0 and 1 for one half in every quarter: an error of a quarter
    answer = await client.post("/v1/encode", content=images.to_png(stripes), headers={"content-type": "image/png"})
    (said,) = answer.json()["predictions"]
    assert said["error"] == pytest.approx(0.25, abs=1e-5)
    assert said["percentile"] == pytest.approx(25, abs=1e-3)


async def test_an_error_beyond_all_training_pictures_is_at_100(tmp_path):
    write_codes_version(tmp_path, statistics={"error_percentiles": [k / 1e9 for k in range(101)]})
    async with serving(Settings(models_dir=tmp_path, reload_s=0.05, drain_delay_s=0)) as client:
        (said,) = await ask(client, "encode", {"images": [SEVEN]})
        assert said["percentile"] == 100


async def test_a_code_is_decoded_to_its_picture(client):
    said = await ask(client, "decode", {"codes": [[0, 0.2, 0.4, 1], [1, 1, 0, 0]]})
    assert np.array_equal(shown(said[0]), quarters(0, 51, 102, 255))
    assert np.array_equal(shown(said[1]), quarters(255, 255, 0, 0))


async def test_light_beyond_a_pixels_is_clipped_and_between_two_is_rounded(client):
    (said,) = await ask(client, "decode", {"codes": [[-3, 7, 0.6 / 255, 1e6]]})
    assert np.array_equal(shown(said), quarters(0, 255, 1, 255))


async def test_what_is_encoded_and_decoded_is_the_reconstruction(client):
    (code,) = await ask(client, "encode", {"images": [SEVEN]})
    (decoded,) = await ask(client, "decode", {"codes": [code["code"]]})
    (reconstructed,) = await ask(client, "reconstruct", {"images": [SEVEN]})
    assert np.abs(shown(decoded).astype(int) - shown(reconstructed)).max() <= 1


async def test_a_made_up_picture_is_its_seeds(client):
    said = await ask(client, "generate", {"count": 3, "seed": 5, "temperature": 0.5}, "generator")
    codes = 0.5 * np.random.default_rng(5).standard_normal((3, 4))
    decoded = await ask(client, "decode", {"codes": codes.tolist()}, model="generator")
    assert said == decoded
    assert len({one["image"] for one in said}) == 3


async def test_without_temperature_all_made_up_pictures_are_the_mean(client):
    said = await ask(client, "generate", {"temperature": 0}, "generator")
    assert len(said) == 16
    assert all((shown(one) == 0).all() for one in said)


@pytest.mark.parametrize("count", [1, 64])
async def test_as_many_pictures_as_are_asked_for(client, count):
    assert len(await ask(client, "generate", {"count": count}, "generator")) == count


async def test_an_interpolation_leads_from_one_code_to_the_other(client):
    said = await ask(client, "interpolate", {"codes": [[0, 0, 0, 1], [1, 0.2, 0, 0]], "steps": 3})
    wanted = [quarters(0, 0, 0, 255), quarters(128, 26, 0, 128), quarters(255, 51, 0, 0)]
    for one, picture in zip(said, wanted, strict=True):
        assert np.abs(shown(one).astype(int) - picture).max() <= 1


@pytest.mark.parametrize("model", ["codes", "generator"])
async def test_an_interpolation_leads_from_one_picture_to_the_other(client, model):
    said = await ask(client, "interpolate", {"images": [sent(0, 0, 0, 255), sent(255, 51, 0, 0)], "steps": 20}, model=model)
    assert len(said) == 20
    assert np.array_equal(shown(said[0]), quarters(0, 0, 0, 255))
    assert np.array_equal(shown(said[-1]), quarters(255, 51, 0, 0))
    lights = [int(shown(one)[0, 0, 0]) for one in said]
    assert lights == sorted(set(lights))


async def test_interpolations_of_pictures_and_of_codes_share_a_batch(client):
    bodies = [{"images": [sent(0, 0, 0, light), sent(light, 0, 0, 0)], "steps": 2} for light in (51, 102, 153, 204, 255)]
    bodies += [{"codes": [[0, 0, 0, light / 255], [light / 255, 0, 0, 0]], "steps": 2} for light in (51, 102, 153)]
    answers = await asyncio.gather(*(ask(client, "interpolate", body) for body in bodies))
    for (first, last), light in zip(answers, (51, 102, 153, 204, 255, 51, 102, 153), strict=True):
        assert np.array_equal(shown(first), quarters(0, 0, 0, light))
        assert np.array_equal(shown(last), quarters(light, 0, 0, 0))


async def test_two_pictures_of_different_size_are_brought_to_the_models(client):
    assert len(await ask(client, "interpolate", {"images": [SEVEN, NOUGHT]})) == 8


@pytest.mark.parametrize(
    ("verb", "body", "model"),
    [
        ("denoise", {"images": [SEVEN]}, "denoiser"),
        ("reconstruct", {"images": [SEVEN]}, "codes"),
        ("encode", {"images": [SEVEN]}, "codes"),
        ("decode", {"codes": [[0, 0, 0, 0]]}, "codes"),
        ("generate", {}, "generator"),
        ("interpolate", {"images": [SEVEN, SEVEN]}, "codes"),
    ],
)
async def test_a_verb_that_names_no_model_is_answered_by_one_that_suits(client, verb, body, model):
    assert await ask(client, verb, body, model)


@pytest.mark.parametrize("model", ["denoiser", "generator"])
async def test_any_model_that_is_named_encodes(client, model):
    assert await ask(client, "encode", {"images": [SEVEN]}, model=model)


@pytest.mark.parametrize(
    ("verb", "body", "model", "able"),
    [
        ("denoise", {"images": [SEVEN]}, "codes", "['denoiser']"),
        ("decode", {"codes": [[0, 0, 0, 0]]}, "denoiser", "['codes', 'generator']"),
        ("generate", {}, "codes", "['generator']"),
        ("interpolate", {"images": [SEVEN, SEVEN]}, "denoiser", "['codes', 'generator']"),
    ],
)
async def test_a_named_model_that_cannot_is_refused_and_those_that_can_are_told(client, verb, body, model, able):
    answer = await client.post(f"/v1/{verb}", json=body, params={"model": model})
    assert answer.status_code == 422
    assert answer.json()["error"] == f"Model '{model}' (version 1) does not answer '/v1/{verb}'; expected one of {able}."


async def test_a_model_lists_only_what_it_can(client):
    listed = {one["name"]: one["verbs"] for one in (await client.get("/v1/models")).json()["models"]}
    assert listed["denoiser"] == ["/v1/denoise", "/v1/reconstruct", "/v1/encode"]
    assert listed["codes"] == ["/v1/reconstruct", "/v1/encode", "/v1/decode", "/v1/interpolate"]


async def test_where_all_models_denoise_one_of_them_encodes(tmp_path):
    write_codes_version(tmp_path, "denoiser", kind="denoising")
    async with serving(Settings(models_dir=tmp_path, reload_s=0.05, drain_delay_s=0)) as client:
        assert await ask(client, "encode", {"images": [SEVEN]}, "denoiser")
        answer = await client.post("/v1/generate", json={})
        assert (answer.status_code, "that answers '/v1/generate'" in answer.json()["error"]) == (404, True)


@pytest.mark.parametrize(
    ("verb", "body", "status", "told"),
    [
        ("encode", {"images": []}, 422, "Field 'images' is empty"),
        ("encode", {"images": ["!"]}, 422, "Field 'images[0]' is '!'; expected base64."),
        ("denoise", {"images": ["R0lGODlh"]}, 415, "expected PNG or JPEG"),
        ("decode", {}, 422, "Field 'codes' is missing."),
        ("decode", {"codes": []}, 422, "Field 'codes' is empty"),
        ("decode", {"codes": "x"}, 422, "Field 'codes' is 'x'; expected codes of 4 numbers each."),
        ("decode", {"codes": [0, 0, 0, 0]}, 422, "Field 'codes[0]' is '0'; expected 4 numbers."),
        ("decode", {"codes": [[0, 0, 0, 0], [0, 0, 0]]}, 422, "Field 'codes[1]' has 3 numbers; expected 4."),
        ("decode", {"codes": [[]]}, 422, "Field 'codes[0]' has 0 numbers; expected 4."),
        ("decode", {"codes": [[0] * 100_000]}, 422, "Field 'codes[0]' has 100000 numbers; expected 4."),
        ("decode", {"codes": [[0, 0, "0", 0]]}, 422, "Field 'codes[0][2]' is '0'; expected a number."),
        ("decode", {"codes": [[0, 0, True, 0]]}, 422, "Field 'codes[0][2]' is 'True'; expected a number."),
        ("decode", {"codes": [[0, 0, None, 0]]}, 422, "Field 'codes[0][2]' is 'None'; expected a number."),
        (
            "decode",
            {"codes": [[0, 0, 0, -1.1e6]]},
            422,
            "Field 'codes[0][3]' is '-1.1e+06'; expected a number of at most 1e+06",
        ),
        ("decode", {"codes": [[0, 0, 0, 0]] * 33}, 413, "Field 'codes' has 33 entries; expected at most 32."),
        ("decode", {"codes": [[0, 0, 0, 0]], "more": 1}, 422, "Field 'more'"),
        ("generate", {"count": 0}, 422, "Field 'count' is '0'"),
        ("generate", {"count": 65}, 422, "Field 'count' is '65'"),
        ("generate", {"count": 10**9}, 422, "Field 'count' is '1000000000'"),
        ("generate", {"count": 1.5}, 422, "Field 'count'"),
        ("generate", {"seed": -1}, 422, "Field 'seed' is '-1'"),
        ("generate", {"seed": 2**31}, 422, "Field 'seed'"),
        ("generate", {"temperature": -1}, 422, "Field 'temperature' is '-1'"),
        ("generate", {"temperature": 1e9}, 422, "Field 'temperature' is '1000000000.0'"),
        ("generate", {"temperature": "NaN"}, 422, "Field 'temperature' is 'NaN'"),
        ("interpolate", {}, 422, "Fields 'images' and 'codes' are both missing; expected exactly one of them."),
        ("interpolate", {"images": [SEVEN] * 2, "codes": [[0] * 4] * 2}, 422, "Fields 'images' and 'codes' are both there"),
        ("interpolate", {"images": [SEVEN]}, 422, "Field 'images' has 1 entries; expected two."),
        ("interpolate", {"images": []}, 422, "Field 'images' has 0 entries; expected two."),
        ("interpolate", {"codes": [[0] * 4] * 3}, 422, "Field 'codes' has 3 entries; expected two."),
        ("interpolate", {"codes": [[0] * 4, [0] * 5]}, 422, "Field 'codes[1]' has 5 numbers; expected 4."),
        ("interpolate", {"codes": 3}, 422, "Field 'codes' is '3'"),
        ("interpolate", {"images": [SEVEN, "!"]}, 422, "Field 'images[1]' is '!'; expected base64."),
        ("interpolate", {"images": [SEVEN, 1]}, 422, "Field 'images[1]' is '1'"),
        ("interpolate", {"images": [SEVEN, SEVEN], "steps": 1}, 422, "Field 'steps' is '1'"),
        ("interpolate", {"images": [SEVEN, SEVEN], "steps": 65}, 422, "Field 'steps' is '65'"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_its_field(client, verb, body, status, told):
    for accept in ("*/*", "image/png"):
        answer = await client.post(f"/v1/{verb}", json=body, headers={"accept": accept})
        assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text
        assert len(answer.content) < 1000


async def test_nan_is_no_json(client):
    answer = await client.post("/v1/generate", content=b'{"temperature": NaN}', headers={"content-type": "application/json"})
    assert answer.status_code == 400


async def test_a_document_of_another_media_type_is_refused(client):
    answer = await client.post("/v1/generate", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


async def test_one_picture_is_answered_as_it_is_where_the_client_wants_a_picture(client):
    headers = {"content-type": "image/png", "accept": "image/png"}
    answer = await client.post("/v1/denoise", content=images.to_png(quarters(0, 51, 102, 255)), headers=headers)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-model"] == "denoiser:1"
    assert "compute;dur=" in answer.headers["server-timing"]
    assert np.array_equal(images.prepare(answer.content, PREPARATION), quarters(0, 51, 102, 255))


@pytest.mark.parametrize(
    ("verb", "body", "across", "down"),
    [
        ("generate", {"count": 16}, 4, 4),
        ("interpolate", {"images": [SEVEN, NOUGHT], "steps": 8}, 3, 3),
        ("decode", {"codes": [[0, 0, 0, 0]] * 2}, 2, 1),
        ("reconstruct", {"images": [SEVEN] * 5}, 3, 2),
    ],
)
async def test_several_pictures_are_answered_side_by_side(client, verb, body, across, down):
    answer = await client.post(f"/v1/{verb}", json=body, headers={"accept": "image/png"})
    assert answer.headers["content-type"] == "image/png", answer.text
    assert size(answer.content) == (across * (SIDE + 1) - 1, down * (SIDE + 1) - 1)


async def test_a_code_is_no_picture(client):
    headers = {"accept": "image/png", "content-type": "image/png"}
    answer = await client.post("/v1/encode", content=SEVEN_PNG, headers=headers)
    assert answer.headers["content-type"] == "application/json"


async def test_pictures_have_the_models_colours(tmp_path):
    write_codes_version(tmp_path, channels=3)
    async with serving(Settings(models_dir=tmp_path, reload_s=0.05, drain_delay_s=0)) as client:
        answer = await client.post("/v1/decode", json={"codes": [[0, 0, 0, 1]] * 2}, headers={"accept": "image/png"})
        assert size(answer.content) == (2 * SIDE + 1, SIDE)
        assert answer.content[25] == 2  # PNG's colour type of RGB


async def test_tensors_send_their_own_noise(client):
    body = {
        "inputs": [
            {"name": "image", "datatype": "UINT8", "shape": [1, SIDE, SIDE, 1], "data": [0] * SIDE**2},
            {"name": "noise", "datatype": "FP32", "shape": [1, 4], "data": [0.5, 0, 0, -0.5]},
        ],
        "outputs": [{"name": "code"}],
    }
    answer = (await client.post("/v2/models/generator/infer", json=body)).json()
    assert answer["outputs"][0]["data"] == [0.5, 0, 0, -0.5]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"statistics": {}}, "error_percentiles are 'None'; expected 101 ascending numbers"),
        ({"statistics": {"error_percentiles": [0.0] * 100}}, "expected 101 ascending numbers"),
        ({"statistics": {"error_percentiles": [1.0, *[0.0] * 100]}}, "expected 101 ascending numbers"),
        ({"statistics": {"error_percentiles": ["a"] * 101}}, "expected 101 ascending numbers"),
        ({"preparation": {"mode": "plain", "height": 9, "width": SIDE, "channels": 1}}, "the graph 'model' takes rows of"),
        ({"kind": "magic"}, "its kind is 'magic'"),
    ],
)
async def test_a_version_whose_parts_do_not_fit_is_refused(tmp_path, changes, told):
    write_codes_version(tmp_path, **changes)
    async with serving(Settings(models_dir=tmp_path, reload_s=0.05, drain_delay_s=0)) as client:
        (refused,) = (await client.get("/v1/models")).json()["refused"]
        assert told in refused["reason"]


async def test_a_variational_version_whose_graph_takes_no_noise_is_refused(tmp_path):
    folder = write_codes_version(tmp_path)
    manifest = Manifest.read(folder)
    training = manifest.training.model_copy(update={"config": {"kind": "variational"}})
    (folder / MANIFEST).write_bytes(manifest.model_copy(update={"training": training}).dump())
    async with serving(Settings(models_dir=tmp_path, reload_s=0.05, drain_delay_s=0)) as client:
        (refused,) = (await client.get("/v1/models")).json()["refused"]
        assert "the graph 'model' takes rows of" in refused["reason"]
