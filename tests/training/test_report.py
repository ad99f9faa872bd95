"""A run's report, and that of several runs."""

import base64
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from rich.console import Console

from tests.training.conftest import QUICK, SIZES, WORSE
from training import report
from training.__main__ import main
from training.checkpoint import Checkpoint
from training.families import classifier
from training.room import TrainingError, rooms
from training.run import CONFIG, METRICS, STOPPED, SUMMARY, Run

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = '<b onclick="x">&"'


class Read(HTMLParser):
    """What a page holds; fails where a tag is left open."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.links, self.alts, self.words = text, [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.links += [found[key] for key in ("src", "href", "data", "action", "srcset") if key in found]
        self.alts += [found["alt"]] if tag == "img" else []
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())

    @property
    def headings(self):
        return [int(level) for level in re.findall(r"<h([1-6])", self.text)]

    @property
    def pictures(self):
        return [base64.b64decode(one.split(",")[1]) for one in self.links if one.startswith("data:")]


def page(path):
    return Read(path.read_text())


@pytest.fixture
def known():
    return rooms()


@pytest.fixture
def begun(tmp_path):
    """A run of two epochs out of three that has no end yet."""
    asked = {"family": "classifier", "name": "x", "source": "0" * 64, "epochs": 3, "architecture": "book", "clip": None}
    run = Run.begin(tmp_path / "runs", "x", asked, Console(quiet=True))
    rows = [{"epoch": epoch, "train_loss": 1 / epoch, "accuracy": 0.5, "seconds": 2.0} for epoch in (1, 2)]
    run.record(rows[-1], Checkpoint({}, {"history": rows}))
    return run


# Of one run


def test_a_training_leaves_a_report_of_all_that_it_came_to(trained):
    found = page(trained.run / report.REPORT)
    summary = json.loads((trained.run / SUMMARY).read_text())
    manifest = trained.manifest()
    for score, value in summary["scores"].items():
        assert score.replace("_", " ") in found.words
        assert report.page.said(value) in found.words
    for word in ("commonest label", "linear model", "Published as x:1.", manifest.training.command, manifest.source.sha256,
                 manifest.training.code, manifest.training.libraries["torch"], "535,818", "--learning-rate",
                 "Peak rate of AdamW; the architecture's own where none is given.", "precision", "recall"):  # fmt: skip
        assert word in found.words, word


def test_each_picture_of_the_run_is_in_it_and_says_what_it_shows(trained):
    found = page(trained.run / report.REPORT)
    drawn = {path.read_bytes() for path in trained.run.glob("*.png")}
    assert len(drawn) == 3
    assert set(found.pictures) == drawn
    assert len(set(found.alts)) == 3
    assert any(re.search(r"A matrix of 10 labels.*of 60 right", alt) for alt in found.alts)


def test_it_stands_alone(trained):
    found = page(trained.run / report.REPORT)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in found.links)
    assert not re.search(r"url\(|@import|<script|https?://", found.text)


def test_its_headings_are_in_order_and_its_language_is_named(trained):
    found = page(trained.run / report.REPORT)
    assert found.text.startswith('<!doctype html>\n<html lang="en">')
    assert found.headings[0] == 1
    assert set(found.headings[1:]) == {2}
    for landmark in ("header", "nav", "main", "footer"):
        assert len(re.findall(rf"<{landmark}\b", found.text)) == 1, landmark


def test_it_does_not_say_where_things_lie(trained, pictures):
    text = (trained.run / report.REPORT).read_text()
    for word in (str(pictures), str(pictures.parent), str(trained.models.parent)):
        assert word not in text


def test_a_refused_version_has_one_too(trained, train, capsys):
    assert train(*WORSE) == 3
    assert f"report {trained.run / report.REPORT}" in capsys.readouterr().out
    found = page(trained.run / report.REPORT)
    assert any(re.match(r"Refused by the gate, so nothing was published: its accuracy is 0\.", word) for word in found.words)


def test_a_forced_version_says_what_the_gate_said(trained, train):
    assert train(*WORSE, "--force") == 0
    assert "Published as x:2, although the gate refused: its accuracy" in (trained.run / report.REPORT).read_text()


def test_a_training_that_fails_leaves_a_report_that_says_why(place, train, monkeypatch, capsys):
    def step(network, batch, config):
        return network(batch["image"].permute(0, 3, 1, 2).float()).sum(1) * float("nan")

    monkeypatch.setattr(classifier, "step", step)
    assert train(*QUICK) == 1
    assert capsys.readouterr().err.startswith("modelyard: The loss became nan in epoch 1")
    found = page(place.run / report.REPORT)
    assert any(word.startswith("Stopped after 0 of 3 epochs: The loss became nan in epoch 1") for word in found.words)
    assert json.loads((place.run / STOPPED).read_text())["why"].startswith("The loss became nan")
    assert "Scores" not in found.words


def test_a_report_that_cannot_be_written_costs_no_version(place, train, monkeypatch, capsys):
    def fail(*asked):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write", fail)
    assert train(*QUICK) == 0
    assert "no report: [Errno 28] No space left on device" in capsys.readouterr().out
    assert place.manifest().version == 1


def test_an_unfinished_run_has_a_report_of_what_is_there(begun, known):
    before = sorted(begun.folder.iterdir())
    found = page(report.write(begun.folder, known))
    assert "Not finished: this is what there is after 2 of 3 epochs." in found.words
    assert {"Learning curves", "Configuration", "--clip", "not set"} <= set(found.words)
    assert not {"Scores", "Evaluation", "Pictures", "Code"} & set(found.words)
    assert len(found.pictures) == 1  # the curves, drawn for the page
    assert sorted(begun.folder.iterdir()) == sorted([*before, begun.folder / report.REPORT])


def test_a_run_that_has_only_begun_has_one_too(tmp_path, known):
    run = Run.begin(tmp_path, "x", {"family": "gone", "name": "x"}, Console(quiet=True))
    found = page(report.write(run.folder, known))
    assert "Not finished: this is what there is after 0 of ? epochs." in found.words
    assert not found.pictures


def test_what_was_trained_before_it_is_shown(begun, known):
    shutil.copy(begun.folder / METRICS, begun.part("teacher").folder)
    assert "Trained before it: teacher" in page(report.write(begun.folder, known)).words


def test_whatever_a_label_holds_is_text(begun, known):
    begun.finish({"scores": {"accuracy": 0.5}, "tables": {HOSTILE: [{"label": HOSTILE, "rows": 1}]}, "refused": HOSTILE})
    found = page(report.write(begun.folder, known))
    assert HOSTILE in found.words
    assert "<b " not in found.text
    assert any(HOSTILE in word for word in found.words if word.startswith("Refused"))


def test_the_comment_above_a_field_is_found():
    found = report.comments(classifier.Config)
    assert found["batch_size"] == "Rows in one step."
    assert set(found) == set(classifier.Config.__dataclass_fields__)
    assert report.comments(type("Made", (), {})) == {}


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (CONFIG, "{", "config.json cannot be read"),
        (CONFIG, "[]", "config.json holds no JSON object"),
        (CONFIG, "{}", "is no run: its config.json names no family and model"),
        (SUMMARY, "x", "summary.json cannot be read"),
        (METRICS, "epoch,train_loss\n1,x\n", "metrics.csv cannot be read"),
        ("a.png", "x", "a.png is no whole PNG"),
    ],
)
def test_a_file_that_is_not_a_runs_is_named(begun, known, file, content, said):
    (begun.folder / file).write_text(content)
    with pytest.raises(TrainingError, match=said):
        report.write(begun.folder, known)


# Which run


def test_a_run_goes_by_its_folder_its_models_name_or_both(begun, tmp_path):
    runs = tmp_path / "runs"
    newer = Run.begin(runs, "x", {}, Console(quiet=True)).folder
    (runs / "x" / "evaluation-9").mkdir()
    (runs / "x" / report.COMPARISON).touch()
    assert report.find(runs, str(begun.folder)) == begun.folder
    assert report.find(runs, f"x/{begun.folder.name}") == begun.folder
    assert report.find(runs, "x") == report.find(runs, str(runs / "x")) == newer


@pytest.mark.parametrize("named", ["y", "x/20200101-000000", "y/..", "report.html", "\0"])
def test_where_there_is_no_such_run_those_that_are_are_named(begun, tmp_path, named):
    with pytest.raises(TrainingError, match=r"^There is no run .* in .*runs; there are runs of x\.$"):
        report.find(tmp_path / "runs", named)


# Of several runs


@pytest.fixture
def several(begun, tmp_path):
    """`begun`, and a finished one of one epoch."""
    other = Run.begin(tmp_path / "runs", "x", {**json.loads((begun.folder / CONFIG).read_text()), "epochs": 1}, begun.console)
    row = {"epoch": 1, "train_loss": 0.7, "accuracy": 0.6, "seconds": 3.0}
    other.record(row, Checkpoint({}, {"history": [row]}))
    other.finish({"scores": {"accuracy": 0.61}, "training": {"parameters": 1234, "command": "python -m training train x"}})
    return [begun.folder, other.folder]


def test_several_runs_are_drawn_over_one_another(several, known, tmp_path):
    found = page(report.compare(several, known, tmp_path / "over.html"))
    (alt,) = found.alts
    assert re.match(r"Two charts of 2 runs by epoch: .* at the end \S+ 0\.5000, \S+ 0\.6000\.$", alt)
    assert {"0.6100", "1,234", "--epochs", "python -m training train x", "1 of 2 runs are not finished."} <= set(found.words)
    assert {folder.name for folder in several} <= set(found.words)
    assert "--architecture" not in found.words  # the same in both
    assert found.words.index("accuracy") < found.words.index("parameters")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["over.html", "runs"]


def test_scores_of_different_rows_are_told_of(several, known, tmp_path):
    config = json.loads((several[0] / CONFIG).read_text())
    (several[0] / CONFIG).write_text(json.dumps({**config, "source": "1" * 64}))
    found = page(report.compare(several, known, tmp_path / "over.html"))
    assert any("had different data" in word for word in found.words)


def test_runs_without_epochs_have_no_curves(several, known, tmp_path):
    for folder in several:
        (folder / METRICS).unlink()
    found = page(report.compare(several, known, tmp_path / "over.html"))
    assert not found.pictures
    assert "0.6100" in found.words


def test_runs_of_two_families_are_not_compared(several, known, tmp_path):
    (several[0] / CONFIG).write_text(json.dumps({"family": "forecaster", "name": "y"}))
    with pytest.raises(TrainingError, match="of the families classifier, forecaster; only those of one"):
        report.compare(several, known, tmp_path / "over.html")


def test_variants_leave_a_page_of_them_all(place, pictures, capsys):
    words = ["--only", "dense", "book", "--data", str(pictures), "--name", "x", *SIZES, "--epochs", "1", "--no-augment"]
    assert main(["compare", "classifier", *words]) == 0
    path = place.runs / "x" / report.COMPARISON
    assert f"report {path}" in capsys.readouterr().out
    found = page(path)
    assert {"dense", "book", "93,322", "535,818", "ms per row", "seconds per epoch", "--architecture"} <= set(found.words)
    assert re.search(r"at the end book [01]\.\d{4}, dense [01]\.\d{4}\.$", found.alts[0])
    assert main(["report", "x"]) == 0
    assert (
        "Trained as the variant 'dense' of a comparison; nothing was to be published." in page(place.run / report.REPORT).words
    )
