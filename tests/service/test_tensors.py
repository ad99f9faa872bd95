"""Arrays by name."""

import numpy as np
import pytest

from service import tensors
from service.errors import InvalidTensor, ModelFailed
from service.manifest import TensorSpec

TEXT = (
    TensorSpec(name="tokens", datatype="INT64", shape=("batch", "time")),
    TensorSpec(name="scale", datatype="FP32", shape=("batch", 2)),
)


def item(rows: int = 1, time: int = 3) -> dict:
    return {"tokens": np.ones((rows, time), np.int64), "scale": np.ones((rows, 2), np.float32)}


def test_the_right_arrays_pass():
    tensors.check(item(), TEXT, {})
    tensors.check(item(), TEXT, {"time": 3})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tokens": np.ones((1, 3), np.int32)}, "Input 'tokens' has datatype INT32; expected INT64."),
        ({"scale": np.ones((1, 3), np.float32)}, r"Input 'scale' has shape \[1, 3\]; expected \[-1, 2\]."),
        ({"tokens": np.ones(3, np.int64)}, r"Input 'tokens' has shape \[3\]; expected \[-1, -1\]."),
        ({"tokens": np.ones((0, 3), np.int64)}, "has shape"),
        ({"scale": np.ones((2, 2), np.float32)}, "'scale' has 2 along its axis 'batch' and 'tokens' has 1"),
        ({"scale": np.array([[1, np.nan]], np.float32)}, "NaN or infinity"),
        ({"other": np.ones(1)}, "The inputs are"),
    ],
)
def test_a_wrong_array_is_named_with_what_was_expected(change, sentence):
    with pytest.raises(InvalidTensor, match=sentence):
        tensors.check({**item(), **change}, TEXT, {})


def test_a_free_axis_has_the_manifests_limit():
    with pytest.raises(InvalidTensor, match="Input 'tokens' has 4 along its axis 'time'; this model takes at most 3"):
        tensors.check(item(1, 4), TEXT, {"time": 3})


def test_ones_are_of_every_inputs_type_and_length():
    found = tensors.ones(TEXT, 2, 5)
    assert {name: (array.shape, array.dtype, bool(array.all())) for name, array in found.items()} == {
        "tokens": ((2, 5), np.dtype(np.int64), True),
        "scale": ((2, 2), np.dtype(np.float32), True),
    }


def test_joined_items_come_apart_again():
    items = [item(1), item(3), item(2)]
    joined = tensors.join(items)
    assert joined["tokens"].shape == (6, 3)
    apart = tensors.split(joined, [1, 3, 2])
    assert [tensors.rows(one) for one in apart] == [1, 3, 2]


def test_shorter_items_are_padded_with_zeros_at_the_end():
    joined = tensors.join([item(1, 2), item(2, 4)])
    assert joined["tokens"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]


def test_one_item_is_not_copied():
    alone = item()
    assert tensors.join([alone]) is alone


def test_a_long_item_is_cut_in_chunks():
    assert [tensors.rows(chunk) for chunk in tensors.chunks(item(10), 4)] == [4, 4, 2]


def test_the_length_is_along_free_axes_only():
    assert tensors.length(item(5, 9), TEXT) == 9
    assert tensors.length({"scale": np.ones((5, 2), np.float32)}, TEXT[1:]) == 1


def test_an_output_that_is_no_number_is_the_models_fault():
    with pytest.raises(ModelFailed, match="'y'"):
        tensors.finite({"y": np.array([np.inf])})


def test_every_datatype_has_one_dtype():
    assert len(tensors.DTYPES) == len(tensors.DATATYPES)


def test_singles_are_the_rows_in_order():
    batch = {"a": np.arange(6).reshape(3, 2), "b": np.arange(3)}
    singles = tensors.singles(batch)
    assert [one["a"].tolist() for one in singles] == [[[0, 1]], [[2, 3]], [[4, 5]]]
    assert [one["b"].tolist() for one in singles] == [[0], [1], [2]]


def test_an_answer_or_what_is_wrong_with_it():
    right, wrong = {"y": np.array([1.0])}, {"y": np.array([np.nan])}
    assert tensors.or_error(right) is right
    assert isinstance(tensors.or_error(wrong), ModelFailed)
