"""The drill on publishing."""

from dataclasses import replace

import pytest

from tests.drills import publish
from tests.drills.figures import Ground

IN_PLACE = """
from training import publish
def in_place(models_dir, name, files, draft):
    version = max(publish.versions(models_dir, name), default=0) + 1
    folder = models_dir / name / str(version)
    folder.mkdir(parents=True)
    publish._write(folder / "manifest.json", draft(version).dump())
    for file, data in files.items():
        publish._write(folder / file, data)
    return folder
publish.publish = in_place
"""
EARLY = """
from training import publish
def early(model, aside, manifest):
    version = max(publish.versions(model.parent, model.name), default=0) + 1
    folder = aside.rename(model / str(version))
    publish._write(folder / "manifest.json", manifest(version))
    return folder
publish._rename = early
"""
"""The folder has its place before its manifest is in it."""


@pytest.fixture
def ground(start, tmp_path):
    (tmp_path / "ground").mkdir()
    return Ground(start, tmp_path / "ground")


def test_a_failing_disk_leaves_the_old_version_or_the_new_one(ground):
    found = publish.drill(ground, kinds=("full", "killed after"), every=5)
    assert not [one for one in found if not one.ok]


@pytest.mark.parametrize("plant", [IN_PLACE, EARLY], ids=["in place", "renamed before the manifest"])
def test_a_publisher_that_is_not_atomic_is_found_out(tmp_path, plant):
    writer = publish.begun(tmp_path / "models", plant)
    assert not publish.tried(writer, ("killed after",), every=3).figure("").ok
    assert publish.out_of_order(replace(writer, models=tmp_path / "new/models"), tmp_path / "calls")
