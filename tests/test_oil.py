"""The shipped `oil`: on the windows that it has recorded, and on all of ETTh1's test part where the data is at hand."""

import csv
import json
from pathlib import Path

import httpx
import numpy as np
import pytest

from service.golden import Golden
from service.graph import Graph
from service.manifest import GOLDEN, Manifest
from tests.conftest import ROOT
from training.__main__ import main
from training.settings import Settings

MODELS = ROOT / "models"
DATA_DIR = Settings().data_dir
"""Taken before a test names another."""
COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


@pytest.fixture(scope="module")
def folder() -> Path:
    return max((MODELS / "oil").iterdir(), key=lambda path: int(path.name))


@pytest.fixture(scope="module")
def golden(folder) -> Golden:
    """Real windows of the test part, and what PyTorch made of them."""
    return Golden.unpack((folder / GOLDEN).read_bytes())


@pytest.fixture
def server(start):
    return start(models_dir=MODELS)


def ask(server, body) -> dict:
    answer = httpx.post(f"{server.url}/v1/forecast", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"][0]


def test_the_endpoint_answers_what_was_recorded(server, golden):
    found = ask(server, {"series": golden.inputs["series"][0].tolist()})
    assert np.allclose(found["mean"], golden.outputs["mean"][0], atol=1e-3)
    assert np.allclose(found["quantiles"]["0.9"], golden.outputs["quantiles"][0, ..., -1], atol=1e-3)


def test_336_rows_are_enough(server, golden):
    found = ask(server, {"series": golden.inputs["series"][0, -336:].tolist(), "start": "2018-02-11T00:00:00"})
    assert (found["used"], found["filled"], len(found["mean"])) == (336, 168, 96)
    assert found["timestamps"][0] == "2018-02-25T00:00:00"
    away = np.abs(np.array(found["mean"]) - golden.outputs["mean"][0]).mean()
    assert away < 0.2 * np.abs(golden.outputs["mean"][0] - golden.inputs["series"][0].mean(0)).mean()  # about the same


def test_one_column_alone_is_forecast_as_among_the_others(server, golden):
    series = golden.inputs["series"][1]
    alone = ask(server, {"series": series[:, 6].tolist()})
    named = ask(server, {"series": {"OT": series[:, 6].tolist()}})
    assert np.allclose(alone["mean"], golden.outputs["mean"][1, :, 6], atol=1e-3)
    assert alone["mean"] == named["mean"]["OT"]


def test_the_manifest_states_what_was_wanted(folder):
    manifest = Manifest.read(folder)
    assert manifest.scores["mse"] <= 0.358
    assert manifest.scores["mae"] <= 0.386
    assert 0.77 <= round(manifest.scores["coverage_80"], 3) <= 0.83
    assert manifest.baselines["linear model"]["mse"] > manifest.scores["mse"]


@pytest.mark.slow
def test_evaluation_reproduces_the_scores_on_every_test_window(folder, capsys):
    if DATA_DIR is None:
        pytest.skip("MODELYARD_DATA_DIR names no folder with the public data")
    assert main(["evaluate", "oil", "--json", "--models-dir", str(MODELS)]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    for score, value in Manifest.read(folder).scores.items():
        assert found["scores"][score] == pytest.approx(value, abs=1e-4)


@pytest.mark.slow
def test_the_last_window_asked_over_http_errs_as_evaluation_says(server, folder):
    """The 504 rows before the last 96 of the test part, and the standardised error of the answer."""
    if DATA_DIR is None:
        pytest.skip("MODELYARD_DATA_DIR names no folder with the public data")
    path = next(path for path in (DATA_DIR / "ett" / "ETTh1.csv", DATA_DIR / "ETTh1.csv") if path.is_file())
    with path.open(newline="") as file:
        rows = np.array([[float(row[name]) for name in COLUMNS] for row in csv.DictReader(file)])
    scale = rows[:8640].std(0)
    found = np.array(ask(server, {"series": rows[14400 - 600 : 14400 - 96].tolist()})["mean"])
    predict = Graph((folder / "model.onnx").read_bytes(), "cpu")
    wanted = predict.run({"series": rows[np.newaxis, 14400 - 600 : 14400 - 96].astype(np.float32)})["mean"][0]
    errors = [np.square((mean - rows[14400 - 96 : 14400]) / scale).mean() for mean in (found, wanted)]
    assert errors[0] == pytest.approx(errors[1], rel=1e-4)
