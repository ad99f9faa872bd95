"""Late answers at the same pace: an open loop, in which a request is due whether or not the one before it was answered.

    python benchmarks/latency.py [--rates 200 500 1000] [--seconds 4] [--rounds 2] [--only NAME …]

One picture as JSON over 64 connections; ms at the 50th and 99th percentile, counted from when a request was due, each server
at its better setting for each pace. What cannot keep the pace (less than 95 % answered within the time) stays blank.
"""

import argparse
import base64
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.contenders import Contender, contenders
from benchmarks.serving import ROOT, free_port
from benchmarks.side_by_side import ready, stop
from benchmarks.works import Asked, Graph, graphs, works

CONNECTIONS = 64
Found = dict[int, tuple[float, float]]


def asked_at(url: str, asked: Asked, rate: int, seconds: float) -> tuple[float, float] | None:
    """(p50, p99) in ms; None where the pace was not kept."""
    one = [asked.path, asked.media, base64.b64encode(asked.bodies[0]).decode(), *asked.headers]
    how = {"url": url, "requests": [one], "connections": CONNECTIONS, "rate": rate, "seconds": seconds}
    command = [sys.executable, "-m", "benchmarks.load"]
    said = subprocess.run(command, cwd=ROOT, input=json.dumps(how), capture_output=True, text=True, check=True).stdout
    answers = [json.loads(line) for line in said.splitlines()]
    late = sorted(ms for _, _, ms, status, _ in answers if status == 200)
    kept = [due_s for _, due_s, ms, status, _ in answers if status == 200 and due_s + ms / 1e3 <= seconds]
    if len(kept) < 0.95 * rate * seconds:
        return None
    return late[len(late) // 2], late[int(0.99 * len(late))]


def served(contender: Contender, graph: Graph, asked: Asked, rates: list[int], seconds: float) -> Found:
    """Each pace in turn, the slowest first, until one is not kept."""
    url, found = f"http://127.0.0.1:{(port := free_port())}", Found()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command, environment = contender.start(graph, port, Path(folder))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **quiet)
        try:
            ready(url, asked, contender.seconds_to_start)
            asked_at(url, asked, rates[0], 1)
            for rate in rates:
                if (times := asked_at(url, asked, rate, seconds)) is None:
                    break
                found[rate] = times
        except TimeoutError as error:
            sys.stderr.write(f"{contender.name} ({contender.setting}) does not answer: {error}\n")
        finally:
            stop(server)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", type=int, nargs="+", default=[200, 500, 1_000])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="parts of servers' names")
    arguments = parser.parse_args()
    graph, work = graphs()["book"], next(work for work in works() if work.name == "one")
    chosen = [one for one in contenders() if not arguments.only or any(word in one.name for word in arguments.only)]
    times: dict[str, dict[int, dict[str, list[tuple[float, float]]]]] = {}
    for _ in range(arguments.rounds):
        for contender in chosen:
            if asked := contender.asks(work):
                found = served(contender, graph, asked, arguments.rates, arguments.seconds)
                for rate, one in found.items():
                    times.setdefault(contender.name, {}).setdefault(rate, {}).setdefault(contender.setting, []).append(one)
                said = ", ".join(f"{rate}: {p50:.2f} / {p99:.2f}" for rate, (p50, p99) in found.items())
                sys.stderr.write(f"{contender.name}, {contender.setting}: {said}\n")
    print("| p50 / p99 ms at requests a second | " + " | ".join(f"{rate:,}" for rate in arguments.rates) + " |")
    print("| --- |" + " ---: |" * len(arguments.rates))
    for name, rates in times.items():
        cells = [_better(rates.get(rate, {})) for rate in arguments.rates]
        print(f"| {name} | " + " | ".join(cells) + " |")


def _better(settings: dict[str, list[tuple[float, float]]]) -> str:
    """Of the setting with the lower 99th percentile, medians."""
    found = [tuple(statistics.median(one) for one in zip(*rounds, strict=True)) for rounds in settings.values()]
    return "{:.2f} / {:.2f}".format(*min(found, key=lambda one: one[1])) if found else ""


if __name__ == "__main__":
    main()
