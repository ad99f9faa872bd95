"""Words on a plane, and lists of neighbours."""

import json

import numpy as np
import pytest

from training import wordmap


def groups(count, each, size=20, seed=0):
    """Unit vectors in groups around directions of their own."""
    random = np.random.default_rng(seed)
    found = np.repeat(random.normal(size=(count, size)), each, 0) + 0.2 * random.normal(size=(count * each, size))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_what_lies_together_is_drawn_together():
    places, method = wordmap.plane(groups(5, 20))
    assert "t-SNE" in method
    assert np.abs(places).max() == pytest.approx(1)
    apart = np.linalg.norm(places[:, np.newaxis] - places[np.newaxis], axis=2)
    np.fill_diagonal(apart, np.inf)
    of = np.arange(100) // 20
    assert (of[apart.argmin(1)] == of).mean() > 0.98


def test_the_same_vectors_get_the_same_places():
    one, again = (wordmap.plane(groups(3, 15))[0] for _ in range(2))
    assert np.array_equal(one, again)


@pytest.mark.parametrize("words", [1, 2, 3, 10])
def test_a_few_words_lie_by_their_principal_components(words):
    places, method = wordmap.plane(groups(1, words))
    assert method == "principal components"
    assert places.shape == (words, 2)
    assert np.isfinite(places).all()


def test_the_files_say_where_each_word_lies_and_what_is_near_it(tmp_path):
    words = ["one", "two", "three", "$four", "rare"]
    found = {
        "vectors": groups(1, 4)[:, np.newaxis],
        "neighbors": np.array([[2, 5], [1, 3], [2, 0], [1, 2]]),
        "cosines": np.array([[0.9, 0.5], [0.9, 0.1], [0.3, -2.0], [0.2, 0.1]], np.float32),
    }
    paths = wordmap.write(words, found, 4, tmp_path)
    assert {path.name for path in paths} == {"neighbors.txt", "map.json", "map.png"}
    lines = (tmp_path / "neighbors.txt").read_text().splitlines()
    assert lines[0] == "one: two 0.90, rare 0.50"
    assert lines[2] == "three: two 0.30"
    drawn = json.loads((tmp_path / "map.json").read_text())
    assert drawn["words"] == words[:4]
    assert len(drawn["x"]) == len(drawn["y"]) == 4
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
