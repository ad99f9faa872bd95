"""Requests with tensors, as versions read them."""

import json
import threading

import numpy as np
import pytest

from service import repository, tensor_request
from service.errors import BadRequest, InvalidTensor, TooLarge
from service.family import rooms
from service.model import load
from service.protocol import Sent
from service.samples import SEVEN_PNG
from service.settings import Settings
from service.tensor_request import Tensors

pytestmark = pytest.mark.anyio


@pytest.fixture
def model(models_dir):
    return load(repository.read(repository.scan(models_dir)[-1]), rooms(), "cpu", Settings(max_batch=4))


def asked(rows: int = 1, **more) -> Tensors:
    data = np.arange(rows * 784) % 256
    tensor = {"name": "image", "datatype": "UINT8", "shape": [rows, 28, 28, 1], "data": data.tolist(), **more}
    return Tensors(Sent(json.dumps({"inputs": [tensor]}).encode()), Settings())


async def test_tensors_are_one_item_of_many_rows(model):
    request = asked(3)
    (item,) = await request.decode(model)
    assert item.arrays["image"].shape == (3, 28, 28, 1)
    assert [wanted.name for wanted in request.asked.outputs] == ["probabilities"]
    np.testing.assert_array_equal(request.prepare(model)[0].arrays["image"], item.arrays["image"])


async def test_a_body_that_is_long_to_parse_does_not_hold_the_loop(model, monkeypatch):
    threads = []
    read_here = Tensors._read
    monkeypatch.setattr(Tensors, "_read", lambda *given: (threads.append(threading.current_thread()), read_here(*given))[1])
    await asked(1).decode(model)
    monkeypatch.setattr(tensor_request, "LONG_BODY", 100)
    await asked(1).decode(model)
    assert [one is threading.main_thread() for one in threads] == [True, False]


async def test_tensors_that_the_version_does_not_take_are_refused(model):
    with pytest.raises(InvalidTensor, match="shape"):
        await asked(1, shape=[1, 784]).decode(model)


def raw(shape, *elements: bytes) -> Tensors:
    packed = b"".join(len(one).to_bytes(4, "little") + one for one in elements)
    tensor = {"name": "picture", "datatype": "BYTES", "shape": shape, "parameters": {"binary_data_size": len(packed)}}
    written = json.dumps({"inputs": [tensor]}).encode()
    return Tensors(Sent(written + packed, str(len(written))), Settings(max_items=2))


async def test_raw_inputs_are_an_item_each(model):
    items = await raw([2, 1], SEVEN_PNG, SEVEN_PNG).decode(model)
    assert [item.arrays["image"].shape for item in items] == [(1, 28, 28, 1)] * 2


async def test_what_is_wrong_with_an_element_names_its_place(model):
    with pytest.raises(BadRequest, match="Element 1") as caught:
        await raw([2, 1], SEVEN_PNG, b"").decode(model)
    assert "BYTES" in caught.value.message


async def test_too_many_elements_are_refused(model):
    with pytest.raises(TooLarge, match="3 elements"):
        await raw([3, 1], *[SEVEN_PNG] * 3).decode(model)
