"""The drill on damaged versions."""

import pytest

from service import rehearsal
from service.rehearsal import Rehearsal
from tests.drills import corrupt
from tests.drills.figures import Ground

UNCHECKED = """
from service import repository
repository.sha256 = lambda data: type("Any", (), {"__ne__": lambda *_: False})()
"""
"""A loader that takes every digest for right."""


@pytest.fixture
def ground(start, tmp_path):
    (tmp_path / "ground").mkdir()
    return Ground(start, tmp_path / "ground")


def test_damaged_versions_are_refused_beside_one_that_answers(ground):
    found = corrupt.drill(ground, cuts=30, flips=20, kinds=12, live=6)
    assert not [one for one in found if not one.ok]


def test_a_loader_that_skips_digests_is_found_out(ground, monkeypatch):
    monkeypatch.setattr(corrupt, "_before_services", lambda *_: [])
    start = Rehearsal._start
    monkeypatch.setattr(Rehearsal, "_start", lambda self, _: start(self, UNCHECKED + rehearsal.EQUAL))
    _, _, flipped, _ = corrupt.drill(ground, cuts=0, flips=40, kinds=1)
    assert not flipped.ok
    assert not flipped.reached.startswith("served 0")
