"""Rows on a plane."""

import numpy as np
import pytest

from training import planes


def groups(count, each, size=20, seed=0):
    """Unit vectors in groups around directions of their own."""
    random = np.random.default_rng(seed)
    found = np.repeat(random.normal(size=(count, size)), each, 0) + 0.2 * random.normal(size=(count * each, size))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_what_lies_together_is_drawn_together():
    places, method = planes.plane(groups(5, 20))
    assert "t-SNE" in method
    assert np.abs(places).max() == pytest.approx(1)
    apart = np.linalg.norm(places[:, np.newaxis] - places[np.newaxis], axis=2)
    np.fill_diagonal(apart, np.inf)
    of = np.arange(100) // 20
    assert (of[apart.argmin(1)] == of).mean() > 0.98


def test_the_same_vectors_get_the_same_places():
    one, again = (planes.plane(groups(3, 15))[0] for _ in range(2))
    assert np.array_equal(one, again)


@pytest.mark.parametrize("words", [1, 2, 3, 10])
def test_a_few_words_lie_by_their_principal_components(words):
    places, method = planes.plane(groups(1, words))
    assert method == "principal components"
    assert places.shape == (words, 2)
    assert np.isfinite(places).all()


def test_rows_of_two_numbers_lie_where_they_are():
    rows = np.array([[0.0, 1.0], [4.0, 1.0], [2.0, 3.0]], np.float32)
    places, method = planes.plane(rows, "euclidean")
    assert method == "as they are"
    np.testing.assert_allclose(places, [[-1, -0.5], [1, -0.5], [0, 0.5]])
