"""Prometheus."""

import subprocess
import sys

import pytest

from service import metrics

SHARE = """
import sys

import pytest
from service import settings
settings.share_metrics(sys.argv[1])
from service import metrics
metrics.LOADS.labels("m", "served").inc(2)
metrics.VERSION.labels("m").set(int(sys.argv[2]))
sys.stdout.buffer.write(metrics.expose())
"""


def test_the_text_is_prometheus_own():
    assert b"# TYPE modelyard_requests_total counter" in metrics.expose()


@pytest.fixture
def shared(tmp_path) -> bytes:
    """What the second of two processes exposes, one that serves version 7 and one that serves 8."""
    for version in (7, 8):
        command = [sys.executable, "-c", SHARE, str(tmp_path), str(version)]
        text = subprocess.run(command, capture_output=True, check=True).stdout
    return text


def test_workers_that_share_a_folder_are_summed(shared):
    assert b'modelyard_loads_total{model="m",outcome="served"} 4.0' in shared


def test_the_version_shown_is_one_that_every_worker_has(shared):
    assert b'modelyard_model_version{model="m"} 7.0' in shared


def test_many_observations_at_once_are_those_one_by_one():
    values = [0.0001, 0.0005, 0.0006, 0.3, 31.0, 30.0]
    at_once, one_by_one = (metrics.QUEUE_SECONDS.labels(name) for name in ("at once", "one by one"))
    at_once.observe_all(values)
    for value in values:
        one_by_one.observe(value)
    text = metrics.expose().decode().splitlines()
    told = [[line.rsplit(" ", 1)[1] for line in text if f'model="{name}"' in line] for name in ("at once", "one by one")]
    assert told[0] == told[1]
    assert len(told[0]) == 18


def test_what_requests_left_is_written_before_it_is_told():
    metrics.requests.came()
    metrics.requests.went("/here", "POST", 200, 0.01)
    metrics.kept(metrics.QUEUE_SECONDS.labels("kept")).append(0.5)
    text = metrics.expose()
    assert b'modelyard_requests_total{method="POST",route="/here",status="200"} 1.0' in text
    assert b'modelyard_request_seconds_count{route="/here"} 1.0' in text
    assert b'modelyard_queue_seconds_sum{model="kept"} 0.5' in text
    assert metrics.expose().count(b'modelyard_queue_seconds_count{model="kept"} 1.0') == 1


def test_what_several_tell_is_joined_each_under_its_own_name():
    one = b'# HELP a_total A\n# TYPE a_total counter\na_total{model="x"} 1.0\n'
    other = b'# HELP a_total A\n# TYPE a_total counter\na_total{model="x"} 2.0\n# HELP b B\n# TYPE b gauge\nb 3.0\n'
    lines = metrics.joined({"r1": one, "r2": other}, "replica").decode().splitlines()
    assert 'a_total{model="x",replica="r1"} 1.0' in lines
    assert 'a_total{model="x",replica="r2"} 2.0' in lines
    assert 'b{replica="r2"} 3.0' in lines
    assert lines.count("# TYPE a_total counter") == 1
