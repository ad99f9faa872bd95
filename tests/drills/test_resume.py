"""The drill on resumed trainings."""

import pytest

from tests.drills import resume
from tests.drills.figures import Ground

SEEDED_ONCE = """
import torch
seed, calls = torch.manual_seed, []
def once(value):
    if not calls:
        calls.append(value)
        return seed(value)
torch.manual_seed = once
"""
"""The state of the generator is that of the process: a resumed one begins it anew."""


@pytest.fixture
def ground(start, tmp_path):
    (tmp_path / "ground").mkdir()
    return Ground(start, tmp_path / "ground")


def test_a_training_that_is_killed_and_resumed_comes_to_the_same_weights(ground):
    found = resume.drill(ground, kills=3, epochs=6, damages=1, graph=False)
    assert not [one for one in found if not one.ok]


def test_a_resume_that_loses_the_generators_state_is_found_out(ground):
    weights, *_ = resume.drill(ground, kills=1, epochs=4, damages=0, plant=SEEDED_ONCE, graph=False)
    assert not weights.ok
    assert weights.reached == "0 of 1"
