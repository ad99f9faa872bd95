"""What is answered below ASGI, against a real process: the same answers, limits and manners as through the app."""

import asyncio
import json
import re
import socket
import time
from contextlib import closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
from uvicorn.server import ServerState

from service import http
from service.access import Guard
from service.edge import Said
from service.exchange import Exchange, Line, Requested
from service.samples import SEVEN_PNG
from service.settings import Settings
from tests.conftest import servers, until, write_version

INFER = "/v2/models/light/infer"
TENSOR = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [9] * 784}
BODY = json.dumps({"inputs": [TENSOR]}).encode()
PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exchange")
    write_version(folder / "models")
    with servers(folder) as start:
        yield start(models_dir=folder / "models", body_timeout_s=1, max_body_bytes=100_000).url


def wire(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def post(body: bytes = BODY, *headers: str, path: str = INFER) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def answers(connection: socket.socket, count: int) -> list[tuple[int, bytes, bytes]]:
    """Status, head and body of each."""
    data, found = b"", []
    while len(found) < count:
        head, divided, rest = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"content-length: (\d+)", head)[1]) if divided else 0
        if divided and len(rest) >= length:
            found.append((int(head.split()[1]), head, rest[:length]))
            data = rest[length:]
            continue
        part = connection.recv(65536)
        assert part, data
        data += part
    return found


def without_times(answer: httpx.Response) -> tuple:
    headers = {name: value for name, value in answer.headers.items() if name not in ("server-timing", "date", "x-request-id")}
    return answer.status_code, answer.content, headers


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (INFER, BODY, {}),
        ("/v2/models/light/versions/1/infer", BODY, {}),
        ("/v1/classify?top=2", SEVEN_PNG, PNG),
        ("/v1/classify?top=x", SEVEN_PNG, PNG),
        ("/v1/classify?version=9", SEVEN_PNG, PNG),
        ("/v1/classify", b"", PNG),
        (INFER, b"", {}),
        (INFER, b"{", {}),
        ("/v2/models/other/infer", BODY, {}),
        ("/v2/models/light/versions/x/infer", BODY, {}),
    ],
)
def test_the_answer_is_that_of_the_documented_route(url, path, body, headers):
    lean = httpx.post(url + path, content=body, headers=headers)
    through_the_app = httpx.post(url + path, content=iter([body]), headers=headers)  # in chunks: for the app
    if lean.status_code < 400:
        assert without_times(lean) == without_times(through_the_app)
    else:
        told = [{**one.json(), "request_id": ""} for one in (lean, through_the_app)]
        assert told[0] == told[1]
        assert lean.status_code == through_the_app.status_code


def test_a_request_keeps_its_id_and_says_where_its_time_went(url):
    answer = httpx.post(url + INFER, content=BODY, headers={"x-request-id": "mine"})
    assert answer.headers["x-request-id"] == "mine"
    assert re.match(r"decode;dur=[\d.]+, queue;dur=[\d.]+, compute;dur=[\d.]+", answer.headers["server-timing"])
    refused = httpx.post(url + INFER, content=b"{", headers={"x-request-id": "mine"})
    assert refused.json()["request_id"] == refused.headers["x-request-id"] == "mine"


def test_requests_on_one_connection_are_answered_in_order(url):
    with closing(wire(url)) as connection:
        connection.sendall(post() + post(b"{") + post() + b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" + post())
        found = answers(connection, 5)
    assert [status for status, _, _ in found] == [200, 400, 200, 200, 200]
    assert found[3][2] == b'{"live":true}'


def test_a_request_that_came_before_is_answered_as_it_was_the_first_time(url):
    again = [post(), post(b"{"), post(), post(b""), post()]
    with closing(wire(url)) as connection:
        found = []
        for data in again:  # one by one: each comes whole
            connection.sendall(data)
            found += answers(connection, 1)
        connection.sendall(post() + post()[:-100])
        found += answers(connection, 1)
        connection.sendall(post()[-100:] + post())
        found += answers(connection, 2)
    assert [status for status, _, _ in found] == [200, 400, 200, 400, 200, 200, 200, 200]
    assert len({body for status, _, body in found if status == 200}) == 1
    assert len({re.search(rb"x-request-id: (\S+)", head)[1] for _, head, _ in found}) == len(found)


def test_a_request_that_came_before_closes_its_connection_if_it_did_then(url):
    for _ in range(3):
        with closing(wire(url)) as connection:
            connection.sendall(post(BODY, "Connection: close"))
            assert answers(connection, 1)[0][0] == 200
            assert connection.recv(1) == b""


def test_a_connection_that_waits_after_a_known_request_is_let_be(url):
    with closing(wire(url)) as connection:
        for _ in range(2):
            connection.sendall(post())
            assert answers(connection, 1)[0][0] == 200
        time.sleep(1.6)  # longer than a body may take
        connection.sendall(post())
        assert answers(connection, 1)[0][0] == 200


def test_a_body_may_come_in_pieces(url):
    with closing(wire(url)) as connection:
        data = post()
        for start in range(0, len(data), 300):
            connection.sendall(data[start : start + 300])
            time.sleep(0.005)
        assert answers(connection, 1)[0][0] == 200


@pytest.mark.parametrize(("header", "closes"), [("Connection: close", True), ("Connection: keep-alive", False)])
def test_the_connection_is_kept_as_the_client_wants(url, header, closes):
    with closing(wire(url)) as connection:
        connection.sendall(post(BODY, header))
        ((status, head, _),) = answers(connection, 1)
        assert (status, b"connection: close" in head) == (200, closes)
        if closes:
            assert connection.recv(1) == b""
        else:
            connection.sendall(post())
            assert answers(connection, 1)[0][0] == 200


def test_a_body_that_does_not_come_is_given_up_and_counted(url):
    with closing(wire(url)) as connection:
        connection.sendall(post()[:-10])
        ((status, head, body),) = answers(connection, 1)
        assert (status, json.loads(body)["code"]) == (408, "request_timeout")
        assert b"connection: close" in head
        assert connection.recv(1) == b""
    assert 'modelyard_requests_total{method="POST",route="/v2/models/{name}/infer",status="408"} 1.0' in metrics(url)


def metrics(url: str) -> str:
    return httpx.get(f"{url}/metrics").text


def test_a_client_that_leaves_in_the_middle_is_counted_and_nothing_stays_in_flight(url):
    with closing(wire(url)) as connection:
        connection.sendall(post()[:-10])
        time.sleep(0.2)
        assert "modelyard_in_flight 2.0" in metrics(url)
    left = 'modelyard_requests_total{method="POST",route="/v2/models/{name}/infer",status="499"} 1.0'
    end = time.monotonic() + 5
    while left not in metrics(url) or "modelyard_in_flight 1.0" not in metrics(url):
        assert time.monotonic() < end, metrics(url)
        time.sleep(0.05)


def test_a_body_beyond_the_limit_is_refused_before_it_comes(url):
    with closing(wire(url)) as connection:
        connection.sendall(post(b"", path=INFER).replace(b"Content-Length: 0", b"Content-Length: 100001"))
        ((status, _, body),) = answers(connection, 1)
    assert (status, json.loads(body)["code"]) == (413, "too_large")


@pytest.mark.parametrize("header", ["Expect: 100-continue", "Content-Encoding: identity", "Transfer-Encoding: chunked"])
def test_what_is_unusual_goes_through_the_app(url, header):
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY) if "chunked" in header else BODY
    data = post(body, header)
    if "chunked" in header:
        data = data.replace(b"Content-Length: %d\r\n" % len(body), b"")
    with closing(wire(url)) as connection:
        connection.sendall(data)
        if "Expect" in header:
            assert connection.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert answers(connection, 1)[0][0] == 200


class Transport:
    """Remembers what is written."""

    def __init__(self) -> None:
        self.written, self.closed = b"", False

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts) -> None:
        self.written += b"".join(parts)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


class Handled:
    """An exchange whose handler says nothing until it is told to."""

    def __init__(self, **limits: float) -> None:
        self.transport, self.completed, self.cancelled = Transport(), 0, False
        self.answer: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        flow = SimpleNamespace(write_paused=False)
        state = ServerState()
        line = Line(
            self.transport, flow, Settings(**limits), state, SimpleNamespace(draining=False), Guard(Settings()), self._complete
        )
        lean = http.Lean("/v1/slow", self._handler)
        self.exchange = Exchange(Requested(lean, {}, b"/v1/slow", b"", {}, 0, keep_alive=True), line)
        self.line = line

    def _complete(self) -> None:
        self.completed += 1

    async def _handler(self, asked: http.Asked) -> Said:
        try:
            return await asked.wait(self.answer)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


@pytest.mark.anyio
async def test_an_answer_that_takes_too_long_is_given_up():
    slow = Handled(deadline_s=10)
    slow.exchange.start()
    await asyncio.sleep(0)
    slow.exchange.check(time.monotonic() + 9)
    await asyncio.sleep(0.01)
    assert not slow.transport.written
    slow.exchange.check(time.monotonic() + 11)
    await until(lambda: slow.completed)
    assert slow.transport.written.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    assert b"No answer within 10 s." in slow.transport.written
    assert slow.cancelled
    assert not slow.line.server.tasks


@pytest.mark.anyio
async def test_a_client_that_leaves_ends_the_work_and_gets_nothing():
    left = Handled()
    left.exchange.start()
    await asyncio.sleep(0)
    left.exchange.disconnected = True
    left.exchange.set()
    await until(lambda: left.completed)
    assert (left.transport.written, left.cancelled) == (b"", True)


@pytest.mark.anyio
async def test_an_answer_waits_for_a_client_that_does_not_read():
    asked = Handled()
    reads = asyncio.Event()
    asked.line.flow.write_paused, asked.line.flow.drain = True, reads.wait
    asked.exchange.start()
    asked.answer.set_result(Said(b"x" * 100_000, {"X-Y": "z"}))
    await asyncio.sleep(0.01)
    assert not asked.transport.written
    reads.set()
    await until(lambda: asked.completed)
    head, _, body = asked.transport.written.partition(b"\r\n\r\n")
    assert (len(body), b"\r\nX-Y: z\r\n" in head, asked.transport.closed) == (100_000, True, False)


@pytest.mark.anyio
async def test_a_service_that_stops_says_so_and_closes():
    asked = Handled()
    asked.line.registry.draining = True
    asked.exchange.start()
    asked.answer.set_result(Said(b"{}"))
    await until(lambda: asked.completed)
    assert b"connection: close" in asked.transport.written
    assert asked.transport.closed


@pytest.mark.parametrize("path", [b"/v1/classify", b"/v2/models/a-b.C_1/infer", b"/v2/models/m/versions/2/infer"])
def test_a_path_is_found_by_its_template(path):
    async def nothing() -> None: ...

    templates = ("/v1/classify", "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer")
    paths = http.Paths(http.Lean(template, nothing) for template in templates)
    assert paths.find(path)[0].template in templates
    for unusual in (path + b"/", path + b"%20", path.replace(b"/v", b"/V"), b"/" + path, path.replace(b"classify", b"infer")):
        found = paths.find(unusual)
        assert found is None or found[1] != {}
