"""The listening, against a real process."""

import re
import signal
import socket
import threading
import time
from contextlib import closing, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from service.samples import SEVEN_PNG
from tests.conftest import write_version

PNG = {"content-type": "image/png"}


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=20)


def ask(url: str, request: bytes) -> bytes:
    with closing(connect(url)) as wire:
        wire.sendall(request)
        answer = b""
        while part := wire.recv(65536):
            answer += part
        return answer


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """One server for all that do not stop it."""
    import os
    import subprocess
    import sys

    from tests.conftest import ROOT, Process, _address, _ready

    folder = tmp_path_factory.mktemp("server")
    write_version(folder / "models")
    limits = {"HEADER_TIMEOUT_S": "1", "BODY_TIMEOUT_S": "1", "MAX_CONNECTIONS": "20", "KEEP_ALIVE_S": "2", "PORT": "0"}
    named = {f"MODELYARD_{key}": value for key, value in {**limits, "MODELS_DIR": str(folder / "models")}.items()}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service"], cwd=ROOT, env={**os.environ, **named}, stderr=log, text=True
        )
    one = Process(process, "", folder / "log")
    one.url = _address(one)
    _ready(one)
    yield one.url
    process.kill()
    process.wait()


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414, b"uri_too_long"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 40_000 + b"\r\n\r\n", 431, b"headers_too_large"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"x: 1\r\n" * 101 + b"\r\n", 431, b"headers_too_large"),
        (b"nonsense\r\n\r\n", 400, b"bad_request"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 60_000, 431, b"headers_too_large"),
    ],
)
def test_a_request_beyond_the_limits_is_refused_in_our_own_words(url, request_, status, code):
    answer = ask(url, request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert code in answer
    assert b'"error"' in answer


def test_headers_that_trickle_are_given_up(url):
    begun = time.monotonic()
    answer = ask(url, b"GET / HTTP/1.1\r\nhost: localhost\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - begun < 5


def test_a_body_that_trickles_is_given_up(url):
    begun = time.monotonic()
    answer = ask(
        url, b"POST /v1/classify HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\ncontent-type: image/png\r\n\r\nabc"
    )
    assert time.monotonic() - begun < 5  # the connection is closed, not only answered
    assert b"408 " in answer.split(b"\r\n")[0]
    assert b"request_timeout" in answer


def test_a_client_that_does_not_read_is_given_up(url):
    with closing(connect(url)) as wire:
        wire.settimeout(1)
        with suppress(TimeoutError):  # the server reads no further than it can answer
            wire.sendall(
                (b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20000\r\n\r\n" + b"a" * 20_000) * 1000
            )
        time.sleep(4)
        with pytest.raises(ConnectionError):
            list(iter(lambda: wire.recv(1 << 20), b""))


def test_a_connection_too_many_is_refused_and_the_others_stay(url):
    opened = [connect(url) for _ in range(20)]
    try:
        for _ in range(50):
            refused = ask(url, b"")
            if refused:
                break
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in refused
        opened[0].sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert opened[0].recv(20).startswith(b"HTTP/1.1 200")
    finally:
        for wire in opened:
            wire.close()
    time.sleep(0.2)


def test_pipelined_requests_are_answered_in_order(url):
    one = b"GET /v2/health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"
    two = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    assert re.findall(rb"HTTP/1.1 (\d+)", ask(url, one + two)) == [b"200", b"404"]


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/models/digits/infer"])
def test_a_connection_without_another_request_is_closed(url, path):
    verb = b"GET" if path.startswith("/v2/health") else b"POST"
    began = time.monotonic()
    answer = ask(url, verb + b" " + path.encode() + b" HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"body took longer" not in answer
    assert 1.5 <= time.monotonic() - began <= 8


def test_the_service_answers_without_torch_loaded(models_dir):
    import subprocess
    import sys

    code = (
        "import sys; from service.app import create_app; from service.settings import Settings; create_app(Settings());"
        "bad = {'torch', 'training', 'onnx', 'matplotlib'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_is_ready_within_two_seconds(start, models_dir):
    begun = time.monotonic()
    server = start(models_dir=models_dir)
    assert httpx.post(f"{server.url}/v1/classify", content=SEVEN_PNG, headers=PNG).status_code == 200
    assert time.monotonic() - begun < 4  # two on an idle machine; the benchmark has the figure


def test_sigterm_says_not_ready_first_then_finishes_what_is_in_flight_and_exits(start, models_dir):
    server = start(models_dir=models_dir, drain_delay_s=1)
    answers: list[int] = []
    stop = threading.Event()

    def loop() -> None:
        with server.client() as client:
            while not stop.is_set():
                answers.append(client.post("/v1/classify", content=SEVEN_PNG, headers=PNG).status_code)

    slow = connect(server.url)
    slow.sendall(
        b"POST /v1/classify HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n"
        % len(SEVEN_PNG)
    )
    threads = [threading.Thread(target=loop) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    ready = httpx.get(f"{server.url}/v2/health/ready")
    stop.set()
    for thread in threads:
        thread.join()
    slow.sendall(SEVEN_PNG)  # its request was accepted before the signal
    assert (ready.status_code, ready.json()["code"]) == (503, "unavailable")
    assert slow.recv(20).startswith(b"HTTP/1.1 200")
    slow.close()
    assert server.process.wait(10) == 0
    assert set(answers) == {200}


def test_a_connection_that_waits_to_be_accepted_when_the_port_closes_is_answered(start, models_dir):
    server = start(models_dir=models_dir, drain_delay_s=0)
    head = b"POST /v1/classify HTTP/1.1\r\nhost: localhost\r\ncontent-type: image/png\r\ncontent-length: %d\r\n\r\n" % len(
        SEVEN_PNG
    )
    begun = connect(server.url)
    begun.sendall(head[:20])
    time.sleep(0.2)
    server.process.send_signal(signal.SIGSTOP)  # the system accepts for it
    waiting = [connect(server.url) for _ in range(10)]
    for wire in waiting:
        wire.sendall(head + SEVEN_PNG)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    begun.sendall(head[20:] + SEVEN_PNG)
    for wire in (begun, *waiting):
        assert wire.recv(20).startswith(b"HTTP/1.1 200")
        wire.close()
    assert server.process.wait(10) == 0


def test_a_second_signal_exits_at_once(start, models_dir):
    server = start(models_dir=models_dir, drain_delay_s=20)
    begun = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(10)
    assert time.monotonic() - begun < 5


def test_a_new_version_is_served_under_load_without_a_failed_request(start, models_dir):
    server = start(models_dir=models_dir, reload_s=0.1)
    seen: list[tuple[int, int, float]] = []
    stop = threading.Event()

    def loop() -> None:
        with server.client() as client:
            while not stop.is_set():
                answer = client.post("/v1/classify", content=SEVEN_PNG, headers=PNG)
                body = answer.json()
                light = body["predictions"][0]["probabilities"]["light"] if answer.status_code == 200 else -1
                seen.append((answer.status_code, body.get("version"), round(light, 4)))

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    while not seen:
        time.sleep(0.01)
    for version in range(2, 7):
        write_version(models_dir, version=version, gain=1 / version)
        time.sleep(0.4)
    end = time.monotonic() + 30
    while seen[-1][1] != 6 and time.monotonic() < end:
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _, _ in seen} == {200}
    answers = {version: {light for _, v, light in seen if v == version} for _, version, _ in seen}
    assert 6 in answers
    assert all(len(lights) == 1 for lights in answers.values())  # each answer is that of the version it names
    lights = {version: next(iter(found)) for version, found in answers.items()}
    assert all(abs(light - lights[1] / version) < 1e-3 for version, light in lights.items())


def test_a_broken_version_changes_nothing_and_is_named_in_the_log(start, models_dir):
    server = start(models_dir=models_dir, reload_s=0.1)
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    with server.client() as client:
        for _ in range(100):
            if client.get("/v1/models").json()["refused"]:
                break
            time.sleep(0.05)
        assert client.post("/v1/classify", content=SEVEN_PNG, headers=PNG).json()["version"] == 1
    assert "version refused" in server.log.read_text()


def test_log_lines_are_json_with_the_requests_id(start, models_dir):
    import json

    server = start(models_dir=models_dir)
    httpx.get(f"{server.url}/v2/health/live", headers={"x-request-id": "find-me"})
    server.stop(signal.SIGINT)
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert any(line.get("request_id") == "find-me" and line["status"] == 200 for line in lines)
