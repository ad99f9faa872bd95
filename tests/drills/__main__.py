"""Drills: hurt the service, and print figures.

    python -m tests.drills                              every drill, each on a service of its own
    python -m tests.drills overload fuzz                just these
    python -m tests.drills fuzz --url http://host:8000 --key mk_…    on a service that runs already
    python -m tests.drills --write                      and put the table into docs/drills.md

The exit code is 1 where an aim was missed. They measure: run nothing beside them.
"""

import argparse
import importlib
import re
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType

from tests.conftest import ROOT, servers
from tests.drills.figures import Figure, Ground

BEGIN, END = "<!-- drills: begin -->", "<!-- drills: end -->"
COMMAND = re.compile(r"`python -m tests\.drills (\w+)` \|$")
TABLE = ROOT / "docs" / "drills.md"


def drills() -> dict[str, ModuleType]:
    """The modules beside this one that have one, by name."""
    files = sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py") if not file.stem.startswith("test_"))
    modules = {name: importlib.import_module(f"tests.drills.{name}") for name in files}
    return {name: module for name, module in modules.items() if hasattr(module, "drill")}


def run(module: ModuleType, url: str = "", key: str = "") -> list[Figure]:
    """One drill's figures. What it raises is a figure too: no drill keeps another from its turn."""
    with tempfile.TemporaryDirectory(prefix="modelyard-drill-") as folder, servers(Path(folder)) as start:
        (ground_folder := Path(folder) / "ground").mkdir()
        try:
            found: list[Figure] = module.drill(Ground(start, ground_folder, url, key))
        except Exception as error:
            return [Figure(module.__name__, "to be run", f"{type(error).__name__}: {str(error)[:300]}", ok=False)]
        return found


def line(figure: Figure) -> str:
    """Of the table."""
    reached = figure.reached if figure.ok else f"**not reached**: {figure.reached}"
    return f"| {figure.what} | {figure.aim} | {reached} |"


def write(figures: dict[str, list[Figure]]) -> None:
    """Put the figures in their place in the table; those of drills that were not run stay."""
    before, _, rest = TABLE.read_text().partition(BEGIN)
    held, _, after = rest.partition(END)
    rows: dict[str, list[str]] = {}
    for row in held.splitlines():
        if named := COMMAND.search(row):
            rows.setdefault(named[1], []).append(row)
    for name, found in figures.items():
        rows[name] = [f"{line(one)} `python -m tests.drills {name}` |" for one in found]
    lines = ["| what | aim | reached | command |", "| --- | --- | --- | --- |"]
    lines += [row for _, named_rows in sorted(rows.items()) for row in named_rows]
    TABLE.write_text("\n".join([before + BEGIN, *lines, END]) + after)


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    there = drills()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="DRILL", help=", ".join(there))
    parser.add_argument("--url", default="", help="a service that runs already")
    parser.add_argument("--key", default="", help="its API key")
    parser.add_argument("--write", action="store_true", help=f"put the table into {TABLE.relative_to(ROOT)}")
    asked = parser.parse_args(arguments)
    if unknown := sorted({*asked.names} - {*there}):
        parser.error(f"there is no drill {unknown[0]!r}; there are {', '.join(there)}")
    chosen = asked.names or list(there)
    if asked.url:
        chosen = [name for name in chosen if there[name].ANYWHERE]
    figures: dict[str, list[Figure]] = {}
    begun = time.monotonic()
    for number, name in enumerate(chosen, 1):
        sys.stderr.write(f"[{number}/{len(chosen)}, {time.monotonic() - begun:.0f} s] {name} …\n")
        figures[name] = run(there[name], asked.url, asked.key)
        for one in figures[name]:
            sys.stdout.write(f"{line(one)}\n")
            sys.stdout.flush()
    if asked.write:
        write(figures)
    sys.stderr.write(f"{time.monotonic() - begun:.0f} s in all\n")
    return 0 if all(one.ok for found in figures.values() for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
