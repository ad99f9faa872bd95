"""The drill stays green on the service, and turns red on one that waits for ever."""

import pytest

from tests.drills import trickle
from tests.drills.figures import Ground

SHORT = {"header_timeout_s": 1, "body_timeout_s": 1.5, "keep_alive_s": 1}
LIMITS = trickle.Limits(headers_s=10, bodies_s=20)
"""Long, for other tests run beside these: all is closed much sooner, and nothing waits for these."""


@pytest.fixture
def ground(start, tmp_path):
    return Ground(start, tmp_path)


def test_who_trickles_is_closed_and_holds_little(ground):
    figures = trickle.drill(ground, window_s=0.5, limits=LIMITS, settings=SHORT)
    # of the honest ones' time nothing can be said while other tests run
    assert [figure for figure in figures if not figure.ok and "honest" not in figure.what] == []


def test_a_service_that_waits_for_headers_and_readers_is_found_out(ground):
    limits = trickle.Limits(headers_s=3, bodies_s=3)
    figures = trickle.drill(ground, window_s=0.5, limits=limits, settings={"header_timeout_s": 60, "body_timeout_s": 60})
    assert [figure.ok for figure in figures if "trickle" in figure.what] == [False, False, False]
