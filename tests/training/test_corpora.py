"""Texts and tables as streams of word numbers."""

import gzip
import io
import zipfile

import numpy as np
import pytest
from rich.console import Console

from training import corpora
from training.corpora import Wanted
from training.room import TrainingError
from training.sources import Sources

EVERYTHING = Wanted(gap=2, least=1, most=1000, validation_share=0, test_share=0, seed=0)


def sources(path):
    return Sources(path, None, None, Console(quiet=True))


def read(path, wanted=EVERYTHING, unit=None):
    return corpora.own(sources(path), path, wanted, unit)


def said(corpus, numbers=None):
    """The texts in words."""
    return [
        [corpus.vocabulary.word(number) for number in text]
        for text in corpora.texts_of(corpus.train if numbers is None else numbers)
    ]


def test_each_line_of_a_file_is_a_text(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("Hey, this is great!\n\nIs this?\n")
    corpus = read(path)
    assert said(corpus) == [["hey", "this", "is", "great", "!"], ["is", "this", "?"]]
    assert corpus.source.rows == {"train": 2, "validation": 0, "test": 0}
    assert corpus.source.name == "corpus.txt"


def test_no_window_reaches_from_one_text_into_the_next(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("a b\nc\n")
    corpus = read(path)
    assert (corpus.train != 0).tolist() == [True, True, False, False, True, False, False]


def test_a_packed_file_gives_the_same_as_the_file(tmp_path):
    content = "one two three\nfour naïve five\n" * 50
    (tmp_path / "a.txt").write_text(content)
    with gzip.open(tmp_path / "a.txt.gz", "wt", encoding="utf-8") as file:
        file.write(content)
    plain, packed = read(tmp_path / "a.txt"), read(tmp_path / "a.txt.gz")
    assert np.array_equal(plain.train, packed.train)
    assert plain.vocabulary == packed.vocabulary
    assert plain.source.sha256 == packed.source.sha256


def test_a_folder_gives_one_text_a_file_unless_told_otherwise(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_text("three")
    (tmp_path / "c.pdf").write_bytes(b"no text")
    assert said(read(tmp_path)) == [["one", "two"], ["three"]]
    assert said(read(tmp_path, unit="line")) == [["one"], ["two"], ["three"]]


def test_a_line_without_an_end_is_read_in_pieces_and_no_word_is_cut(tmp_path):
    words = [f"w{number}" for number in range(50_000)]
    path = tmp_path / "long.txt"
    path.write_text(" ".join(words))
    corpus = read(path, Wanted(2, 1, 100_000, 0, 0, 0))
    texts = said(corpus)
    assert len(texts) > 3
    assert [word for text in texts for word in text] == words


def test_a_piece_without_a_space_is_cut_between_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "PIECE_BYTES", 64)
    monkeypatch.setattr(corpora, "LONGEST_WORD_BYTES", 256)
    path = tmp_path / "long.txt"
    path.write_text("ü" * 1000)
    assert sum(len(word) for text in said(read(path)) for word in text) == 1000


def test_rare_words_are_left_out_and_the_others_move_together(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("a rare b\na b\n")
    corpus = read(path, Wanted(2, 2, 1000, 0, 0, 0))
    assert said(corpus) == [["a", "b"], ["a", "b"]]
    assert corpus.vocabulary.words == ("a", "b")
    assert corpus.vocabulary.counts == (2, 2)


def test_only_the_commonest_words_are_kept(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("c c c b b a\n")
    assert read(path, Wanted(2, 1, 2, 0, 0, 0)).vocabulary.words == ("c", "b")


def test_texts_are_held_out_by_their_share_and_their_words_are_not_counted(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("".join(f"the only{number}\n" for number in range(2000)))
    corpus = read(path, Wanted(2, 1, 10_000, 0.2, 0.1, 0))
    rows = corpus.source.rows
    assert sum(rows.values()) == 2000
    assert rows["validation"] == pytest.approx(400, abs=60)
    assert rows["test"] == pytest.approx(200, abs=50)
    assert len(corpus.validation) == rows["validation"]
    assert corpus.vocabulary.counts[0] == rows["train"]
    assert all(text.tolist() == [1] for text in corpus.test)  # the other word stands nowhere else
    assert np.array_equal(corpus.train, read(path, Wanted(2, 1, 10_000, 0.2, 0.1, 0)).train)


def test_the_stream_is_held_once():
    """What is settled lies where what was read lay."""
    stream = corpora._Stream(EVERYTHING)
    for _ in range(100):
        stream.add([stream.lexicon.numbers("a b"), stream.lexicon.numbers("c")])
    corpus = stream.corpus("x", (), corpora.Source(name="x", size_bytes=0, sha256="0" * 64, rows={}))
    assert np.shares_memory(corpus.train, np.frombuffer(stream.numbers, np.int32))
    assert said(corpus) == [["a", "b", "c"]] * 100


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "of 0 different words to train on 0 come up"),
        (b"\n \n", "of 0 different words"),
        (
            b"one two",
            "of 2 different words to train on 0 come up 5 times or more; expected two at least, --min-count lowers it.",
        ),
        (b"good\nbad \xff\n", "line 2: byte 0xff is not UTF-8"),
    ],
)
def test_a_file_that_gives_no_vocabulary_is_refused_in_one_line(tmp_path, content, told):
    path = tmp_path / "corpus.txt"
    path.write_bytes(content)
    with pytest.raises(TrainingError) as raised:
        read(path, Wanted(2, 5, 1000, 0, 0, 0))
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"no gzip", gzip.compress(b"words and words " * 1000, mtime=0)[:-30]], ids=["no gzip", "cut short"]
)
def test_a_packed_file_that_is_broken_is_named(tmp_path, content):
    path = tmp_path / "corpus.txt.gz"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match=r"corpus\.txt\.gz cannot be unpacked"):
        read(path)


def test_what_is_neither_text_nor_folder_is_refused(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    for name, told in (
        ("a.pdf", "is no .txt or .gz file"),
        ("none.txt", "is no .txt"),
        ("t.csv", "--columns"),
        ("empty", "holds no"),
    ):
        with pytest.raises(TrainingError, match=told):
            read(tmp_path / name)


TABLE = "dest,origin,carrier\nATL,JFK,DL\nATL,,AA\n MCO ,LGA,\n,,UA\n"


def written(tmp_path, name, content=TABLE):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(content.encode()))
    elif name.endswith(".zip"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("t.csv", content)
        path.write_bytes(packed.getvalue())
    else:
        path.write_text(content)
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.zip"])
def test_rows_are_texts_of_values_with_their_columns(tmp_path, name):
    corpus = corpora.table(written(tmp_path, name), EVERYTHING, ("dest", "origin", "carrier"))
    assert said(corpus) == [
        ["dest=ATL", "origin=JFK", "carrier=DL"], ["dest=ATL", "carrier=AA"], ["dest=MCO", "origin=LGA"],
    ]  # fmt: skip
    assert corpus.vocabulary.columns == ("dest", "origin", "carrier")
    assert corpus.vocabulary.counts[0] == 2


def test_tabs_part_the_cells_of_a_tsv(tmp_path):
    corpus = corpora.table(written(tmp_path, "t.tsv", "a\tb\n1\t2\n"), EVERYTHING, ("a", "b"))
    assert said(corpus) == [["a=1", "b=2"]]


@pytest.mark.parametrize(
    ("content", "columns", "told"),
    [
        (TABLE, ("dest",), "expected two different columns"),
        (TABLE, ("dest", "dest"), "expected two different columns"),
        (TABLE, ("dest", "tail"), "has no column 'tail'; there are dest, origin, carrier"),
        ("", ("dest", "origin"), "cannot be read as a table"),
        ("a,b\n", ("a", "b"), "of 0 different words"),
        ("a,b=c\n1,2\n", ("a", "b=c"), "has '=' in its name"),
        ('a,b\n"1,2\n', ("a", "b"), "cannot be read as a table"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(tmp_path, content, columns, told):
    with pytest.raises(TrainingError) as raised:
        corpora.table(written(tmp_path, "t.csv", content), EVERYTHING, columns)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_table_that_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "t.csv.zip"
    path.write_bytes(b"PK no archive")
    with pytest.raises(TrainingError, match="cannot be read as a table"):
        corpora.table(path, EVERYTHING, ("a", "b"))
