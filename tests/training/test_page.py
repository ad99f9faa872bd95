"""A page as one HTML file."""

import base64
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from jinja2 import DictLoader, UndefinedError
from PIL import Image

from training import page, plots
from training.page import Page, Picture, Section, Table
from training.room import TrainingError

HOSTILE = """<script>alert("1")</script>'&$x{{ page }}"""


def rendered(*sections, title="digits", **more):
    return page.render(Page(title, more.get("summary", ""), "Finished.", True, more.get("command", ""), sections))


def body(html):
    """What stands in the body, as a tree: no tag is left open, every attribute is quoted."""
    (found,) = re.findall(r"<body>.*</body>", html, re.S)
    return ElementTree.fromstring(found)


def texts(tree, tag):
    return ["".join(one.itertext()).strip() for one in tree.iter(tag)]


@pytest.fixture
def picture(tmp_path):
    return Picture.read(plots.beside([np.zeros((2, 4, 4, 1), np.uint8)], ['"as" <it> is'], tmp_path / "beside.png"))


@pytest.mark.parametrize("value", [
    (None, ""), ("", ""), ([], ""), (float("nan"), ""), (0, "0"), (0.0, "0"), (True, "yes"), (False, "no"), (1234567, "1,234,567"),
    (0.5, "0.5000"), (3.0, "3"), (3.4e-07, "3.4e-07"), (0.00179, "0.00179"), ((1, 2), "1, 2"), ({"a": 1}, "a 1"), ("x", "x"),
])  # fmt: skip
def test_a_value_is_said_as_a_person_reads_it(value):
    assert page.said(value[0]) == value[1]


def test_whatever_is_written_is_escaped(picture):
    line = {HOSTILE: HOSTILE, "n": 1}
    section = Section(HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, [picture], [Table(HOSTILE, [line]), Table("long", [line] * 99)])
    html = rendered(section, title=HOSTILE, summary=HOSTILE, command=HOSTILE)
    assert "<script" not in html
    tree = body(html)
    assert texts(tree, "h1") == texts(tree, "h2") == texts(tree, "pre") == texts(tree, "dd") == [HOSTILE]
    assert [one.get("alt") for one in tree.iter("img")] == ['1 lines of 2 pictures: "as" <it> is.']


def test_what_is_empty_is_left_out():
    html = rendered(Section("Nothing", facts={"a": None}, tables=[Table("t", [])]), Section("Some", facts={"a": 1, "b": ""}))
    tree = body(html)
    assert texts(tree, "h2") == ["Some"]
    assert texts(tree, "dt") == ["a"]
    assert [one.get("href") for one in tree.iter("a")] == ["#some"]
    assert "<pre" not in html


def test_a_table_has_a_caption_and_says_which_cells_are_heads():
    tree = body(
        rendered(Section("Evaluation", tables=[Table("Labels", [{"label": "a", "rows": 3, "empty": None}, {"label": "b"}])]))
    )
    assert texts(tree, "caption") == ["Labels"]
    assert [(one.get("scope"), one.text) for one in tree.iter("th")] == [
        ("col", "label"),
        ("col", "rows"),
        ("row", "a"),
        ("row", "b"),
    ]
    assert texts(tree, "td") == ["3", ""]


def test_what_scrolls_can_be_reached_and_is_named(picture):
    tree = body(rendered(Section("All", pictures=[picture], tables=[Table("Labels", [{"a": 1}])])))
    scrolled = [one for one in tree.iter("div") if one.get("class") == "scroll"]
    assert [(one.get("tabindex"), one.get("role"), one.get("aria-label")) for one in scrolled] == [
        ("0", "region", "Pictures by line"), ("0", "region", "Labels"),
    ]  # fmt: skip


@pytest.mark.parametrize(("rows", "closed", "folded"), [(3, False, 0), (3, True, 1), (page.FOLDED, False, 1)])
def test_long_tables_are_folded_away(rows, closed, folded):
    assert len(texts(body(rendered(Section("S", tables=[Table("T", [{"a": 1}] * rows, closed)]))), "details")) == folded


def test_a_picture_is_in_the_page_whole(picture):
    (drawn,) = body(rendered(Section("P", pictures=[picture]))).iter("img")
    assert base64.b64decode(drawn.get("src").removeprefix("data:image/png;base64,")) == picture.png
    assert (int(drawn.get("width")), int(drawn.get("height"))) == picture.size


def test_a_picture_that_says_nothing_goes_by_its_name(tmp_path):
    Image.new("L", (3, 2)).save(tmp_path / "my_work.png")
    found = Picture.read(tmp_path / "my_work.png")
    assert (found.title, found.description, found.size) == ("My work", "The picture my_work.png of this run.", (3, 2))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(TrainingError, match=r"a\.png is no whole PNG"):
        Picture.read(tmp_path / "a.png")


def test_nothing_is_asked_of_a_host_and_nothing_runs(picture):
    html = rendered(Section("P", pictures=[picture]))
    assert "default-src 'none'; img-src data:" in html
    assert not re.search(
        r"<(script|link|iframe|object|embed|form)\b|@import|url\(|\bon\w+=|https?:", html.replace(picture.uri, "")
    )


def luminance(colour):
    parts = [int(colour[1 + at : 3 + at], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_all_text_stands_out_from_its_ground(scheme):
    found = re.findall(r":root \{(.*?)\}", rendered(), re.S)[scheme]
    colours = {name: value if len(value) == 7 else "#" + "".join(2 * digit for digit in value[1:])
               for name, value in re.findall(r"--(\w+): (#[0-9a-f]+)", found)}  # fmt: skip
    for ink in ("ink", "soft", "link", "good", "bad"):
        for ground in ("ground", "shade"):
            dark, light = sorted([luminance(colours[ink]), luminance(colours[ground])])
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_a_name_that_the_template_gets_wrong_is_an_error(monkeypatch):
    monkeypatch.setattr(page, "FileSystemLoader", lambda _: DictLoader({"page.html": "{{ pgae }}"}))
    with pytest.raises(UndefinedError):
        rendered()
