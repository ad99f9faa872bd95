"""The key file: what it holds, who may read it, and that a change is whole or none."""

import json
import os
from datetime import timedelta

import pytest

from service import files, keys
from service.keys import Key, Keys

NOW = keys.now()


def key(*digests, **changes):
    return Key(roles={"infer"}, digests=digests, created=NOW, **changes)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys.json"
    said, digest = keys.made("one")
    keys.write(path, Keys(keys={"one": key(digest)}))
    return path, said


def test_a_key_is_32_random_bytes_and_only_its_digest_is_kept(file):
    path, said = file
    name, digest = keys.made("one")
    assert keys.WRITTEN.fullmatch(name.encode())[1] == b"one"
    assert name != said
    assert said.rpartition("_")[2] not in path.read_text()
    assert keys.read(path).keys["one"].fits(keys.digest(said.encode()), NOW)
    assert not keys.read(path).keys["one"].fits(bytes.fromhex(digest.sha256), NOW)


def test_the_file_is_for_its_owner_alone(file):
    assert file[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o666])
def test_a_file_that_others_can_read_is_refused(file, mode):
    file[0].chmod(mode)
    with pytest.raises(ValueError, match=f"its mode is {mode:04o}; expected 0600"):
        keys.read(file[0])


@pytest.mark.parametrize(("mode", "taken"), [(0o440, True), (0o400, True), (0o460, False), (0o444, False)])
def test_a_secret_that_root_lends_to_the_services_group_is_taken(file, monkeypatch, mode, taken):
    file[0].chmod(mode)
    state = file[0].stat()
    lent = os.stat_result((state.st_mode, state.st_ino, state.st_dev, 1, 0, 10001, *state[6:]))
    monkeypatch.setattr(keys.os, "fstat", lambda _: lent)
    monkeypatch.setattr(keys.os, "geteuid", lambda: 10001)
    if taken:
        assert keys.read(file[0]).keys.keys() == {"one"}
    else:
        with pytest.raises(ValueError, match="expected 0600"):
            keys.read(file[0])


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"keys": {"one": {}}}', '{"keys": {"ONE": null}}', '{"more": 1}', '{"schema_version": 2}', "\ud800"],
)
def test_a_file_that_makes_no_sense_is_refused_without_its_words(file, text):
    file[0].write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(ValueError, match="cannot be understood") as error:
        keys.read(file[0])
    assert len(str(error.value)) < 300


def test_a_role_that_there_is_not_and_a_digest_twice_are_refused(file):
    document = json.loads(file[0].read_text())
    twice = {"keys": {"one": document["keys"]["one"], "two": document["keys"]["one"]}}
    document["keys"]["one"]["roles"] = ["root"]
    for changed in (document, twice):
        file[0].write_text(json.dumps(changed))
        with pytest.raises(ValueError, match="cannot be understood"):
            keys.read(file[0])


def test_a_folder_is_no_key_file(tmp_path):
    (tmp_path / "keys").mkdir()
    with pytest.raises(OSError, match="directory"):
        keys.read(tmp_path / "keys")


def test_a_replaced_secret_ends_at_once_or_after_its_grace():
    (old, first), (new, second) = keys.made("one"), keys.made("one")
    at_once, later = (keys.replaced(key(first), second, grace_s, NOW) for grace_s in (0, 60))
    for changed in (at_once, later):
        assert changed.fits(keys.digest(new.encode()), NOW)
    assert not at_once.fits(keys.digest(old.encode()), NOW)
    assert later.fits(keys.digest(old.encode()), NOW + timedelta(seconds=59))
    assert not later.fits(keys.digest(old.encode()), NOW + timedelta(seconds=60))


def test_of_two_replacements_within_a_grace_only_the_last_two_secrets_count():
    made = [keys.made("one") for _ in range(3)]
    held = key(made[0][1])
    for _, digest in made[1:]:
        held = keys.replaced(held, digest, 60, NOW)
    assert [held.fits(keys.digest(said.encode()), NOW) for said, _ in made] == [False, True, True]


def test_a_write_that_fails_leaves_the_file_as_it_was(file, monkeypatch):
    path, _ = file
    before = path.read_bytes()
    monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        keys.write(path, Keys())
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_stamp_changes_with_the_file(file):
    path, _ = file
    before = files.stamp(path)
    keys.write(path, Keys())
    assert files.stamp(path) != before
    path.unlink()
    assert files.stamp(path) is None
