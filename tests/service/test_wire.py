"""Tensors as bytes."""

import numpy as np
import pytest

from service import wire
from service.errors import InvalidTensor
from service.tensors import DTYPES

NUMBERS = [name for name in DTYPES if name not in ("BYTES", "BOOL")]


@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_come_back_as_they_were(datatype):
    array = np.array([[0, 1, 2], [3, 4, 100]], DTYPES[datatype])
    again = wire.unpack(memoryview(bytes(wire.pack(array))), datatype, (2, 3), "x")
    assert again.dtype == array.dtype
    assert np.array_equal(again, array)


def test_booleans_are_one_byte_each_and_no_other_byte_is_one():
    assert bytes(wire.pack(np.array([True, False]))) == b"\x01\x00"
    assert wire.unpack(memoryview(b"\x01\x00"), "BOOL", (2,), "x").tolist() == [True, False]
    with pytest.raises(InvalidTensor, match="expected 0 or 1"):
        wire.unpack(memoryview(b"\x02\x00"), "BOOL", (2,), "x")


def test_elements_have_their_length_in_front():
    array = np.array([b"a", b"", "\u00e4".encode()], object)
    assert wire.pack(array) == b"\x01\0\0\0a\0\0\0\0\x02\0\0\0\xc3\xa4"
    assert wire.unpack(memoryview(wire.pack(array)), "BYTES", (3,), "x").tolist() == array.tolist()


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\x01\0\0", "ends within its element 0"),
        (b"\x05\0\0\0a", "ends within its element 0"),
        (b"\xff\xff\xff\xffa", "ends within its element 0"),
        (b"\x01\0\0\0ab", "1 bytes more than its 1 elements"),
    ],
)
def test_elements_that_end_elsewhere_are_refused(data, sentence):
    with pytest.raises(InvalidTensor, match=sentence):
        wire.unpack(memoryview(data), "BYTES", (1,), "x")


def test_an_array_lies_over_the_bytes_unless_they_are_out_of_line():
    data = bytes(17)
    first, second = (wire.unpack(memoryview(data)[start : start + 16], "FP32", (4,), "x") for start in (0, 1))
    assert np.shares_memory(first, np.frombuffer(data, np.uint8))
    assert second.flags.aligned
    assert not np.shares_memory(second, np.frombuffer(data, np.uint8))


def test_nothing_is_a_tensor_too():
    assert wire.unpack(memoryview(b""), "FP32", (0, 3), "x").shape == (0, 3)
    assert bytes(wire.pack(np.zeros((0, 3), np.float32))) == b""
