"""Recorded rows."""

import numpy as np
import pytest

from service import golden
from service.golden import Golden

DOUBLED = Golden({"x": np.arange(12.0).reshape(12, 1)}, {"y": 2 * np.arange(12.0).reshape(12, 1)})


def test_what_is_packed_is_unpacked():
    again = Golden.unpack(DOUBLED.pack())
    assert again.rows == 12
    assert np.array_equal(again.outputs["y"], DOUBLED.outputs["y"])


def test_the_right_answers_do_not_differ():
    assert DOUBLED.difference(lambda arrays: {"y": 2 * arrays["x"]}) == 0


def test_the_difference_is_the_largest_one():
    assert DOUBLED.difference(lambda arrays: {"y": 2 * arrays["x"] + (arrays["x"] == 11)}) == pytest.approx(1 / 22)


def test_rows_asked_one_by_one_count_too():
    assert DOUBLED.difference(lambda arrays: {"y": 2 * arrays["x"] + (len(arrays["x"]) == 1)}) == pytest.approx(1 / 22)


def test_nan_is_a_difference():
    assert np.isnan(DOUBLED.difference(lambda arrays: {"y": arrays["x"] * np.nan}))


@pytest.mark.parametrize("answer", [{}, {"y": np.zeros(3)}, {"z": np.zeros((12, 1))}])
def test_a_missing_output_or_another_shape_is_an_error(answer):
    with pytest.raises((ValueError, KeyError)):
        DOUBLED.difference(lambda _: answer)


@pytest.mark.parametrize("data", [b"", b"junk", DOUBLED.pack()[:-30], Golden({}, {}).pack()])
def test_a_broken_file_is_refused(data):
    with pytest.raises(ValueError, match=r"."):
        Golden.unpack(data)


def test_pickled_objects_are_refused():
    with pytest.raises(ValueError, match="pickle"):
        Golden.unpack(Golden({"x": np.array([{}], object)}, {"y": np.zeros(1)}).pack())


def test_a_small_file_of_very_much_is_not_unpacked(monkeypatch):
    data = Golden({"x": np.zeros((2, 10**6))}, {"y": np.zeros((2, 1))}).pack()
    assert len(data) < 2**16
    monkeypatch.setattr(golden, "LARGEST", 10**6)
    with pytest.raises(ValueError, match=r"it unpacks to 16\d* bytes; at most 1000000 are read"):
        Golden.unpack(data)


CHOSEN = Golden({"x": np.arange(100.0).reshape(100, 1)}, {"place": np.arange(100).reshape(100, 1), "y": np.zeros((100, 1))})


@pytest.mark.parametrize(("other", "difference"), [(0, 0), (2, 0), (3, np.inf)])
def test_whole_numbers_are_choices_of_which_a_few_may_fall_the_other_way(other, difference):
    def answers(arrays):
        place = arrays["x"].astype(np.int64)
        return {"place": np.where(place >= 100 - other, 0, place), "y": 0 * arrays["x"]}

    assert CHOSEN.difference(answers) == difference
