"""The drill stays green on the service, and turns red on one that does not wait for what it began."""

import pytest

from tests.drills import drain
from tests.drills.figures import Ground


@pytest.fixture
def ground(start, tmp_path):
    return Ground(start, tmp_path)


def test_nothing_that_was_begun_is_lost(ground):
    figures = drain.drill(ground, workers=(1,), second=False, turns=8, settings={"drain_delay_s": 1})
    assert [figure for figure in figures if not figure.ok] == []


def test_a_service_that_does_not_wait_for_what_it_began_is_found_out(ground):
    figures = drain.drill(ground, workers=(1,), second=False, settings={"drain_delay_s": 0.5, "drain_s": 0.1})
    assert not next(figure for figure in figures if "in flight answered" in figure.what).ok
