"""Words, their numbers and their spellings."""

import pytest

from service.vocabulary import FIRST, Vocabulary

WORDS = Vocabulary(("the", "brilliant", "brilliantly", "don't", "bright", "naïve"), (90, 40, 12, 9, 7, 5))
VALUES = Vocabulary(("dest=ATL", "origin=JFK", "dest=JFK", "dest=LAX"), (9, 8, 7, 6), ("origin", "dest"))


@pytest.mark.parametrize("written", ["brilliant", "Brilliant", " BRILLIANT ", "ｂrilliant"])
def test_a_word_is_found_however_it_is_written(written):
    assert WORDS.find(written) == FIRST + 1


def test_apostrophes_are_one():
    assert WORDS.find("don’t") == WORDS.find("DON'T") == FIRST + 3


@pytest.mark.parametrize("written", ["brillant", "", "two words", "\0", "the the"])
def test_what_is_no_word_has_no_number(written):
    assert WORDS.find(written) is None


def test_a_value_is_found_with_its_column_and_alone_where_only_one_column_has_it():
    assert VALUES.find("dest=ATL") == VALUES.find("ATL") == FIRST
    assert VALUES.find("JFK") is None
    assert VALUES.find("dest=JFK") == FIRST + 2
    assert VALUES.find("atl") is None


def test_a_value_knows_its_column():
    assert [VALUES.column(number) for number in range(FIRST, VALUES.size)] == [1, 0, 1, 1]


def test_near_spellings_come_with_the_nearest_first():
    assert WORDS.near("brillant")[:2] == ["brilliant", "brilliantly"]
    assert WORDS.near("xqzw") == []
    assert set(VALUES.near("JFK")) >= {"origin=JFK", "dest=JFK"}


def test_of_equally_near_spellings_the_commoner_word_comes_first():
    assert Vocabulary(("bat", "cat", "rat"), (3, 2, 1)).near("zat") == ["bat", "cat", "rat"]


def test_a_prefix_gives_the_commonest_words_and_how_many_there_are():
    numbers, matching = WORDS.starting("Br", 2)
    assert ([WORDS.word(number) for number in numbers], matching) == (["brilliant", "brilliantly"], 3)
    assert WORDS.starting("", 1) == ([FIRST], 6)
    assert WORDS.starting("brightest", 5) == ([], 0)


def test_it_comes_back_from_its_file_as_it_was():
    for one in (WORDS, VALUES):
        assert Vocabulary.load(one.dump()) == one


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"words": [], "counts": [], "columns": []}',
        b'{"words": ["a"], "counts": [1, 2], "columns": []}',
        b'{"words": ["a", "a"], "counts": [1, 2], "columns": []}',
        b'{"words": ["a", 3], "counts": [1, 2], "columns": []}',
        b'{"words": ["a"], "counts": ["1"], "columns": []}',
        b'{"words": ["a"], "counts": [1]}',
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(data):
    with pytest.raises(ValueError, match=r"vocabulary\.json"):
        Vocabulary.load(data)
