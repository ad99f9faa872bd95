"""Pictures of an autoencoder."""

import json

import numpy as np
import pytest
from PIL import Image

from training import gallery

SIDE = 8
RANDOM = np.random.default_rng(0)


def predict(arrays, graph="model"):
    """A decoder: the light of every pixel is the code's first number."""
    assert graph == "decoder"
    return {"picture": np.broadcast_to(255 * arrays["code"][:, :1, None, None], (len(arrays["code"]), SIDE, SIDE, 1))}


def test_a_walk_leads_straight_from_one_labels_first_picture_to_the_nexts():
    codes = np.array([[0.2, 5], [0.9, 1], [1.0, 0], [0.4, 2]], np.float32)
    found = gallery.walks(predict, codes, np.array([1, 0, 0, 2]))
    assert found["ends"].tolist() == [[1, 0], [0, 3]]
    np.testing.assert_allclose(found["walks"][0, :, 0, 0, 0] / 255, np.linspace(0.9, 0.2, gallery.STEPS), atol=1e-6)
    np.testing.assert_allclose(found["walks"][1, -1] / 255, 0.4, atol=1e-6)


def test_pictures_without_labels_are_walked_one_by_one():
    found = gallery.walks(predict, RANDOM.random((30, 2), np.float32), np.zeros(30, np.int64))
    assert found["ends"][:3].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert len(found["walks"]) == gallery.MOST_WALKS


def test_one_picture_leads_nowhere():
    assert len(gallery.walks(predict, np.zeros((1, 2), np.float32), np.zeros(1, np.int64))["walks"]) == 0


def test_samples_are_of_standard_normal_codes_and_the_same_each_time():
    one, again = (gallery.samples(predict, 3)[:, 0, 0, 0] / 255 for _ in range(2))
    assert np.array_equal(one, again)
    assert (one.mean(), one.std()) == (pytest.approx(0, abs=0.3), pytest.approx(1, abs=0.2))


def test_what_there_is_is_drawn(tmp_path):
    image = RANDOM.integers(0, 256, (40, SIDE, SIDE, 1)).astype(np.uint8)
    rows = {"image": image, "noisy_0.5": 255 - image, "label": np.arange(40) % 2}
    codes = RANDOM.normal(size=(40, 2)).astype(np.float32)
    arrays = {"made": image.astype(np.float32), "codes": codes, **gallery.walks(predict, codes, rows["label"])}
    arrays["samples"] = gallery.samples(predict, 2)
    paths = gallery.draw(arrays, rows, ["noisy_0.5"], ("$a", "b"), tmp_path)
    assert [path.name for path in paths] == ["pictures.png", "plane.png", "plane.json", "walks.png", "samples.png"]
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.size[0] > 80
    drawn = json.loads((tmp_path / "plane.json").read_text())
    assert drawn["label"] == rows["label"].tolist()
    np.testing.assert_allclose(drawn["code"], codes, atol=1e-3)
    assert {path.name for path in gallery.draw({"made": arrays["made"]}, rows, [], (), tmp_path)} == {"pictures.png"}
