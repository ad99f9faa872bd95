"""Scores against numbers worked out by hand."""

import numpy as np
import pytest

from training import scores

TRUTH = np.array([0, 0, 0, 1, 1, 2])
ANSWERS = np.array([0, 0, 1, 1, 0, 1])


def softmax(logits):
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_confusion_counts_truth_in_rows_and_answers_in_columns():
    assert scores.confusion(TRUTH, ANSWERS, 3).tolist() == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]


def test_precision_is_of_the_answers_and_recall_of_the_truth():
    precision, recall = scores.precision_recall(scores.confusion(TRUTH, ANSWERS, 3))
    assert precision == pytest.approx([2 / 3, 1 / 3, 0])  # class 2 was never answered
    assert recall == pytest.approx([2 / 3, 1 / 2, 0])


def test_a_class_without_rows_has_recall_0():
    _, recall = scores.precision_recall(scores.confusion(np.array([0]), np.array([0]), 2))
    assert recall.tolist() == [1, 0]


def test_log_loss_is_the_mean_of_minus_log_of_the_true_class():
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]], np.float32)
    assert scores.log_loss(np.array([0, 0]), probabilities) == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_log_loss_of_a_certain_mistake_is_finite():
    assert scores.log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-np.log(1e-12))


def test_certain_and_right_answers_have_no_calibration_error():
    assert scores.calibration_error(np.array([0, 1]), np.eye(2)) == 0


def test_calibration_error_is_the_gap_of_confidence_and_accuracy_weighted_by_rows():
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.4, 0.6]] * 4)
    truth = np.array([0, 0, 1, 1, 1, 1, 1, 1])  # half right at 0.9, all right at 0.6
    assert scores.calibration_error(truth, probabilities) == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)


@pytest.mark.parametrize("wanted", [0.5, 1.0, 3.0])
def test_temperature_finds_the_one_that_spoiled_the_logits(wanted):
    random = np.random.default_rng(0)
    logits = random.normal(size=(20_000, 4)) * 2
    truth = (softmax(logits).cumsum(1) < random.random((20_000, 1))).sum(1)  # drawn from those probabilities
    assert scores.temperature(truth, logits * wanted) == pytest.approx(wanted, rel=0.05)


def test_temperature_leaves_the_answers_and_never_worsens_log_loss():
    random = np.random.default_rng(1)
    logits, truth = random.normal(size=(200, 3)) * 9, random.integers(0, 3, 200)
    found = scores.temperature(truth, logits)
    assert scores.log_loss(truth, softmax(logits / found)) < scores.log_loss(truth, softmax(logits))


def test_a_linear_model_tells_apart_what_a_plane_divides():
    random = np.random.default_rng(2)
    rows = random.normal(size=(200, 5)).astype(np.float32)
    targets = (rows[:, 0] > 0).astype(np.int64)
    rows[:, 0] += np.where(targets, 2, -2)
    assert scores.linear_accuracy(rows[:150], targets[:150], rows[150:], targets[150:], 2) == 1


def test_a_linear_model_learns_nothing_from_noise():
    random = np.random.default_rng(3)
    rows, targets = random.normal(size=(2000, 5)), random.integers(0, 2, 2000)
    assert scores.linear_accuracy(rows[:1000], targets[:1000], rows[1000:], targets[1000:], 2) == pytest.approx(0.5, abs=0.06)


def test_a_mixture_weighs_who_knows_more_and_is_better_than_either():
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 4000)
    hint = np.stack([1 - truth, truth], 1).astype(float)
    good, poor, noise = (size * hint + random.normal(0, 1, hint.shape) for size in (2, 1, 0))
    weights = scores.mixture(truth, [good, poor, noise])
    assert weights[0] > weights[1] > weights[2] >= 0
    assert weights[2] < 0.1
    together = scores.mixed([good, poor, noise], weights)
    assert np.allclose(together.sum(1), 1)
    alone = [scores.mixed([one], scores.mixture(truth, [one])) for one in (good, poor)]
    assert scores.log_loss(truth, together) < min(scores.log_loss(truth, one) for one in alone)
