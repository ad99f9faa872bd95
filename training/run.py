"""A run's folder: its configuration, metrics, checkpoint and pictures, and its progress on the terminal.

    runs/<model>/<start>/config.json begun.json metrics.csv checkpoint.safetensors checkpoint-before.safetensors
                         weights.safetensors *.png summary.json report.html

`stopped.json` stands there instead of a summary while a failure waits for `--resume`.

Knows files and the terminal; knows no network.
"""

import csv
import io
import json
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from service.golden import Arrays
from training.checkpoint import Checkpoint, replace, sweep
from training.room import TrainingError

CONFIG, METRICS, CHECKPOINT, SUMMARY = "config.json", "metrics.csv", "checkpoint.safetensors", "summary.json"
BEFORE = "checkpoint-before.safetensors"
"""The checkpoint before the newest, for where that is damaged."""
SPENT, BEGUN, STOPPED = "spent.json", "begun.json", "stopped.json"
DAMAGED = (OSError, ValueError, KeyError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""What numpy makes of a damaged file."""


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "")


@dataclass
class Run:
    """A folder that one training fills."""

    folder: Path
    console: Console

    @classmethod
    def begin(cls, runs_dir: Path, name: str, config: dict[str, Any], console: Console) -> "Run":
        """A new folder."""
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder = runs_dir / name / stamp
        for attempt in range(1, 100):
            try:
                folder.mkdir(parents=True)
                break
            except FileExistsError:
                folder = runs_dir / name / f"{stamp}-{attempt}"
        replace(folder / CONFIG, json.dumps(config, indent=2).encode())
        return cls(folder, console)

    @classmethod
    def resume(cls, runs_dir: Path, name: str, config: dict[str, Any], console: Console) -> "Run":
        """The newest unfinished run of `name` with this configuration. Raises TrainingError where there is none."""
        for folder in sorted((runs_dir / name).glob("*"), reverse=True):
            if (folder / SUMMARY).exists() or not (folder / CONFIG).exists():
                continue
            if json.loads((folder / CONFIG).read_bytes()) == json.loads(json.dumps(config)):
                (folder / STOPPED).unlink(missing_ok=True)
                sweep(folder)
                return cls(folder, console)
        raise TrainingError(
            f"No unfinished run of '{name}' with these options and data is in {runs_dir / name}; run without --resume."
        )

    def kept(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """What an earlier process of this run kept under `name`, or what `make` gives now."""
        path = self.folder / f"{name}.npz"
        if path.exists():
            try:
                with np.load(path, allow_pickle=False) as file:
                    return {key: file[key] for key in file.files}
            except DAMAGED as error:
                self._say(f"{path.name} cannot be read ({error}); it is made again")
        begun = time.perf_counter()
        arrays = make()
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]  # its stub takes the names for keyword options
        replace(path, packed.getvalue())
        spent = {**self.spent(), name: round(time.perf_counter() - begun, 1)}
        replace(self.folder / SPENT, json.dumps(spent, indent=2).encode())
        return arrays

    def spent(self) -> dict[str, float]:
        """Seconds that each thing that is kept took."""
        path = self.folder / SPENT
        found: dict[str, float] = json.loads(path.read_bytes()) if path.exists() else {}
        return found

    def part(self, name: str) -> "Run":
        """A run inside this one, with a checkpoint of its own: for a network that teaches another."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Run(folder, self.console)

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar with rate and time left; `advance(amount)`."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(),
                   TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=self.console) as shown:
            task = shown.add_task(text, total=total)
            yield lambda amount: shown.advance(task, amount)

    def checkpoint(self) -> Checkpoint | None:
        """What an earlier process left; None where it had not finished an epoch. Raises TrainingError.

        Where the newest is damaged it is the one before: to train an epoch again comes to the same.
        """
        newest, before = self.folder / CHECKPOINT, self.folder / BEFORE
        if not newest.exists():  # it may have been killed between two renames
            return Checkpoint.read(before) if before.exists() else None
        try:
            return Checkpoint.read(newest)
        except TrainingError as error:
            if not before.exists():
                raise
            found = Checkpoint.read(before)
            before.replace(newest)  # the damaged one must not become the one before
            self._say(f"{error} Going on from the one before.")
            return found

    def _say(self, trouble: str) -> None:
        self.console.print(trouble, style="yellow", markup=False, highlight=False, soft_wrap=True)

    def record(self, row: dict[str, float], checkpoint: Checkpoint) -> None:
        """After an epoch: the checkpoint first, so that metrics never tell of an epoch that is lost."""
        checkpoint.write(self.folder / CHECKPOINT, self.folder / BEFORE)
        replace(self.folder / METRICS, _csv(checkpoint.values["history"]))
        _tensorboard(self.folder, row)
        values = "  ".join(f"{key} {value:.4g}" for key, value in row.items() if key != "epoch")
        self.console.print(f"[dim]epoch {int(row['epoch'])}[/dim]  {values}", highlight=False, soft_wrap=True)

    def begun(self, origin: dict[str, Any]) -> None:
        """What is known of where it comes from before there is a result: for a report of what never finishes.

        A run that goes on has begun when its first process did.
        """
        path = self.folder / BEGUN
        at = {"at": json.loads(path.read_bytes())["at"]} if path.exists() else {}
        replace(path, json.dumps(origin | at, indent=2).encode())

    def stopped(self, why: str) -> None:
        """It ended early, and why; the run that goes on takes this away."""
        replace(self.folder / STOPPED, json.dumps({"why": why}, indent=2).encode())

    def finish(self, summary: dict[str, Any]) -> None:
        """What came of it; a run with a summary is not resumed."""
        replace(self.folder / SUMMARY, json.dumps(summary, indent=2, default=str).encode())
        for before in self.folder.rglob(BEFORE):
            before.unlink()

    @contextmanager
    def progress(self, total: int, done: int) -> Iterator[Callable[[int, str], None]]:
        """A bar with rate and time left; `advance(steps, text)`."""
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task("", total=total, completed=done)
            yield lambda steps, text: bar.update(task, advance=steps, description=text)


def now(history: Sequence[dict[str, float]], score: str, epochs: int, loss: float) -> str:
    """What a bar says of a training: the running epoch with its mean loss so far, and the validation score of the last one."""
    last = f"  {score} {history[-1][score]:.4f}" if history and score in history[-1] else ""
    return f"epoch {min(len(history) + 1, epochs)}/{epochs}  loss {loss:.4f}{last}"


def _csv(history: list[dict[str, float]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(history[0]))
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue().encode()


def _tensorboard(folder: Path, row: dict[str, float]) -> None:
    """The same for TensorBoard, where the extra `tensorboard` is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    with SummaryWriter(folder / "tensorboard") as writer:
        for key, value in row.items():
            writer.add_scalar(key, value, int(row["epoch"]))
