"""The command line, in this process; the runs that are killed are processes of their own."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.manifest import MANIFEST
from tests.conftest import ROOT, write_version
from tests.training.conftest import QUICK, SIZES
from training import pipeline, report
from training.__main__ import main
from training.families.classifier import SUITS, Config

LONG = [*SIZES, "--architecture", "dense", "--epochs", "8", "--batch-size", "4"]
"""Some tenths of a second an epoch: long enough to be killed in the middle."""


@pytest.fixture
def asked(monkeypatch):
    """What `train` hands to the pipeline, which does nothing."""
    calls = []

    def train(family, room, config, options, console):
        calls.append((family, config, options))
        return pipeline.Outcome(Path("run"), None, None, "")

    monkeypatch.setattr(pipeline, "train", train)

    def ask(*words):
        assert main(["train", "classifier", *words]) == 0
        return calls[-1]

    return ask


def complaint(capsys, *words, code=1):
    """The one line that a command ends with."""
    assert main(list(words)) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("modelyard: ")
    return lines[0].removeprefix("modelyard: ")


# Options


def test_train_without_options_is_the_rooms_own_configuration(asked):
    family, config, options = asked()
    assert family == "classifier"
    assert config == Config()
    assert options == pipeline.Options()


@pytest.mark.parametrize("architecture", SUITS)
def test_each_architecture_gets_what_suits_it_unless_it_is_given(asked, architecture):
    config = asked("--architecture", architecture)[1]
    assert {field: getattr(config, field) for field in SUITS[architecture]} == SUITS[architecture]
    assert asked("--architecture", architecture, "--learning-rate", "0.5")[1].learning_rate == 0.5


def test_the_book_is_trained_at_its_own_rate(asked):
    assert asked("--architecture", "book")[1].learning_rate == 0.003


def test_options_of_the_room_and_of_every_training_stand_side_by_side(asked):
    words = "--epochs 3 --seed 7 --no-augment --image-size 32 --channels 3 --name cells --data own --data-dir there"
    _, config, options = asked(*words.split(), "--resume", "--force", "--no-publish", "--tolerance", "0.1", "--default", "True")
    assert (config.epochs, config.seed, config.augment, config.image_size, config.channels) == (3, 7, False, 32, 3)
    assert options == pipeline.Options(
        "cells", Path("own"), Path("there"), resume=True, force=True, publish=False, tolerance=0.1, default=True
    )


def test_help_tells_of_each_option(capsys):
    with pytest.raises(SystemExit) as raised:
        main(["train", "classifier", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert raised.value.code == 0
    for word in ("--architecture", "--learning-rate", "--image-size", "--data", "--resume", "Passes over the training rows"):
        assert word in text


# Usage


@pytest.mark.parametrize(
    "words", [["nothing"], ["train"], ["train", "nothing"], ["summary"], ["summary", "nothing"], ["--nothing"]]
)
def test_an_unknown_command_or_family_gets_the_usage(capsys, words):
    assert main(words) == 2
    said = capsys.readouterr()
    assert "usage: python -m training COMMAND" in said.err
    assert not said.out


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_is_no_mistake(capsys, words):
    assert main(words) == 0
    assert "families: autoencoder, classifier, " in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["train", "classifier", "--nothing"], ["train", "classifier", "--epochs", "many"], ["evaluate"], ["list", "more"]]
)
def test_an_unknown_option_is_a_mistake_of_usage(words, place):
    with pytest.raises(SystemExit) as raised:
        main(words)
    assert raised.value.code == 2


# What the person at the command line can mend is one line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "Big Cells"], "The name 'Big Cells' cannot stand in an address"),
        (["--name", "../x"], "The name '../x' cannot stand in an address"),
        (["--epochs", "0"], "--epochs is 0; expected 1 to"),
        (["--batch-size", "0"], "--batch-size is 0; expected 1 to"),
        (["--image-size", "9"], "--image-size is 9; expected 18 to 1024"),
        (["--learning-rate", "nan"], "--learning-rate is nan; expected 0 to"),
        (["--test-share", "0.9"], "--test-share is 0.9; expected 0 to 0.4"),
        (["--seed", "-1"], "--seed is -1; expected 0 to"),
        (["--resume"], "No unfinished run of 'x' with these options and data is in"),
        (["--data", "nowhere"], "nowhere is no folder"),
    ],
)
def test_a_training_that_cannot_begin_says_why(place, pictures, capsys, words, said):
    line = complaint(capsys, "train", "classifier", "--data", str(pictures), "--name", "x", *QUICK, *words)
    assert line.startswith(said)
    assert place.tree() == []
    assert not list(place.runs.rglob("*"))


def test_a_training_without_its_data_says_which_file(place, capsys):
    assert complaint(capsys, "train", "classifier").startswith("train-images-idx3-ubyte.gz is neither in ")


def test_a_folder_whose_name_is_no_models_asks_for_a_name(place, pictures, tmp_path, capsys):
    shutil.copytree(pictures, tmp_path / "My Pictures")
    assert "with --name" in complaint(capsys, "train", "classifier", "--data", str(tmp_path / "My Pictures"), *QUICK)


@pytest.mark.parametrize(
    ("name", "said"),
    [("y", "y is not in"), ("x:9", "x:9 is not in"), ("x:0", "The version '0' is no"), ("x:a", "The version 'a'")],
)
def test_an_unknown_model_or_version_says_what_there_is(trained, capsys, name, said):
    assert complaint(capsys, "evaluate", name).startswith(said)


def test_ctrl_c_says_how_to_go_on(place, pictures, monkeypatch, capsys):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "train", stopped)
    assert "--resume goes on" in complaint(capsys, "train", "classifier", code=130)


def test_sigterm_is_taken_as_ctrl_c(monkeypatch, capsys):
    taken = {}
    monkeypatch.setattr(signal, "signal", taken.__setitem__)
    main(["help"])
    assert taken == {signal.SIGTERM: signal.default_int_handler}


# evaluate, list, summary


def test_evaluate_prints_scores_and_each_labels_precision_and_recall(trained, pictures, capsys):
    assert main(["evaluate", "x:1", "--data", str(pictures)]) == 0
    printed = capsys.readouterr().out
    for word in ("accuracy", "precision", "recall", f"{trained.manifest().scores['accuracy']:.4f}"):
        assert word in printed


def test_evaluate_as_json_prints_one_line_for_machines(trained, pictures, capsys):
    assert main(["evaluate", "x", "--data", str(pictures), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)  # all of it: the tables go to stderr
    assert (found["model"], found["version"]) == ("x", 1)
    assert {key: round(value, 6) for key, value in found["scores"].items()} == trained.manifest().scores
    assert [row["label"] for row in found["labels"]] == list("0123456789")
    assert sum(row["rows"] for row in found["labels"]) == 60


def test_several_are_evaluated_one_after_another(trained, pictures, capsys):
    assert main(["evaluate", "x:1", "x", "--data", str(pictures), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["model"] for line in lines] == ["x", "x"]
    assert lines[0] == lines[1]


def test_evaluate_shows_simpler_ways_in_columns_beside_the_scores(trained, pictures, capsys):
    assert main(["evaluate", "x", "--data", str(pictures)]) == 0
    printed = capsys.readouterr().out
    (accuracy,) = [line.split() for line in printed.splitlines() if line.startswith("accuracy")]
    beside = trained.manifest().baselines
    assert [float(cell) for cell in accuracy[2:]] == pytest.approx([values["accuracy"] for values in beside.values()], abs=1e-4)


def test_list_shows_models_versions_scores_and_sizes(trained, capsys):
    write_version(trained.models, "light", 3)
    assert main(["list"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:4] == ["model", "version", "family", "accuracy"]
    assert [row[:3] for row in rows[1:] if row] == [["light", "3", "classifier"], ["x", "1", "classifier"]]
    assert "535,818" in rows[2]


def test_list_leaves_out_what_is_not_complete(trained, capsys):
    (trained.models / "x" / "1" / MANIFEST).rename(trained.models / "x" / "1" / "other.json")
    assert complaint(capsys, "list").startswith("No models are in ")


def test_list_through_a_pipe_is_whole_whatever_the_terminal_was(trained, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["list"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("x ")]
    assert line.rstrip().endswith(trained.manifest().source.name)


def test_names_in_brackets_are_shown_as_they_are(trained, pictures, tmp_path, capsys):
    own = tmp_path / "own[bold]"
    shutil.copytree(pictures, own)
    (own / "0").rename(own / "[red]")
    words = ["--data", str(own), "--name", "y", *QUICK]
    assert main(["train", "classifier", *words]) == 0
    assert "y: own[bold], " in capsys.readouterr().out
    assert main(["evaluate", "y", "--data", str(own)]) == 0
    assert "[red]" in capsys.readouterr().out


def test_list_of_nothing_says_so(place, capsys):
    assert complaint(capsys, "list", "--models-dir", "nowhere") == "No models are in nowhere."


def test_summary_prints_the_table(place, capsys):
    assert main(["summary", "classifier", "--architecture", "book"]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "count"]
    assert lines[1].split() == ["0", "conv", "3x3", "32", "x", "26", "x", "26", "320", "3·3·1·32", "+", "32"]
    assert lines[-1] == "classifier: 93,322 parameters"


def test_summary_takes_sizes(place, capsys):
    assert main(["summary", "classifier", "--architecture", "dense", "--image-size", "20", "--channels", "3"]) == 0
    assert f"{3 * 20 * 20 * 512 + 512:,}" in capsys.readouterr().out


# Killed


def start(pictures, *words, **more):
    """A real `python -m training train classifier`; a thread, as here, so that sums come out alike."""
    command = [sys.executable, "-m", "training", "train", "classifier", "--data", str(pictures), "--name", "x", *LONG, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more
    )


def epochs(run):
    return len((run / "metrics.csv").read_text().splitlines()) - 1


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_killed_with_9_and_resumed_ends_as_one_never_killed(place, pictures, train, tmp_path):
    process = start(pictures)
    while not list(place.runs.glob("x/*/metrics.csv")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)
    process.kill()
    process.communicate(timeout=60)
    killed = place.run
    assert 1 <= epochs(killed) < 8, "it was not killed in the middle"
    assert place.tree() == []

    resumed = start(pictures, "--resume")
    _, said = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, said
    assert place.run == killed
    assert epochs(killed) == 8

    assert train(*LONG, "--runs-dir", str(tmp_path / "whole"), "--models-dir", str(tmp_path / "others")) == 0
    (whole,) = (tmp_path / "whole" / "x").iterdir()
    assert digest(killed / "weights.safetensors") == digest(whole / "weights.safetensors")
    assert digest(place.models / "x/1/model.onnx") == digest(tmp_path / "others/x/1/model.onnx")


# Reports


def test_a_runs_report_is_written_again(trained, capsys):
    (trained.run / report.REPORT).unlink()
    assert main(["report", "x"]) == 0
    path = trained.run / report.REPORT
    assert capsys.readouterr().out == f"wrote {path.resolve()}\n"
    assert "Published as x:1." in path.read_text()


def test_several_runs_get_one_page(trained, capsys):
    first = trained.run
    shutil.copytree(first, first.with_name("20990101-000000"))
    assert main(["report", "x", str(first), "x/20990101-000000"]) == 0
    assert "x: 2 runs" in (trained.runs / "x" / report.COMPARISON).read_text()


def test_a_report_goes_where_it_is_wanted(trained, tmp_path, capsys):
    assert main(["report", "x", "--output", str(tmp_path / "mine.html")]) == 0
    assert "<!doctype html>" in (tmp_path / "mine.html").read_text()
    assert complaint(capsys, "report", "x", "--output", str(tmp_path / "no" / "mine.html")).endswith(
        "No such file or directory."
    )


def test_a_report_of_no_run_says_which_there_are(trained, capsys):
    assert complaint(capsys, "report", "y").endswith("there are runs of x.")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_report_that_may_not_be_written_says_so(trained, capsys):
    trained.run.chmod(0o500)
    assert complaint(capsys, "report", "x").endswith("report.html cannot be written: Permission denied.")
    trained.run.chmod(0o700)
