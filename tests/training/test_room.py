"""What a room must offer."""

import dataclasses
import inspect
from dataclasses import dataclass

import pytest

from training.room import RECIPE_BOUNDS, TrainingError, check, rooms

OFFERED = ("data", "pretrain", "rows", "sample", "evaluate", "export", "baselines", "statistics", "draw")
TRAINED_BY_THE_LOOP = ("network", "step")


@dataclass
class Config:
    epochs: int = 1
    batch_size: int = 1
    learning_rate: float | None = None
    weight_decay: float = 0
    focus: float = 1
    clip: float | None = None
    seed: int = 0


def test_every_room_offers_all_of_it():
    for name, room in rooms().items():
        assert all(callable(getattr(room, one, None)) for one in OFFERED), name
        assert 0 <= room.tolerance < 1
        assert room.reported[0] == room.gate
        assert {"epochs", "seed"} <= set(vars(room.Config()))
        if not hasattr(room, "fit"):
            assert all(callable(getattr(room, one, None)) for one in TRAINED_BY_THE_LOOP), name
            recipe = (*RECIPE_BOUNDS, "schedule", "average", "focus", "precision")
            assert all(hasattr(room.Config(), field) for field in recipe), name


@pytest.mark.parametrize("name", rooms())
def test_each_field_of_a_configuration_has_its_comment(name):
    configuration = rooms()[name].Config
    lines = [line.strip() for line in inspect.getsource(configuration).splitlines()]
    for field in dataclasses.fields(configuration):
        (at,) = (index for index, line in enumerate(lines) if line.startswith(f"{field.name}: "))
        assert lines[at - 1].startswith("# "), field.name


@pytest.mark.parametrize(
    ("field", "value"),
    [("epochs", 0), ("batch_size", -1), ("learning_rate", float("nan")), ("weight_decay", -0.1), ("seed", 2**40)],
)
def test_a_value_out_of_bounds_is_refused_by_its_option(field, value):
    with pytest.raises(TrainingError, match=f"^--{field.replace('_', '-')} is .*; expected "):
        check(Config(**{field: value}), RECIPE_BOUNDS)


def test_a_value_that_is_not_set_is_not_checked():
    check(Config(learning_rate=None), RECIPE_BOUNDS)
