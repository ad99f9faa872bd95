"""Of files that one flipped bit has damaged none is served, though onnxruntime opens most of them."""

import random

import pytest

from service import model, repository
from service.family import rooms
from service.graph import Graph
from service.repository import BrokenVersion
from service.settings import Settings
from tests.conftest import ROOT

FLIPS = 300


@pytest.mark.parametrize("file", ["model.onnx", "golden.npz"])
def test_a_flipped_bit_is_never_served(tmp_path, file):
    whole = ROOT / "models/digits/1"
    version = tmp_path / "digits/1"
    version.mkdir(parents=True)
    for path in whole.iterdir():
        (version / path.name).write_bytes(path.read_bytes())
    (found,) = repository.scan(tmp_path)
    settings, families, chance = Settings(max_batch=1), rooms(), random.Random(0)
    data = bytearray((whole / file).read_bytes())
    served = opened = 0
    for _ in range(FLIPS):
        place, bit = chance.randrange(len(data)), 1 << chance.randrange(8)
        data[place] ^= bit
        (version / file).write_bytes(data)
        try:
            model.load(repository.read(found), families, "cpu", settings)
        except BrokenVersion:
            pass
        else:
            served += 1
        if file == "model.onnx":
            opened += _opens(bytes(data))
        data[place] ^= bit
    assert not served
    assert file != "model.onnx" or opened > FLIPS / 2, "onnxruntime alone refuses them: this test would prove nothing"


def _opens(data: bytes) -> bool:
    try:
        Graph(data, "cpu")
    except ValueError:
        return False
    return True
