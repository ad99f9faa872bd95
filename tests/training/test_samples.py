"""What a version's page starts with."""

import json

import numpy as np
import pytest

from service.golden import Arrays
from service.manifest import SAMPLES, Manifest
from service.samples import Samples
from service.vocabulary import FILE, Vocabulary
from tests.conftest import write_version
from training import samples
from training.__main__ import main
from training.room import NO_SOURCE, Data, Scores

LABELS = ("a", "b", "c")


def data(**test) -> Data:
    return Data({}, {}, {key: np.asarray(value) for key, value in test.items()}, NO_SOURCE, {}, LABELS)


def pictures(labels: list[int]) -> Data:
    return data(image=np.zeros((len(labels), 4, 4, 1), np.uint8), label=labels)


def scores(*rows: tuple[float, ...], **arrays) -> Scores:
    found: Arrays = {"probabilities": np.array(rows)} if rows else {}
    return Scores({}, arrays={**found, **arrays})


def test_pictures_of_each_label_come_in_turn():
    found = samples.of(pictures([0, 0, 0, 2, 1, 1]), scores(), 4)
    assert [one.truth for one in found] == ["a", "b", "c", "a"]
    assert all(len(one.body["images"]) == 1 for one in found)


def test_the_surest_mistake_and_the_least_sure_hit_come_last_and_are_named():
    rows = [(0.9, 0.1, 0), (0.5, 0.4, 0.1), (0.1, 0.8, 0.1), (0.05, 0.95, 0), (0.0, 0.6, 0.4), (0.2, 0.7, 0.1)]
    found = samples.of(pictures([0, 0, 1, 0, 2, 1]), scores(*rows), 5)
    assert [(one.truth, one.title) for one in found[-2:]] == [("a", "hardly told"), ("a", "taken for another")]
    assert len(found) == 5


def test_texts_are_shown_as_they_are():
    found = samples.of(data(text=np.array(["good", "bad"], object), label=[1, 0]), scores(), 9)
    assert [(one.body["texts"], one.truth) for one in found] == [(["bad"], "a"), (["good"], "b")]


def test_of_texts_whose_authors_nobody_asked_ours_are_shown():
    public = NO_SOURCE.model_copy(update={"name": "IMDb reviews"})
    found = samples.of(Data({}, {}, {"text": np.array(["x"], object), "label": np.zeros(1)}, public, {}, LABELS), scores(), 12)
    assert len(found) == 8
    assert all(one.title and one.body["texts"] != ["x"] for one in found)


def test_a_series_is_one_stretch_as_long_as_its_windows_go_on():
    steps = np.arange(40, dtype=np.float32)[:, np.newaxis] * (1, 10, 100)
    windows = np.stack([steps[start : start + 6] for start in (*range(20), 30, 31)])
    (found,) = samples.of(data(window=windows), scores(), 12)
    assert found.body["series"]["a"] == list(range(25))
    assert found.body["series"]["c"][-1] == 2400


def test_no_row_of_ones_own_is_shown_unasked_and_words_are_no_rows():
    assert samples.of(pictures([0, 1]), scores(), 0) == []
    known = Vocabulary(("x", "y", "z"), (3, 2, 1))
    words = Data({}, {}, {}, NO_SOURCE, {}, files={FILE: known.dump()})
    assert [one.body["words"] for one in samples.of(words, scores(), 0)] == [["x"], ["y"], ["z"]]


# `python -m training samples`

MINE = {"note": "mine", "samples": [{"title": "t", "body": {"images": ["AAAA"]}, "truth": "dark"}]}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(MINE))
    return path


def test_a_version_is_published_anew_with_samples_for_its_page(tmp_path, file):
    models = tmp_path / "models"
    write_version(models, files={SAMPLES: b"old"}, evaluate="python -m training evaluate light:1")
    assert main(["samples", "light", str(file), "--models-dir", str(models)]) == 0
    manifest = Manifest.read(models / "light" / "2")
    assert (manifest.version, manifest.parent, manifest.evaluate) == (2, 1, "python -m training evaluate light:2")
    assert Samples.model_validate_json((models / "light" / "2" / SAMPLES).read_bytes()).note == "mine"
    assert (models / "light" / "2" / "model.onnx").read_bytes() == (models / "light" / "1" / "model.onnx").read_bytes()
    assert manifest.files["model.onnx"] == Manifest.read(models / "light" / "1").files["model.onnx"]


def test_a_version_published_elsewhere_starts_anew(tmp_path, file):
    models, into = tmp_path / "models", tmp_path / "into"
    write_version(models, version=3, evaluate="python -m training evaluate light:3")
    assert main(["samples", "light:3", str(file), "--models-dir", str(models), "--into", str(into)]) == 0
    manifest = Manifest.read(into / "light" / "1")
    assert (manifest.version, manifest.parent, manifest.evaluate) == (1, None, "python -m training evaluate light:1")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"junk", "holds no samples"), (b'{"samples": []}', "samples: "), (b'{"samples": [{"body": 1}]}', "samples.0.body")],
)
def test_a_file_that_holds_no_samples_is_one_line_and_publishes_nothing(tmp_path, file, capsys, content, said):
    models = tmp_path / "models"
    write_version(models)
    file.write_bytes(content)
    assert main(["samples", "light", str(file), "--models-dir", str(models)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert [path.name for path in (models / "light").iterdir()] == ["1"]


def test_a_file_that_is_not_there_is_one_line(tmp_path, capsys):
    write_version(tmp_path / "models")
    assert main(["samples", "light", str(tmp_path / "none.json"), "--models-dir", str(tmp_path / "models")]) == 1
    assert "No such file" in capsys.readouterr().err
