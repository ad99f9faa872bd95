"""Words on a plane, and lists of neighbours."""

import json

import numpy as np

from training import wordmap


def groups(count, each, size=20, seed=0):
    """Unit vectors in groups around directions of their own."""
    random = np.random.default_rng(seed)
    found = np.repeat(random.normal(size=(count, size)), each, 0) + 0.2 * random.normal(size=(count * each, size))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


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
