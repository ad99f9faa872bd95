"""A run's folder."""

import csv
import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from training import run
from training.checkpoint import Checkpoint
from training.room import TrainingError
from training.run import BEFORE, BEGUN, CHECKPOINT, CONFIG, METRICS, STOPPED, SUMMARY, Run, now

ASKED = {"family": "made", "epochs": 2, "shape": (1, 2)}


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def begun(runs):
    return Run.begin(runs, "x", ASKED, Console(quiet=True))


def resume(runs, asked=ASKED, name="x"):
    return Run.resume(runs, name, asked, Console(quiet=True)).folder


def state(*epochs):
    history = [{"epoch": epoch, "train_loss": 1 / epoch, "accuracy": 0.5} for epoch in epochs]
    return history[-1], Checkpoint({"w": torch.zeros(1)}, {"history": history})


def test_a_run_begins_with_its_configuration(begun, runs):
    assert begun.folder.parent == runs / "x"
    assert json.loads((begun.folder / CONFIG).read_text()) == {"family": "made", "epochs": 2, "shape": [1, 2]}
    assert begun.checkpoint() is None


def test_runs_of_the_same_second_get_their_own_folders(runs):
    folders = {Run.begin(runs, "x", ASKED, Console(quiet=True)).folder for _ in range(5)}
    assert len(folders) == 5


def test_each_epoch_adds_a_line_to_the_metrics(begun):
    begun.record(*state(1))
    begun.record(*state(1, 2))
    with (begun.folder / METRICS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "train_loss", "accuracy"]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["train_loss"]) for row in rows] == [1, 0.5]


def test_metrics_never_tell_of_an_epoch_that_the_checkpoint_lacks(begun, monkeypatch):
    order, replace = [], run.replace
    monkeypatch.setattr("training.checkpoint.replace", lambda path, *more: (order.append(path.name), replace(path, *more)))
    monkeypatch.setattr(run, "replace", lambda path, data: (order.append(path.name), replace(path, data)))
    begun.record(*state(1))
    assert order == [CHECKPOINT, METRICS]


def test_where_the_newest_checkpoint_is_damaged_the_one_before_is_gone_on_from_and_said_to_be(begun, runs):
    begun.record(*state(1))
    begun.record(*state(1, 2))
    path = begun.folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-1])
    console = Console(file=io.StringIO(), width=80)
    assert len(Run.resume(runs, "x", ASKED, console).checkpoint().values["history"]) == 1
    assert "checkpoint.safetensors cannot be read" in console.file.getvalue()
    assert "Going on from the one before." in console.file.getvalue()
    begun.record(*state(1, 2))
    assert len(Checkpoint.read(begun.folder / BEFORE).values["history"]) == 1


def test_between_two_renames_the_one_before_is_the_newest(begun):
    begun.record(*state(1))
    (begun.folder / CHECKPOINT).rename(begun.folder / BEFORE)
    assert len(begun.checkpoint().values["history"]) == 1


def test_a_damaged_checkpoint_with_none_before_is_an_error(begun):
    begun.record(*state(1))
    (begun.folder / CHECKPOINT).write_bytes(b"")
    with pytest.raises(TrainingError, match="cannot be read"):
        begun.checkpoint()


def test_what_a_killed_process_was_writing_goes_when_its_run_goes_on(begun, runs):
    begun.part("teacher")
    for left in (begun.folder / f".{CHECKPOINT}.123", begun.folder / "teacher" / f".{CHECKPOINT}.7"):
        left.write_bytes(b"half")
    resume(runs)
    assert not list(begun.folder.rglob(".*"))


def test_what_was_kept_and_is_damaged_is_made_again(begun):
    begun.kept("given", lambda: {"x": np.zeros(99)})
    path = begun.folder / "given.npz"
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    assert begun.kept("given", lambda: {"x": np.ones(1)})["x"] == [1]
    assert begun.kept("given", lambda: {"x": np.zeros(1)})["x"] == [1]


def test_a_finished_run_keeps_its_last_checkpoint_alone(begun):
    begun.record(*state(1))
    begun.record(*state(1, 2))
    begun.finish({})
    assert (begun.folder / CHECKPOINT).exists()
    assert not (begun.folder / BEFORE).exists()


def test_an_unfinished_run_is_found_again_with_its_checkpoint(begun, runs):
    begun.record(*state(1))
    found = Run.resume(runs, "x", ASKED, Console(quiet=True))
    assert found.folder == begun.folder
    assert len(found.checkpoint().values["history"]) == 1


def test_the_newest_of_several_is_resumed(begun, runs):
    newer = Run.begin(runs, "x", ASKED, Console(quiet=True))
    assert resume(runs) == newer.folder


def test_a_finished_run_is_not_resumed(begun, runs):
    newer = Run.begin(runs, "x", ASKED, Console(quiet=True))
    newer.finish({"scores": {}})
    assert resume(runs) == begun.folder


@pytest.mark.parametrize(("asked", "name"), [({**ASKED, "epochs": 3}, "x"), (ASKED, "y")], ids=["other options", "other model"])
def test_where_no_run_is_unfinished_one_line_says_so(begun, runs, asked, name):
    with pytest.raises(
        TrainingError, match=f"^No unfinished run of '{name}' with these options .*run without --resume"
    ) as raised:
        resume(runs, asked, name)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_no_run_is_passed_over(begun, runs):
    (runs / "x" / "zzz").mkdir()
    assert resume(runs) == begun.folder


def test_the_summary_holds_what_came_of_it(begun):
    begun.finish({"scores": {"accuracy": 0.5}, "published": begun.folder})
    assert json.loads((begun.folder / SUMMARY).read_text()) == {"scores": {"accuracy": 0.5}, "published": str(begun.folder)}


def test_progress_shows_steps_and_time_left(runs):
    text = io.StringIO()
    begun = Run.begin(runs, "x", ASKED, Console(file=text, force_terminal=True, width=120))
    with begun.progress(100, 20) as advance:
        advance(30, "loss 0.5")
    for shown in ("50/100", "left", "loss 0.5"):
        assert shown in text.getvalue()


def test_what_took_long_is_kept_for_a_resumed_run(begun):
    made = []

    def make():
        made.append(1)
        return {"vectors": np.arange(6.0).reshape(2, 3)}

    first, again = begun.kept("given", make), begun.kept("given", make)
    assert len(made) == 1
    assert np.array_equal(first["vectors"], again["vectors"])


def test_what_failed_is_not_kept(begun):
    def fail():
        raise TrainingError("no")

    with pytest.raises(TrainingError):
        begun.kept("given", fail)
    assert begun.kept("given", lambda: {"x": np.ones(1)})["x"] == [1]


def test_a_bar_says_what_takes_long(runs):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Run.begin(runs, "x", ASKED, console).bar("word vectors", 10) as advance:
        advance(10)
    assert "word vectors" in console.file.getvalue()
    assert "10/10" in console.file.getvalue()


def test_a_run_inside_a_run_has_its_own_checkpoint(begun):
    inside = begun.part("teacher")
    inside.record(*state(1))
    assert begun.checkpoint() is None
    assert begun.part("teacher").checkpoint() is not None


def test_what_was_kept_says_how_long_it_took(begun):
    assert begun.spent() == {}
    begun.kept("given", lambda: {"x": np.ones(1)})
    begun.kept("given", lambda: {"x": np.ones(1)})
    assert list(begun.spent()) == ["given"]
    assert begun.spent()["given"] >= 0


def test_why_a_run_stopped_is_kept_until_it_goes_on(begun, runs):
    begun.stopped("The loss became nan.")
    assert json.loads((begun.folder / STOPPED).read_text()) == {"why": "The loss became nan."}
    assert resume(runs) == begun.folder
    assert not (begun.folder / STOPPED).exists()


@pytest.mark.parametrize(
    ("history", "said"),
    [
        ([], "epoch 1/2  loss 0.2500"),
        ([{"accuracy": 0.5}], "epoch 2/2  loss 0.2500  accuracy 0.5000"),
        ([{"accuracy": 0.5}, {"accuracy": 0.75}], "epoch 2/2  loss 0.2500  accuracy 0.7500"),
    ],
)
def test_a_bar_says_epoch_loss_and_the_last_score(history, said):
    assert now(history, "accuracy", 2, 0.25) == said


def test_a_run_that_goes_on_has_begun_when_its_first_process_did(begun):
    begun.begun({"at": "2026-01-01T00:00:00+00:00", "command": "train"})
    begun.begun({"at": "2026-01-02T00:00:00+00:00", "command": "train --resume"})
    kept = json.loads((begun.folder / BEGUN).read_text())
    assert kept == {"at": "2026-01-01T00:00:00+00:00", "command": "train --resume"}
