"""What a batch costs."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from service import cost
from service.cost import Cost

CURVE = Cost({(1, 1): 0.001, (4, 1): 0.003, (4, 10): 0.02})


def test_a_batch_costs_what_the_next_larger_measured_one_costs():
    assert CURVE(1) == 0.001
    assert CURVE(3) == 0.003
    assert CURVE(2, 5) == 0.02


def test_what_is_larger_than_anything_measured_is_never_cheap():
    assert CURVE(5) == float("inf")
    assert CURVE(1, 11) == float("inf")


@pytest.mark.parametrize(
    ("rows", "length", "seconds"),
    [
        (1, 10, 1.0),
        (4, 10, 2.5),
        (3, 10, 2.0),
        (8, 10, 4.5),
        (1, 20, 2.0),
        (1, 15, 1.5),
        (2, 15, 2.25),
        (1, 40, 4.0),
        (1, 1, 1.0),
    ],
)
def test_between_measured_points_and_beyond_them_a_line_is_drawn(rows, length, seconds):
    curve = Cost({(1, 10): 1.0, (2, 10): 1.5, (4, 10): 2.5, (1, 20): 2.0, (2, 20): 3.0})
    assert curve.estimate(rows, length) == pytest.approx(seconds)


def test_one_measured_point_is_all_that_is_known():
    assert Cost({(1, 1): 0.5}).estimate(9, 9) == 0.5


def test_larger_batches_that_are_dearer_by_the_row_are_not_worth_it():
    curve = Cost({(1, 10): 1.0, (8, 10): 4.0, (16, 10): 8.4, (32, 10): 20.0, (1, 50): 5.0, (8, 50): 50.0})
    assert curve.most_rows(10, 0.0) == curve.most_rows(3, 0.0) == 16
    assert curve.most_rows(50, 0.0) == curve.most_rows(99, 0.0) == 1
    assert curve.most_rows(50, 20.0) == 8, "what is around a batch counts too"


def test_powers_of_two_and_the_largest_batch_are_measured():
    asked = []
    curve = cost.measure(lambda rows, length: asked.append((rows, length)), 6, lengths=(1, 9))
    assert set(curve.points) == {(rows, length) for rows in (1, 2, 4, 6) for length in (1, 9)}
    assert set(asked) == set(curve.points)


def test_batches_that_are_never_made_are_not_timed():
    curve = cost.measure(lambda rows, length: None, 4, lengths=(1, 10, 100), max_padded=20)
    assert set(curve.points) == {(1, 1), (2, 1), (4, 1), (1, 10), (2, 10), (1, 100)}


def test_a_start_is_not_spent_on_batches_that_are_long_anyway():
    curve = cost.measure(lambda rows, length: time.sleep(0.001 * rows * length), 64, lengths=(1, 10))
    assert max(rows for rows, length in curve.points if length == 10) <= 4
    assert curve(64, 10) == float("inf")


def test_the_curve_can_be_shown():
    assert CURVE.public()[0] == {"rows": 1, "length": 1, "ms": 1.0}


@pytest.mark.anyio
async def test_a_hop_takes_some_time_and_not_much():
    with ThreadPoolExecutor(1) as pool:
        assert 0 < await cost.hop_s(pool) < 0.1
