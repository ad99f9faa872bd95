"""Texts to tokens and numbers."""

import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import text
from service.text import PADDING, UNKNOWN, Tokenizer

WORDS = ("the", "ending", "is", "superb", "!", "don't", "café")


@pytest.fixture
def tokenizer() -> Tokenizer:
    return Tokenizer(WORDS, limit=6, head=2)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("The ending is superb!", ["The", "ending", "is", "superb", "!"]),
        ("don't stop, it’s 10/10", ["don't", "stop", "it’s", "10", "10"]),
        ("'quoted' words' end", ["quoted", "words", "end"]),
        ("one<br /><br />two", ["one", "two"]),
        ("a < b and c > d", ["a", "b", "and", "c", "d"]),
        ("<script>x</script>", ["x"]),
        ("rock &amp; roll &#39; &", ["rock", "roll"]),
        ("well... no…", ["well", "...", "no", "…"]),
        ("why?! :-) :(", ["why", "?", "!", ":-)", ":("]),
        ("good 😀👍🏽", ["good", "😀", "👍", "🏽"]),
        ("snake_case", ["snake", "case"]),
        ("cafe\u0301 noir", ["cafe\u0301", "noir"]),
        ("日本語 texte", ["日本語", "texte"]),
        ("— , . ; \u200b", []),
    ],
)
def test_tokens_are_words_marks_and_signs(written, tokens):
    assert text.tokens(written) == tokens


@given(st.text())
def test_spans_are_where_the_tokens_stand(written):
    assert [written[start:end] for start, end in text.spans(written)] == text.tokens(written)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Superb", "superb"), ("don’t", "don't"), ("cafe\u0301", "café"), ("ＷＯＷ", "wow"), ("ÉCLAIR", "éclair")],
)
def test_forms_of_a_word_are_looked_up_as_one(one, other):
    assert text.normal(one) == text.normal(other) == other


@pytest.mark.parametrize("part", ["<a", "&", "&#", "a'", "'", "<", "...", "e\u0301", "<b " + "x" * 300, ":-", "a_"])
def test_a_megabyte_of_anything_takes_time_by_its_length(part):
    begun = time.perf_counter()
    text.tokens(part * (1_000_000 // len(part)))
    assert time.perf_counter() - begun < 5  # quadratic would be minutes


def test_words_get_their_numbers_and_strangers_one_of_their_own(tokenizer):
    encoded = tokenizer.encode("The ENDING was superb!")
    assert encoded.ids.tolist() == [2, 3, UNKNOWN, 5, 6]
    assert encoded.ids.dtype == np.int32
    assert encoded.unknown_share == pytest.approx(0.2)
    assert not encoded.truncated


def test_a_long_text_keeps_its_head_and_its_tail(tokenizer):
    encoded = tokenizer.encode("the ending x x x x is superb ! the")
    assert encoded.ids.tolist() == [2, 3, 4, 5, 6, 2]
    assert (encoded.total, encoded.truncated) == (10, True)
    assert encoded.kept == (range(2), range(6, 10))


def test_a_text_at_the_limit_is_whole(tokenizer):
    encoded = tokenizer.encode("the the the the the the")
    assert len(encoded.ids) == 6
    assert not encoded.truncated


@pytest.mark.parametrize("written", [",", "<br />", "\u200b"])
def test_a_text_without_a_token_is_one_unknown_word(tokenizer, written):
    encoded = tokenizer.encode(written)
    assert encoded.ids.tolist() == [UNKNOWN]
    assert (encoded.total, encoded.truncated) == (0, False)


@given(st.text(max_size=200))
def test_no_text_becomes_padding(written):
    ids = Tokenizer(WORDS, 6, 2).encode(written).ids
    assert 1 <= len(ids) <= 6
    assert (ids != PADDING).all()


def test_a_saved_tokenizer_gives_the_same_numbers(tokenizer):
    again = Tokenizer.load(tokenizer.dump())
    assert again == tokenizer
    assert again.size == 2 + len(WORDS)


@pytest.mark.parametrize(
    "spoiled",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        json.dumps({"kind": "words", "limit": 5, "head": 9, "words": []}).encode(),
        json.dumps({"kind": "words", "limit": 5, "head": 1, "words": ["a", "a"]}).encode(),
        json.dumps({"kind": "words", "limit": 5, "head": 1, "words": [1]}).encode(),
        json.dumps({"kind": "pieces", "limit": 5, "head": 1, "words": []}).encode(),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(spoiled):
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        Tokenizer.load(spoiled)
