"""The shipped `words`: its neighbours and analogies over HTTP, and its scores where the data is at hand."""

import json
import os

import httpx
import numpy as np
import pytest

from service.manifest import Manifest
from tests.conftest import ROOT
from training.__main__ import main

MODELS = ROOT / "models"
GOOD = {
    "superb",
    "excellent",
    "fantastic",
    "amazing",
    "outstanding",
    "wonderful",
    "terrific",
    "masterful",
    "great",
    "marvelous",
}


@pytest.fixture(scope="module")
def folder():
    return max((MODELS / "words").iterdir(), key=lambda path: int(path.name))


@pytest.fixture
def server(start):
    return start(models_dir=MODELS)


def ask(server, verb, body):
    answer = httpx.post(f"{server.url}/v1/{verb}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_words_are_asked_for_their_neighbours_sums_and_likeness(server):
    (brilliant,) = ask(server, "neighbors", {"word": "brilliant", "k": 10})
    assert len({one["word"] for one in brilliant["neighbors"]} & GOOD) >= 6
    for positive, negative, wanted in (
        (["king", "woman"], ["man"], "queen"),
        (["actress", "man"], ["woman"], "actor"),
        (["his", "she"], ["he"], "her"),
        (["movies", "film"], ["movie"], "films"),
    ):
        (said,) = ask(server, "analogy", {"positive": positive, "negative": negative, "k": 3})
        assert wanted in [one["word"] for one in said["neighbors"]], said
    near, far = ask(server, "similarity", {"pairs": [["film", "movie"], ["film", "lawnmower"]]})
    assert near["similarity"] > far["similarity"] + 0.4
    assert ask(server, "embed", {"words": ["brillliant"]})[0]["unknown"][0]["near"][0] == "brilliant"
    listed = httpx.get(f"{server.url}/v1/vocabulary", params={"prefix": "hitchc", "limit": 1}).json()
    assert listed["words"][0]["word"] == "hitchcock"


def test_its_folder_is_small_and_its_scores_are_what_the_readme_says(folder):
    manifest = Manifest.read(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8e6
    said = (ROOT / "README.md").read_text()
    for name in ("wordsim353", "simlex999", "analogies"):
        assert f"{manifest.scores[name]:.3f}" in said, name
    assert manifest.scores["wordsim353"] >= 0.53
    assert manifest.scores["simlex999"] >= 0.31
    assert manifest.scores["analogies"] >= 0.32


def test_its_map_lies_beside_it(folder):
    drawn = json.loads((folder / "map.json").read_text())
    assert len(drawn["words"]) == len(drawn["x"]) == len(drawn["y"]) == 2000
    assert np.abs([drawn["x"], drawn["y"]]).max() <= 1


@pytest.mark.slow
@pytest.mark.skipif("MODELYARD_DATA_DIR" not in os.environ, reason="MODELYARD_DATA_DIR names no folder of public data")
def test_its_scores_are_those_of_its_manifest(folder, capsys, tmp_path):
    assert main(["evaluate", "words", "--models-dir", str(MODELS), "--runs-dir", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    for name, score in Manifest.read(folder).scores.items():
        assert said["scores"][name] == pytest.approx(score, abs=1e-4), name
