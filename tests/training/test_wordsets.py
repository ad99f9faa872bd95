"""What word vectors are asked, and how their answers are scored."""

import numpy as np
import pytest
from rich.console import Console

from service.vocabulary import Vocabulary
from training import wordsets
from training.room import TrainingError
from training.sources import Sources
from training.wordsets import Beside

KNOWN = Vocabulary(("the", "king", "queen", "man", "woman", "paris", "france", "rome", "italy"), (90, 9, 8, 7, 6, 5, 4, 3, 2))
UNIT = np.array(
    [(0, 0, 0), (1, 1, 1), (1, 1, 0), (1, -1, 0), (0, 1, 0), (0, -1, 0), (1, 0, 3), (0, 0, 3), (1, 0, -3), (0, 0, -3)]
)
UNIT = UNIT / np.maximum(np.linalg.norm(UNIT, axis=1, keepdims=True), 1e-9)


def predict(arrays):
    """The graph, written out."""
    vectors = UNIT[arrays["words"]]
    cosines = (vectors * arrays["weights"][:, :, np.newaxis]).sum(1) @ UNIT.T
    cosines[:, 0] = -9
    np.put_along_axis(cosines, arrays["words"], -9, 1)
    return {"vectors": vectors, "neighbors": np.argsort(-cosines, 1)[:, :5].astype(np.int32)}


def raw(*rows):
    return wordsets._raw(rows)


def ask(*rows):
    return wordsets.evaluate(predict, wordsets.numbered(raw(*rows), KNOWN))


ANALOGIES = [
    (["queen", "man", "king"], "woman", 0.0, "family"),
    (["king", "woman", "queen"], "man", 0.0, "family"),
    (["france", "rome", "paris"], "italy", 0.0, "capitals"),
    (["the", "rome", "paris"], "king", 0.0, "gram1"),
]


def test_the_answer_of_an_analogy_is_the_nearest_of_the_other_words(monkeypatch):
    monkeypatch.setattr(wordsets, "FEWEST", 1)
    found = ask(*ANALOGIES)
    assert found.values["analogies"] == 0.75
    assert (found.values["semantic"], found.values["syntactic"]) == (1.0, 0.0)
    assert found.values["analogies_covered"] == 1
    assert [(line["section"], line["questions"], line["accuracy"]) for line in found.tables["analogies by section"]] == [
        ("family", 2, 1.0), ("capitals", 1, 1.0), ("gram1", 1, 0.0),
    ]  # fmt: skip


def test_only_the_commonest_words_are_asked_and_answered(monkeypatch):
    monkeypatch.setattr(wordsets, "FEWEST", 1)
    monkeypatch.setattr(wordsets, "AMONG", 5)  # up to woman
    found = ask(*ANALOGIES)
    assert found.values["analogies_covered"] == 0.5
    assert found.values["analogies"] == 1
    assert found.tables["analogies by section"][1] == {"section": "capitals", "questions": 1, "covered": 0.0, "accuracy": None}


def test_pairs_are_scored_by_the_order_of_their_cosines(monkeypatch):
    monkeypatch.setattr(wordsets, "FEWEST", 2)
    pairs = [("king", "queen"), ("paris", "france"), ("paris", "rome"), ("king", "nobody")]
    cosines = [0.0, 0.9, -0.8]
    right = [([*pair], "", human, "wordsim353") for pair, human in zip(pairs, [*cosines, 5], strict=True)]
    found = ask(*right).values
    assert found["wordsim353"] == pytest.approx(1)
    assert found["wordsim353_covered"] == 0.75
    wrong = [([*pair], "", -human, "simlex999") for pair, human in zip(pairs, [*cosines, 5], strict=True)]
    assert ask(*wrong).values["simlex999"] == pytest.approx(-1)


def test_of_a_set_that_is_hardly_known_there_is_no_score():
    found = ask((["king", "queen"], "", 1.0, "wordsim353"), (["man", "nobody"], "", 2.0, "wordsim353")).values
    assert "wordsim353" not in found
    assert found["wordsim353_covered"] == 0.5


def test_a_word_counts_where_it_is_nearer_to_those_around_it_than_the_one_drawn():
    near, far = (["france", "queen", "paris", "paris"], "", 0.0, "context"), (["queen", "france", "paris"], "", 0.0, "context")
    assert ask(near).values["context_auc"] == 1
    assert ask(far).values["context_auc"] == 0
    assert ask(near, far, (["nobody", "france", "paris"], "", 0.0, "context")).values["context_auc"] == 0.5


def test_rows_have_weights_that_ask_what_their_set_asks():
    rows = wordsets.numbered(
        raw(ANALOGIES[0], (["king", "queen"], "", 1.0, "simlex999"), (["the", "man", "king"], "", 0.0, "context")), KNOWN
    )
    assert rows["words"][:, :4].tolist() == [[3, 4, 2, 0], [2, 3, 0, 0], [1, 4, 2, 0]]
    assert rows["weights"][:, :4].tolist() == [[1, 1, -1, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
    assert rows["known"].tolist() == [True, True, True]
    assert rows["answer"].tolist() == [5, 0, 0]


DOCUMENTS = [np.array(words, np.int32) for words in ([2, 3, 4, 5] * 10, [6, 7] * 10, [1], [])]
HOW = Beside(window=2, keep=1.0, most=300, seed=0)


def test_words_beside_each_other_are_drawn_from_the_texts():
    found = wordsets.beside(DOCUMENTS, KNOWN, HOW)
    assert set(found["set"]) == {"context"}
    assert 100 < len(found["terms"]) <= 300
    royal, places = {"king", "queen", "man", "woman"}, {"paris", "france"}
    for word, drawn, *around in found["terms"]:
        said = {one for one in around if one}
        assert len({word, drawn} | said) == 2 + len(said)  # none of them stands beside itself
        assert 1 <= len([one for one in around if one]) <= 4
        assert said | {word} <= royal or said | {word} <= places
    again = wordsets.beside(DOCUMENTS, KNOWN, HOW)
    assert (found["terms"] == again["terms"]).all()


def test_the_word_drawn_is_one_by_its_count():
    drawn = wordsets.beside(DOCUMENTS, KNOWN, Beside(2, 1.0, 3000, 0))["terms"][:, 1]
    counts = np.array(KNOWN.counts) ** 0.75
    assert (drawn == "the").mean() == pytest.approx(counts[0] / counts.sum(), abs=0.1)


def test_of_a_table_the_word_drawn_is_of_the_same_column():
    known = Vocabulary(("a=1", "b=1", "a=2", "b=2", "a=3"), (9, 8, 7, 6, 5), ("a", "b"))
    found = wordsets.beside([np.array([1, 2]), np.array([3, 4]), np.array([5, 2])], known, Beside(1, 1.0, 200, 0))
    assert len(found["terms"]) > 50
    assert all(word[0] == drawn[0] != around[0] for word, drawn, around in found["terms"][:, :3])


def test_spelling_finds_words_that_are_written_alike():
    rows = raw(
        (["singer", "sing", ""], "", 9.0, "simlex999"), (["singer", "song", ""], "", 5.0, "simlex999"),
        (["singer", "tax", ""], "", 1.0, "simlex999"), (["singers", "tax", "singer"], "", 0.0, "context"),
    )  # fmt: skip
    assert wordsets.by_spelling(rows) == {"context_auc": 1.0, "simlex999": pytest.approx(1)}


def test_public_sets_are_read_from_their_files(tmp_path, monkeypatch):
    files = {
        "wordsim353.tsv": "# a comment\nLove\tsex\t6.77\n",
        "simlex999.txt": "# Word 1\told\nold\tnew\t1.58\n",
        "questions-words.txt": ": capitals\nAthens Greece Baghdad Iraq\n: gram1\ngood better bad worse\n",
    }
    monkeypatch.setattr(Sources, "public", lambda _, __: {name: content.encode() for name, content in files.items()})
    found = wordsets.public(Sources(None, None, None, Console(quiet=True)))
    assert found["terms"][:, :3].tolist() == [
        ["love", "sex", ""], ["old", "new", ""], ["greece", "baghdad", "athens"], ["better", "bad", "good"],
    ]  # fmt: skip
    assert found["answer"].tolist() == ["", "", "iraq", "worse"]
    assert found["set"].tolist() == ["wordsim353", "simlex999", "capitals", "gram1"]
    assert found["human"][:2].tolist() == pytest.approx([6.77, 1.58])


def test_a_set_that_is_cut_is_refused(monkeypatch):
    files = {"wordsim353.tsv": "love\tsex\n", "simlex999.txt": "", "questions-words.txt": ""}
    monkeypatch.setattr(Sources, "public", lambda _, __: {name: content.encode() for name, content in files.items()})
    with pytest.raises(TrainingError, match="word sets cannot be read"):
        wordsets.public(Sources(None, None, None, Console(quiet=True)))
