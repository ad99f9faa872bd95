"""Texts to word vectors: the room's data, its training, its graph and scores, the whole command."""

import csv
import dataclasses
import gzip
import json

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from service import vocabulary
from service.vocabulary import Vocabulary
from training import export, loop, wordmap
from training.__main__ import main
from training.families import word2vec
from training.families.word2vec import Config
from training.room import TrainingError
from training.run import Run
from training.settings import Settings
from training.sources import Sources

DATA_DIR = Settings().data_dir
"""Taken before a test names another."""
SMALL = {"size": 16, "epochs": 2, "least_words": 80_000, "workers": 1, "min_count": 2}
QUICK = ["--size", "16", "--epochs", "3", "--least-words", "0", "--workers", "1"]
TOPICS = {
    "kitchen": ["bread", "butter", "oven", "knife", "soup", "salt", "pepper", "plate", "spoon", "onion"],
    "sea": ["ship", "sail", "wave", "anchor", "harbour", "captain", "storm", "fish", "deck", "rope"],
    "street": ["car", "bus", "tram", "road", "bridge", "corner", "lamp", "crossing", "taxi", "bicycle"],
}
COMMON = ["the", "a", "and", "of", "in"]


def sentence(random):
    words = TOPICS[str(random.choice(list(TOPICS)))]
    return " ".join(str(random.choice(COMMON if random.random() < 0.4 else words)) for _ in range(random.integers(6, 20)))


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """A text file with a sentence a line, each of one topic."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("own") / "corpus.txt"
    path.write_text("".join(f"{sentence(random).capitalize()}.\n" for _ in range(3000)))
    return path


@pytest.fixture(scope="session")
def rows_of_a_table(tmp_path_factory):
    """Rows in which city and dish go together, and a column that says nothing."""
    random = np.random.default_rng(0)
    cities = {"Lyon": "quiche", "Nice": "quiche", "Rome": "pasta", "Bari": "pasta", "Kyoto": "ramen", "Osaka": "ramen"}
    sizes = {"quiche": "small", "pasta": "big", "ramen": "bowl"}
    path = tmp_path_factory.mktemp("own") / "orders.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["city", "dish", "size", "day"])
        for _ in range(4000):
            city = str(random.choice(list(cities)))
            dish = cities[city] if random.random() < 0.9 else str(random.choice(list(sizes)))
            writer.writerow([city, dish, sizes[dish], int(random.integers(7))])
    return path


def sources(path):
    return Sources(path, None, None, Console(quiet=True))


def data_of(path, **options):
    return word2vec.data(Config(**SMALL | options), sources(path))


def trained(path, folder, **options):
    config = Config(**SMALL | options)
    data = word2vec.data(config, sources(path))
    run = Run.begin(folder, "x", {}, Console(quiet=True))
    return config, data, loop.fit(word2vec, config, data, run), run


@pytest.fixture(scope="session")
def made(own, tmp_path_factory):
    return trained(own, tmp_path_factory.mktemp("runs"))


def graph_of(config, data, network):
    rows = word2vec.rows(data.test, data.files)
    return export.open_graph(export.export(word2vec.export(network, data, config), rows).graph)


def neighbours(graph, known, word, count):
    found = graph({"words": np.array([[known.find(word)]], np.int32), "weights": np.ones((1, 1), np.float32)})
    return [known.word(number) for number in found["neighbors"][0][:count].tolist()]


# data


def test_a_file_becomes_a_stream_a_vocabulary_and_rows_to_ask(own):
    data = data_of(own)
    known = Vocabulary.load(data.files[vocabulary.FILE])
    assert set(known.words) == {*COMMON, *(word for words in TOPICS.values() for word in words)}
    assert data.shape == {"numbers": known.size}
    assert data.train["numbers"].dtype == np.int32
    assert sum(data.source.rows.values()) == 3000
    assert set(data.test["set"]) == {"context"}
    assert len(data.validation["terms"]) > 500


def test_held_out_texts_are_not_trained_on(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("".join(f"one w{number} w{number} two\n" for number in range(2000)))
    data = data_of(path, min_count=1, test_share=0.1, subsample=0.0)
    known = Vocabulary.load(data.files[vocabulary.FILE])
    trained = {known.word(number) for number in set(data.train["numbers"].tolist()) - {0}}
    assert set(known.words) == trained
    assert len(trained) < 1950


def test_so_few_texts_that_none_can_be_spared_are_asked_themselves(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("one two three four five six\n" * 20)
    data = data_of(path, subsample=0.0)
    assert len(data.test["terms"]) >= 2


def test_the_least_of_a_word_is_said_where_nothing_is_left(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("every word once here\n")
    with pytest.raises(TrainingError, match=r"come up 5 times or more; expected two at least, --min-count lowers it\."):
        data_of(path, min_count=5)


def test_texts_of_one_word_each_teach_nothing_and_are_refused(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("one\ntwo\n" * 50)
    with pytest.raises(TrainingError, match=r"corpus\.txt hardly has words beside each other"):
        data_of(path)


def test_a_small_source_is_read_more_often(own):
    stream = data_of(own).train["numbers"]
    words = np.count_nonzero(stream)
    assert word2vec._epochs(Config(epochs=2, least_words=0), stream) == 2
    assert word2vec._epochs(Config(epochs=2, least_words=10 * words), stream) == 10
    assert word2vec._epochs(Config(epochs=2, least_words=10**12), stream) == word2vec.MOST_EPOCHS


@pytest.mark.parametrize(
    ("given", "rate", "subsample", "reach"),
    [({}, 0.025, 1e-4, 4), ({"mode": "cbow"}, 0.1, 1e-4, 4), ({"columns": ("a", "b", "c")}, 0.025, 0.0, 2)],
)
def test_what_is_not_given_suits_the_mode_and_the_source(given, rate, subsample, reach):
    config = Config(**given)
    assert (config.learning_rate, config.subsample, config.reach) == (rate, subsample, reach)


@pytest.mark.parametrize(
    "given", [{"size": 0}, {"window": 0}, {"negatives": 0}, {"epochs": 0}, {"subsample": 2.0}, {"workers": 0}]
)
def test_a_field_out_of_bounds_is_named(given):
    with pytest.raises(TrainingError, match=f"--{next(iter(given)).replace('_', '-')} is"):
        Config(**given)


# training


def test_words_of_one_topic_are_neighbours(made):
    config, data, network, _ = made
    graph, known = graph_of(config, data, network), Vocabulary.load(data.files[vocabulary.FILE])
    for words in TOPICS.values():
        for word in words:
            assert len(set(neighbours(graph, known, word, 5)) & set(words)) >= 4, word


def test_cbow_finds_the_topics_too(own, tmp_path):
    config, data, network, _ = trained(own, tmp_path, mode="cbow")
    graph, known = graph_of(config, data, network), Vocabulary.load(data.files[vocabulary.FILE])
    right = [len(set(neighbours(graph, known, word, 5)) & set(words)) for words in TOPICS.values() for word in words]
    assert np.mean(right) > 4


def test_values_that_stand_in_like_rows_are_neighbours_and_of_their_own_column(rows_of_a_table, tmp_path):
    config, data, network, _ = trained(rows_of_a_table, tmp_path, columns=("city", "dish", "size", "day"))
    graph, known = graph_of(config, data, network), Vocabulary.load(data.files[vocabulary.FILE])
    for one, other in (("Lyon", "Nice"), ("Rome", "Bari"), ("Kyoto", "Osaka")):
        assert neighbours(graph, known, one, 1) == [f"city={other}"]
        assert neighbours(graph, known, other, 1) == [f"city={one}"]
    assert all(word.startswith("city=") for word in neighbours(graph, known, "Lyon", 5))


def test_a_score_far_above_chance_on_held_out_texts(made):
    config, data, network, _ = made
    rows = word2vec.rows(data.test, data.files)
    found = word2vec.evaluate(graph_of(config, data, network), rows, ())
    assert found.values["context_auc"] > 0.7
    fresh = type(network)(torch.randn_like(network.inner), network.outer)
    assert word2vec.evaluate(graph_of(config, data, fresh), rows, ()).values["context_auc"] == pytest.approx(0.5, abs=0.05)


def test_a_run_that_is_resumed_ends_with_the_same_vectors(own, tmp_path, made):
    config, data, whole, _ = made
    run = Run.begin(tmp_path, "x", {}, Console(quiet=True))
    record, seen = run.record, []

    def stops(row, checkpoint):
        record(row, checkpoint)
        seen.append(row)
        if len(seen) == 2:
            raise KeyboardInterrupt

    run.record = stops
    with pytest.raises(KeyboardInterrupt):
        word2vec.fit(config, data, run)
    run.record = record
    again = word2vec.fit(config, data, run)
    assert torch.equal(again.inner, whole.inner)
    history = run.checkpoint().values["history"]
    assert [row["epoch"] for row in history] == [*range(1, len(history) + 1)]


def test_vectors_that_run_away_are_told_of(own, tmp_path, monkeypatch):
    monkeypatch.setattr("training.vectors.MOST_MOVE", 1e9)
    monkeypatch.setattr("training.vectors.LEAST_MOVE", 1e9)
    with pytest.raises(TrainingError, match=r"ran away in epoch [12]; try a lower --learning-rate"):
        trained(own, tmp_path, learning_rate=50.0)


# the whole way


def test_a_text_file_is_trained_published_and_evaluated_by_two_commands(place, own, capsys):
    assert main(["train", "word2vec", "--data", str(own), *QUICK, "--least-words", "120000"]) == 0
    manifest = place.manifest(1, "corpus")
    assert manifest.family == "word2vec"
    assert manifest.training.epochs == 4  # as often as it was read
    folder = place.models / "corpus" / "1"
    drawn = json.loads((folder / wordmap.MAP).read_text())
    assert len(drawn["words"]) == len(drawn["x"]) == len(drawn["y"]) == 35
    assert {"neighbors.txt", "map.png", "curves.png"} <= {path.name for path in place.run.iterdir()}
    capsys.readouterr()
    assert main(["evaluate", "corpus", "--data", str(own), "--json"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["scores"]["context_auc"] == pytest.approx(manifest.scores["context_auc"], abs=1e-5)
    assert "spelling" in said["baselines"]
    pictures = place.runs / "corpus" / "evaluation-1"
    assert {path.name for path in pictures.iterdir()} == {"neighbors.txt", "map.json", "map.png"}


def test_a_table_is_trained_on_by_naming_its_columns(place, rows_of_a_table):
    columns = ["--columns", "city", "dish", "size"]
    assert main(["train", "word2vec", "--data", str(rows_of_a_table), "--name", "x", *columns, *QUICK]) == 0
    assert place.manifest().preparation == {"columns": ["city", "dish", "size"]}
    assert main(["evaluate", "x", "--data", str(rows_of_a_table)]) == 0


def test_a_packed_file_and_a_folder_are_taken(own, tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    with gzip.open(folder / "corpus.txt.gz", "wb") as file:
        file.write(own.read_bytes())
    found = [data_of(data, unit="line") for data in (own, folder, folder / "corpus.txt.gz")]
    assert [one.source.name for one in found] == ["corpus.txt", "texts", "corpus.txt.gz"]
    assert len({one.source.sha256 for one in found}) == 1
    assert all(np.array_equal(one.train["numbers"], found[0].train["numbers"]) for one in found)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--min-count", "100000"], "--min-count lowers it"),
        (["--columns", "a", "b"], "is no .csv or .tsv table"),
        (["--size", "0"], "--size is 0; expected 1 to 2048"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_publishes_nothing(place, own, capsys, words, told):
    assert main(["train", "word2vec", "--data", str(own), *QUICK, *words]) == 1
    assert told in capsys.readouterr().err
    assert place.tree() == []


def test_a_summary_needs_no_data(capsys):
    assert main(["summary", "word2vec", "--size", "10", "--vocabulary", "50"]) == 0
    assert "1,020 parameters" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(DATA_DIR is None, reason="MODELYARD_DATA_DIR names no folder of public data")
def test_neighbouring_airports_are_near_on_the_map(tmp_path):
    """Flights from New York (nycflights13): no place is told, only who flies where with which aircraft."""
    source = DATA_DIR / "nycflights13"
    config = Config(columns=("origin", "dest", "carrier", "tailnum"), size=32)
    data = word2vec.data(config, sources(source / "flights.csv.zip"))
    network = loop.fit(word2vec, config, data, Run.begin(tmp_path, "x", {}, Console(quiet=True)))
    known = Vocabulary.load(data.files[vocabulary.FILE])
    graph = graph_of(config, data, network)
    places = pd.read_csv(source / "airports.csv").set_index("faa")
    airports = [
        word[5:] for word, count in zip(known.words, known.counts, strict=True) if word.startswith("dest=") and count > 50
    ]
    airports = [airport for airport in airports if airport in places.index]
    apart = np.array([[_km(places, one, other) for other in airports] for one in airports])
    near = []
    for row, airport in enumerate(airports):
        found = [word[5:] for word in neighbours(graph, known, f"dest={airport}", 50)]
        near += [apart[row, airports.index(one)] for one in [one for one in found if one in airports][:3]]
    assert len(airports) > 80
    assert np.median(near) < 0.6 * np.median(apart[apart > 0])


def _km(places, one, other):
    (a, b), (c, d) = (np.radians(places.loc[airport, ["lat", "lon"]].astype(float)) for airport in (one, other))
    part = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return 2 * 6371 * np.arcsin(np.sqrt(part))


def test_defaults_are_what_stands_in_the_manifest_of_the_shipped_model():
    from service.manifest import Manifest
    from tests.conftest import ROOT

    trained_with = Manifest.read(ROOT / "models" / "words" / "1").training.config
    assert json.loads(json.dumps(dataclasses.asdict(Config()))) == trained_with
