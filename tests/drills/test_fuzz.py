"""The fuzz drill holds here, and is red where a service says what it should not."""

import asyncio
import time

import pytest

from tests.drills import fuzz, verdicts
from tests.drills.figures import Ground
from tests.drills.rawhttp import Answer
from tests.drills.seeds import Shot


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    (found := tmp_path_factory.mktemp("fuzz") / "ground").mkdir()
    return found


def test_a_service_that_gets_a_thousand_wrong_requests_keeps_its_form_and_lives(start, folder):
    assert [one for one in fuzz.drill(Ground(start, folder), mutations=600, seed=11) if not one.ok] == []


GOOD = b'{"error":"No.","code":"no","request_id":"1"}'
FAULTS = {
    "5xx": (500, GOOD),
    "leak": (400, b'{"error":"in /usr/lib/x","code":"no","request_id":"1"}'),
    "leak, a traceback": (400, b'{"error":"Traceback (most recent call last)","code":"no","request_id":"1"}'),
    "leak, a module": (400, b'{"error":"pydantic.error_wrappers failed","code":"no","request_id":"1"}'),
    "echo": (400, b'{"error":"%s","code":"no","request_id":"1"}'),
    "size": (400, b'{"error":"' + b"no " * 400 + b'","code":"no","request_id":"1"}'),
    "envelope": (404, b'{"detail":"Not Found"}'),
    "envelope, an answer": (200, b'{"a":NaN}'),
    "dropped": (0, b""),
    "smuggling": (200, b"{}"),
    "late": (200, b"{}"),
}


class Planted(asyncio.Protocol):
    """A service with one fault: whatever is sent, it answers so."""

    def __init__(self, status: int, body: bytes, wait_s: float) -> None:
        self._status, self._body, self._wait_s = status, body, wait_s

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(self._wait_s, self._answer, data)

    def _answer(self, data: bytes) -> None:
        if self._status:
            body = self._body % data[-100:] if b"%s" in self._body else self._body
            head = f"HTTP/1.1 {self._status} x\r\ncontent-type: application/json\r\nx-request-id: 1\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)
        self._transport.close()


async def said_of(name: str, shot: Shot) -> list[str]:
    wait_s = 0.3 if name == "late" else 0
    server = await asyncio.get_running_loop().create_server(lambda: Planted(*FAULTS[name], wait_s), "127.0.0.1", 0)
    async with server:
        connection = fuzz.Connection(*server.sockets[0].getsockname())
        said = await fuzz._one(connection, shot, found := fuzz.Found())
        connection.close()
    found.faults.update(one.partition(":")[0] for one in said)
    return [figure.what for figure in fuzz._answers(found, 1) if not figure.ok]


@pytest.mark.parametrize("name", FAULTS)
def test_each_kind_of_fault_turns_a_figure_red(monkeypatch, name):
    monkeypatch.setattr(verdicts, "LATEST_S", 0.1)
    data = b"POST /v1/x HTTP/1.1\r\nContent-Length: 200\r\n\r\n" + b"abcdefghij" * 20
    red = asyncio.run(said_of(name, Shot("planted", data, ambiguous=name == "smuggling")))
    assert any({"leak": "leak", "echo": "more than 60", "size": "another form", "envelope": "another form", "5xx": "5xx", "late": "latest",
                "dropped": "without an answer", "smuggling": "two readings"}[name.partition(",")[0]] in what for what in red), red  # fmt: skip


def test_a_good_refusal_is_no_fault():
    assert verdicts.faults(Answer(400, {"content-type": "application/json"}, GOOD, 0.1), b"x" * 1000) == []
    assert verdicts.faults(Answer(503, {"content-type": "application/json", "retry-after": "1"}, GOOD, 0.1), b"") == []
    assert verdicts.faults(Answer(501, {"content-type": "application/json"}, GOOD, 0.1), b"") == []


@pytest.mark.parametrize(
    "text", [b"a" * 10**6, b"a/" * 500_000, b"service.a" * 100_000, b".py" * 300_000 + b"x", b"line 1" * 150_000]
)
def test_verdicts_are_linear_in_what_they_read(text):
    begun = time.perf_counter()
    verdicts.faults(Answer(400, {"content-type": "text/html"}, text, 0.1), text)
    assert time.perf_counter() - begun < 5


def test_a_stalled_probe_a_dead_process_and_memory_that_grows_are_red():
    pulse = fuzz.Pulse("http://127.0.0.1:1")
    pulse.seconds = [0.01] * 99 + [3.0]
    for memory in ((100, 1000, 1000), (100, 100, 2000)):
        found = fuzz.Found(memory=dict(zip(("before", "after", "peak"), memory, strict=True)))
        assert [one.ok for one in fuzz._life(found, pulse, "the process ended with -9")] == [False] * 3


def test_a_request_is_made_again_of_its_two_numbers(start, capsys):
    url = start(models_dir=fuzz.ROOT / "models", access_log=False).url
    make = fuzz.Mutations(fuzz.Seeds(url)).make
    again = fuzz.Mutations(fuzz.Seeds(url)).make
    assert [make(3, index) for index in range(300)] == [again(3, index) for index in range(300)]
    assert len({make(3, index).kind for index in range(300)}) > 12
    assert fuzz.replay(3, 5, url) == []
    assert repr(make(3, 5).data) in capsys.readouterr().out
