"""Files that anybody may have put where they are."""

import os

import pytest

from service import files


def test_a_plain_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.read(tmp_path / "a", 3) == b"abc"


def test_one_that_is_larger_than_expected_is_not_read_at_all(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(OSError, match=r"it has 1099511627776 bytes; at most 3 are read"):
        files.read(tmp_path / "a", 3)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(OSError, match="it is no plain file"):
        files.read(tmp_path / "a", 3)


def test_a_link_may_lead_through_its_folder_and_not_out_of_it(tmp_path):
    (folder := tmp_path / "folder").mkdir()
    for name, target in (("in", "stored"), ("out", "../stored"), ("far", "/etc/hostname")):
        (folder / name).symlink_to(target)
    assert files.inside(folder, "in")
    assert files.inside(folder, "plain") == folder / "plain"
    (folder / "round").symlink_to("round")
    with pytest.raises(OSError, match="symbolic links"):
        files.read(files.inside(folder, "round"), 3)
    for name in ("out", "far"):
        with pytest.raises(OSError, match="leads out of its folder"):
            files.inside(folder, name)
