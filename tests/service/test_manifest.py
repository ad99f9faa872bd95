"""The contract's class."""

import json
import random

import pytest
from pydantic import ValidationError

from service.manifest import MANIFEST, Manifest, TensorSpec, sha256
from tests.conftest import ROOT, write_version


@pytest.fixture
def manifest(tmp_path):
    return Manifest.read(write_version(tmp_path))


def test_what_is_written_is_read(tmp_path, manifest):
    (tmp_path / "manifest.json").write_bytes(manifest.dump())
    assert Manifest.read(tmp_path) == manifest


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../up"},
        {"name": "UPPER"},
        {"version": 0},
        {"schema_version": 2},
        {"files": {}},
        {"files": {"../x": {"sha256": "0" * 64, "size_bytes": 1}}},
        {"scores": {"accuracy": float("nan")}},
        {"unknown": 1},
        {"limits": {"time": 10**12}},
        {"golden": {"rows": 1, "tolerance": 1e-4, "parity": 0}},
        {"golden": {"rows": 4, "tolerance": 0, "parity": 0}},
    ],
)
def test_a_manifest_that_breaks_the_contract_is_refused(manifest, change):
    document = {**manifest.public(), **change}
    with pytest.raises(ValidationError):
        Manifest.model_validate(document)


def test_a_graph_whose_first_axis_is_not_the_batch_is_refused(manifest):
    document = manifest.public()
    document["graphs"]["model"]["inputs"][0]["shape"][0] = 1
    with pytest.raises(ValidationError, match="first axis must be 'batch'"):
        Manifest.model_validate(document)


def test_a_row_has_no_batch_axis():
    assert TensorSpec(name="x", datatype="FP32", shape=("batch", "time", 7)).row_shape == ("time", 7)


def test_no_flipped_bit_and_no_cut_is_read(tmp_path, manifest):
    whole = manifest.dump()
    chance = random.Random(0)
    flipped = [(chance.randrange(len(whole)), 1 << chance.randrange(8)) for _ in range(500)]
    spoiled = [bytes([*whole[:place], whole[place] ^ bit, *whole[place + 1 :]]) for place, bit in flipped]
    for data in [*spoiled, *(whole[:place] for place in range(len(whole)))]:
        (tmp_path / MANIFEST).write_bytes(data)
        with pytest.raises(ValueError):  # noqa: PT011 - whichever check is the first
            Manifest.read(tmp_path)


def test_one_written_before_there_was_a_digest_is_read(tmp_path, manifest):
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest.public(), "sha256": None}))
    assert Manifest.read(tmp_path).files == manifest.files


def test_a_manifest_that_says_one_thing_twice_is_refused(tmp_path, manifest):
    text = json.dumps({**manifest.public(), "sha256": None})
    (tmp_path / MANIFEST).write_text(text.replace('"parent"', '"default": true, "parent"'))
    with pytest.raises(ValueError, match="one thing twice"):
        Manifest.read(tmp_path)


def test_what_is_wrong_is_told_without_what_was_read(tmp_path):
    (tmp_path / MANIFEST).write_text("root:secret:0:0")
    with pytest.raises(ValueError, match="Invalid JSON") as raised:
        Manifest.read(tmp_path)
    assert "secret" not in str(raised.value)
    assert "http" not in str(raised.value)


def test_a_shipped_manifest_holds_its_digest():
    assert all(Manifest.read(path.parent).sha256 for path in ROOT.glob(f"models/*/*/{MANIFEST}"))


def test_the_digest_is_sha256():
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_tensors_free_axes_are_named_but_for_the_rows():
    assert TensorSpec(name="x", datatype="FP32", shape=("batch", "time", 3, "width")).free == ["time", "width"]
