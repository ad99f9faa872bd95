"""Word vectors for other tools, read back by those tools."""

import numpy as np
import pytest
from gensim.models import KeyedVectors

from tests.conftest import VECTORS, unit_vectors, write_vectors_version, write_version
from training import exchange, pipeline, publish
from training.__main__ import main
from training.room import TrainingError

WORDS = list(VECTORS)
gensim_leaves_its_file_open = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")


RENDER = {"word2vec": exchange.headed, "glove": exchange.plain, "npz": exchange.arrays}


def write(manifest, folder, form, path):
    path.write_bytes(RENDER[form](manifest, pipeline.files_of(manifest, folder)))


@pytest.fixture
def published(tmp_path):
    write_vectors_version(tmp_path / "models")
    return publish.read(tmp_path / "models", "vectors")


def loaded(path, form):
    if form == "npz":
        with np.load(path, allow_pickle=False) as file:
            found = KeyedVectors(file["vectors"].shape[1])
            found.add_vectors(file["words"].tolist(), file["vectors"])
            return found
    return KeyedVectors.load_word2vec_format(str(path), no_header=form == "glove")


@gensim_leaves_its_file_open
@pytest.mark.parametrize("form", ["word2vec", "glove", "npz"])
def test_gensim_finds_the_same_neighbours(published, tmp_path, form):
    path = tmp_path / "vectors.txt"
    write(*published, form, path)
    found = loaded(path, form)
    assert found.index_to_key == WORDS
    unit = unit_vectors(list(VECTORS.values()))[1:]
    for row, word in enumerate(WORDS):
        cosines = np.delete(unit @ unit[row], row)
        nearest = found.most_similar(word, topn=3)
        np.testing.assert_allclose([cosine for _, cosine in nearest], np.sort(cosines)[::-1][:3], atol=1e-5)
        assert all(unit[WORDS.index(other)] @ unit[row] == pytest.approx(cosine, abs=1e-5) for other, cosine in nearest)
        np.testing.assert_allclose(found[word], unit[row], atol=1e-6)
    assert found.most_similar(["king", "woman"], ["man"], topn=1)[0][0] == "queen"


def test_counts_come_with_numpys_arrays(published, tmp_path):
    write(*published, "npz", tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as file:
        assert file["counts"].tolist() == list(range(100, 91, -1))


@gensim_leaves_its_file_open
def test_a_space_in_a_value_is_written_so_that_the_line_is_one(tmp_path):
    write_vectors_version(
        tmp_path / "models", vectors={"city=New York": (1.0, 0.0), "city=Rome": (0.0, 1.0)}, columns=("city",)
    )
    published = publish.read(tmp_path / "models", "vectors")
    write(*published, "word2vec", tmp_path / "v.txt")
    assert loaded(tmp_path / "v.txt", "word2vec").index_to_key == ["city=New_York", "city=Rome"]


def test_words_that_would_become_one_are_refused(tmp_path):
    write_vectors_version(tmp_path / "models", vectors={"c=a b": (1.0, 0.0), "c=a_b": (0.0, 1.0)}, columns=("c",))
    with pytest.raises(TrainingError, match="--format npz"):
        write(*publish.read(tmp_path / "models", "vectors"), "glove", tmp_path / "v.txt")
    assert not (tmp_path / "v.txt").exists()


def test_the_command_names_its_file_after_the_version(tmp_path, monkeypatch, capsys):
    write_vectors_version(tmp_path / "models")
    write_version(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    assert main(["export", "vectors", "--models-dir", "models", "--format", "glove"]) == 0
    assert "wrote vectors-1.txt" in capsys.readouterr().out
    assert len((tmp_path / "vectors-1.txt").read_text().splitlines()) == 9
    assert main(["export", "vectors", "--models-dir", "models", "--output", "v"]) == 0
    assert (tmp_path / "v").read_text().startswith("9 3\n")
    for words, told in (
        (["vectors:2"], "vectors"),
        (["vectors:x"], "The version 'x' is no whole number"),
        (["vectors", "--format", "csv"], "--format is 'csv'; expected one of word2vec, glove, npz."),
        (["light"], "light is of the family 'classifier', which has no other format than ONNX."),
    ):
        assert main(["export", *words, "--models-dir", "models"]) == 1
        assert told in capsys.readouterr().err
    (tmp_path / "models" / "vectors" / "1" / "vocabulary.json").write_text("{}")
    assert main(["export", "vectors", "--models-dir", "models"]) == 1
    assert "is not the published file" in capsys.readouterr().err
