"""Raw data: the user's folders, public files that are there, and downloads from a real server in this process."""

import gzip
import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console

from service import images
from service.images import Preparation
from training import sources
from training.room import TrainingError
from training.sources import PublicData, PublicFile, Sources

GRAY = Preparation(mode="plain", height=28, width=28, channels=1)
COLOUR = Preparation(mode="plain", height=20, width=24, channels=3)
INSIDE = np.random.default_rng(0).bytes(60_000)  # gzip makes it no smaller
PACKED = gzip.compress(INSIDE, mtime=0)


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


# The user's own pictures


@pytest.fixture
def own(tmp_path) -> Path:
    """Two classes of five colour pictures."""
    root = tmp_path / "own"
    random = np.random.default_rng(0)
    for label in ("zebra", "Ant"):
        (root / label).mkdir(parents=True)
        for row in range(5):
            Image.fromarray(random.integers(0, 256, (40, 30, 3), np.uint8)).save(root / label / f"{row}.png")
    return root


def test_labels_are_the_sorted_names_of_the_folders(own):
    assert sources.folder(own, COLOUR, 5).labels == ("Ant", "zebra")


def test_every_picture_is_prepared_as_the_service_does(own):
    turned = Image.new("RGB", (60, 20), "red")
    turned.paste("blue", (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(own / "Ant" / "9.JPG", "JPEG", exif=exif)
    found = sources.folder(own, COLOUR, 5)
    files = [*sorted((own / "Ant").iterdir()), *sorted((own / "zebra").iterdir())]
    assert found.targets.tolist() == [0] * 6 + [1] * 5
    for pixels, file in zip(found.pixels, files, strict=True):
        assert np.array_equal(pixels, images.prepare(file.read_bytes(), COLOUR)), file


def test_a_picture_of_the_right_size_and_kind_is_left_alone(pictures, mnist):
    found = sources.folder(pictures, GRAY, 5)
    assert np.array_equal(found.pixels[found.targets == 3][..., 0], mnist["train_images"][mnist["train_labels"] == 3])


def test_folders_inside_a_class_belong_to_it_and_hidden_ones_are_no_class(own):
    (own / ".cache").mkdir()
    (own / "Ant" / "more").mkdir()
    (own / "Ant" / "4.png").rename(own / "Ant" / "more" / "4.png")
    found = sources.folder(own, COLOUR, 5)
    assert found.labels == ("Ant", "zebra")
    assert len(found.targets) == 10


def test_an_empty_class_is_refused_by_name(own):
    (own / "bee").mkdir()
    with pytest.raises(TrainingError, match=r"^Class 'bee' has 0 pictures \(PNG or JPEG\); expected at least 5\.$"):
        sources.folder(own, COLOUR, 5)


def test_one_class_is_refused(own):
    for file in (own / "zebra").iterdir():
        file.unlink()
    (own / "zebra").rmdir()
    with pytest.raises(TrainingError, match=r"own holds 1 folders; expected two or more"):
        sources.folder(own, COLOUR, 5)


def test_a_missing_folder_is_refused_by_name(tmp_path):
    with pytest.raises(TrainingError, match=r"nowhere is no folder"):
        sources.folder(tmp_path / "nowhere", COLOUR, 5)


def test_a_truncated_picture_is_refused_by_name(own):
    file = own / "zebra" / "3.png"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(TrainingError, match=r"zebra.3\.png: .*cut short") as raised:
        sources.folder(own, COLOUR, 5)
    assert "\n" not in str(raised.value)


def test_a_gif_that_says_it_is_a_png_is_refused_by_name(own):
    gif = io.BytesIO()
    Image.new("P", (30, 40)).save(gif, "GIF")
    (own / "Ant" / "2.png").write_bytes(gif.getvalue())
    with pytest.raises(TrainingError, match=r"Ant.2\.png: .*expected PNG or JPEG"):
        sources.folder(own, COLOUR, 5)


def test_pictures_of_another_format_are_named_and_not_left_out_in_silence(own):
    (own / "Ant" / "2.png").rename(own / "Ant" / "2.GIF")
    with pytest.raises(TrainingError, match=r"Ant.2\.GIF is neither PNG nor JPEG; convert"):
        sources.folder(own, COLOUR, 5)


def test_a_class_of_other_files_has_no_pictures(own):
    for file in (own / "Ant").iterdir():
        file.rename(file.with_suffix(".txt"))
    with pytest.raises(TrainingError, match="Class 'Ant' has 0 pictures"):
        sources.folder(own, COLOUR, 5)


def test_the_source_says_name_and_size_and_not_where_it_lies(own, tmp_path):
    source = sources.folder(own, COLOUR, 5).source({"train": 10})
    assert (source.name, source.rows) == ("own", {"train": 10})
    assert source.size_bytes == sum(file.stat().st_size for file in own.rglob("*.png"))
    assert str(tmp_path) not in source.model_dump_json()


@pytest.mark.parametrize("change", ["a picture", "a label", "nothing"])
def test_the_digest_tells_other_pictures_and_other_labels(own, change):
    before = sources.folder(own, COLOUR, 4).source({}).sha256
    if change == "a picture":
        Image.new("RGB", (30, 40)).save(own / "Ant" / "0.png")
    elif change == "a label":
        (own / "Ant" / "4.png").rename(own / "zebra" / "-.png")  # the same pictures in the same order
    assert (sources.folder(own, COLOUR, 4).source({}).sha256 == before) == (change == "nothing")


# Splits


@settings(deadline=None)  # a busy machine is no failure
@given(
    counts=st.lists(st.integers(5, 80), min_size=2, max_size=6),
    shares=st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)),
    seed=st.integers(0, 2**31),
)
def test_a_split_is_complete_disjoint_and_has_every_class_in_proportion(counts, shares, seed):
    targets = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = sources.split(targets, shares, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(targets)))
    for target, count in enumerate(counts):
        inside = [int((targets[part] == target).sum()) for part in parts]
        assert inside[1:] == [max(1, round(share * count)) for share in shares]
        assert inside[0] >= 1


def test_a_split_is_the_seeds():
    targets = np.repeat(np.arange(4), 50)
    one, same, other = (sources.split(targets, (0.2,), seed)[1].tolist() for seed in (7, 7, 8))
    assert one == same
    assert one != other


# idx


def idx_bytes(sizes=(2, 3), rest=bytes(6), kind=b"\0\0\x08"):
    return kind + bytes([len(sizes)]) + b"".join(size.to_bytes(4, "big") for size in sizes) + rest


def test_idx_is_read_with_its_axes():
    found = sources.idx(idx_bytes(rest=bytes(range(6))))
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found.flags.writeable


@pytest.mark.parametrize(
    "data",
    [idx_bytes(rest=bytes(5)), idx_bytes(rest=bytes(7)), idx_bytes(kind=b"\0\0\x0d"), idx_bytes()[:6], b"", b"\0\0\x08\0"],
    ids=["short", "long", "floats", "header cut", "empty", "no axes"],
)
def test_idx_of_wrong_sizes_is_refused(data):
    with pytest.raises(TrainingError, match=r"^The idx file states .* and has \d+ bytes\.$"):
        sources.idx(data)


# Public data that is there


@pytest.fixture
def made(monkeypatch) -> PublicFile:
    """A public data set `made` of one file, without an address."""
    file = PublicFile("made-ubyte.gz", md5(PACKED), md5(INSIDE))
    monkeypatch.setitem(sources.PUBLIC, "made", PublicData((), (file,)))
    return file


def public(data_dir: Path | None, cache_dir: Path | None = None) -> dict[str, bytes]:
    return Sources(None, data_dir, cache_dir, Console(quiet=True)).public("made")


@pytest.mark.parametrize("where", ["", "made"], ids=["directly", "in a folder of its name"])
@pytest.mark.parametrize(("name", "data"), [("made-ubyte.gz", PACKED), ("made-ubyte", INSIDE)], ids=["packed", "unpacked"])
def test_public_data_is_taken_from_where_it_is(tmp_path, made, where, name, data):
    (tmp_path / where).mkdir(exist_ok=True)
    (tmp_path / where / name).write_bytes(data)
    assert public(tmp_path) == {"made-ubyte": INSIDE}


def test_a_wrapper_that_was_packed_again_is_taken(tmp_path, made):
    (tmp_path / made.name).write_bytes(gzip.compress(INSIDE, 1, mtime=1))
    assert public(tmp_path) == {"made-ubyte": INSIDE}


def test_other_content_is_refused(tmp_path, made):
    (tmp_path / made.name).write_bytes(gzip.compress(INSIDE[:-1] + b"!"))
    with pytest.raises(TrainingError, match=rf"made-ubyte\.gz is not the published file: .* {made.content_md5}"):
        public(tmp_path)


@pytest.mark.parametrize("data", [PACKED[:-9], PACKED[:12], PACKED[:100] + b"\xff" * 50 + PACKED[150:]])
def test_a_truncated_or_corrupt_archive_is_refused_by_name(tmp_path, made, data):
    (tmp_path / made.name).write_bytes(data)
    with pytest.raises(TrainingError, match=r"made-ubyte\.gz is (cut short or corrupt|not the published file)") as raised:
        public(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path, made):
    with pytest.raises(TrainingError, match=r"^made-ubyte\.gz is neither in .* nor in .*made\.$"):
        public(tmp_path)


def test_half_a_data_set_is_none(tmp_path, made, monkeypatch):
    other = PublicFile("other.gz", md5(b""), md5(b""))
    monkeypatch.setitem(sources.PUBLIC, "made", PublicData((), (made, other)))
    (tmp_path / made.name).write_bytes(PACKED)
    with pytest.raises(TrainingError, match=r"other\.gz is neither"):
        public(tmp_path)


# Downloads


class Site(ThreadingHTTPServer):
    """Serves one file at every address; `/gone/` has nothing, `/plain/` knows no ranges. `cut`: bytes after which it hangs up."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut = PACKED, None
        self.asked: list[tuple[str, str | None]] = []

    def address(self, folder: str = "files") -> str:
        return f"http://127.0.0.1:{self.server_port}/{folder}/"


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path.split("/")[1], wanted))
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and "plain" not in self.path else 0
        if "gone" in self.path or start >= len(self.server.content):
            self.send_error(416 if start else 404)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if self.server.cut is None else body[: self.server.cut])

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def site(monkeypatch, made) -> Iterator[Site]:
    """A server that has the file; the data set's one address."""
    site = Site()
    thread = threading.Thread(target=site.serve_forever, args=(0.01,))
    thread.start()
    addressed(monkeypatch, made, site.address())
    monkeypatch.setattr(sources, "CHUNK_BYTES", 1000)  # a chunk that breaks off is lost, and the file is small
    yield site
    site.shutdown()
    thread.join()
    site.server_close()


def addressed(monkeypatch, made, *addresses: str) -> None:
    monkeypatch.setitem(sources.PUBLIC, "made", PublicData(addresses, (made,)))


def test_a_download_is_made_once(site, tmp_path):
    assert public(None, tmp_path) == public(None, tmp_path) == {"made-ubyte": INSIDE}
    assert site.asked == [("files", None)]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["made-ubyte.gz"]


def test_a_download_that_broke_off_goes_on_where_it_was(site, tmp_path):
    site.cut = 20_000
    with pytest.raises(TrainingError, match=r"^made-ubyte\.gz cannot be downloaded"):
        public(None, tmp_path)
    site.cut = None
    assert public(None, tmp_path) == {"made-ubyte": INSIDE}
    assert site.asked == [("files", None), ("files", "bytes=20000-")]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["made-ubyte.gz"]


def test_a_server_without_ranges_is_asked_for_the_whole(site, tmp_path, monkeypatch, made):
    site.cut = 20_000
    with pytest.raises(TrainingError):
        public(None, tmp_path)
    site.cut = None
    addressed(monkeypatch, made, site.address("plain"))
    assert public(None, tmp_path) == {"made-ubyte": INSIDE}


@pytest.mark.parametrize("content", [INSIDE, PACKED[:-1] + b"!", b"<html>"], ids=["unpacked", "one byte", "a page"])
def test_corrupt_content_is_refused_and_not_kept(site, tmp_path, content):
    site.content = content
    with pytest.raises(TrainingError, match=r"^made-ubyte\.gz cannot be downloaded .*hash"):
        public(None, tmp_path)
    assert list((tmp_path / "made").iterdir()) == []
    site.content = PACKED
    assert public(None, tmp_path) == {"made-ubyte": INSIDE}


def test_a_corrupt_beginning_is_found_out_and_thrown_away(site, tmp_path):
    site.content, site.cut = bytes(len(PACKED)), 20_000
    with pytest.raises(TrainingError):
        public(None, tmp_path)
    site.content, site.cut = PACKED, None
    with pytest.raises(TrainingError, match="hash"):
        public(None, tmp_path)
    assert public(None, tmp_path) == {"made-ubyte": INSIDE}


def test_a_beginning_longer_than_the_file_is_thrown_away(site, tmp_path):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "made-ubyte.gz.part").write_bytes(bytes(len(PACKED) + 5))
    with pytest.raises(TrainingError, match="no part of the file"):
        public(None, tmp_path)
    assert public(None, tmp_path) == {"made-ubyte": INSIDE}


def test_a_file_spoiled_in_the_cache_is_downloaded_again(site, tmp_path):
    public(None, tmp_path)
    (tmp_path / "made" / "made-ubyte.gz").write_bytes(PACKED[:100])
    assert public(None, tmp_path) == {"made-ubyte": INSIDE}


def test_the_second_address_is_asked_where_the_first_fails(site, tmp_path, monkeypatch, made):
    addressed(monkeypatch, made, site.address("gone"), site.address())
    assert public(None, tmp_path) == {"made-ubyte": INSIDE}
    assert [folder for folder, _ in site.asked] == ["gone", "files"]


def test_where_every_address_fails_one_line_says_why_and_what_to_do(site, tmp_path, monkeypatch, made):
    addressed(monkeypatch, made, site.address("gone"), "http://127.0.0.1:1/files/")
    with pytest.raises(TrainingError, match=r"404.*127\.0\.0\.1:1/.*--data-dir takes a folder that has it") as raised:
        public(None, tmp_path)
    assert "\n" not in str(raised.value)
    assert not list((tmp_path / "made").glob("made*"))


def test_a_bar_is_told_of_progress(capsys):
    with Sources(None, None, None, Console(width=100)).bar("reading (texts)", 10) as advance:
        advance(10)
    assert "reading (texts)" in capsys.readouterr().out
