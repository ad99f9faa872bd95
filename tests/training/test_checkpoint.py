"""Checkpoints: whole or not at all, and no pickle."""

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from training.checkpoint import Checkpoint, replace
from training.room import TrainingError

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def checkpoint() -> Checkpoint:
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(7), "half": torch.ones(2, dtype=torch.bfloat16)}
    return Checkpoint(tensors, {"history": [{"epoch": 1, "loss": 0.1}], "note": "é"})


def fail(*_args, **_more):
    raise FULL


def test_what_was_written_is_read(checkpoint, tmp_path):
    checkpoint.write(tmp_path / "c")
    found = Checkpoint.read(tmp_path / "c")
    assert found.values == checkpoint.values
    assert found.tensors.keys() == checkpoint.tensors.keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in checkpoint.tensors.items())
    assert all(found.tensors[name].dtype == tensor.dtype for name, tensor in checkpoint.tensors.items())


def test_tensors_that_share_memory_or_lie_otherwise_are_written(tmp_path):
    tensor = torch.arange(6.0).reshape(2, 3)
    Checkpoint({"one": tensor, "same": tensor, "turned": tensor.T}, {}).write(tmp_path / "c")
    assert torch.equal(Checkpoint.read(tmp_path / "c").tensors["turned"], tensor.T)


@pytest.mark.parametrize("broken", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, broken):
    replace(tmp_path / "c", b"old")
    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="No space left"):
        replace(tmp_path / "c", b"new")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    assert (tmp_path / "c").read_bytes() == b"old"


def test_the_data_is_on_disk_before_it_takes_the_files_place(tmp_path, monkeypatch):
    order, sync, move = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("sync"), sync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda path, target: (order.append("replace"), move(path, target)))
    replace(tmp_path / "c", b"new")
    assert order == ["sync", "replace"]


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-5], lambda data: data[:30], lambda data: b"", lambda data: b"\x80\x04" + data]
)
def test_a_spoiled_file_is_refused_in_one_line_that_names_it(checkpoint, tmp_path, spoil):
    path = tmp_path / "c.safetensors"
    checkpoint.write(path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(TrainingError, match=r"c\.safetensors cannot be read") as raised:
        Checkpoint.read(path)
    assert "\n" not in str(raised.value)


def test_no_flipped_bit_is_read(checkpoint, tmp_path):
    path = tmp_path / "c"
    checkpoint.write(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        with pytest.raises(TrainingError, match="cannot be read"):
            Checkpoint.read(path)


def test_one_written_before_there_was_a_digest_is_read(tmp_path):
    (tmp_path / "c").write_bytes(save({"a": torch.ones(1)}, {"values": "{}"}))
    assert Checkpoint.read(tmp_path / "c").tensors["a"] == 1


def test_what_was_there_becomes_the_one_before(checkpoint, tmp_path):
    for number in (1, 2, 3):
        Checkpoint({}, {"number": number}).write(tmp_path / "c", tmp_path / "before")
    assert Checkpoint.read(tmp_path / "c").values == {"number": 3}
    assert Checkpoint.read(tmp_path / "before").values == {"number": 2}


def test_weights_alone_are_no_checkpoint(tmp_path):
    (tmp_path / "w").write_bytes(save({"a": torch.zeros(1)}))
    with pytest.raises(TrainingError, match="cannot be read"):
        Checkpoint.read(tmp_path / "w")


def test_there_is_no_pickle_in_it(checkpoint, tmp_path):
    checkpoint.write(tmp_path / "c")
    data = (tmp_path / "c").read_bytes()
    header = int.from_bytes(data[:8], "little")
    assert data[8:9] == b"{"  # safetensors: the header's length, the header as JSON, the numbers
    assert 8 + header + 24 + 8 + 4 == len(data)
