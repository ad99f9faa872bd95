"""Where a version comes from, and what is different between two."""

from datetime import UTC, datetime

import pytest

from service.lineage import LONGEST, difference, lineage
from service.manifest import Manifest
from tests.conftest import write_version


@pytest.fixture
def version(tmp_path):
    def make(number: int = 1, training: dict | None = None, **changes: object) -> Manifest:
        manifest = Manifest.read(write_version(tmp_path, version=number, **changes))
        return manifest.model_copy(update={"training": manifest.training.model_copy(update=training or {})})

    return make


def fields(one: Manifest, other: Manifest) -> dict[str, tuple]:
    return {field["field"]: (field["from"], field["to"]) for field in difference(one, other)["fields"]}


def test_data_recipe_code_and_outcome_are_told(version):
    told = lineage(version(2, {"config": {"epochs": 3}, "code": "abc", "forced": "too low"}, parent=1))
    assert (told["version"], told["parent"], told["config"], told["code"]) == (2, 1, {"epochs": 3}, "abc")
    assert (told["forced"], told["scores"], told["source"]["name"]) == ("too low", {"accuracy": 1.0}, "made")
    assert told["finished"] == "2026-01-01T00:00:00+00:00"


def test_the_versions_are_told_in_the_order_asked(version):
    found = difference(version(3), version(1))
    assert (found["from"], found["to"]) == (3, 1)


def test_a_different_config_is_told_by_its_path(version):
    one, other = version(1, {"config": {"epochs": 3, "rate": 0.1}}), version(2, {"config": {"epochs": 5, "rate": 0.1}})
    assert fields(one, other) == {"training.config.epochs": (3, 5)}


def test_a_field_that_only_one_has_is_nothing_in_the_other(version):
    one, other = version(1, {"config": {"old": 1}}), version(2, {"config": {"new": [2]}})
    assert fields(one, other) == {"training.config.old": (1, None), "training.config.new": (None, [2])}


def test_scores_are_told_with_their_change(version):
    found = difference(version(1, scores={"accuracy": 0.9, "loss": 0.5}), version(2, scores={"accuracy": 0.93, "loss": 0.5}))
    assert found["scores"] == {"accuracy": {"from": 0.9, "to": 0.93, "change": 0.03}}
    assert found["fields"] == []


def test_a_score_that_only_one_has_did_not_change_by_anything(version):
    found = difference(version(1, scores={"old": 0.9}), version(2, scores={"new": 0.8}))
    assert found["scores"] == {
        "old": {"from": 0.9, "to": None, "change": None},
        "new": {"from": None, "to": 0.8, "change": None},
    }


def test_files_differ_by_digest(version):
    found = difference(version(1), version(2, gain=0.5, files={"more.txt": b"x"}))
    assert found["files"] == ["golden.npz", "model.onnx", "more.txt"]
    assert found["fields"] == []


def test_a_long_value_is_shortened(version):
    one, other = version(1), version(2, labels=tuple(f"label {number}" for number in range(100)))
    short = fields(one, other)["labels"][1]
    assert len(short) == LONGEST
    assert short.startswith("['label 0', 'label 1'")
    assert short.endswith("...")


def test_a_value_that_is_not_too_long_keeps_its_kind(version):
    assert fields(version(1), version(2, labels=("day", "night")))["labels"] == (["dark", "light"], ["day", "night"])


def test_two_that_differ_only_in_what_every_training_changes_differ_in_nothing(version):
    one, other = version(1), version(2, {"finished": datetime(2026, 2, 2, tzinfo=UTC), "seconds": 9.0}, statistics={"mean": 1})
    other = other.model_copy(update={"golden": other.golden.model_copy(update={"parity": 1e-5})})
    assert difference(one, other) == {"from": 1, "to": 2, "scores": {}, "fields": [], "files": []}


def test_other_fields_of_what_is_partly_passed_over_are_told(version):
    one, other = version(1), version(2, {"seconds": 9.0, "seed": 7})
    other = other.model_copy(update={"golden": other.golden.model_copy(update={"parity": 1e-5, "tolerance": 0.5})})
    assert fields(one, other) == {"golden.tolerance": (1e-4, 0.5), "training.seed": (0, 7)}
