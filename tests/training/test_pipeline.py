"""From pictures to a published version: what it leaves, what the gate lets through, what a failure leaves alone."""

import csv
import errno
import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from safetensors import safe_open

from service.golden import Golden
from service.manifest import sha256
from tests.conftest import ROOT
from tests.training.conftest import QUICK, WORSE, idx_files
from training import export, pipeline, provenance, sources
from training.__main__ import main
from training.pipeline import Options
from training.room import TrainingError, rooms
from training.settings import Settings
from training.sources import PublicData, PublicFile

COLUMNS = "epoch,train_loss,accuracy,log_loss,calibration_error,macro_precision,macro_recall,learning_rate,seconds"


# What a training leaves


def test_a_version_is_published_that_the_service_can_check(trained):
    folder = trained.models / "x" / "1"
    manifest = trained.manifest()
    assert (manifest.name, manifest.version, manifest.family, manifest.parent) == ("x", 1, "classifier", None)
    assert {path.name for path in folder.iterdir()} == {"manifest.json", *manifest.files}
    for name, file in manifest.files.items():
        content = (folder / name).read_bytes()
        assert (sha256(content), len(content)) == (file.sha256, file.size_bytes)


def test_the_published_graph_replays_its_golden(trained):
    folder, manifest = trained.models / "x" / "1", trained.manifest()
    golden = Golden.unpack((folder / "golden.npz").read_bytes())
    predict = export.open_graph((folder / "model.onnx").read_bytes())
    assert golden.rows == manifest.golden.rows
    assert golden.difference(predict) <= manifest.golden.parity + 1e-9 <= manifest.golden.tolerance


def test_the_manifest_says_how_it_came_to_be(trained):
    manifest = trained.manifest()
    assert manifest.labels == tuple("0123456789")
    assert manifest.preparation == {"mode": "plain", "height": 28, "width": 28, "channels": 1}
    assert manifest.source.rows == {"train": 320, "validation": 20, "test": 60}
    assert (manifest.training.config["architecture"], manifest.training.epochs, manifest.training.parameters) == (
        "dense",
        3,
        535_818,
    )
    assert manifest.training.command.startswith("python -m training train classifier --data")
    assert manifest.evaluate == "python -m training evaluate x:1 --data DIR"
    assert set(manifest.training.libraries) == {"python", *provenance.LIBRARIES}
    assert manifest.scores[manifest.gate] > 0.5 > manifest.baselines["commonest label"][manifest.gate]


def test_the_manifest_does_not_say_where_things_lie(trained, pictures):
    text = (trained.models / "x" / "1" / "manifest.json").read_text()
    assert "…/pictures" in text
    for word in (str(pictures), str(pictures.parent), str(trained.models.parent), str(ROOT), '"/', " /"):
        assert word not in text, word


def test_a_run_leaves_its_metrics_an_epoch_a_line(trained):
    lines = (trained.run / "metrics.csv").read_text().splitlines()
    assert lines[0] == COLUMNS
    assert [row["epoch"] for row in csv.DictReader(lines)] == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["curves.png", "confusion.png", "mistakes.png"])
def test_a_run_leaves_pictures(trained, name):
    with Image.open(trained.run / name) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 100


def test_a_run_leaves_the_weights_that_were_published(trained):
    with safe_open(trained.run / "weights.safetensors", "pt") as file:
        assert sum(file.get_tensor(name).numel() for name in file.keys()) == trained.manifest().training.parameters  # noqa: SIM118


def test_a_run_leaves_a_summary(trained):
    summary = json.loads((trained.run / "summary.json").read_text())
    assert summary["refused"] == ""
    assert summary["scores"]["accuracy"] == pytest.approx(trained.manifest().scores["accuracy"], abs=1e-6)


def test_nothing_but_tensors_json_csv_pictures_and_a_report_is_left(trained):
    assert {path.name for path in trained.run.iterdir()} <= {
        "config.json", "metrics.csv", "checkpoint.safetensors", "weights.safetensors", "summary.json",
        "curves.png", "confusion.png", "mistakes.png", "tensorboard", "begun.json", "report.html",
    }  # fmt: skip


def test_scores_are_of_the_graph_on_rows_it_never_saw(trained, data):
    predict = export.open_graph((trained.models / "x" / "1" / "model.onnx").read_bytes())
    right = predict({"image": data.test["image"]})["probabilities"].argmax(1) == data.test["label"]
    assert trained.manifest().scores["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


# The gate


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch):
    """Pictures cost a second; those of `trained` are drawn before this."""
    monkeypatch.setattr(pipeline, "_draw", lambda *_: [])


def test_a_worse_version_is_refused_and_not_published(trained, train, capsys):
    before = trained.tree()
    assert train(*WORSE) == 3
    assert trained.tree() == before
    assert "its accuracy is 0." in capsys.readouterr().out
    assert "x:1" in json.loads((trained.run / "summary.json").read_text())["refused"]


def test_a_network_that_a_simple_model_beats_by_far_is_told_of(place, train, capsys):
    assert train(*WORSE) == 0
    assert "the linear model is better: this network wants more rows" in " ".join(capsys.readouterr().out.split())


def test_force_publishes_and_the_manifest_says_so(trained, train):
    assert train(*WORSE, "--force") == 0
    assert trained.manifest(2).parent == 1
    assert trained.manifest(2).training.forced.startswith("its accuracy is 0.")
    assert trained.manifest(1).training.forced == ""


def test_without_publishing_nothing_is_published(place, train):
    assert train(*QUICK, "--no-publish") == 0
    assert place.tree() == []
    assert (place.run / "weights.safetensors").exists()


def test_default_is_as_before_unless_it_is_said(trained, train):
    assert train(*WORSE, "--tolerance", "1", "--default", "True") == 0  # so wide that the gate lets it through
    assert train(*WORSE) == 0
    assert [trained.manifest(version).default for version in (1, 2, 3)] == [False, True, True]


# Evaluation


def test_evaluation_reproduces_the_manifests_scores(trained, pictures):
    done = pipeline.evaluate("x", None, rooms(), Options(data=pictures), Console(quiet=True))
    manifest, found = done.manifest, done.found
    assert {path.name for path in done.pictures} == {path.name for path in (trained.runs / "x" / "evaluation-1").iterdir()}
    assert {key: round(value, 6) for key, value in found.values.items()} == manifest.scores


def test_evaluation_on_the_owners_data_asks_for_it(trained):
    with pytest.raises(TrainingError, match=r"^x:1 was trained on its owner's data; name that folder with --data\.$"):
        pipeline.evaluate("x", None, rooms(), Options(), Console(quiet=True))


def test_evaluation_on_other_labels_is_refused(trained, mnist, tmp_path):
    for label in "ab":
        (tmp_path / "letters" / label).mkdir(parents=True)
        for row in range(6):
            Image.fromarray(mnist["train_images"][row]).save(tmp_path / "letters" / label / f"{row}.png")
    with pytest.raises(TrainingError, match=r"^letters has other labels, or is prepared otherwise, than x:1\.$"):
        pipeline.evaluate("x", 1, rooms(), Options(data=tmp_path / "letters"), Console(quiet=True))


def test_a_graph_that_is_not_the_published_one_is_not_scored(trained, pictures):
    (trained.models / "x" / "1" / "model.onnx").write_bytes(b"?")
    with pytest.raises(TrainingError, match=r"model\.onnx is not the published file"):
        pipeline.evaluate("x", 1, rooms(), Options(data=pictures), Console(quiet=True))


# Failures


def test_a_disk_that_fills_up_is_one_line_and_nothing_is_published(place, train, monkeypatch, capsys):
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) > 1:  # the configuration still fits, the checkpoint does not
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert train(*QUICK) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "modelyard: A file: No space left on device."
    assert place.tree() == []
    assert [path.name for path in place.run.iterdir()] == ["config.json"]


def test_a_loss_that_is_no_number_is_one_line_and_nothing_is_published(place, train, capsys):
    assert train(*QUICK, "--learning-rate", "1e12") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("modelyard: The loss became nan in epoch 1; ")
    assert place.tree() == []


@pytest.fixture
def unfinished(place, train, monkeypatch, capsys):
    """A training that failed after its last epoch."""

    def fail(*_):
        raise TrainingError("no graph")

    with monkeypatch.context() as patch:
        patch.setattr(export, "export", fail)
        assert train(*QUICK) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "modelyard: no graph"
    return place


def test_a_failing_export_publishes_nothing(unfinished):
    assert unfinished.tree() == []


def test_what_failed_after_the_last_epoch_is_finished_with_resume(unfinished, train):
    before = (unfinished.run / "metrics.csv").read_text()
    assert train(*QUICK, "--resume") == 0
    assert (unfinished.run / "metrics.csv").read_text() == before
    assert unfinished.manifest().training.epochs == 3


@pytest.mark.parametrize("change", [["--epochs", "4"], ["--seed", "1"], ["--name", "y"]])
def test_other_options_are_not_taken_for_those_of_an_unfinished_run(unfinished, train, capsys, change):
    assert train(*QUICK, *change, "--resume") == 1
    assert "No unfinished run of" in capsys.readouterr().err


def test_other_pictures_are_not_taken_for_those_of_an_unfinished_run(unfinished, pictures, tmp_path, capsys):
    shutil.copytree(pictures, tmp_path / "pictures")
    shutil.rmtree(tmp_path / "pictures" / "9")
    assert main(["train", "classifier", "--data", str(tmp_path / "pictures"), "--name", "x", *QUICK, "--resume"]) == 1
    assert "No unfinished run of 'x' with these options and data" in capsys.readouterr().err


def test_a_spoiled_checkpoint_is_one_line(unfinished, train, capsys):
    for path in unfinished.run.glob("checkpoint*"):
        path.write_bytes(path.read_bytes()[:1000])
    assert train(*QUICK, "--resume") == 1
    assert "checkpoint-before.safetensors cannot be read" in capsys.readouterr().err.splitlines()[-1]


# Public data


def test_public_data_makes_the_public_model(place, mnist, tmp_path, monkeypatch):
    files = []
    for name, packed in idx_files(mnist).items():
        (tmp_path / "data" / name).write_bytes(packed)
        files.append(PublicFile(name, "", hashlib.md5(sources.gzip.decompress(packed), usedforsecurity=False).hexdigest()))
    monkeypatch.setitem(sources.PUBLIC, "mnist", PublicData((), tuple(files)))
    assert main(["train", "classifier", "--architecture", "dense", "--epochs", "2"]) == 0
    manifest = place.manifest(name="digits")
    assert manifest.evaluate == "python -m training evaluate digits:1"
    assert (manifest.source.name, manifest.preparation["mode"]) == ("MNIST", "digit")
    assert main(["evaluate", "digits"]) == 0


@pytest.fixture(scope="session")
def mnist_dir():
    """Where all of MNIST is."""
    folder = Settings().data_dir or ROOT.parent / "shared" / "data"
    name = "train-images-idx3-ubyte.gz"
    if not any((folder / part / name).is_file() for part in ("", "mnist")):
        pytest.skip(f"MNIST is not in {folder}; MODELYARD_DATA_DIR names a folder that has it")
    return folder


@pytest.mark.slow
def test_the_dense_network_learns_mnist_in_an_epoch(mnist_dir, place):
    assert main(["train", "classifier", "--architecture", "dense", "--epochs", "1", "--data-dir", str(mnist_dir)]) == 0
    manifest = place.manifest(name="digits")
    assert manifest.source.rows == {"train": 57_000, "validation": 3_000, "test": 10_000}
    assert manifest.scores["accuracy"] > 0.95
    assert np.isclose(manifest.baselines["linear model"]["accuracy"], 0.86, atol=0.03)


def test_a_model_is_named_after_the_file_or_folder_it_is_trained_on(tmp_path):
    (tmp_path / "Sales.csv").write_text("")
    (tmp_path / "my.pictures").mkdir()
    room = rooms()["classifier"]
    assert pipeline._name(room, None, Options(data=tmp_path / "Sales.csv")) == "sales"
    assert pipeline._name(room, None, Options()) == "digits"
    with pytest.raises(TrainingError, match=r"'my\.pictures' cannot stand in an address"):
        pipeline._name(room, None, Options(data=tmp_path / "my.pictures"))
