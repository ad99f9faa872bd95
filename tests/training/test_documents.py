"""Texts as numbers, rows to train on, and pieces of texts."""

import numpy as np

from service import text
from training.documents import Documents, Lexicon, pieces, training_rows


def test_a_lexicon_numbers_words_as_the_tokenizer_will():
    lexicon = Lexicon()
    documents = [lexicon.numbers(one) for one in ("The film, the FILM!", "A film: boring", "the end")]
    words = lexicon.commonest(documents, 3, least=1)
    assert words == ("film", "the", "!")
    renumbered = lexicon.renumbering(words)[documents[0]]
    assert renumbered.tolist() == text.Tokenizer(words, 10, 3).encode("The film, the FILM!").ids.tolist() == [3, 2, 3, 2, 4]


def test_rare_words_are_left_out():
    lexicon = Lexicon()
    assert lexicon.commonest([lexicon.numbers("a a b")], 10, least=2) == ("a",)


def test_a_long_text_is_cut_as_the_tokenizer_cuts():
    numbers = np.arange(2, 12, dtype=np.int32)
    tokenizer = text.Tokenizer(tuple("abcdefghij"), 6, 2)
    assert text.cut(numbers, 6, 2).tolist() == tokenizer.encode("a b c d e f g h i j").ids.tolist()
    assert text.cut(numbers[:0], 6, 2).tolist() == [text.UNKNOWN]


def test_training_rows_are_cut_padded_and_say_how_long_they_are():
    documents = [np.arange(2, 12, dtype=np.int32), np.array([5], np.int32)]
    found = training_rows(documents, np.array([[0.1, 0.9], [1, 0]]), 6, 2)
    assert found["tokens"].tolist() == [[2, 3, 8, 9, 10, 11], [5, 0, 0, 0, 0, 0]]
    assert found["length"].tolist() == [6, 1]
    assert found["target"].dtype == np.float32


def test_pieces_are_runs_of_the_given_texts_and_the_same_for_a_seed():
    documents = [np.arange(100, 160, dtype=np.int32), np.arange(200, 203, dtype=np.int32)]
    found = pieces(documents, 200, seed=1)
    assert len(found) == 200
    runs = [np.split(one, np.flatnonzero(np.diff(one) != 1) + 1) for one in found]
    assert {len(parts) for parts in runs} >= {1, 2, 3}
    assert all(part.min() >= 200 or (part.min() >= 100 and part.max() < 160) for parts in runs for part in parts)
    assert all(np.array_equal(one, again) for one, again in zip(found, pieces(documents, 200, seed=1), strict=True))
    assert not all(np.array_equal(one, other) for one, other in zip(found, pieces(documents, 200, seed=2), strict=True))


def test_the_labelled_texts_come_first():
    one, other = np.array([2], np.int32), np.array([3], np.int32)
    assert [document.tolist() for document in Documents([one], [other]).both] == [[2], [3]]
