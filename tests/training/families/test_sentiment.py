"""Texts to labels: the room's data, networks, step, graph and scores."""

import csv
import dataclasses
import json
import sys

import numpy as np
import pytest
import torch
from rich.console import Console

from service import text
from service.text import UNKNOWN, Tokenizer
from training import export, loop, texts
from training.__main__ import main
from training.families import sentiment
from training.families.sentiment import Config
from training.room import TrainingError
from training.run import Run
from training.settings import Settings
from training.sources import Sources

DATA_DIR = Settings().data_dir
"""Taken before a test names another."""
SMALL = {"units": 8, "size": 8, "limit": 30, "batch_size": 16, "epochs": 2, "precision": "float32"}
VARIANTS = [
    {"cell": "lstm"},
    {"cell": "gru", "layers": 2, "conv": 0},
    {"cell": "rnn", "bidirectional": False, "conv": 0},
    {"cell": "lstm", "readout": "last"},
    {"cell": "gru", "readout": "last", "conv": 0},
]
GOOD, BAD = ("superb", "lovely", "brilliant", "moving"), ("boring", "awful", "dull", "clumsy")


def review(random, good):
    words = [f"w{random.integers(0, 60)}" for _ in range(random.integers(3, 50))]
    for place in random.integers(0, len(words), 3):
        words[place] = str(random.choice(GOOD if good else BAD))
    return " ".join(words).capitalize() + "."


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """240 reviews in a table, and some words that tell."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("own") / "reviews.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([review(random, row % 2), ("bad", "good")[row % 2]] for row in range(240))
    return path


def data_of(path, **options):
    return sentiment.data(Config(**SMALL | options), Sources(path, None, None, Console(quiet=True)))


@pytest.fixture(scope="session")
def data(own):
    return data_of(own)


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path, "x", {}, Console(quiet=True))


def built(data, **options):
    torch.manual_seed(0)
    config = Config(**SMALL | options)
    return config, sentiment.network(config, data)


def batch(data, rows=32):
    return {name: torch.from_numpy(array[:rows]) for name, array in data.train.items()}


@pytest.mark.parametrize("given", [{"units": 0}, {"limit": 0}, {"word_dropout": 2}, {"conv": -1}, {"vocabulary": 0}])
def test_a_field_out_of_bounds_is_refused_by_its_option(given):
    (field,) = given
    with pytest.raises(TrainingError, match=f"^--{field.replace('_', '-')} is "):
        Config(**given)


# Data


def test_ones_own_texts_are_shared_out_and_numbered_by_the_training_texts_words(data):
    assert data.labels == ("bad", "good")
    assert {key: len(part["label"]) for key, part in {"validation": data.validation, "test": data.test}.items()} == {
        "validation": 20,
        "test": 36,
    }
    assert data.train["tokens"].shape == (184, 30)
    tokenizer = Tokenizer.load(data.files[text.FILE])
    assert {"superb", "boring"} <= set(tokenizer.words)
    assert (tokenizer.limit, tokenizer.head) == (30, 10)


def test_raw_rows_become_numbers_by_the_versions_own_tokenizer(data):
    other = Tokenizer(("superb",), 7, 2)
    found = sentiment.rows(data.test, {text.FILE: other.dump()})
    assert found["tokens"].shape == (36, 7)
    assert set(np.unique(found["tokens"])) <= {0, UNKNOWN, 2}
    assert np.array_equal(found["label"], data.test["label"])


def test_texts_without_a_label_get_a_linear_teachers_opinion(tmp_path, own, run, monkeypatch):
    monkeypatch.setattr(sentiment, "ENOUGH", 0)
    with own.open(newline="") as file:
        table = list(csv.DictReader(file))
    for split in ("train", "test"):
        for label in ("good", "bad"):
            folder = tmp_path / "own" / split / label
            folder.mkdir(parents=True)
            for number, row in enumerate(one for one in table[: 160 if split == "train" else 40] if one["label"] == label):
                (folder / f"{number}.txt").write_text(row["text"])
    (tmp_path / "own" / "train" / "unsup").mkdir()
    for number, row in enumerate(table[160:]):
        (tmp_path / "own" / "train" / "unsup" / f"{number:03}.txt").write_text(row["text"])
    config = Config(**SMALL | {"pretrain": "teacher"})
    data = sentiment.data(config, Sources(tmp_path / "own", None, None, Console(quiet=True)))
    fitted = []

    def fit(config, data, run):
        fitted.append((len(data.train["tokens"]), run.folder.name))
        return loop.fit(sentiment, config, data, run)

    taught = sentiment.pretrain(config, data, run, fit)
    labelled = len(data.train["tokens"])
    assert fitted == [(labelled, "teacher-1"), (labelled + 80, "teacher-2")]
    assert set(run.spent()) == {"vectors", "linear", "taught-1", "taught-2"}
    sentiment.pretrain(config, data, run, fit)
    assert len(fitted) == 2  # a resumed run has its opinions already
    assert taught.source.rows["unlabelled"] == 80
    assert len(taught.train["tokens"]) == len(data.train["tokens"]) + 80
    target = taught.train["target"][-80:]
    assert np.allclose(target.sum(1), 1)
    truth = np.array([row["label"] == "good" for row in table[160:]])
    assert (target.argmax(1) == truth).mean() > 0.9
    assert sentiment.statistics(taught) == sentiment.statistics(data)  # of the labelled rows


def test_where_texts_are_few_the_linear_model_judges_pieces_of_them(data, run, monkeypatch):
    monkeypatch.setattr(sentiment, "ENOUGH", 500)
    taught = sentiment.pretrain(Config(**SMALL), data, run, None)
    assert not taught.given  # no word vectors
    assert len(data.train["tokens"]) == 184
    assert taught.train["tokens"].shape == (500, 30)
    numbers = {word: number for number, word in enumerate(Tokenizer.load(data.files[text.FILE]).words, text.FIRST_WORD)}
    judged, holds = taught.train["target"][184:, 1], taught.train["tokens"][184:]
    good = np.isin(holds, [numbers[word] for word in GOOD]).any(1)
    bad = np.isin(holds, [numbers[word] for word in BAD]).any(1)
    assert judged[good & ~bad].mean() > 0.8
    assert judged[bad & ~good].mean() < 0.2
    assert sentiment.statistics(taught) == sentiment.statistics(data)


def test_without_pretraining_nothing_is_given(data, run):
    assert sentiment.pretrain(Config(**SMALL | {"pretrain": "none"}), data, run, None) is data


def test_word_vectors_are_where_the_network_starts(data, run):
    config = Config(**SMALL | {"pretrain": "vectors"})
    given = sentiment.pretrain(config, data, run, None)
    network = sentiment.network(config, given)
    vectors = torch.from_numpy(given.given["vectors"])
    assert torch.nn.functional.cosine_similarity(network.embedding.weight[1:], vectors[1:]).min() > 0.999


# Networks and steps


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_step_has_a_finite_loss_a_row_and_moves_every_weight(data, variant):
    config, network = built(data, **variant)
    losses = sentiment.step(network.train(), batch(data), config)
    losses.mean().backward()
    assert losses.shape == (32,)
    assert losses.isfinite().all()
    for name, weight in network.named_parameters():
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


def test_words_are_left_out_only_where_wanted(data):
    for share, same in ((0.0, True), (0.5, False)):
        config, network = built(data, word_dropout=share, dropout=0.0)
        one, again = (sentiment.step(network, batch(data), config) for _ in range(2))
        assert torch.equal(one, again) == same


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_sample_is_of_the_public_datas_size(variant):
    network, row = sentiment.sample(Config(**variant))
    assert network(row).shape == (1, 2)


# The graph and its scores


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_graph_answers_alike_padded_and_not(data, variant):
    config, network = built(data, **variant)
    rows = sentiment.rows(data.test, data.files)
    found = export.export(sentiment.export(network.eval(), data, config), rows)
    assert found.parity <= 1e-5
    assert [tensor.shape for tensor in found.spec.inputs] == [("batch", "time")]
    assert [tensor.shape for tensor in found.spec.outputs] == [("batch", 2), ("batch", "time", 2)]
    predict = export.open_graph(found.graph)
    scored = sentiment.evaluate(predict, rows, data.labels)
    whole = predict({"tokens": rows["tokens"]})["probabilities"]
    assert np.abs(scored.arrays["probabilities"] - whole).max() <= 1e-5


def test_baselines_are_chance_and_the_linear_model(data):
    found = sentiment.baselines(data)
    assert found["commonest label"]["accuracy"] == pytest.approx(0.5, abs=0.05)
    assert found["linear model on 1-3-grams"]["accuracy"] > 0.9


def test_statistics_fit_into_json(data):
    found = json.loads(json.dumps(sentiment.statistics(data)))
    assert found["label_shares"] == {"bad": 0.5, "good": 0.5}
    assert len(found["token_deciles"]) == 11


def test_pictures_of_an_evaluation_are_drawn(data, tmp_path):
    rows = sentiment.rows(data.test, data.files)
    scored = sentiment.evaluate(
        lambda arrays: {"probabilities": np.tile([0.3, 0.7], (len(arrays["tokens"]), 1))}, rows, data.labels
    )
    paths = sentiment.draw(scored, rows, data.labels, tmp_path)
    assert {path.name for path in paths} == {"confusion.png", "reliability.png", "lengths.png"}
    assert all(path.stat().st_size > 1000 for path in paths)


def test_an_adversarial_step_costs_more_than_a_plain_one(data):
    config, network = built(data, word_dropout=0.0, dropout=0.0)
    plain = sentiment.step(network, batch(data), config)
    harder = sentiment.step(network, batch(data), dataclasses.replace(config, adversarial=0.1))
    harder.mean().backward()
    assert (harder > plain).float().mean() > 0.9
    assert network.embedding.weight.grad.abs().sum() > 0


def test_adversarial_steps_are_taken_by_the_loop_in_the_cells_own_arithmetic(data, run):
    config = Config(**SMALL | {"pretrain": "none", "adversarial": 0.1, "epochs": 1, "precision": None})
    assert loop.fit(sentiment, config, data, run).output.weight.isfinite().all()


# The whole line


@pytest.mark.slow
def test_a_few_hundred_texts_of_ones_own_are_learnt_at_the_defaults(own, place):
    assert main(["train", "sentiment", "--data", str(own), "--name", "own"]) == 0
    manifest = place.manifest(name="own")
    assert manifest.scores["accuracy"] >= 0.9
    assert manifest.scores["accuracy"] >= manifest.baselines["linear model on 1-3-grams"]["accuracy"] - 0.06


@pytest.mark.slow
def test_a_table_becomes_a_version_that_is_scored_again(own, place, capsys):
    words = ["--units", "16", "--size", "16", "--epochs", "8", "--batch-size", "16", "--learning-rate", "0.02", "--limit", "60"]
    words += ["--pretrain", "vectors"]
    assert main(["train", "sentiment", "--data", str(own), "--name", "own", *words]) == 0
    manifest = place.manifest(name="own")
    assert manifest.scores["accuracy"] > 0.8
    assert manifest.limits == {"time": 60}
    assert set(manifest.files) == {"model.onnx", "golden.npz", "tokenizer.json"}
    assert main(["evaluate", "own", "--data", str(own), "--json"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(line)["scores"]["accuracy"] == pytest.approx(manifest.scores["accuracy"])
    # another vocabulary is no hindrance: each version reads the raw texts with its own
    assert (
        main(["train", "sentiment", "--data", str(own), "--name", "own", *words, "--vocabulary", "40", "--tolerance", "1"]) == 0
    )
    assert place.manifest(2, "own").parent == 1


@pytest.mark.parametrize(("cell", "precision"), [("lstm", "bfloat16"), ("gru", "float32"), ("rnn", "float32")])
def test_the_arithmetic_that_suits_the_cell_is_taken_where_none_is_given(cell, precision):
    assert Config(cell=cell).precision == precision
    assert Config(cell=cell, precision="float32").precision == "float32"


@pytest.mark.slow
def test_eight_hundred_real_reviews_are_learnt_about_as_well_as_by_the_linear_model(place, tmp_path, capsys):
    """At the defaults, as somebody with reviews would; 4,000 other reviews report."""
    if DATA_DIR is None:
        pytest.skip("MODELYARD_DATA_DIR names no folder with the public data")
    corpus = texts.imdb(Sources(None, DATA_DIR, None, Console(quiet=True))).rest
    order = np.random.default_rng(1).permutation(len(corpus.texts))
    for split, part in (("train", order[:800]), ("test", order[-4000:])):
        for row in part:
            folder = tmp_path / "mail" / split / ("scorn", "praise")[corpus.targets[row]]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{row}.txt").write_text(corpus.texts[row])
    assert main(["train", "sentiment", "--data", str(tmp_path / "mail")]) == 0
    manifest = place.manifest(name="mail")
    reached, beside = manifest.scores["accuracy"], manifest.baselines["linear model on 1-3-grams"]["accuracy"]
    with capsys.disabled():
        sys.stdout.write(f"\n800 reviews: {reached:.4f}, the linear model {beside:.4f}, {manifest.training.seconds:.0f} s\n")
    assert reached >= max(0.78, beside - 0.04)
