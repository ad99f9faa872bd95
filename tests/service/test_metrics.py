"""Prometheus."""

import subprocess
import sys

from service import metrics

SHARE = """
import sys
from service import settings
settings.share_metrics(sys.argv[1])
from service import metrics
metrics.LOADS.labels("m", "served").inc(2)
metrics.VERSION.labels("m").set(int(sys.argv[2]))
sys.stdout.buffer.write(metrics.expose())
"""


def test_the_text_is_prometheus_own():
    assert b"# TYPE modelyard_requests_total counter" in metrics.expose()


def test_workers_that_share_a_folder_are_summed(tmp_path):
    for version in (7, 8):
        text = subprocess.run(
            [sys.executable, "-c", SHARE, str(tmp_path), str(version)], capture_output=True, check=True
        ).stdout
    assert b'modelyard_loads_total{model="m",outcome="served"} 4.0' in text


def test_the_version_shown_is_one_that_every_worker_has(tmp_path):
    for version in (7, 8):
        text = subprocess.run(
            [sys.executable, "-c", SHARE, str(tmp_path), str(version)], capture_output=True, check=True
        ).stdout
    assert b'modelyard_model_version{model="m"} 7.0' in text
