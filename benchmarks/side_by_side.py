"""Servers beside each other: the same ONNX files, the same machine, in turns; requests a second and latencies by `wrk`.

    python benchmarks/side_by_side.py [--turns 3] [--only NAME …] [--works one many …] [--triton FOLDER]

For each graph all servers are started, at each of their settings, and asked for a second, one after the other, for each kind
of work with each number of clients; then again, without the settings that are not near their server's best and the servers that
are far behind. Those that are never idle have their turns alone. A column of the table has each server at its better setting;
what a server cannot do stays blank. It says where other processes were at work before, and what onnxruntime alone does in
process. Writes `results.json`, `table.md` and `plot.png` to docs/benchmarks; of a part of it to runs/side-by-side.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks import alone
from benchmarks.contenders import Contender, contenders
from benchmarks.serving import ROOT
from benchmarks.works import Asked, Graph, Work, graphs, works
from benchmarks.wrk import busy, measured

OUT = ROOT / "docs/benchmarks"
WORKS = works()
COLUMNS = {f"{work.name}/{clients}": (work, clients) for work in WORKS for clients in work.clients}
SHOWN = ("one/64", "many/16", "text/64", "mixed/64")
Results = dict[str, dict[str, list[dict[str, float]]]]


@dataclass(frozen=True)
class Figure:
    """Requests a second: the median of turns, and half of what lies between the lowest and the highest as a share of it."""

    rate: float
    spread: float

    @classmethod
    def of(cls, rounds: list[dict[str, float]]) -> "Figure":
        """Nothing where a request failed."""
        if any(one["failed"] for one in rounds):
            return cls(0.0, 0.0)
        rates = [one["rate"] for one in rounds]
        middle = statistics.median(rates)
        return cls(middle, (max(rates) - min(rates)) / 2 / middle if middle else 0.0)

    def __str__(self) -> str:
        return f"{self.rate:,.0f} ± {self.spread:.0%}" if self.rate else ""


NOTHING = Figure(0.0, 0.0)
FAR_BEHIND = 0.2
"""Of the fastest: what is slower is not asked again, whatever a second turn would say of it."""
QUIET, SETTLED_S = 0.05, 15
"""A share of the machine that nobody minds; how long it may take servers that were just started to come down to it."""
NEAR = 0.8
"""Of a server's best setting."""


def ready(url: str, asked: Asked, seconds: float) -> None:
    """Wait for the first right answer."""
    end = time.monotonic() + seconds
    headers = {"Content-Type": asked.media, **dict(one.split(": ", 1) for one in asked.headers)}
    while True:
        try:
            answer = httpx.post(url + asked.path, content=asked.bodies[0], headers=headers, timeout=5)
            if answer.status_code == 200:
                return
            said = answer.text[:300]
        except httpx.TransportError as error:
            said = repr(error)
        if time.monotonic() > end:
            raise TimeoutError(said)
        time.sleep(0.1)


@dataclass
class Running:
    """A server that answers, and what it has been asked to warm up."""

    contender: Contender
    url: str
    warm: set[Asked] = field(default_factory=set)

    @property
    def setting(self) -> str:
        return f"{self.contender.name} | {self.contender.setting}"

    def measure(self, column: str) -> dict[str, float] | None:
        """A second of it; None where it cannot do that."""
        work, clients = COLUMNS[column]
        asked = self.contender.asks(work)
        if asked is None:
            return None
        if asked not in self.warm:
            measured(self.url, asked, max(work.clients), 1)
            self.warm.add(asked)
        return measured(self.url, asked, clients, 1)


@contextmanager
def running(contender: Contender, graph: Graph, asked: Asked, port: int) -> Iterator[Running | None]:
    """None, and why on stderr, where it does not answer."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, (Path(folder) / "log").open("w") as log:
        command, environment = contender.start(graph, port, Path(folder))
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        url = f"http://127.0.0.1:{port}"
        try:
            yield Running(contender, url) if _answers(contender, graph, asked, url, Path(log.name)) else None
        finally:
            stop(server)


def _answers(contender: Contender, graph: Graph, asked: Asked, url: str, log: Path) -> bool:
    try:
        ready(url, asked, contender.seconds_to_start)
    except TimeoutError as error:
        said = f"{contender.name} ({contender.setting}) does not answer for {graph.model}: {error}"
        sys.stderr.write(f"{said}\n{log.read_text()[-900:]}\n")
        return False
    return True


def ports() -> Iterator[int]:
    """Free ones, with room behind each for a server's others, and below those that connections get."""
    for port in range(21_000, 31_000, 10):
        with socket.socket() as probe:
            free = probe.connect_ex(("127.0.0.1", port)) != 0
        if free:
            yield port


def stop(server: "subprocess.Popen[bytes]") -> None:
    """It and all that it started."""
    for sig, wait_s in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(server.pid, sig)
            server.wait(wait_s)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    time.sleep(0.5)


def best(results: Results) -> dict[str, dict[str, Figure]]:
    """By server and column: requests a second at its better setting there."""
    found: dict[str, dict[str, Figure]] = {}
    for setting, cells in results.items():
        of_server = found.setdefault(setting.split(" | ")[0], {})
        for column, rounds in cells.items():
            figure = Figure.of(rounds)
            of_server[column] = max(of_server.get(column, figure), figure, key=lambda one: one.rate)
    return found


def worth_again(results: Results, setting: str, column: str) -> bool:
    """Whether a setting is near its server's best there, and the server not far behind the fastest, or written by hand."""
    rates, name = best(results), setting.split(" | ")[0]
    fastest = max(cells[column].rate for cells in rates.values() if column in cells)
    behind = 0 if "by hand" in name else FAR_BEHIND
    return Figure.of(results[setting][column]).rate >= max(NEAR * rates[name][column].rate, behind * fastest, 1)


def table(results: Results, in_process: dict[str, float]) -> str:
    """Markdown: works down, servers across."""
    rates = best(results)
    columns = [column for column in COLUMNS if any(column in cells for cells in rates.values())]
    ours, others = rates.get("Modelyard", {}), [cells for name, cells in rates.items() if name != "Modelyard"]
    last = ["onnxruntime alone, in process", "Modelyard beside it", "beside the best server"]
    heads = ["requests a second", "clients", *rates, *last]
    lines = [_line(heads), _line(["---", *["---:"] * (len(heads) - 1)])]
    for column in columns:
        work, clients = COLUMNS[column]
        limit, mine = in_process.get(work.name, 0.0), ours.get(column, NOTHING).rate
        peer = max((cells[column].rate for cells in others if column in cells), default=0.0)
        servers = [str(cells.get(column, NOTHING)) for cells in rates.values()]
        shares = [f"{mine / beside:.2f}" if beside and mine else "" for beside in (limit, peer)]
        lines.append(_line([work.said, str(clients), *servers, f"{limit:,.0f}" if limit else "", *shares]))
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def plot(results: Results, to: Path) -> None:
    """Bars by server, a panel for each of the works that most people ask for."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rates = best(results)
    there = [column for column in COLUMNS if any(column in cells for cells in rates.values())]
    columns = [column for column in SHOWN if column in there] or there[:4]
    names = sorted(rates, key=lambda name: rates[name].get(columns[0], NOTHING).rate)
    figure, panels = plt.subplots(1, len(columns), figsize=(11, 0.9 + 0.24 * len(names)), sharey=True, squeeze=False)
    for panel, column in zip(panels[0], columns, strict=True):
        found = [rates[name].get(column, NOTHING).rate for name in names]
        colours = ["#0b57d0" if name == "Modelyard" else "#9aa5b1" for name in names]
        bars = panel.barh(names, found, color=colours)
        panel.bar_label(bars, [f"{rate:,.0f}" if rate else "" for rate in found], padding=3, fontsize=9)
        work, clients = COLUMNS[column]
        panel.set_title(f"{work.said},\n{clients} clients", fontsize=10)
        panel.set_xlim(0, 1.3 * max(found))
        panel.set_xticks([])
        panel.spines[["top", "right", "bottom"]].set_visible(False)
        panel.tick_params(labelsize=9, length=0)
    figure.supxlabel("requests a second, each server at its better setting", fontsize=9)
    figure.tight_layout()
    figure.savefig(to, dpi=150)


def compare(candidates: list[Contender], graph: Graph, works: list[Work], turns: int, results: Results) -> None:
    """All of them up at once, asked one after the other, column by column; adds to `results`, a line for each column.

    What one gets is seconds away from what the next gets, so that a machine that gets slower for minutes does so for all.
    """
    numbers = ports()
    with ExitStack() as stack:
        asks = [(one, asked) for one in candidates if (asked := next(filter(None, map(one.asks, works)), None))]
        servers = [stack.enter_context(running(one, graph, asked, next(numbers))) for one, asked in asks]
        there = [one for one in servers if one]
        settled = time.monotonic() + SETTLED_S
        while busy(0.5) > QUIET and time.monotonic() < settled:
            pass
        for column, (work, _) in COLUMNS.items():
            if work not in works:
                continue
            foreign = busy(0.3)
            for turn in range(turns):
                for one in there if turn % 2 == 0 else reversed(there):
                    cells = results.setdefault(one.setting, {})
                    if column in cells and not worth_again(results, one.setting, column):
                        continue
                    if found := one.measure(column):
                        cells.setdefault(column, []).append({**found, "foreign": foreign})
            names = {one.contender.name for one in there}
            rates = {name: cells[column] for name, cells in best(results).items() if column in cells and name in names}
            said = ", ".join(f"{name} {figure}" for name, figure in rates.items())
            print(f"{column}: {said}" + (f" (others took {foreign:.0%} before)" if foreign > QUIET else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="parts of servers' names")
    parser.add_argument("--works", nargs="*", default=[work.name for work in WORKS])
    parser.add_argument("--triton", type=Path, help="folder of a Triton that has the onnxruntime backend")
    parser.add_argument("--out", type=Path, help="folder to write to; for a part of it runs/side-by-side, not docs/benchmarks")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not on the PATH; install it (Debian: apt-get install wrk).")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers end too
    chosen = [work for work in WORKS if work.name in arguments.works]
    every = contenders(arguments.triton)
    candidates = [one for one in every if not arguments.only or any(word in one.name for word in arguments.only)]
    results, in_process = Results(), dict[str, float]()
    for model in dict.fromkeys(work.model for work in chosen):
        of_model = [work for work in chosen if work.model == model]
        in_process |= {work.name: alone.rate(work, graphs()[model]) for work in of_model}
        for beside in ([one for one in candidates if not one.restless], *([one] for one in candidates if one.restless)):
            compare(beside, graphs()[model], of_model, arguments.turns, results)
    whole = len(candidates) == len(every) and len(chosen) == len(WORKS)
    out: Path = arguments.out or (OUT if whole else ROOT / "runs/side-by-side")
    out.mkdir(parents=True, exist_ok=True)
    written = {"rates": results, "onnxruntime alone": in_process}
    (out / "results.json").write_text(json.dumps(written, indent=1) + "\n")
    (out / "table.md").write_text(table(results, in_process))
    plot(results, out / "plot.png")
    print(table(results, in_process))


if __name__ == "__main__":
    main()
