"""Heads of requests that came before: found by their bytes and the length of what follows, or not at all."""

import pytest

from service import heads
from service.exchange import Requested
from service.heads import Heads
from service.http import Lean

HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n"


async def answers(asked): ...


def requested(size: int = 3, **more: bytes) -> Requested:
    sent = {b"host": b"x", b"content-length": b"%d" % size, **{name.encode(): value for name, value in more.items()}}
    return Requested(Lean("/v1/classify", answers), {}, b"/v1/classify", b"", sent, size, keep_alive=True)


@pytest.fixture
def known():
    found = Heads()
    found.learn(HEAD + b"abc", requested())
    return found


def test_a_known_head_with_its_body_is_not_parsed_again(known):
    found, body = known.read(HEAD + b"xyz")
    assert (found.path, body) == (b"/v1/classify", b"xyz")


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"ab",
        HEAD + b"abcd",
        HEAD + b"abc" + HEAD + b"abc",
        HEAD.replace(b"Host: x", b"Host: y") + b"abc",
        HEAD.replace(b": 3", b": 4") + b"abcd",
        b"\r\n" + HEAD + b"abc",
        HEAD[:-2],
        b"abc",
        b"",
    ],
)
def test_anything_else_is_parsed(known, data):
    assert known.read(data) is None


@pytest.mark.parametrize(
    ("data", "made"),
    [
        (HEAD + b"ab", requested()),
        (HEAD + b"abc" + HEAD + b"abc", requested()),
        (HEAD + b"abc", requested(**{"x-request-id": b"1"})),
        (HEAD + b"abc", requested(**{"transfer-encoding": b"chunked"})),
        (b"POST /" + b"a" * heads.LONGEST + HEAD + b"abc", requested()),
        (b"abc", requested()),
    ],
)
def test_what_is_not_one_whole_plain_request_is_not_remembered(data, made):
    found = Heads()
    found.learn(data, made)
    assert not found._known


def test_no_more_than_some_are_remembered(monkeypatch):
    monkeypatch.setattr(heads, "MOST", 2)
    found = Heads()
    several = [HEAD.replace(b"Host: x", b"Host: %d" % number) + b"abc" for number in range(3)]
    for data in several:
        found.learn(data, requested())
    assert len(found._known) <= 2
    assert found.read(several[-1])
