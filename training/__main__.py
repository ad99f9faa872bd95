"""The command line: `python -m training COMMAND`. Options come from each room's `Config`.

Options come from each room's `Config`. Knows which function does what; computes nothing. An error that the user can mend is one
line and exit code 1; a gate's refusal is exit code 3.
"""

import dataclasses
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.manifest import VERSION
from training import compare, layers, pipeline, place, publish, report, samples, search
from training.checkpoint import replace
from training.pipeline import Options
from training.room import Room, TrainingError, formats, rooms
from training.settings import at

FAILED, USAGE, REFUSED, STOPPED = 1, 2, 3, 130
PIPED_WIDTH = 160
"""Columns where no terminal says how many there are: a table through a pipe must not lose its last ones."""


@dataclass(frozen=True)
class Evaluate:
    """Score a published version's ONNX graph on the held-out test rows."""

    # NAME or NAME:VERSION; the newest version where none is given.
    model: Annotated[str, tyro.conf.Positional]
    # Further ones.
    more: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    # End with one line of JSON for each.
    json: bool = False
    # Your own data, where it was trained on that.
    data: Path | None = None
    # A folder that has the public data already.
    data_dir: Path | None = None
    # Where versions are published.
    models_dir: str | None = None
    # Where its pictures go.
    runs_dir: Path | None = None

    def run(self, console: Console) -> int:
        options = Options(data=self.data, data_dir=self.data_dir, models_dir=self.models_dir, runs_dir=self.runs_dir)
        for name, version in [_named(model) for model in (self.model, *self.more)]:
            self._show(pipeline.evaluate(name, version, rooms(), options, console), console)
        return 0

    def _show(self, done: pipeline.Evaluation, console: Console) -> None:
        manifest, found, beside = done.manifest, done.found, done.baselines
        title = f"{manifest.name} {manifest.version}"
        for heading, lines in found.tables.items():
            console.print(_table(f"{title}, {heading}", lines))
        ways = {title: found.values, **beside}
        scores = dict.fromkeys(key for values in ways.values() for key in values)
        lines = [{"score": score, **{way: values.get(score) for way, values in ways.items()}} for score in scores]
        console.print(_table(f"{title}, test rows, and what else there is for them", lines))
        if done.pictures:
            names = ", ".join(path.name for path in done.pictures)
            console.print(f"{done.pictures[0].parent}: {names}", markup=False, highlight=False, soft_wrap=True)
        if self.json:
            said = {"model": manifest.name, "version": manifest.version, "scores": found.values, "baselines": beside}
            print(json.dumps({**said, **found.tables}))


def _named(model: str) -> tuple[str, int | None]:
    """NAME or NAME:VERSION. Raises TrainingError."""
    name, _, version = model.partition(":")
    if version and not VERSION.fullmatch(version):
        raise TrainingError(f"The version {version!r} is no whole number from 1.")
    return name, int(version) if version else None


@dataclass(frozen=True)
class ExportVersion:
    """Write a version in a format that other tools load."""

    # NAME or NAME:VERSION; the newest version where none is given.
    model: Annotated[str, tyro.conf.Positional]
    # Of word vectors: word2vec (text), glove (the same without its first line) or npz (numpy's arrays); the family's first one
    # where none is given.
    format: str | None = None
    # The file to write; NAME-VERSION with the format's end here where none is given.
    output: Path | None = None
    # Where versions are published.
    models_dir: str | None = None

    def run(self, console: Console) -> int:
        manifest, folder = publish.read(place.repository(at(self.models_dir)), *_named(self.model))
        known = formats(rooms()[manifest.family])
        if not known:
            raise TrainingError(f"{manifest.name} is of the family '{manifest.family}', which has no other format than ONNX.")
        wanted = known.get(self.format or next(iter(known)))
        if wanted is None:
            raise TrainingError(f"--format is {self.format!r}; expected one of {', '.join(known)}.")
        path = self.output or Path(f"{manifest.name}-{manifest.version}{wanted.end}")
        replace(path, wanted.render(manifest, pipeline.files_of(manifest, folder)))
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
        return 0


@dataclass(frozen=True)
class Samples:
    """Publish a version anew with samples of yours for its page: inputs to try it with, and what is true of them."""

    # NAME or NAME:VERSION; the newest version where none is given.
    model: Annotated[str, tyro.conf.Positional]
    # JSON: {"note": "where they are from", "samples": [{"title": "", "body": {…a request of its first verb}, "truth": null}]}
    file: Annotated[Path, tyro.conf.Positional]
    # Where versions are published.
    models_dir: str | None = None
    # Another folder to publish it in.
    into: str | None = None

    def run(self, console: Console) -> int:
        known = at(self.models_dir)
        folder = samples.republish(known, self.into or known.models_dir, _named(self.model), self.file)
        console.print(f"published {folder}", markup=False, highlight=False, soft_wrap=True)
        return 0


@dataclass(frozen=True)
class Report:
    """Write a run's report, one HTML file; of several runs one with their curves over one another."""

    # A run's folder, NAME for the newest run of that model, or NAME/START.
    name: Annotated[str, tyro.conf.Positional]
    # Further ones, of the same family.
    more: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    # The file to write; report.html in the run's folder, or compare.html beside several runs, where none is given.
    output: Path | None = None
    # Where runs left their files.
    runs_dir: Path | None = None

    def run(self, console: Console) -> int:
        runs_dir = self.runs_dir or at(None).runs_dir
        folders = list(dict.fromkeys(report.find(runs_dir, one).resolve() for one in (self.name, *self.more)))
        if len(folders) == 1:
            path = report.write(folders[0], rooms(), self.output)
        else:
            beside = Path(os.path.commonpath([folder.parent for folder in folders]))
            path = report.compare(folders, rooms(), self.output or beside / report.COMPARISON)
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
        return 0


@dataclass(frozen=True)
class List:
    """Show the models, their versions, scores, sizes and dates."""

    # Where versions are published.
    models_dir: str | None = None

    def run(self, console: Console) -> int:
        models_dir = place.repository(at(self.models_dir))
        lines = []
        names = sorted(path.name for path in models_dir.iterdir() if path.is_dir()) if models_dir.is_dir() else []
        for name in names:
            for version in publish.versions(models_dir, name):
                manifest, _ = publish.read(models_dir, name, version)
                size = sum(file.size_bytes for file in manifest.files.values())
                lines.append(
                    {
                        "model": name,
                        "version": version,
                        "family": manifest.family,
                        manifest.gate: manifest.scores[manifest.gate],
                        "parameters": f"{manifest.training.parameters:,}",
                        "kB": f"{size / 1000:,.0f}",
                        "trained": manifest.training.finished.strftime("%Y-%m-%d %H:%M"),
                        "seconds": f"{manifest.training.seconds:.0f}",
                        "source": manifest.source.name,
                    }
                )
        if not lines:
            raise TrainingError(f"No models are in {models_dir}.")
        console.print(_table("", lines))
        return 0


def _table(title: str, lines: list[dict[str, Any]], columns: tuple[str, ...] = ()) -> Table:
    columns = columns or tuple(dict.fromkeys(key for line in lines for key in line))
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        numeric = all(isinstance(line.get(column) or 0, int | float) for line in lines)
        table.add_column(column, justify="right" if numeric else "left")
    for line in lines:
        table.add_row(*(_cell(value) for value in map(line.get, columns)))
    return table


def _cell(value: Any) -> Text:
    """As it is: a label may hold brackets, which Rich would take for markup."""
    return Text("" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value))


def _train(family: str, room: Room) -> type:
    """The `train FAMILY` command: the common options, then the room's own."""

    def run(self: Any, console: Console) -> int:
        outcome = pipeline.train(family, room, self.config, self.options, console)
        return REFUSED if outcome.refusal and not outcome.folder and self.options.publish else 0

    fields = [
        ("options", tyro.conf.OmitArgPrefixes[Options]),
        ("config", _flat(room)),
    ]
    return dataclasses.make_dataclass("Train", fields, frozen=True, namespace={"run": run, "__doc__": _first(room)})


def _summary(family: str, room: Room) -> type:
    """The `summary FAMILY` command."""

    def run(self: Any, console: Console) -> int:
        torch.manual_seed(0)
        found = layers.layers(*room.sample(self.config))
        table = Table(box=None, pad_edge=False)
        for column in ("layer", "kind", "output", "parameters", "count"):
            table.add_column(column, justify="right" if column == "parameters" else "left")
        for layer in found:
            output = " x ".join(map(str, layer.output))
            table.add_row(layer.path, layer.kind, output, f"{layer.parameters:,}" if layer.parameters else "", layer.count)
        console.print(table)
        console.print(f"{family}: {sum(layer.parameters for layer in found):,} parameters")
        return 0

    fields = [("config", _flat(room))]
    return dataclasses.make_dataclass("Summary", fields, frozen=True, namespace={"run": run, "__doc__": _first(room)})


def _compare(family: str, room: Room) -> type:
    """The `compare FAMILY` command."""

    def run(self: Any, console: Console) -> int:
        found = compare.compare(family, room, self.config, self.options, console, self.only)
        columns = ("variant", "parameters", *room.reported, "seconds_per_epoch", "ms_per_row")
        console.print(_table(f"{family}, test", [{**dataclasses.asdict(one), **one.scores} for one in found], columns))
        return 0

    fields = [
        # Of the variants, those to train; all where none is named.
        ("only", tuple[str, ...], dataclasses.field(default=())),
        ("options", tyro.conf.OmitArgPrefixes[Options], dataclasses.field(default_factory=Options)),
        ("config", _flat(room), dataclasses.field(default_factory=room.Config)),
    ]
    return dataclasses.make_dataclass("Compare", fields, frozen=True, namespace={"run": run, "__doc__": _first(room)})


def _search(family: str, room: Room) -> type:
    """The `search FAMILY` command."""

    def run(self: Any, console: Console) -> int:
        found = search.search(family, room, self.config, self.options, console, self.trials)
        console.print(_table(f"{family}, validation rows", search.lines(found, room.gate)))
        return REFUSED if found.outcome.refusal and not found.outcome.folder and self.options.publish else 0

    fields = [
        # Configurations to try, the one that is given first.
        ("trials", int, dataclasses.field(default=20)),
        ("options", tyro.conf.OmitArgPrefixes[Options], dataclasses.field(default_factory=Options)),
        ("config", _flat(room), dataclasses.field(default_factory=room.Config)),
    ]
    return dataclasses.make_dataclass("Search", fields, frozen=True, namespace={"run": run, "__doc__": _first(room)})


def _flat(room: Room) -> Any:
    """The room's Config, its fields as options without a prefix."""
    config: Any = room.Config
    return tyro.conf.OmitArgPrefixes[config]  # type: ignore[misc]  # a marker that mypy cannot see through


def _first(room: Room) -> str:
    return (room.__doc__ or "").split("\n")[0]


def main(arguments: list[str]) -> int:
    """Run one command; its exit code."""
    found = rooms()
    commands = {
        "train": {family: _train(family, room) for family, room in found.items()},
        "summary": {family: _summary(family, room) for family, room in found.items()},
        "compare": {family: _compare(family, room) for family, room in found.items()},
        "search": {family: _search(family, room) for family, room in found.items()},
    }
    alone: dict[str, Any] = {
        "evaluate": Evaluate, "export": ExportVersion, "report": Report, "samples": Samples, "list": List,
    }  # fmt: skip
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    console = Console(stderr="--json" in arguments, width=width)
    command = arguments[0] if arguments else "--help"
    # SIGTERM as Ctrl-C: the checkpoint of the last epoch is there, and half-written folders are taken away
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if command in alone:
        kind, program, rest = alone[command], command, arguments[1:]
    elif command in commands and arguments[1:2] and arguments[1] in found:
        kind, program, rest = commands[command][arguments[1]], f"{command} {arguments[1]}", arguments[2:]
    else:
        wanted = command in ("--help", "-h", "help")
        print(_usage(found), file=sys.stdout if wanted else sys.stderr)
        return 0 if wanted else USAGE
    try:
        return int(tyro.cli(kind, prog=f"python -m training {program}", args=rest).run(console))
    except TrainingError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename or 'A file'}: {error.strerror or error}.")
    except KeyboardInterrupt:
        _fail("stopped; the same command with --resume goes on.")
        return STOPPED


def _usage(found: dict[str, Room]) -> str:
    return f"""usage: python -m training COMMAND …

  train FAMILY      train, export, check and publish a version
  summary FAMILY    the layers of its network
  compare FAMILY    its variants, trained beside each other
  search FAMILY     other hyper-parameters, the best one published
  evaluate NAME …   score published versions on held-out rows
  report RUN …      a run as one HTML file; several over one another
  export NAME       write a version in a format that other tools load
  samples NAME FILE publish a version anew with inputs to try it with
  list              what is published

families: {", ".join(found)}; each command takes --help"""


def _fail(sentence: str) -> int:
    sys.stderr.write(f"modelyard: {sentence}\n")
    return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
