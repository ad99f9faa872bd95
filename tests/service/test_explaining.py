"""Asking again with a part hidden or left out."""

import numpy as np
import pytest

from service import explaining


def bright_corner(pictures):
    """Two labels: the second by how light the upper left quarter is."""
    light = pictures[:, :4, :4].mean((1, 2, 3)) / 255
    return np.stack([1 - light, light], 1).astype(np.float32)


def test_hiding_what_an_answer_rests_on_changes_it_and_hiding_the_rest_does_not():
    picture = np.zeros((1, 16, 16, 1), np.uint8)
    picture[0, :4, :4] = 255
    found = explaining.occluded(picture, bright_corner)
    assert found.shape == (1, 10, 10, 2)
    assert found[0, 0, 0].tolist() == [1, 0]
    assert (found[0, 5:, 5:, 1] == 1).all()


def test_the_squares_reach_both_edges():
    where = explaining.squares(28, 40)
    assert (where.patch, where.tops[0], where.tops[-1], where.lefts[-1]) == (7, 0, 21, 33)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_tiny_picture_has_a_square_for_each_place_there_is(side):
    found = explaining.occluded(np.zeros((1, side, side, 3), np.uint8), bright_corner)
    assert found.shape[1] == found.shape[2] == min(10, side - max(1, side // 4) + 1)


def test_what_hides_is_the_pictures_own_ground():
    seen = []

    def ask(pictures):
        seen.append(pictures)
        return bright_corner(pictures)

    picture = np.full((1, 8, 8, 3), (200, 10, 30), np.uint8)
    picture[0, 0, 0] = 0
    explaining.occluded(picture, ask)
    assert (np.concatenate(seen)[:, 1:, 1:] == (200, 10, 30)).all()


def test_log_odds_of_a_certainty_are_finite():
    found = explaining.log_odds(np.array([0, 0.5, 1], np.float32))
    assert np.isfinite(found).all()
    assert found[1] == 0


def last_token(tokens):
    """The probability of the second label is a hundredth of the last number that is no padding."""
    last = np.array([row[row > 0][-1] for row in tokens]) / 100
    return np.stack([1 - last, last], 1).astype(np.float32)


def test_each_beginning_of_a_sequence_is_asked_as_if_it_were_all():
    lengths, found = explaining.after(np.array([[5, 6, 7, 0, 0]], np.int32), 0, last_token)
    assert lengths[0, :4].tolist() == [1, 2, 3, 0]
    np.testing.assert_allclose(found[0, :3, 1], [0.05, 0.06, 0.07], rtol=1e-6)


def test_of_a_long_sequence_beginnings_all_over_it_are_asked():
    lengths, found = explaining.after(np.full((1, 400), 9, np.int32), 0, last_token)
    assert (lengths[0, 0], lengths[0, -1], len(lengths[0])) == (1, 400, explaining.STEPS)
    assert found.shape == (1, explaining.STEPS, 2)


def test_no_more_is_asked_at_once_than_fits():
    sizes = []
    explaining.after(np.full((2, 400), 9, np.int32), 0, lambda rows: (sizes.append(rows.shape), last_token(rows))[1])
    assert max(rows for rows, _ in sizes) <= explaining.RUN_ROWS
    assert sizes[0][1] < 400
