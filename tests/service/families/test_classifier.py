"""The classifier's room."""

import numpy as np
import pytest

from service import images
from service.families import classifier
from service.families.classifier import Assets, Options

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
