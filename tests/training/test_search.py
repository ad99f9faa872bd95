"""A search for hyper-parameters: validation chooses, the best goes through the gate, a stopped one goes on."""

import csv
import dataclasses
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from service.manifest import Manifest
from tests.training.conftest import QUICK, SIZES
from training import loop, search
from training.__main__ import main
from training.families import classifier
from training.families.classifier import Config
from training.pipeline import Options
from training.room import TrainingError, rooms

pytest.importorskip("optuna", reason="the extra `search` is not installed")
CONFIG = Config(architecture="dense", image_size=28, channels=1, epochs=3, batch_size=64, augment=False, validation_share=0.2)
SPACE = search.space(classifier, CONFIG)


@pytest.fixture
def searched(place, pictures):
    def run(trials: int = 5, **options) -> search.Found:
        asked = Options(name="x", data=pictures, **options)
        return search.search("classifier", classifier, CONFIG, asked, Console(quiet=True), trials)

    return run


def test_the_first_trial_is_the_configuration_as_given_and_the_best_by_validation_is_published(searched, place):
    found = searched()
    assert len(found.trials) == 5
    given = {name: getattr(CONFIG, name) for name in SPACE}
    assert found.trials[0].values == pytest.approx(given)
    complete = [one for one in found.trials if one.state == "complete"]
    assert found.best == max(complete, key=lambda one: one.score).number
    published = Manifest.read(found.outcome.folder)
    chosen = found.trials[found.best].values
    assert {name: published.training.config[name] for name in chosen} == pytest.approx(chosen)
    assert "1" in {path.parent.name for path in place.models.rglob("manifest.json")}


def test_the_best_network_is_the_trials_own_and_not_trained_again(searched, monkeypatch):
    steps, step = [], classifier.step
    monkeypatch.setattr(classifier, "step", lambda *asked: (steps.append(1), step(*asked))[1])
    found = searched(trials=2)
    each = sum(loop._steps(CONFIG, 320))
    expected = sum(one.epochs * each / 3 * 64 / one.values["batch_size"] for one in found.trials)
    assert len(steps) <= expected * 1.3


def test_the_table_and_the_picture_are_there_after_every_trial(searched, place, monkeypatch):
    told, tell = [], search._tell
    monkeypatch.setattr(search, "_tell", lambda study, job, tried: (tell(study, job, tried), told.append(job.run.folder))[0])
    searched(trials=3)
    rows = list(csv.DictReader((told[0] / search.RESULTS).read_text().splitlines()))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert set(SPACE) < set(rows[0])
    with Image.open(told[0] / search.PICTURE) as picture:
        assert "trials" in picture.info["Description"]
    assert len(told) == 3


def test_a_search_that_was_stopped_goes_on(searched, monkeypatch):
    fits, fit = [], loop.fit

    def interrupted(room, config, data, run):
        fits.append(config)
        if len(fits) == 3:
            raise KeyboardInterrupt
        return fit(room, config, data, run)

    monkeypatch.setattr(loop, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        searched(trials=4)
    found = searched(trials=4, resume=True)
    assert [one.state for one in found.trials].count("failed") == 1  # the one that was under way
    assert len(found.trials) == 4


def test_a_configuration_that_cannot_be_trained_costs_only_its_trial(searched, monkeypatch):
    fits, fit = [], loop.fit

    def failing(room, config, data, run):
        fits.append(config)
        if len(fits) == 1:
            raise TrainingError("The loss became nan.")
        return fit(room, config, data, run)

    monkeypatch.setattr(loop, "fit", failing)
    found = searched(trials=2)
    assert [one.state for one in found.trials] == ["failed", "complete"]


def test_where_no_trial_ends_nothing_is_published(searched, place, monkeypatch):
    def failing(*_):
        raise TrainingError("The loss became nan.")

    monkeypatch.setattr(loop, "fit", failing)
    with pytest.raises(TrainingError, match="No trial came to its end"):
        searched(trials=2)
    assert not list(place.models.rglob("manifest.json"))


def test_a_trial_behind_the_others_is_ended_early(searched, monkeypatch):
    monkeypatch.setattr(search, "FREE_TRIALS", 1)
    monkeypatch.setitem(search.AROUND, "learning_rate", (1e-6, 4.0))
    found = searched(trials=8)
    ended = [one for one in found.trials if one.state == "behind"]
    assert ended
    assert all(one.epochs < CONFIG.epochs for one in ended)


def test_without_optuna_the_extra_is_named(monkeypatch, searched):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TrainingError, match="extra `search`"):
        searched()


@pytest.mark.parametrize("trials", [0, -1, 10_001])
def test_a_number_of_trials_that_makes_no_sense_is_refused(searched, trials):
    with pytest.raises(TrainingError, match=f"--trials is {trials}"):
        searched(trials=trials)


def test_the_command_prints_the_best_first(place, pictures, capsys):
    assert main(["search", "classifier", "--trials", "2", "--data", str(pictures), "--name", "x", *SIZES, *QUICK[4:]]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = [
        place for place, line in enumerate(lines) if line.startswith("trial ") and "accuracy" in line and "state" in line
    ]
    scores = [float(line.split()[1]) for line in lines[head + 1 : head + 3]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("family", rooms())
def test_every_family_has_something_to_search_within_its_bounds(family):
    config = rooms()[family].Config()
    tried = search.space(rooms()[family], config)
    for name, span in tried.items():
        for value in span if isinstance(span, tuple) else (span.least, span.most):
            dataclasses.replace(config, **{name: value})
    assert "learning_rate" in tried
    assert len(tried) > 2


def test_the_picture_stands_although_no_trial_is_whole(tmp_path):
    trial = search.Trial(0, "behind", 0.5, 1, 1.0, {name: _middle(span) for name, span in SPACE.items()})
    assert search.draw([trial], classifier.gate, SPACE, Path(tmp_path / "x.png")).exists()


def _middle(span):
    return span[0] if isinstance(span, tuple) else (span.least + span.most) / 2
