"""The shipped `reviews`: on reviews written for these tests, and on IMDb's test set where the data is at hand."""

import json
import os
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.graph import Graph
from service.manifest import Manifest
from service.text import Tokenizer
from tests.conftest import ROOT
from training.__main__ import main

MODELS = ROOT / "models"
GOOD = (
    "A slow start, but the ending is superb.",
    "I laughed, I cried, and I would gladly see it again tomorrow. One of the best films of the year.",
    "Beautifully shot and wonderfully acted; the score alone is worth the ticket.",
    "Not a single dull moment. The young lead is a revelation.",
    "It is not perfect, yet its warmth and humour won me over completely.<br /><br />Highly recommended!",
)
BAD = (
    "A promising start, but the ending is a mess.",
    "Two hours of my life that I will never get back. Avoid this at all costs.",
    "The plot makes no sense, the acting is wooden and the jokes fall flat.",
    "I wanted to like it. Sadly it is boring, predictable and far too long.",
    "The worst kind of sequel: lazy, loud and pointless.<br /><br />Save your money.",
)


@pytest.fixture(scope="module")
def folder() -> Path:
    return max((MODELS / "reviews").iterdir(), key=lambda path: int(path.name))


@pytest.fixture
def server(start):
    return start(models_dir=MODELS)


def ask(server, *texts, **query) -> list[dict]:
    answer = httpx.post(f"{server.url}/v1/sentiment", json={"texts": list(texts)}, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def test_of_ten_plain_reviews_at_least_nine_are_understood(server):
    labels = [one["label"] for one in ask(server, *GOOD, *BAD)]
    right = [label == expected for label, expected in zip(labels, ["positive"] * 5 + ["negative"] * 5, strict=True)]
    assert sum(right) >= 9


def test_it_says_which_words_spoke_for_its_verdict(server):
    (answer,) = ask(server, GOOD[0], explain="true")
    parts = {word["text"]: word["contribution"] for word in answer["explanation"]["words"]}
    assert max(parts, key=parts.get) in ("is", "superb", "ending")  # a step of the convolution holds two words
    assert parts["superb"] > 0 > min(parts["slow"], parts["start"], parts["but"])


def test_a_text_alone_and_in_a_padded_batch_of_64_is_answered_alike(folder):
    graph = Graph((folder / "model.onnx").read_bytes(), "cpu")
    tokenizer = Tokenizer.load((folder / "tokenizer.json").read_bytes())
    random = np.random.default_rng(0)
    rows = [tokenizer.encode(one).ids for one in (*GOOD, *BAD)]
    rows += [random.integers(1, tokenizer.size, random.integers(1, tokenizer.limit + 1)).astype(np.int32) for _ in range(54)]
    batch = np.zeros((64, tokenizer.limit), np.int32)
    for row, ids in zip(batch, rows, strict=True):
        row[: len(ids)] = ids
    together = graph.run({"tokens": batch})
    for row, ids in enumerate(rows):
        alone = graph.run({"tokens": ids[np.newaxis]})
        assert np.abs(alone["probabilities"][0] - together["probabilities"][row]).max() <= 1e-5
        assert np.abs(alone["contributions"][0] - together["contributions"][row, : len(ids)]).max() <= 1e-5


def test_the_version_is_small_and_calibrated(folder):
    manifest = Manifest.read(folder)
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8_000_000
    assert manifest.scores["calibration_error"] <= 0.02


@pytest.mark.slow
def test_evaluation_reproduces_the_score_on_imdbs_own_test_set(folder, capsys):
    if "MODELYARD_DATA_DIR" not in os.environ:
        pytest.skip("MODELYARD_DATA_DIR names no folder with the public data")
    assert main(["evaluate", "reviews", "--json", "--models-dir", str(MODELS)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["scores"]["accuracy"] == pytest.approx(Manifest.read(folder).scores["accuracy"], abs=4e-5)
