"""A run's folder as one page: scores, curves, pictures, configuration, origin; and several runs over one another.

    config.json begun.json metrics.csv *.png summary.json  -->  report.html

Leaves out what a run does not have, so that an unfinished one, or one of an earlier release, gets a page of what is there.
Knows what a run's files hold; knows neither networks nor any family by name.
"""

import ast
import csv
import dataclasses
import inspect
import json
import statistics
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from training import learning, page
from training.checkpoint import replace
from training.page import Page, Picture, Section, Table
from training.room import Room, TrainingError
from training.run import BEGUN, CONFIG, METRICS, SPENT, STOPPED, SUMMARY

REPORT, CURVES, COMPARISON = "report.html", "curves.png", "compare.html"
IDENTITY = ("family", "name", "source")
"""What stands in a run's configuration beside the room's own."""


@dataclass(frozen=True)
class Recorded:
    """What a run's folder says."""

    folder: Path
    config: dict[str, Any]
    begun: dict[str, Any]
    summary: dict[str, Any]
    stopped: str
    history: learning.History
    spent: dict[str, float]

    @classmethod
    def read(cls, folder: Path) -> "Recorded":
        """Raises TrainingError where a file is not what a run writes."""
        config, begun, summary, stopped, spent = (_json(folder / one) for one in (CONFIG, BEGUN, SUMMARY, STOPPED, SPENT))
        if not config.get("family") or not config.get("name"):
            raise TrainingError(f"{folder} is no run: its {CONFIG} names no family and model.")
        return cls(folder, config, begun, summary, stopped.get("why", ""), _history(folder), spent)

    @property
    def title(self) -> str:
        """As the command line names it."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    def known(self, key: str) -> Any:
        """From the training's end where there is one, from its beginning otherwise."""
        return self.summary.get("training", {}).get(key) or self.summary.get(key) or self.begun.get(key)

    @property
    def options(self) -> dict[str, Any]:
        """The room's own configuration."""
        return {key: value for key, value in self.config.items() if key not in IDENTITY}


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise TrainingError(f"{path} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise TrainingError(f"{path} holds no JSON object.")
    return found


def _history(folder: Path) -> learning.History:
    path = folder / METRICS
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    except (ValueError, TypeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}.") from error


def find(runs_dir: Path, named: str) -> Path:
    """The run that a folder, NAME/STAMP, or NAME for its newest one, stands for. Raises TrainingError."""
    for folder in (Path(named), runs_dir / named):
        if (folder / CONFIG).is_file():
            return folder
        if runs := sorted(one for one in folder.glob("*") if (one / CONFIG).is_file()):
            return runs[-1]
    names = sorted({path.parent.parent.name for path in runs_dir.glob(f"*/*/{CONFIG}")})
    raise TrainingError(f"There is no run {named!r} in {runs_dir}; there are runs of {', '.join(names) or 'no model'}.")


def write(folder: Path, rooms: Mapping[str, Room], path: Path | None = None) -> Path:
    """The page of one run, in its folder where no other path is given. Raises TrainingError."""
    run = Recorded.read(folder)
    room = rooms.get(run.config["family"])
    path = path or folder / REPORT
    pictures = [Picture.read(one) for one in sorted(folder.glob("*.png")) if one.name != CURVES]
    parts = [one for one in sorted(folder.iterdir()) if (one / METRICS).is_file()]
    state, good = _state(run)
    sections = [
        Section("Scores", _weighed(run), tables=[Table("On the test rows, and what else there is for them", _scores(run))]),
        _learnt("Learning curves", folder, run.history, room),
        *(_learnt(f"Trained before it: {part.name}", part, _history(part), room) for part in parts),
        Section("Pictures", pictures=pictures),
        Section(
            "Evaluation", tables=[Table(name.capitalize(), lines) for name, lines in run.summary.get("tables", {}).items()]
        ),
        Section("Run", facts=_facts(run)),
        Section("Configuration", tables=[Table("Options of this run", _options(run, room))]),
        Section("Data", facts=_data(run)),
        Section("Code", facts={"revision": run.known("code"), **(run.known("libraries") or {})}),
    ]
    made = Page(run.config["name"], run.summary.get("summary", ""), state, good, run.known("command") or "", sections)
    return _written(made, path)


def _written(made: Page, path: Path) -> Path:
    try:
        replace(path, page.render(made).encode())
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror}.") from error
    return path


def _state(run: Recorded) -> tuple[str, bool]:
    """In a sentence, what came of it, and whether that is good."""
    refused, published = run.summary.get("refused"), run.summary.get("published")
    if not run.summary:
        reached = f"after {len(run.history)} of {run.config.get('epochs', '?')} epochs"
        return f"Stopped {reached}: {run.stopped}" if run.stopped else f"Not finished: this is what there is {reached}.", False
    if published:
        version = f"Published as {run.config['name']}:{Path(published).name}"
        return f"{version}, although the gate refused: {refused}." if refused else f"{version}.", not refused
    if refused:
        return f"Refused by the gate, so nothing was published: {refused}.", False
    if variant := run.summary.get("variant"):
        return f"Trained as the variant '{variant}' of a comparison; nothing was to be published.", True
    return "Finished; nothing was to be published.", True


def _scores(run: Recorded) -> list[dict[str, Any]]:
    ways = {"this run": run.summary.get("scores", {}), **run.summary.get("baselines", {})}
    names = dict.fromkeys(key for values in ways.values() for key in values)
    return [{"score": name.replace("_", " "), **{way: values.get(name) for way, values in ways.items()}} for name in names]


def _weighed(run: Recorded) -> list[str]:
    gate = run.summary.get("gate")
    return [f"The score that must not fall from version to version is {gate.replace('_', ' ')}."] if gate else []


def _learnt(heading: str, folder: Path, history: learning.History, room: Room | None) -> Section:
    """Curves and a table of the epochs; what a training drew is taken where it has come to its end."""
    pictures = []
    if (folder / SUMMARY).exists() and (folder / CURVES).exists():
        pictures = [Picture.read(folder / CURVES)]
    elif history and room and room.gate in history[0]:
        gate = room.gate
        pictures = [_drawn(lambda path: learning.curves(history, gate, path))]
    return Section(heading, pictures=pictures, tables=[Table("Each epoch", history, closed=True)])


def _drawn(draw: Callable[[Path], Path]) -> Picture:
    """What is drawn for the page alone: a report changes nothing of a run."""
    with tempfile.TemporaryDirectory() as aside:
        return dataclasses.replace(Picture.read(draw(Path(aside) / CURVES)), name="")


def _facts(run: Recorded) -> dict[str, Any]:
    parity = run.summary.get("parity")
    return {
        "run": run.title,
        "family": run.config["family"],
        "begun": _moment(run.begun.get("at")),
        "finished": _moment(run.known("finished")),
        "variant": run.summary.get("variant"),
        "parameters": run.known("parameters"),
        "epochs": len(run.history) or None,
        "trained": _seconds(run.known("seconds")),
        "of them before the epochs": [f"{name} {seconds:,.1f} s" for name, seconds in run.spent.items()],
        "an epoch": _seconds(run.summary.get("seconds_per_epoch")),
        "one row, ONNX, one thread": f"{took:.3g} ms" if (took := run.summary.get("ms_per_row")) else None,
        "ONNX differs from PyTorch": f"by at most {parity:.2g}" if parity is not None else None,
    }


def _seconds(value: float | None) -> str:
    return f"{value:,.1f} s" if value is not None and value == value else ""  # noqa: PLR0124 - NaN


def _moment(value: str | None) -> str:
    return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%S %Z}".strip() if value else ""


def _data(run: Recorded) -> dict[str, Any]:
    source = run.known("source") or {"sha256": run.config.get("source")}
    rows = {f"{split} rows": count for split, count in source.get("rows", {}).items()}
    named = {"source": source.get("name"), "note": source.get("note"), "bytes": source.get("size_bytes") or None}
    return {**named, **rows, "SHA-256": source.get("sha256")}


def _options(run: Recorded, room: Room | None) -> list[dict[str, Any]]:
    meaning = comments(room.Config) if room else {}
    return [{"option": _option(key), "value": _set(value), "meaning": meaning.get(key)} for key, value in run.options.items()]


def _option(key: str) -> str:
    return "--" + key.replace("_", "-")


def _set(value: Any) -> str:
    """In words also where there is none."""
    return f"{value:g}" if isinstance(value, float) else page.said(value) or "not set"


def comments(config: type) -> dict[str, str]:
    """The comment above each field of a dataclass, where its source can be read."""
    try:
        source = textwrap.dedent(inspect.getsource(config))
    except (OSError, TypeError):
        return {}
    lines, found = source.splitlines(), {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said: list[str] = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.lstrip().startswith("#"):
                    break
                said.insert(0, line.lstrip(" #"))
            found[node.target.id] = " ".join(said)
    return found


def compare(folders: Sequence[Path], rooms: Mapping[str, Room], path: Path) -> Path:
    """The page of several runs of one family, their curves over one another. Raises TrainingError."""
    runs = [Recorded.read(folder) for folder in folders]
    families = sorted({run.config["family"] for run in runs})
    if len(families) > 1:
        raise TrainingError(f"The runs are of the families {', '.join(families)}; only those of one can be drawn over another.")
    named = dict(zip(_labels(runs), runs, strict=True))
    scores = dict.fromkeys(score for run in runs for score in run.summary.get("scores", {}))
    sections = [
        Section("Learning curves", pictures=_over(named, rooms.get(families[0]))),
        Section("Scores", _warnings(runs), tables=[Table("On the test rows", [_line(*one, scores) for one in named.items()])]),
        Section("Configuration", tables=[Table("Options that are not the same in all of them", _differences(named))]),
        Section("Command lines", facts={label: run.known("command") for label, run in named.items()}),
    ]
    names = ", ".join(sorted({run.config["name"] for run in runs}))
    unfinished = [label for label, run in named.items() if not run.summary]
    state = f"{len(unfinished)} of {len(runs)} runs are not finished." if unfinished else f"All {len(runs)} runs are finished."
    summary = f"Runs of the family '{families[0]}' beside each other."
    made = Page(f"{names}: {len(runs)} runs", summary, state, not unfinished, "", sections)
    return _written(made, path)


def _labels(runs: Sequence[Recorded]) -> list[str]:
    """The shortest that tell them apart: the variant, the time of the start, or that after the model's name."""
    for labels in (
        [run.summary.get("variant", "") for run in runs],
        [run.folder.name for run in runs],
        [run.title for run in runs],
    ):
        if all(labels) and len(set(labels)) == len(runs):
            return labels
    return [str(run.folder) for run in runs]


def _over(named: Mapping[str, Recorded], room: Room | None) -> list[Picture]:
    drawn = [(label, run.history) for label, run in named.items() if run.history]
    if not drawn or not room:
        return []
    gate = room.gate
    return [_drawn(lambda path: learning.overlay(drawn, gate, path))]


def _warnings(runs: Sequence[Recorded]) -> list[str]:
    several = len({run.config.get("source") for run in runs}) > 1
    return ["These runs had different data, so their scores are not of the same rows."] if several else []


def _line(label: str, run: Recorded, scores: dict[str, None]) -> dict[str, Any]:
    epochs = [row["seconds"] for row in run.history if "seconds" in row]
    found = {
        "run": label,
        **scores,  # first, also where this run has none
        **run.summary.get("scores", {}),
        "parameters": run.known("parameters"),
        "epochs": len(run.history),
        "seconds_per_epoch": statistics.median_low(epochs) if epochs else None,
        "ms_per_row": run.summary.get("ms_per_row"),
    }
    return found if label in run.title else {**found, "folder": run.title}


def _differences(named: Mapping[str, Recorded]) -> list[dict[str, Any]]:
    keys = dict.fromkeys(key for run in named.values() for key in run.options)
    values = {key: {label: _set(run.options.get(key)) for label, run in named.items()} for key in keys}
    return [{"option": _option(key), **line} for key, line in values.items() if len(set(line.values())) > 1]
