"""The repository as the service sees it, here and elsewhere."""

import logging
import uuid

import pytest

from service.errors import Unavailable
from service.policy import Policy
from service.settings import Settings
from service.store import Store
from tests.conftest import write_version

fsspec = pytest.importorskip("fsspec", reason="the extra `remote` is not installed")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A store of an address with one version, its clock, the files there and their place."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root, files, clock = f"/{uuid.uuid4().hex}/models", fsspec.filesystem("memory"), Clock()
    write_version(tmp_path / "made")
    for path in (tmp_path / "made").rglob("*"):
        if path.is_file():
            files.pipe_file(f"{root}/{path.relative_to(tmp_path / 'made')}", path.read_bytes())
    return Store(Settings(models_dir=f"memory:/{root}"), clock), clock, files, root


def names(store):
    return [one.name for one in store.look()[0]]


def test_a_folder_is_looked_at_as_it_is(models_dir):
    store = Store(Settings(models_dir=models_dir))
    found, _ = store.look()
    assert [(one.name, one.folder.parent) for one in found] == [("light", store.folder("light"))]
    assert store.look_s > 0


def test_what_is_elsewhere_is_brought_at_the_first_look_and_then_now_and_then(elsewhere):
    store, clock, files, root = elsewhere
    assert names(store) == ["light"]
    files.rm(f"{root}/light", recursive=True)
    files.pipe_file(f"{root}/other", b"")
    assert names(store) == ["light"]
    clock.now += 3
    assert names(store) == []


def test_an_absence_is_told_once_and_changes_nothing(elsewhere, caplog):
    store, clock, files, root = elsewhere
    store.look()
    files.rm(root, recursive=True)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            clock.now += 3
            assert names(store) == ["light"]
        files.pipe_file(f"{root}/other", b"")
        clock.now += 3
        store.look()
    said = [record.getMessage() for record in caplog.records if record.name == "modelyard.store"]
    assert len(said) == 2
    assert said[0].endswith("; what is here stays")
    assert said[1] == "the repository can be reached again"


def test_a_policy_is_written_there(elsewhere):
    store, _, files, root = elsewhere
    store.look()
    assert store.change("light", unloaded=True).unloaded
    assert b"unloaded" in files.cat_file(f"{root}/light/policy.json")


def test_a_policy_that_cannot_be_written_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="The policy of 'light' cannot be written"):
        Store(Settings(models_dir=tmp_path)).change("light", unloaded=True)


def test_a_setting_pins_what_no_policy_does(tmp_path):
    assert Store(Settings(models_dir=tmp_path, pin="light=3")).unwritten("light") == Policy(pinned=3)
