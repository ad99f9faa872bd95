"""Word vectors."""

import numpy as np
import pytest

from training import vectors
from training.vectors import Recipe


def texts(count=600, seed=0):
    """Words 2..6 keep company with each other, and so do 7..11; 1 stands anywhere."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        words = random.integers(2, 7, 30) + 5 * random.integers(0, 2)
        words[random.random(30) < 0.1] = 1
        made.append(words.astype(np.int32))
    return made


QUICK = Recipe(size=16, epochs=4, keep=1.0)


def test_words_that_keep_company_lie_near_each_other():
    found = vectors.train(vectors.spread(texts(), QUICK), 12, QUICK)
    unit = found[2:] / np.linalg.norm(found[2:], axis=1, keepdims=True)
    near = unit @ unit.T
    inside = np.concatenate([near[:5, :5][np.triu_indices(5, 1)], near[5:, 5:][np.triu_indices(5, 1)]])
    assert inside.min() > near[:5, 5:].max() + 0.2


def test_padding_has_no_vector_and_the_shape_is_as_asked():
    found = vectors.train(vectors.spread(texts(20), QUICK), 15, QUICK)
    assert (found.shape, found.dtype) == ((15, 16), np.float32)
    assert (found[0] == 0).all()
    assert np.isfinite(found).all()


def test_the_seed_decides():
    stream = vectors.spread(texts(20), QUICK)
    one, again = (vectors.train(stream, 12, QUICK) for _ in range(2))
    assert np.array_equal(one, again)


def test_no_window_reaches_into_another_text():
    stream = vectors.spread([np.array([5, 6], np.int32), np.array([7], np.int32)], QUICK)
    places = np.flatnonzero(stream)
    assert sorted(stream[places].tolist()) == [5, 6, 7]
    gaps = np.diff(places)
    assert sorted(gaps.tolist()) == [1, QUICK.window + 1]


def test_progress_is_told_to_the_end():
    told = []
    stream = vectors.spread(texts(50), QUICK)
    vectors.train(stream, 12, Recipe(size=8, epochs=2, keep=0.01), told.append)
    assert sum(told) == pytest.approx(2 * len(stream), rel=0.05)
