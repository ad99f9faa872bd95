"""Points on a plane."""

import json
from types import SimpleNamespace

import pytest

from service import planes
from service.errors import NotFound
from service.family import Options

GOOD = {"method": "by hand", "x": [0.1, 0.2], "y": [0.3, 0.4], "label": [1, 0], "code": [[1.0], [2.0]]}


def read(labels=("a", "b"), **changes):
    return planes.read({planes.PLANE: json.dumps({**GOOD, **changes}).encode()}, planes.PLANE, planes.Codes, labels)


def test_labels_are_told_by_name():
    assert read()["label"] == ["b", "a"]


def test_without_names_labels_are_numbers():
    assert read(labels=())["label"] == ["1", "0"]


def test_a_version_without_the_file_has_no_points():
    assert planes.read({}, planes.PLANE, planes.Codes) is None


@pytest.mark.parametrize(
    "changes", [{"label": [2, 0]}, {"x": [0.1]}, {"x": ["a", "b"]}, {"code": None}, {"y": "far"}, {"label": ["a", "b"]}]
)
def test_a_file_of_another_form_is_refused(changes):
    with pytest.raises(ValueError, match=r"plane\.json"):
        read(**changes)


def test_a_lookup_tells_the_points_or_that_there_are_none():
    lookup = planes.lookup("plane", "-", planes.Codes)
    assert lookup.answer(SimpleNamespace(plane=read()), Options())["x"] == [0.1, 0.2]
    with pytest.raises(NotFound, match="no plane"):
        lookup.answer(SimpleNamespace(plane=None), Options())
