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
