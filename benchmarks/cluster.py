"""Two replicas on Ray Serve beside two workers of our own, the same model, the same requests, in turns.

    python benchmarks/cluster.py [--turns 3] [--seconds 4]

Closed loops of 16 clients by `wrk`; every answer is compared with the first. Ray's processes are there while the workers are
measured, idle.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ["PYTHONPATH"] = str(Path(__file__).parent.parent)  # for Ray's processes

from benchmarks.contenders import over_named
from benchmarks.growth import service
from benchmarks.serving import free_port
from benchmarks.works import graphs, works
from benchmarks.wrk import measured
from service import cluster
from service.settings import Settings

CLIENTS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    asked = parser.parse_args()
    every = {work.name: work for work in works()}
    repository, port = graphs()["book"].repository, free_port()
    settings = Settings(models_dir=repository, port=port, access_log=False, workers=1)
    with service(repository, 2) as own:
        cluster.begin(cluster.Asked(min=2, max=2, cpus=0.5), settings)
        for name in ("one", "batch"):
            work = over_named(every[name]) if name in every else None
            if work is None:
                continue
            rates: dict[str, list[float]] = {"workers": [], "replicas": []}
            for _ in range(asked.turns):
                for who, url in (("workers", own.url), ("replicas", f"http://127.0.0.1:{port}")):
                    measured(url, work, CLIENTS, 1)
                    found = measured(url, work, CLIENTS, asked.seconds)
                    if found["failed"]:
                        raise RuntimeError(f"{found['failed']:.0f} of {who} failed")
                    rates[who].append(found["rate"])
            ours, rays = (statistics.median(rates[who]) for who in ("workers", "replicas"))
            print(f"{name}: two workers {ours:,.0f}, two replicas {rays:,.0f} requests a second: {rays / ours:.3f}")
        cluster.end()


if __name__ == "__main__":
    main()
