"""Several processes on one port."""

import os
import re
import signal
import threading
import time

import httpx

from service.metrics import WRITTEN_EVERY_S
from service.samples import SEVEN_PNG
from service.settings import Settings
from service.workers import LAST_BACKOFF_S, WELL_S, Backoff, _Supervisor
from tests.conftest import write_version
from tests.drills.access import keys

PNG = {"content-type": "image/png"}


def children(pid: int) -> set[int]:
    from pathlib import Path

    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if int(text.rsplit(")", 1)[1].split()[1]) == pid and b"multiprocessing" in (stat.parent / "cmdline").read_bytes():
            found.add(int(stat.parent.name))
    return {pid for pid in found if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()}


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def classified(url: str) -> bool:
    try:
        return httpx.post(f"{url}/v1/classify", content=SEVEN_PNG, headers=PNG).status_code == 200
    except httpx.TransportError:
        return False


def test_workers_share_the_port_and_their_metrics(start, models_dir):
    server = start(models_dir=models_dir, workers=2)
    until(lambda: len(children(server.process.pid)) == 2)
    until(lambda: all(classified(server.url) for _ in range(5)))
    time.sleep(2 * WRITTEN_EVERY_S)
    before = requests(server.url)
    assert all(classified(server.url) for _ in range(40))
    until(lambda: requests(server.url) == before + 40)  # a worker writes its numbers ten times a second
    assert server.stop() == 0


def refused(start, **settings) -> str:
    """What a service says that does not begin to listen."""
    server = start(wait=False, **settings)
    assert server.process.wait(20) == 2
    return server.log.read_text()


def test_a_port_that_others_can_reach_needs_keys_or_the_word_that_it_may_be_open(start, models_dir):
    assert "expected MODELYARD_KEYS" in refused(start, host="0.0.0.0", models_dir=models_dir)
    server = start(host="0.0.0.0", open=True, models_dir=models_dir)
    assert "there are no API keys" in server.log.read_text()
    keys(models_dir.parent / "keys.json", "add", "me", "--role", "infer")
    server = start(host="0.0.0.0", keys=models_dir.parent / "keys.json", models_dir=models_dir)
    assert "there are no API keys" not in server.log.read_text()


def test_a_key_file_that_cannot_be_used_keeps_the_service_from_starting(start, tmp_path):
    assert "cannot be read: No such file" in refused(start, keys=tmp_path / "none")
    (tmp_path / "keys").write_text("{}")
    assert "expected 0600" in refused(start, keys=tmp_path / "keys")


def requests(url: str) -> float:
    text = httpx.get(f"{url}/metrics").text
    found = re.search(r'modelyard_requests_total\{method="POST",route="/v1/classify",status="200"\} (\S+)', text)
    return float(found[1]) if found else 0


def test_a_worker_killed_is_replaced(start, models_dir):
    server = start(models_dir=models_dir, workers=2)
    until(lambda: len(children(server.process.pid)) == 2)
    victim = min(children(server.process.pid))
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(children(server.process.pid) - {victim}) == 2)
    until(lambda: all(classified(server.url) for _ in range(10)))
    assert "a worker died and is replaced" in server.log.read_text()


def test_workers_go_when_their_parent_is_killed(start, models_dir):
    server = start(models_dir=models_dir, workers=2, drain_delay_s=0)
    until(lambda: len(children(server.process.pid)) == 2)
    workers = children(server.process.pid)
    server.process.kill()
    server.process.wait()
    until(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))  # noqa: PTH110 - /proc


def test_a_port_that_is_taken_is_said_in_one_line(start, models_dir, tmp_path):
    first = start(models_dir=models_dir)
    port = first.url.rsplit(":", 1)[1]
    for workers in (1, 2):
        second = start(wait=False, models_dir=models_dir, port=port, workers=workers)
        assert second.process.wait(20) == 2
        lines = [line for line in second.log.read_text().splitlines() if line]
        assert len(lines) == 1
        assert f"Cannot listen on 127.0.0.1:{port}" in lines[0]


def test_a_setting_that_is_wrong_is_said_in_one_line(start):
    server = start(wait=False, max_batch="many")
    assert server.process.wait(20) == 2
    assert server.log.read_text().startswith("modelyard: MODELYARD_MAX_BATCH is 'many':")
    assert server.log.read_text().count("\n") == 1


def test_cuda_that_is_not_there_is_said_in_one_line(start, models_dir):
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        import pytest

        pytest.skip("this machine may have a GPU")
    for workers in (1, 2):
        server = start(wait=False, models_dir=models_dir, provider="cuda", workers=workers)
        assert server.process.wait(20) == 2
        assert "MODELYARD_PROVIDER is 'cuda', but" in server.log.read_text()
        assert "Traceback" not in server.log.read_text()


def test_both_workers_take_up_a_new_version(start, models_dir):
    server = start(models_dir=models_dir, workers=2, reload_s=0.1)
    write_version(models_dir, version=2)
    until(lambda: all(version(server.url) == 2 for _ in range(10)))


def version(url: str) -> int:
    return httpx.post(f"{url}/v1/classify", content=SEVEN_PNG, headers=PNG).json().get("version", 0)


def test_the_wait_before_a_replacement_doubles_and_begins_anew_after_a_worker_that_was_well():
    backoff = Backoff()
    assert [backoff.after(0.1) for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert [backoff.after(0.1) for _ in range(6)][-1] == LAST_BACKOFF_S
    assert [backoff.after(WELL_S), backoff.after(0.1)] == [0.1, 0.2]


def test_a_signal_ends_the_wait_and_starts_nobody():
    supervisor = _Supervisor(lambda settings: None, Settings(workers=2))
    begun = time.monotonic()
    threading.Timer(0.1, supervisor._tell_stop).start()
    supervisor._wait(30)
    assert time.monotonic() - begun < 5
