"""Scores of pictures that were made again."""

import numpy as np
import pytest

from training import reconstructions

RANDOM = np.random.default_rng(0)
TRUTH = np.zeros((4, 16, 16, 1), np.float32)
TRUTH[:, 4:12, 4:12] = 1


def test_psnr_is_the_mean_of_each_pictures_own():
    made = TRUTH.copy()
    made[0] += 0.1
    made[1] += 0.01
    assert reconstructions.psnr(TRUTH[:2], made[:2]) == pytest.approx((20 + 40) / 2, abs=1e-3)
    assert reconstructions.psnr(TRUTH, TRUTH) == pytest.approx(100)


def test_ssim_is_1_of_the_same_and_falls_with_noise():
    some = np.clip(TRUTH + 0.2 * RANDOM.normal(size=TRUTH.shape), 0, 1)
    more = np.clip(TRUTH + 0.5 * RANDOM.normal(size=TRUTH.shape), 0, 1)
    assert reconstructions.ssim(TRUTH, TRUTH) == pytest.approx(1)
    assert 1 > reconstructions.ssim(TRUTH, some) > reconstructions.ssim(TRUTH, more)


def test_noise_is_seeded_and_clipped():
    raw = np.full((50, 8, 8, 1), 128, np.uint8)
    one, again, other = (reconstructions.noisy(raw, 0.1, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert (one / 255).std() == pytest.approx(0.1, rel=0.05)
    assert reconstructions.noisy(np.full((1, 8, 8, 1), 255, np.uint8), 0.5, 0).max() == 255


def test_each_simpler_way_is_nearer_than_the_noisy_picture_and_the_optimum_nearest():
    clean = np.repeat(TRUTH, 250, 0) * RANDOM.random((1000, 1, 1, 1)).astype(np.float32)
    raw = (clean * 255).astype(np.uint8)
    test = {"image": raw[:100], "train_image": raw[100:], "noisy_0.3": reconstructions.noisy(raw[:100], 0.3, 0)}
    found = reconstructions.restored_otherwise(test, [0.3])
    assert found["linear optimum"]["psnr"] > found["median of 3 x 3"]["psnr"] > found["as it is"]["psnr"]
    assert found["non-local means"]["psnr"] > found["as it is"]["psnr"]
    assert all(values["psnr"] == values["psnr_0.3"] for values in found.values())


def test_all_principal_components_lose_nothing_and_few_lose_more():
    raw = RANDOM.integers(0, 256, (60, 4, 4, 1)).astype(np.uint8)
    rows = {"image": raw[:20], "label": np.arange(20) % 2, "train_image": raw[20:], "train_label": np.arange(40) % 2}
    assert reconstructions.principal(rows, 16)["mse"] == pytest.approx(0, abs=1e-9)
    assert reconstructions.principal(rows, 2)["mse"] > 0.01


def test_codes_that_tell_the_labels_are_told_and_one_label_tells_nothing():
    codes, labels = RANDOM.normal(size=(200, 3)), np.arange(200) % 2
    codes[:, 0] += 6 * labels
    found = reconstructions.told(codes[:150], labels[:150], codes[150:], labels[150:])
    assert (found["neighbours"], found["probe"]) == (pytest.approx(1, abs=0.03), pytest.approx(1, abs=0.03))
    assert reconstructions.told(codes, np.zeros(200, int), codes, labels) == {}


def test_the_bounds_are_those_of_a_model_whose_likelihood_is_known():
    """A coin a pixel that no code moves: the code's posterior is the prior, so every bound is the likelihood itself."""
    rows = {
        "image": RANDOM.integers(0, 256, (300, 4, 4, 1)).astype(np.uint8),
        "noise": RANDOM.normal(size=(300, 2)).astype(np.float32),
    }

    def predict(arrays):
        return {"code": arrays["noise"], "reconstruction": np.full(arrays["image"].shape, 255 * 0.3, np.float32)}

    assert "bound_200" not in reconstructions.bounds(predict, rows, tight=False)
    found = reconstructions.bounds(predict, rows, tight=True)
    assert (found["divergence_gray"], found["divergence_binary"]) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6))
    white = rows["image"].mean() / 255
    wanted = 16 * (white * np.log(0.3) + (1 - white) * np.log(0.7))
    assert found["elbo_gray"] == pytest.approx(wanted, rel=1e-3)
    assert found["elbo_binary"] == pytest.approx(wanted, rel=0.02)
    assert found["bound_200"] == pytest.approx(found["elbo_binary"], rel=1e-4)


def test_many_samples_tighten_the_bound():
    weights = RANDOM.normal(size=(200, 50)) * 2 - 90
    bound = reconstructions.importance_weighted(weights)
    assert (bound > weights.mean(0)).all()
    assert bound.mean() == pytest.approx(-90 + 2, abs=0.6)  # log E exp of a normal distribution: half its variance above


def test_a_divergence_is_none_of_the_standard_normal_distribution():
    assert reconstructions.divergence(np.zeros((2, 5)), np.ones((2, 5))) == pytest.approx([0, 0])
    assert reconstructions.divergence(np.ones((1, 4)), np.ones((1, 4))) == pytest.approx([2])
