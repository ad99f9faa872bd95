"""The gate, and what a reader of the repository can see while a version comes in."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from service.manifest import GOLDEN, MANIFEST, Manifest, sha256
from tests.conftest import light_golden, light_graph, write_version
from training import publish
from training.publish import judge, versions
from training.room import Scores, TrainingError

FILES = {"model.onnx": light_graph(), GOLDEN: light_golden().pack()}


@pytest.fixture
def draft(tmp_path):
    """Makes the manifest of a version of `light`."""
    manifest = Manifest.read(write_version(tmp_path / "drawing board"))
    return lambda version, **changes: manifest.model_copy(update={"version": version, **changes})


@pytest.fixture
def put(models_dir, draft):
    """Publish one more version; version 1 is there."""
    return lambda: publish.publish(models_dir, "light", FILES, draft)


def complete(folder: Path) -> bool:
    manifest = Manifest.read(folder)
    return str(manifest.version) == folder.name and all(
        sha256((folder / name).read_bytes()) == file.sha256 for name, file in manifest.files.items()
    )


def test_a_version_is_published_with_all_its_files(put, models_dir):
    folder = put()
    assert folder == models_dir / "light" / "2"
    assert {path.name for path in folder.iterdir()} == {*FILES, MANIFEST}
    assert complete(folder)


def test_the_first_version_of_a_model_is_1(draft, tmp_path):
    assert publish.publish(tmp_path / "new", "light", FILES, draft).name == "1"


def test_a_number_is_never_used_twice_even_if_its_version_is_incomplete(put, models_dir):
    (models_dir / "light" / "7").mkdir()
    (models_dir / "light" / "notes").mkdir()
    assert put().name == "8"
    assert versions(models_dir, "light") == [1, 8]


def test_others_may_read_what_is_published_whatever_the_umask(put):
    before = os.umask(0o077)
    try:
        folder = put()
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) & 0o555 == 0o555
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444 for path in folder.iterdir())


def test_the_manifest_is_written_last_and_everything_before_the_rename(put, monkeypatch):
    order, opened, rename = [], Path.open, Path.rename
    monkeypatch.setattr(Path, "open", lambda path, *mode: (order.append(path.name), opened(path, *mode))[1])
    monkeypatch.setattr(Path, "rename", lambda path, target: (order.append("rename"), rename(path, target))[1])
    put()
    assert order == ["model.onnx", GOLDEN, MANIFEST, "rename"]


def failing(function, at):
    """`function`, whose `at`-th call fails as on a full disk."""
    calls = []

    def called(*args, **more):
        calls.append(args)
        if len(calls) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return function(*args, **more)

    return called


STEPS = {(os, "fsync"): 4, (Path, "open"): 3, (Path, "rename"): 1, (Path, "chmod"): 1, (Path, "mkdir"): 1}


@pytest.mark.parametrize(
    ("where", "name", "at"), [(*step, at + 1) for step, count in STEPS.items() for at in range(count)], ids=str
)
def test_whatever_fails_nothing_is_published_and_nothing_is_left(put, models_dir, monkeypatch, where, name, at):
    before = sorted(models_dir.rglob("*"))
    monkeypatch.setattr(where, name, failing(getattr(where, name), at))
    with pytest.raises(TrainingError, match=r"light cannot be written: No space left on device") as raised:
        put()
    monkeypatch.undo()
    assert "\n" not in str(raised.value)
    assert sorted(models_dir.rglob("*")) == before
    assert complete(models_dir / "light" / "1")


def test_a_failure_after_the_rename_does_not_deny_the_version(put, models_dir, monkeypatch):
    monkeypatch.setattr(os, "fsync", failing(os.fsync, 5))
    with pytest.raises(TrainingError, match=r"2 is published, but"):
        put()
    assert complete(models_dir / "light" / "2")
    assert not list((models_dir / "light").glob(".incoming*"))


def test_a_repository_that_is_no_folder_is_one_line(draft, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"light cannot be written: Not a directory; nothing was published\.$"):
        publish.publish(tmp_path / "file", "light", FILES, draft)


def test_a_stop_in_the_middle_leaves_nothing(put, models_dir, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        put()
    assert [path.name for path in (models_dir / "light").iterdir()] == ["1"]


def test_a_number_that_is_taken_meanwhile_is_left_to_who_took_it(put, models_dir, monkeypatch):
    rename = Path.rename

    def late(path, target):
        monkeypatch.setattr(Path, "rename", rename)
        assert put().name == "2"  # another publisher comes first
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", late)
    assert put().name == "3"
    assert complete(models_dir / "light" / "2")
    assert complete(models_dir / "light" / "3")


def test_publishers_at_once_get_a_number_each(put, models_dir):
    folders, start = [], threading.Barrier(6)

    def publisher():
        start.wait()
        folders.append(put())

    threads = [threading.Thread(target=publisher) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(folder.name) for folder in folders) == versions(models_dir, "light")[1:] == [2, 3, 4, 5, 6, 7]
    assert all(complete(folder) for folder in folders)


# What is there


def test_the_newest_version_is_read_where_none_is_named(put, models_dir):
    put()
    assert publish.read(models_dir, "light")[0].version == 2
    assert publish.read(models_dir, "light", 1)[0].version == 1


@pytest.mark.parametrize(
    ("name", "version", "wanted"), [("light", 9, "light:9"), ("dark", None, "dark"), ("../light", None, r"\.\./light")]
)
def test_what_is_not_there_is_named_beside_what_is(models_dir, name, version, wanted):
    with pytest.raises(TrainingError, match=rf"^{wanted} is not in .*; there are light:1\.$"):
        publish.read(models_dir, name, version)


def test_a_broken_manifest_is_named_in_one_line(models_dir):
    (models_dir / "light" / "1" / MANIFEST).write_text('{"name": 5}')
    with pytest.raises(TrainingError, match=r"manifest\.json cannot be read") as raised:
        publish.read(models_dir, "light")
    assert "\n" not in str(raised.value)


# The gate


def verdict(models_dir, candidate, before=0.9, tolerance=0.01):
    return judge(models_dir, candidate, tolerance, lambda served, folder: Scores({"accuracy": before}))


def candidate(draft, accuracy=0.9, **changes):
    return draft(1, scores={"accuracy": accuracy}, **changes)


def test_the_first_version_is_let_through(tmp_path, draft):
    found = verdict(tmp_path / "new", candidate(draft, 0.0))
    assert (found.refusal, found.parent) == ("", None)


@pytest.mark.parametrize("accuracy", [0.95, 0.9, 0.8901])
def test_a_version_no_worse_than_the_tolerance_is_let_through(models_dir, draft, accuracy):
    found = verdict(models_dir, candidate(draft, accuracy))
    assert (found.refusal, found.parent) == ("", 1)


def test_a_worse_version_is_refused_with_both_scores(models_dir, draft):
    refusal = verdict(models_dir, candidate(draft, 0.8)).refusal
    assert refusal == "its accuracy is 0.8000, that of light:1 is 0.9000 on the same rows, and it may be at most 0.01 lower"


def test_the_tolerance_is_what_is_asked_for(models_dir, draft):
    assert not verdict(models_dir, candidate(draft, 0.8), tolerance=0.2).refusal
    assert verdict(models_dir, candidate(draft, 0.89999), tolerance=0).refusal


@pytest.mark.parametrize("tolerance", [float("nan"), 0.01])
def test_a_score_that_cannot_be_compared_is_refused(models_dir, draft, tolerance):
    before = 0.5 if tolerance != 0.01 else float("nan")
    assert verdict(models_dir, candidate(draft, 0.9), before, tolerance).refusal


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"labels": ("light", "dark")}, "labels or inputs are not those of light:1"),
        ({"family": "other"}, "light:1 is of the family"),
    ],
)
def test_a_version_that_clients_would_not_know_again_is_refused(models_dir, draft, changes, reason):
    assert reason in verdict(models_dir, candidate(draft, 1.0, **changes)).refusal


def test_a_version_with_other_inputs_is_refused(models_dir, draft):
    graph = draft(1).graph
    smaller = graph.inputs[0].model_copy(update={"shape": ("batch", 14, 14, 1)})
    graphs = {"model": graph.model_copy(update={"inputs": (smaller,)})}
    assert "labels or inputs" in verdict(models_dir, candidate(draft, 1.0, graphs=graphs)).refusal


@pytest.mark.parametrize("spoiled", [MANIFEST, "model.onnx"])
def test_a_version_that_cannot_be_read_is_a_refusal_and_no_error(models_dir, draft, spoiled):
    (models_dir / "light" / "1" / spoiled).unlink() if spoiled != MANIFEST else (
        models_dir / "light" / "1" / spoiled
    ).write_text("{")

    def evaluate(served, folder):
        (folder / "model.onnx").read_bytes()
        raise AssertionError

    found = judge(models_dir, candidate(draft), 0.01, evaluate)
    assert found.refusal.startswith("light:1 cannot be compared with: ")
    assert found.parent == 1


def test_a_folder_that_cannot_be_written_is_named_before_anything_else(tmp_path):
    (tmp_path / "models").write_text("a file")
    with pytest.raises(TrainingError, match=r"models cannot be written"):
        publish.check_writable(tmp_path / "models", "x")


def test_looking_whether_a_folder_can_be_written_leaves_nothing(tmp_path):
    publish.check_writable(tmp_path / "models", "x")
    assert not list(tmp_path.iterdir())


def test_the_newest_version_is_the_one_to_beat(models_dir, put, draft):
    put()
    assert verdict(models_dir, candidate(draft, 0.1)).parent == 2


def test_what_a_killed_publisher_left_is_removed_by_the_next_one_and_what_a_live_one_writes_is_not(put, models_dir):
    (left := models_dir / "light/.incoming-left").mkdir()
    (left / "model.onnx").write_bytes(b"half")
    with publish._aside(models_dir / "light") as live:
        assert not left.exists()
        put()
        assert live.is_dir()
    assert [path.name for path in sorted((models_dir / "light").iterdir())] == ["1", "2"]


def test_where_there_are_no_locks_versions_are_published_and_nothing_is_taken_for_left(put, models_dir, monkeypatch):
    (left := models_dir / "light/.incoming-left").mkdir()
    monkeypatch.setattr(publish, "_locked", lambda *_: False)
    assert complete(put())
    assert left.is_dir()


def test_a_new_models_folder_is_on_disk_with_those_above_it(draft, tmp_path, monkeypatch):
    synced, sync = [], publish._sync
    monkeypatch.setattr(publish, "_sync", lambda folder: (synced.append(folder), sync(folder)))
    publish.publish(tmp_path / "new/models", "light", FILES, draft)
    assert synced[:3] == [tmp_path / "new/models", tmp_path / "new", tmp_path]
    assert synced[-1] == tmp_path / "new/models/light"
