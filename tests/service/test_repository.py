"""Versions on disk."""

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from service import repository
from service.repository import BrokenVersion
from tests.conftest import write_version


def test_complete_versions_are_found_in_order(tmp_path):
    for name, version in (("b", 2), ("a", 10), ("a", 9)):
        write_version(tmp_path, name, version)
    assert [(found.name, found.version) for found in repository.scan(tmp_path)] == [("a", 9), ("a", 10), ("b", 2)]


@pytest.mark.parametrize(
    "folder", ["light/01", "light/0", "light/+2", "light/.incoming-x", "light/١", "Light/3", "../outside/1"]
)
def test_a_folder_that_is_no_version_is_passed_over(models_dir, folder):
    path = models_dir / folder
    path.mkdir(parents=True)
    (path / "manifest.json").write_text("{}")
    assert [(found.name, found.version) for found in repository.scan(models_dir)] == [("light", 1)]


def test_a_version_without_a_manifest_is_not_there_yet(models_dir):
    (models_dir / "light" / "2").mkdir()
    assert len(repository.scan(models_dir)) == 1


def test_a_missing_repository_is_an_error(tmp_path):
    with pytest.raises(OSError, match="none"):
        repository.scan(tmp_path / "none")


def test_the_files_of_a_version_are_read(models_dir):
    contents = repository.read(repository.scan(models_dir)[0])
    assert set(contents.files) == {"model.onnx", "golden.npz"}


def test_one_flipped_bit_is_refused_and_named(models_dir):
    path = models_dir / "light/1/model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BrokenVersion, match=r"model.onnx does not have the SHA-256"):
        repository.read(repository.scan(models_dir)[0])


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx cannot be read"),
        (lambda folder: os.truncate(folder / "golden.npz", 10), "golden.npz has 10 bytes"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "its manifest cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "its manifest cannot be read"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), "its manifest cannot be read"),
        (lambda folder: instead(os.mkfifo, folder / "manifest.json"), "its manifest cannot be read: it is no plain file"),
        (lambda folder: instead(Path.mkdir, folder / "model.onnx"), "model.onnx has"),
        (lambda folder: linked(folder / "model.onnx"), "it is a link that leads out of its folder"),
        (lambda folder: linked(folder / "manifest.json"), "it is a link that leads out of its folder"),
    ],
)
def test_a_broken_version_is_refused_with_the_reason(models_dir, break_it, reason):
    break_it(models_dir / "light/1")
    with pytest.raises(BrokenVersion, match=reason):
        repository.read(repository.scan(models_dir)[0])


def instead(make: Callable[[Path], object], path: Path) -> None:
    path.unlink()
    make(path)


def linked(path: Path) -> None:
    """The same bytes, elsewhere."""
    elsewhere = path.rename(path.parents[3] / path.name)
    path.symlink_to(elsewhere)


def test_a_link_inside_the_folder_is_followed(models_dir):
    folder = models_dir / "light/1"
    (folder / "model.onnx").rename(folder / "stored")
    (folder / "model.onnx").symlink_to("stored")
    assert repository.read(repository.scan(models_dir)[0])


def test_a_reason_tells_neither_where_files_nor_where_sources_are(models_dir):
    (models_dir / "light/1/model.onnx").unlink()
    with pytest.raises(BrokenVersion) as raised:
        repository.read(repository.scan(models_dir)[0])
    assert str(raised.value) == "model.onnx cannot be read: No such file or directory"
    assert str(BrokenVersion("FAIL : /src/core/math.cc:256 Div was false: utils.h:7 no")) == "FAIL : Div was false: no"


@pytest.mark.parametrize(
    ("error", "reason"), [(ValueError("no such"), "no such"), (TypeError("it\nis"), "it cannot be loaded: TypeError: it is")]
)
def test_whatever_goes_wrong_with_a_version_is_its_reason(error, reason):
    with pytest.raises(BrokenVersion) as raised, repository.refusing():
        raise error
    assert str(raised.value) == reason


def test_a_version_in_the_wrong_folder_is_refused(models_dir):
    (models_dir / "light/1").rename(models_dir / "light/2")
    with pytest.raises(BrokenVersion, match="its manifest is of light 1, its folder of light 2"):
        repository.read(repository.scan(models_dir)[0])


def test_a_pipe_is_never_opened(models_dir):
    os.mkfifo(models_dir / "light/1/extra")
    for name, reason in (("golden.npz", "golden.npz has 0 bytes"), ("manifest.json", "it is no plain file")):
        (models_dir / "light/1" / name).unlink()
        os.mkfifo(models_dir / "light/1" / name)
        with pytest.raises(BrokenVersion, match=re.escape(reason)):
            repository.read(repository.scan(models_dir)[0])


@pytest.mark.parametrize("error", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_a_model_that_cannot_be_read_now_is_told_apart_from_one_that_is_gone(models_dir, monkeypatch, error):
    write_version(models_dir, "other")
    before = Path.iterdir

    def iterdir(self: Path):
        if self.name == "light":
            raise OSError(error, os.strerror(error))
        return before(self)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    found, unread = repository.look(models_dir)
    assert ([one.name for one in found], unread) == (["other"], {"light"})


def test_what_is_no_folder_or_leads_nowhere_has_no_versions(models_dir):
    (models_dir / "a").write_text("")
    (models_dir / "b").symlink_to(models_dir / "b")
    (models_dir / "c").symlink_to(models_dir / "none")
    assert [one.name for one in repository.scan(models_dir)] == ["light"]
