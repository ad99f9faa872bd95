"""Labelled texts from the public archive, tables and folders."""

import gzip
import hashlib
import io
import tarfile

import pytest
from rich.console import Console

from training import sources, texts
from training.room import TrainingError
from training.sources import PublicData, PublicFile, Sources

COUNTS = {("train", "neg"): 3, ("train", "pos"): 3, ("train", "unsup"): 4, ("test", "neg"): 2, ("test", "pos"): 2}


def archive(counts):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for (split, kind), count in counts.items():
            for number in reversed(range(count)):
                data = f"{split} {kind} {number} — a film".encode()
                member = tarfile.TarInfo(f"aclImdb/{split}/{kind}/{number}_7.txt")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        member = tarfile.TarInfo("aclImdb/README")
        tar.addfile(member, io.BytesIO())
    return packed.getvalue()


@pytest.fixture
def imdb(tmp_path, monkeypatch):
    """IMDb as if it were a few texts of these counts."""

    def made(data):
        monkeypatch.setattr(texts, "IMDB_COUNTS", COUNTS)
        (tmp_path / "aclImdb_v1.tar.gz").write_bytes(gzip.compress(data))
        file = PublicFile("aclImdb_v1.tar.gz", "", hashlib.md5(data, usedforsecurity=False).hexdigest())
        monkeypatch.setitem(sources.PUBLIC, "imdb", PublicData((), (file,)))
        return texts.imdb(Sources(None, tmp_path, None, Console(quiet=True)))

    return made


def test_the_archives_own_split_labels_and_unlabelled_texts_are_kept(imdb):
    found = imdb(archive(COUNTS))
    assert found.labels == ("negative", "positive")
    assert found.rest.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.test.targets.tolist() == [0, 0, 1, 1]
    assert found.rest.texts[0] == "train neg 0 — a film"
    assert len(found.unlabelled) == 4
    assert found.source({"train": 6}).name == "IMDb reviews"


def test_half_the_archive_is_none(imdb):
    with pytest.raises(TrainingError, match="archive of IMDb reviews holds"):
        imdb(archive({**COUNTS, ("test", "pos"): 1}))


def test_what_is_no_archive_is_one_line(imdb):
    with pytest.raises(TrainingError, match="cannot be read") as raised:
        imdb(b"junk" * 300)
    assert "\n" not in str(raised.value)


# Tables


def table(tmp_path, content, name="reviews.csv", columns=("text", "label")):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return texts.own(path, *columns, 2)


ROWS = 'label,text\ngood,"fine, really"\nbad,awful\ngood,"two\nlines"\nbad,poor\n'


def test_a_table_is_read_by_its_header(tmp_path):
    found = table(tmp_path, ROWS)
    assert found.labels == ("bad", "good")
    assert found.rest.texts == ["fine, really", "awful", "two\nlines", "poor"]
    assert found.rest.targets.tolist() == [1, 0, 1, 0]
    assert (found.test, found.unlabelled, found.name) == (None, [], "reviews.csv")


def test_a_table_may_begin_with_a_byte_order_mark_and_be_parted_by_tabs(tmp_path):
    assert table(tmp_path, b"\xef\xbb\xbf" + ROWS.encode()).rest.texts[1] == "awful"
    assert table(tmp_path, "text\tlabel\na b\tx\nc\tx\nd\ty\ne\ty\n", "r.tsv").rest.texts[0] == "a b"


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        (ROWS, ("review", "label"), r"has no column 'review'; there are \['label', 'text'\]; --text-column"),
        (ROWS, ("text", "stars"), "has no column 'stars'"),
        ("", ("text", "label"), "has no column 'text'; there are none"),
        ("text,label\na,x\n,y\n", ("text", "label"), r"row 2 \(line 3\): column 'text' is empty"),
        ("text,label\na,x\nb\n", ("text", "label"), r"row 2 \(line 3\): column 'label' is empty"),
        ("text,label\na,x\nb,x\n", ("text", "label"), r"has 1 classes \(x\); expected two or more"),
        ("text,label\n", ("text", "label"), r"has 0 classes \(no rows\)"),
        ("text,label\na,x\nb,x\nc,y\n", ("text", "label"), "class 'y' has 1 texts; expected at least 2"),
        (b"text,label\na,x\nb\xe9b,y\n", ("text", "label"), "line 3: byte 0xe9 is not UTF-8"),
        ('text,label\n"a,x\nb,y\n', ("text", "label"), "reviews.csv, line"),
    ],
)
def test_a_table_that_will_not_do_is_named_with_row_and_reason(tmp_path, content, columns, said):
    with pytest.raises(TrainingError, match=said) as raised:
        table(tmp_path, content, columns=columns)
    assert "reviews.csv" in str(raised.value)
    assert "\n" not in str(raised.value)


# Folders


def write(root, *parts, count=2, say="text"):
    folder = root.joinpath(*parts)
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"{say} {number} {parts[-1]}")


def test_a_folder_of_texts_for_each_class(tmp_path):
    write(tmp_path, "own", "good", count=3)
    write(tmp_path, "own", "bad")
    found = texts.own(tmp_path / "own", "", "", 2)
    assert found.labels == ("bad", "good")
    assert found.rest.targets.tolist() == [0, 0, 1, 1, 1]
    assert (found.test, found.name) == (None, "own")


def test_a_folder_as_imdb_is_laid_out_keeps_its_split(tmp_path):
    for split in ("train", "test"):
        for kind in ("good", "bad"):
            write(tmp_path, split, kind, say=split)
    write(tmp_path, "train", "unsup", count=5)
    found = texts.own(tmp_path, "", "", 2)
    assert found.rest.texts[0] == "train 0 bad"
    assert found.test.texts[0] == "test 0 bad"
    assert len(found.unlabelled) == 5


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda root: (root / "bad" / "0.txt").write_bytes(b"\xff"), r"0\.txt: byte 0xff is not UTF-8"),
        (lambda root: (root / "bad" / "0.txt").write_text(" "), r"0\.txt is empty"),
        (lambda root: (root / "bad" / "0.txt").unlink(), "class 'bad' has 1 texts"),
        (lambda root: (root / "bad").rename(root / ".bad"), "has 1 classes"),
    ],
)
def test_a_folder_that_will_not_do_is_named(tmp_path, spoil, said):
    write(tmp_path, "own", "good")
    write(tmp_path, "own", "bad")
    spoil(tmp_path / "own")
    with pytest.raises(TrainingError, match=said):
        texts.own(tmp_path / "own", "", "", 2)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "reviews.json").write_text("{}")
    with pytest.raises(TrainingError, match=r"neither a \.csv or \.tsv file nor a folder"):
        texts.own(tmp_path / "reviews.json", "", "", 2)
