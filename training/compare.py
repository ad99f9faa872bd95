"""A room's variants beside each other: trained on the same rows, scored on the same test rows, nothing published.

Leaves a page with their curves over one another.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from training import export, loop, pipeline, report
from training.pipeline import Options
from training.room import Room, TrainingError


@dataclass(frozen=True)
class Compared:
    """One variant: its size, what it reached, and what it costs."""

    variant: str
    parameters: int
    scores: dict[str, float]
    """On the test rows, those that the room reports."""
    seconds_per_epoch: float
    ms_per_row: float
    """One row alone, ONNX, one thread."""
    run: Path


def compare(
    family: str, room: Room, config: Any, options: Options, console: Console, only: tuple[str, ...] = ()
) -> list[Compared]:
    """Train each variant with this configuration. Raises TrainingError."""
    if unknown := set(only) - set(room.VARIANTS):
        raise TrainingError(f"There is no variant {', '.join(sorted(unknown))}; there are {', '.join(room.VARIANTS)}.")
    found = [
        _one(family, room, (variant, dataclasses.replace(config, **changes)), options, console)
        for variant, changes in room.VARIANTS.items()
        if variant in (only or room.VARIANTS)
    ]
    runs = [one.run for one in found]
    path = report.compare(runs, {family: room}, runs[0].parent / report.COMPARISON)
    console.print(f"report {path}", markup=False, highlight=False, soft_wrap=True)
    return found


def _one(family: str, room: Room, asked: tuple[str, Any], options: Options, console: Console) -> Compared:
    variant, config = asked
    console.print(variant, style="bold", markup=False)
    job = pipeline.begin(family, room, config, dataclasses.replace(options, publish=False), console)
    network = loop.fit(room, config, job.data, job.run)
    rows = room.rows(job.data.test, job.data.files)
    wanted = room.export(network, job.data, config)
    graphs = export.graphs(wanted, pipeline.some(rows))
    found = room.evaluate(export.open_graph(**{name: one.graph for name, one in graphs.items()}), rows, job.data.labels)
    seconds = torch.tensor([row["seconds"] for row in pipeline.history(job.run)]).median().item()
    compared = Compared(
        variant,
        sum(weight.numel() for weight in network.parameters()),
        {score: found.values[score] for score in room.reported if score in found.values},
        seconds,
        export.milliseconds(wanted, graphs["model"].graph, pipeline.some(rows)),
        job.run.folder,
    )
    job.run.finish({**dataclasses.asdict(compared), "scores": found.values, "tables": found.tables, "gate": room.gate})
    return compared
