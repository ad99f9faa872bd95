"""The error tree."""

import re
import time

import pytest

from service import errors
from service.errors import ServiceError, shown


def tree(kind: type[ServiceError] = ServiceError) -> list[type[ServiceError]]:
    return [kind, *(below for sub in kind.__subclasses__() for below in tree(sub))]


def test_every_class_has_its_own_code():
    codes = [kind.code for kind in tree()]
    assert len(codes) == len(set(codes)) > 10


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = set(re.findall(r"(\w+) (\d{3}) ([a-z_]+)", errors.__doc__))
    assert drawn == {(kind.__name__, str(kind.status), kind.code) for kind in tree()}


def test_what_the_client_can_retry_says_when():
    assert all((kind.retry_after_s is not None) == (kind.status == 503) for kind in tree())


def test_a_shown_value_is_short_printable_ascii():
    for value in ("a" * 1000, "é☃\n\x00\ud800", b"\xff" * 500, 10**500, ["x"] * 1000):
        assert len(shown(value)) <= 100
        assert shown(value).isascii()
        assert shown(value).isprintable()


@pytest.mark.parametrize(
    "value", [[1, [2.5, None], {"a": [True, "b'"]}], {}, [], {"k": {}}, -0.0, b"x", None, {"a": 1, "b": [[]]}]
)
def test_a_shown_value_is_written_as_python_does(value):
    assert shown(value) == ascii(repr(value))


@pytest.mark.parametrize(
    "value", [[1.5] * 2_000_000, [["a", "b"]] * 500_000, {str(key): key for key in range(300_000)}, "x" * 10**7]
)
def test_of_a_value_of_megabytes_only_its_beginning_is_looked_at(value):
    begun = time.perf_counter()
    assert len(shown(value)) <= 60
    assert time.perf_counter() - begun < 0.05
