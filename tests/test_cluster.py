"""The service on Ray Serve: two replicas on two nodes of one machine, real proxies, real clients, killed while they work.

Slow, and in a process of its own (`python -m pytest -m slow tests/test_cluster.py`): Ray starts some twenty processes.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import httpx
import numpy as np
import pytest

from service import images
from service.settings import Settings
from tests.conftest import ROOT, write_version
from tests.test_versions import GAINS, answers, expected, load, never_back, publish

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]  # Ray warns of its own code

PICTURE = images.to_png(np.full((28, 28, 1), 204, np.uint8))
PNG = {"content-type": "image/png"}


class Deployed:
    """Two nodes with a replica each."""

    def __init__(self, url: str, models_dir: Path, nodes: "ray.cluster_utils.Cluster") -> None:
        self.url, self.models_dir, self.nodes = url, models_dir, nodes

    @staticmethod
    def replicas() -> list[int]:
        """Numbers of the replicas' processes."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "cmdline").read_bytes().startswith(b"ray::ServeReplica:modelyard"):
                    found.append(int(folder.name))
        return found


@pytest.fixture(scope="module")
def deployed(tmp_path_factory) -> Iterator[Deployed]:
    os.environ.update({"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"})
    from ray import serve
    from ray.cluster_utils import Cluster

    from service import cluster, gateway

    os.environ[gateway.VARIABLE] = gateway.NAMED  # before any node starts
    models_dir = tmp_path_factory.mktemp("cluster") / "models"
    write_version(models_dir, version=1, gain=GAINS[1])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    settings = Settings(models_dir=models_dir, port=port, access_log=False, reload_s=0.05, workers=1)
    cluster.begin(cluster.Asked(min=2, max=2, cpus=1.0), settings, nodes.address)
    yield Deployed(f"http://127.0.0.1:{port}", models_dir, nodes)
    serve.shutdown()
    ray.shutdown()
    nodes.shutdown()


@contextlib.contextmanager
def asked_meanwhile(url: str, clients: int = 8) -> Iterator[Counter]:
    """Clients that ask again and again; what they got: (status, whether it said when to ask again), or the fault."""
    got, stop = Counter(), Event()

    def ask() -> None:
        client = httpx.Client(timeout=30)
        while not stop.is_set():
            try:
                found = client.post(f"{url}/v1/classify", content=PICTURE, headers=PNG)
                got[found.status_code, "retry-after" in found.headers] += 1
            except httpx.TransportError:
                got["broken off"] += 1
                client.close()
                client = httpx.Client(timeout=30)
        client.close()

    threads = [Thread(target=ask) for _ in range(clients)]
    for one in threads:
        one.start()
    try:
        yield got
    finally:
        stop.set()
        for one in threads:
            one.join()


def until(condition: Callable[[], bool], seconds: float = 60) -> float:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.1)
    return time.monotonic() - begun


def labels(url: str) -> set[str]:
    text = httpx.get(f"{url}/metrics").text
    return {line.split('replica="')[1].split('"')[0] for line in text.splitlines() if 'replica="' in line}


def answering(client: httpx.Client) -> set[int]:
    """The versions that ten requests in a row are answered with."""
    return {client.get("/v1/models/light").json()["version"] for _ in range(10)}


def test_every_kind_of_endpoint_answers_and_metrics_name_both_replicas(deployed):
    with httpx.Client(base_url=deployed.url, timeout=30) as client:
        assert client.get("/v2/health/ready").json()["ready"] is True
        typed = client.post("/v1/classify", content=PICTURE, headers=PNG).json()
        assert typed["predictions"][0]["probability"] == pytest.approx(expected(1), abs=1e-3)
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [204] * 784}
        found = client.post("/v2/models/light/infer", json={"inputs": [tensor]}).json()
        assert found["outputs"][0]["data"] == pytest.approx([0.6, 0.4], abs=1e-3)
        assert client.post("/v1/classify", content=b"x", headers=PNG).status_code == 415
        assert client.get("/").status_code == 200
    until(lambda: len(labels(deployed.url)) == 2)


def test_a_replica_that_is_killed_costs_no_answer(deployed):
    until(lambda: len(deployed.replicas()) == 2)
    with asked_meanwhile(deployed.url) as got:
        for _ in range(10):
            time.sleep(1)
            os.kill(deployed.replicas()[0], signal.SIGKILL)
            took = until(lambda: len(deployed.replicas()) == 2 and len(labels(deployed.url)) >= 2)
            assert took < 30
    sys.stdout.write(f"10 replicas killed: {dict(got)}\n")
    total = sum(got.values())
    assert got[200, False] >= 0.995 * total
    assert set(got) <= {(200, False), (503, True)}


def test_a_new_version_reaches_every_replica_and_nobody_is_sent_back(deployed, tmp_path):
    asking = load(deployed.url, 50, 600)
    took = []
    for version in (2, 3, 4):
        publish(deployed.models_dir, tmp_path / "aside", version)
        with httpx.Client(base_url=deployed.url) as client:
            took.append(until(lambda client=client, version=version: answering(client) == {version}))
        time.sleep(1)
    asking.terminate()
    found = answers(asking)
    sys.stdout.write(f"new versions on both replicas after {took} s, {len(found)} answers meanwhile\n")
    assert max(took) <= 10
    assert {one.status for one in found} == {200}
    assert never_back(found)
    assert not [one for one in found if abs(one.probability - expected(one.version)) > 1e-3]


def test_a_node_that_is_killed_costs_no_more_than_what_its_proxy_had(deployed):
    (other,) = deployed.nodes.worker_nodes
    with asked_meanwhile(deployed.url) as got:
        time.sleep(2)
        deployed.nodes.remove_node(other, allow_graceful=False)
        time.sleep(10)
    sys.stdout.write(f"a node killed: {json.dumps({str(key): count for key, count in got.items()})}\n")
    assert got["broken off"] <= 8  # connections that its proxy had: one request each
    assert set(got) <= {(200, False), (503, True), "broken off"}
    assert httpx.get(f"{deployed.url}/v2/health/ready").status_code == 200
