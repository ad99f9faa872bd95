"""Where versions are published: a folder, or elsewhere."""

import uuid

import pytest

from service import repository
from service.manifest import Manifest
from tests.conftest import write_version
from training import place
from training.room import TrainingError
from training.settings import Settings

pytest.importorskip("fsspec", reason="the extra `remote` is not installed")


@pytest.fixture(params=["folder", "elsewhere"])
def settings(request, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    where = tmp_path / "models" if request.param == "folder" else f"memory://{uuid.uuid4().hex}/models"
    return Settings(models_dir=where)


def made(tmp_path):
    folder = write_version(tmp_path / "made")
    manifest = Manifest.read(folder)
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    return files, lambda version: manifest.model_copy(update={"version": version})


def test_versions_are_put_one_after_another_and_found_again(settings, tmp_path):
    files, draft = made(tmp_path)
    for version in (1, 2):
        assert place.put(settings, "light", files, draft).name == str(version)
    found = repository.scan(place.repository(settings))
    assert [repository.read(one).manifest.version for one in found] == [1, 2]


def test_a_place_that_is_still_empty_can_be_published_to(settings):
    place.check_writable(settings, "light")
    folder = place.repository(settings)
    assert not folder.exists() or not repository.scan(folder)


def test_an_address_that_nothing_reads_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    wrong = Settings(models_dir="nowhere://x")
    for ask in (
        place.repository,
        lambda one: place.check_writable(one, "light"),
        lambda one: place.put(one, "light", {}, None),
    ):
        with pytest.raises(TrainingError, match="nowhere://x cannot be read"):
            ask(wrong)
