"""Windows to what follows: the room's data, networks, step, graph and scores, and the whole line on a table."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from service.series import Preparation
from training import export, loop
from training.__main__ import main
from training.families import forecaster
from training.families.forecaster import Config
from training.room import TrainingError
from training.run import Run
from training.sources import Sources

SMALL = {"context": 24, "horizon": 6, "units": 8, "segment": 6, "epochs": 1, "season": 12}
VARIANTS = [
    {"architecture": "blend"},
    {"architecture": "segments", "cell": "lstm", "deseasonalize": True},
    {"architecture": "linear"},
    {"architecture": "seq2seq"},
    {"architecture": "seq2seq", "cell": "lstm", "decoding": "scheduled", "level": "standard", "detrend": True},
]


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """400 months of sales of two things, of large numbers: a line, a season and noise."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("own") / "sales.csv"
    time = np.arange(400)
    tea = 1e6 * (3 + 0.002 * time + np.sin(time * np.pi / 6) + 0.1 * random.normal(size=400))
    cake = 50 + 10 * np.cos(time * np.pi / 6) + random.normal(size=400)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "cake", "tea"])
        writer.writerows([f"{1980 + month // 12}-{month % 12 + 1:02}-01", cake[month], tea[month]] for month in time)
    return path


def data_of(path, **options):
    return forecaster.data(Config(**SMALL | options), Sources(path, None, None, Console(quiet=True)))


@pytest.fixture(scope="session")
def data(own):
    return data_of(own)


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path, "x", {}, Console(quiet=True))


def built(own, run, **options):
    torch.manual_seed(0)
    config = Config(**SMALL | options)
    data = forecaster.pretrain(config, data_of(own, **options), run, None)
    return config, data, forecaster.network(config, data)


@pytest.mark.parametrize("given", [{"context": 1}, {"horizon": 10**9}, {"units": 0}, {"test_share": 0.9}, {"segment": 0}])
def test_a_field_out_of_bounds_is_refused_by_its_option(given):
    (field,) = given
    with pytest.raises(TrainingError, match=f"^--{field.replace('_', '-')} is "):
        Config(**given)


@pytest.mark.parametrize("variant", forecaster.VARIANTS)
def test_a_variant_gets_what_suits_it(variant):
    config = dataclasses.replace(Config(), **forecaster.VARIANTS[variant])
    suits = forecaster.SUITS[config.architecture]
    assert config.level == (forecaster.VARIANTS[variant]["level"] or suits["level"])
    assert config.epochs == suits["epochs"]


def test_the_preparation_says_how_windows_are_cut(own, data):
    found = Preparation.model_validate(data.preparation)
    assert (found.columns, found.target, found.context, found.horizon) == (("cake", "tea"), "tea", 24, 6)
    assert (found.frequency, found.season, found.least, found.independent) == ("1mo", 12, 12, True)
    assert json.loads(json.dumps(data.preparation)) == data.preparation
    assert not Preparation.model_validate(data_of(own, architecture="seq2seq").preparation).independent


def test_the_order_of_time_parts_training_validation_and_test(data):
    assert data.train["window"][:, -1, 1].mean() < data.validation["window"][:, -1, 1].mean()
    assert data.validation["window"][:, -1, 1].mean() < data.test["window"][:, -1, 1].mean()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_step_has_a_finite_loss_a_row(own, run, variant):
    config, data, network = built(own, run, **variant)
    batch = {name: torch.from_numpy(array[:16]) for name, array in data.train.items()}
    losses = forecaster.step(network.train(), batch, config)
    assert losses.shape == (16,)
    assert losses.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_graph_answers_like_the_network_in_raw_units(own, run, variant):
    config, data, network = built(own, run, **variant)
    rows = forecaster.rows(data.test, data.files)
    wanted = forecaster.export(network.eval(), data, config)
    found = export.export(wanted, {key: array for key, array in rows.items() if key in ("series",)})
    assert found.parity <= 1e-5
    assert [tensor.shape for tensor in found.spec.outputs] == [("batch", 6, 2), ("batch", 6, 2, 5)]
    predict = export.open_graph(found.graph)
    for count in (1, 5):
        series = np.ascontiguousarray(rows["series"][:count])
        with torch.inference_mode():
            mean, _ = wanted.module(torch.from_numpy(series))
        assert np.allclose(predict({"series": series})["mean"], mean.numpy(), rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("series", [np.full((2, 24, 2), 7.0), np.full((2, 24, 2), 1e30), np.zeros((2, 24, 2))])
def test_a_constant_window_gets_a_finite_answer_of_the_graph(own, run, series):
    config, data, network = built(own, run)
    rows = {"series": np.ascontiguousarray(forecaster.rows(data.test, data.files)["series"])}
    predict = export.open_graph(export.export(forecaster.export(network.eval(), data, config), rows).graph)
    assert all(np.isfinite(array).all() for array in predict({"series": series.astype(np.float32)}).values())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_sample_is_of_the_public_datas_size(variant):
    network, window = forecaster.sample(Config(**variant))
    assert window.shape == (1, 504, 7)
    assert network.answers(window)[0].shape == (1, 7, 96)


def test_a_killed_run_ends_with_the_same_weights(own, run, tmp_path):
    config, data, _ = built(own, run, epochs=2, architecture="seq2seq", decoding="scheduled")
    whole = loop.fit(forecaster, config, data, Run.begin(tmp_path, "whole", {}, Console(quiet=True)))
    halved = Run.begin(tmp_path, "half", {}, Console(quiet=True))
    record = halved.record

    def stop(row, checkpoint):
        record(row, checkpoint)
        raise KeyboardInterrupt

    halved.record = stop
    with pytest.raises(KeyboardInterrupt):
        loop.fit(forecaster, config, data, halved)
    halved.record = record
    resumed = loop.fit(forecaster, config, data, halved)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def test_statistics_fit_into_json(data):
    found = json.loads(json.dumps(forecaster.statistics(data)))
    assert len(found["deciles"]["tea"]) == 11


# The whole line


@pytest.mark.slow
def test_a_table_becomes_a_version_that_is_scored_again(own, place, capsys):
    words = ["--data", str(own), "--name", "sales"]
    assert main(["train", "forecaster", *words]) == 0
    manifest = place.manifest(name="sales")
    assert manifest.scores["skill"] > 0.2
    assert manifest.scores["mse"] < manifest.baselines["repeat the last value"]["mse"]
    assert manifest.limits == {"context": 36, "horizon": 12}
    assert manifest.labels == ("cake", "tea")
    for picture in ("forecasts", "failures", "horizon", "residuals", "curves"):
        assert (place.run / f"{picture}.png").stat().st_size > 1000
    assert main(["evaluate", "sales", "--data", str(own), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["scores"]["mse"] == pytest.approx(manifest.scores["mse"], rel=1e-4)
    assert said["baselines"]["linear model"] == pytest.approx(manifest.baselines["linear model"], rel=1e-4)


def test_a_gap_is_one_line_and_nothing_is_published(own, place, tmp_path, capsys):
    lines = own.read_text().splitlines()
    (tmp_path / "gap.csv").write_text("\n".join([*lines[:50], *lines[53:]]))
    assert main(["train", "forecaster", "--data", str(tmp_path / "gap.csv"), "--name", "gap"]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "gap.csv, row 51: '1984-05-01' comes after a gap; 3 of 400 steps lack a value; --fill" in error
    assert not place.tree()
