"""The shipped `denoiser`, `codes` and `generator`, on real MNIST test pictures, over HTTP."""

import base64
import io
import json
import os

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from service import images
from service.manifest import Manifest
from tests.conftest import DATA, ROOT
from training import reconstructions
from training.__main__ import main

MODELS = ROOT / "models"
PNG = {"content-type": "image/png", "accept": "image/png"}
SHOWN = {
    "denoiser": ("psnr_0.5", "ssim_0.5", "psnr_0.3", "ssim_0.3"),
    "codes": ("mse", "neighbours", "probe"),
    "generator": ("elbo_binary", "elbo_gray", "bound_200"),
}
"""The scores that the README must state."""


def newest(name):
    return max((path for path in (MODELS / name).iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


@pytest.fixture(scope="module")
def digits():
    with np.load(DATA / "mnist.npz") as archive:
        return archive["test_images"][..., np.newaxis]


@pytest.fixture
def server(start):
    return start(models_dir=MODELS)


def ask(server, verb, **request):
    answer = httpx.post(f"{server.url}/v1/{verb}", **request)
    assert answer.status_code == 200, answer.text
    return answer


def sent(picture):
    return base64.b64encode(images.to_png(picture)).decode()


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("L"))[..., np.newaxis]


def measured(server, pictures):
    """Errors and percentiles of pictures, as `codes` makes them again."""
    found = []
    for start in range(0, len(pictures), 25):
        said = ask(server, "encode", json={"images": [sent(one) for one in pictures[start : start + 25]]}).json()
        assert said["model"] == "codes"
        found += [[one["error"], one["percentile"]] for one in said["predictions"]]
    return np.array(found)


def test_noisy_pngs_come_back_as_clean_pngs(server, digits):
    noisy = reconstructions.noisy(digits, 0.5, 0)
    clean = np.stack([pixels(ask(server, "denoise", content=images.to_png(one), headers=PNG).content) for one in noisy])
    truth = reconstructions.floats(digits)
    assert reconstructions.psnr(truth, reconstructions.floats(clean)) > 20.5
    assert reconstructions.psnr(truth, reconstructions.floats(noisy)) < 10


def test_letters_and_random_pictures_are_more_unusual_than_digits(server, digits):
    def letter(one):
        picture = Image.new("L", (28, 28))
        font = ImageFont.load_default(22)
        ImageDraw.Draw(picture).text((14, 14), one, fill=255, font=font, anchor="mm", stroke_width=1)
        return np.asarray(picture)[..., np.newaxis]

    random = np.random.default_rng(0).integers(0, 256, (8, 28, 28, 1)).astype(np.uint8)
    written = measured(server, digits)
    letters, noise = measured(server, [letter(one) for one in "AEHKMRWX"]), measured(server, random)
    assert np.median(written[:, 1]) < 90
    assert letters[:, 0].min() > np.median(written[:, 0])
    assert np.median(letters[:, 1]) > 97
    assert np.median(letters[:, 0]) > 2 * np.median(written[:, 0])
    assert noise[:, 0].min() > letters[:, 0].max()
    assert noise[:, 1].min() == 100


def test_a_code_is_decoded_to_what_its_picture_was_made_again_as(server, digits):
    body = {"images": [sent(one) for one in digits[:5]]}
    codes = [one["code"] for one in ask(server, "encode", json=body).json()["predictions"]]
    assert [len(code) for code in codes] == [30] * 5
    again = ask(server, "reconstruct", json=body).json()["predictions"]
    decoded = ask(server, "decode", json={"codes": codes}).json()["predictions"]
    for one, other in zip(again, decoded, strict=True):
        apart = pixels(base64.b64decode(one["image"])).astype(int) - pixels(base64.b64decode(other["image"]))
        assert np.abs(apart).max() <= 1


def test_a_walk_begins_and_ends_at_the_pictures(server, digits):
    body = {"images": [sent(one) for one in digits[:2]], "steps": 5}
    walk = [pixels(base64.b64decode(one["image"])) for one in ask(server, "interpolate", json=body).json()["predictions"]]
    assert len(walk) == 5
    for made, truth in ((walk[0], digits[0]), (walk[-1], digits[1])):
        assert reconstructions.errors(truth[np.newaxis] / 255, made[np.newaxis] / 255)[0] < 0.02


def test_the_same_seed_makes_up_the_same_digits_and_most_can_be_read(server):
    sheets = [
        ask(server, "generate", json={"count": 16, "seed": seed}, headers={"accept": "image/png"}).content for seed in (3, 3, 4)
    ]
    assert sheets[0] == sheets[1] != sheets[2]
    made = ask(server, "generate", json={"count": 64, "seed": 1, "temperature": 0.8}).json()["predictions"]
    read = [
        ask(server, "classify", content=base64.b64decode(one["image"]), headers={"content-type": "image/png"}).json()[
            "predictions"
        ][0]
        for one in made
    ]
    assert len({one["label"] for one in read}) >= 9
    assert np.median([one["probability"] for one in read]) > 0.9


@pytest.mark.parametrize("name", SHOWN)
def test_the_readme_states_the_scores_of_the_shipped_version(name):
    manifest, said = Manifest.read(newest(name)), (ROOT / "README.md").read_text()
    for score in SHOWN[name]:
        value = manifest.scores[score]
        stated = f"{value:.4f}" if score == "mse" else f"{100 * value:.2f}" if value < 1 and name == "codes" else f"{value:.2f}"
        assert stated.replace("-", "−") in said or stated in said, (score, stated)


@pytest.mark.parametrize("name", ["codes", "generator"])
def test_a_plane_of_codes_lies_beside_it(name):
    drawn = json.loads((newest(name) / "plane.json").read_text())
    assert len(drawn["x"]) == len(drawn["y"]) == len(drawn["label"]) == len(drawn["code"]) == 1000


@pytest.mark.slow
@pytest.mark.skipif("MODELYARD_DATA_DIR" not in os.environ, reason="MODELYARD_DATA_DIR names no folder of public data")
def test_their_scores_are_those_of_their_manifests(capsys, tmp_path):
    assert main(["evaluate", *SHOWN, "--models-dir", str(MODELS), "--runs-dir", str(tmp_path), "--json"]) == 0
    for line in map(json.loads, capsys.readouterr().out.splitlines()):
        for name, score in Manifest.read(newest(line["model"])).scores.items():
            assert line["scores"][name] == pytest.approx(score, abs=2e-3 * max(1, abs(score))), name
