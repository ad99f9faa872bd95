"""What a room in `training/families/` must offer, what it hands over, and the folder listing that finds the rooms.

    data -> network -> step … step -> evaluate on the validation split, each epoch
                            -> export -> the ONNX graph -> evaluate on the test split

Knows no room by name, and neither how the loop runs nor how a version is written.
"""

import importlib
import math
import pkgutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from torch import Tensor, nn

from service.golden import Arrays
from service.manifest import Manifest, Source

Batch = dict[str, Tensor]
Shape = Mapping[str, int]


class Predict(Protocol):
    """Answers like a version: arrays in, arrays out, any number of rows."""

    def __call__(self, arrays: Arrays, graph: str = "model") -> Arrays:
        """What the graph of that name gives."""
        ...


class TrainingError(Exception):
    """Something that the person at the command line can mend; one line, no traceback."""


@dataclass(frozen=True)
class Ragged:
    """Rows of different lengths in arrays padded with zeros: a batch is of rows of like length, cut to its longest."""

    length: str
    """The array (rows,) of their lengths."""
    padded: tuple[str, ...]
    """The arrays (rows, time, …) to cut."""


@dataclass(frozen=True)
class Data:
    """A source, split, checked, as arrays; the first axis of each array counts rows.

    `train` is what `step` gets; `validation` and `test` are as raw as the source, and `Room.rows` makes graph inputs of them.
    """

    train: Arrays
    validation: Arrays
    test: Arrays
    source: Source
    shape: Shape
    """What the network's size depends on: classes, height …"""
    labels: tuple[str, ...] = ()
    preparation: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    """What a version carries beside the graph, such as a vocabulary."""
    ragged: Ragged | None = None
    unlabelled: Any = None
    """Rows of the source that have no label, as the room likes them."""
    given: Arrays = field(default_factory=dict)
    """What a network starts from: scales of its inputs, what `pretrain` found."""


NO_SOURCE = Source(name="", size_bytes=0, sha256="0" * 64, rows={})
"""Of a network that is shown without any data."""


@dataclass(frozen=True)
class Scores:
    """Numbers of one evaluation; `tables` and `arrays` are for people and pictures and stay out of the manifest."""

    values: dict[str, float]
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Export:
    """What becomes an ONNX graph, and what stands beside it."""

    module: nn.Module
    """Raw values in, answers out: scaling, softmax and the like are inside."""
    inputs: Batch
    """Two example rows or more, in the order of the module's arguments."""
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]] = field(default_factory=dict)
    """Free axes beside the batch axis, by input."""
    summary: str = ""
    limits: dict[str, int] = field(default_factory=dict)
    more: Mapping[str, "Export"] = field(default_factory=dict)
    """Further graphs of the version, by name."""
    statistics: Callable[[], dict[str, Any]] = dict
    """Of the training rows, as the network sees them: asked once, at the end."""
    rows: Arrays = field(default_factory=dict)
    """Rows that a further graph is compared on."""
    half: bool = False
    """Whether large layers' weights are rounded to half precision, so that the file is half as large."""
    served: Callable[[], Arrays] | None = None
    """Training rows as the graph will be asked, where they are not those of the split: batch norms settle on them, once."""


@dataclass(frozen=True)
class Format:
    """A form in which other tools read a version of this family."""

    end: str
    """Of the file's name."""
    render: Callable[[Manifest, Mapping[str, bytes]], bytes]
    """(manifest, files of the version) -> the file."""


@dataclass(frozen=True)
class Span:
    """Values of a field that a search may try: whole numbers where both ends are."""

    least: float
    most: float
    log: bool = False
    """As many tries from 0.01 to 0.1 as from 0.1 to 1."""


Space = dict[str, Span | tuple[Any, ...]]
"""What a search tries, by field of a `Config`: fields that neither `data` nor `rows` reads."""


class Recipe(Protocol):
    """The fields of a room's `Config` that the loop reads."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def schedule(self) -> str: ...
    @property
    def average(self) -> bool: ...
    @property
    def focus(self) -> float: ...
    @property
    def clip(self) -> float | None: ...
    @property
    def precision(self) -> str: ...
    @property
    def seed(self) -> int: ...


class Sources(Protocol):
    """Where a room gets its raw data: see `sources.Sources`."""

    @property
    def own(self) -> Path | None:
        """The user's own data, where it is named."""
        ...

    def public(self, name: str) -> dict[str, bytes]:
        """The files of a public data set, digests checked."""
        ...

    def bar(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A bar with the time left, for what takes long to read."""
        ...


class Keeper(Protocol):
    """Where a room keeps what took long, and shows that it takes long: see `run.Run`."""

    def kept(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """What an earlier process of this run kept under `name`, or what `make` gives now."""
        ...

    def part(self, name: str) -> "Keeper":
        """A run inside this one, with a checkpoint of its own: for a network that teaches another."""
        ...

    def bar(self, text: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A bar with rate and time left."""
        ...


class Room(Protocol):
    """What a module in `training/families/` must have."""

    Config: type[Any]
    name: str
    """The model that the public data makes."""
    gate: str
    """The score that must not fall; higher is better."""
    reported: tuple[str, ...]
    """The scores that a comparison shows, the gate first."""
    tolerance: float
    """How far it may fall."""
    VARIANTS: Mapping[str, Mapping[str, Any]]
    """Networks worth comparing, by name: the fields of `Config` that make them."""

    def data(self, config: Any, sources: Sources) -> Data:
        """Raw data to arrays. Raises TrainingError where a file or a row is not what is needed."""
        ...

    def pretrain(self, config: Any, data: Data, run: Keeper, fit: "Fit") -> Data:
        """`data` with what training starts from beside its rows; as it is where there is nothing.

        `fit(config, data, run)` trains a network of the room's own, as the loop would.
        """
        ...

    def network(self, config: Any, data: Data) -> nn.Module:
        """Fresh weights, or those that `pretrain` gave; seeded by the caller.

        A room whose training is not epochs of steps has `fit(config, data, run) -> nn.Module` instead of this and of `step`.
        """
        ...

    def sample(self, config: Any) -> tuple[nn.Module, Tensor]:
        """A fresh network of the public data's size and one row of its input, without any data: what `summary` shows."""
        ...

    def step(self, network: nn.Module, batch: Batch, config: Any) -> Tensor:
        """The loss of each row of one batch: (rows,)."""
        ...

    def rows(self, split: Arrays, files: Mapping[str, bytes]) -> Arrays:
        """A raw split as the graph of a version with these files takes it, labels included."""
        ...

    def evaluate(self, predict: Predict, rows: Arrays, labels: tuple[str, ...]) -> Scores:
        """Scores of anything that answers like the graph, on what `rows` gave."""
        ...

    def export(self, network: nn.Module, data: Data, config: Any) -> Export:
        """The network as the graph will be."""
        ...

    def baselines(self, data: Data) -> dict[str, dict[str, float]]:
        """What simpler things reach on the same test rows, by name."""
        ...

    def statistics(self, data: Data) -> dict[str, Any]:
        """Of the training inputs, to compare live inputs with."""
        ...

    def draw(self, scores: Scores, rows: Arrays, labels: tuple[str, ...], folder: Path) -> list[Path]:
        """Pictures of an evaluation, written to `folder`."""
        ...


def formats(room: Room) -> Mapping[str, Format]:
    """A room's `formats`, where it has any, the usual one first."""
    found: Mapping[str, Format] = getattr(room, "formats", {})
    return found


def searched(room: Room) -> Space:
    """What a search tries beside the fields that every family has: a room's `SPACE`, where it has one."""
    found: Space = getattr(room, "SPACE", {})
    return found


Fit = Callable[[Any, Data, Any], nn.Module]
"""(configuration, data, run) -> a trained network."""
Bounds = Mapping[str, tuple[float, float]]
RECIPE_BOUNDS: Bounds = {
    "epochs": (1, 100_000),
    "batch_size": (1, 100_000),
    "learning_rate": (0, math.inf),
    "weight_decay": (0, 1_000),
    "focus": (0.01, 1),
    "clip": (0, math.inf),
    "seed": (0, 2**31 - 1),
}
"""Least and most of the fields of `Recipe`; a room adds its own."""


def check(config: Any, bounds: Bounds) -> None:
    """Raises TrainingError, naming the option, where a field of `config` is set and not within its bounds."""
    for key, (least, most) in bounds.items():
        value = getattr(config, key)
        if value is not None and not least <= value <= most:
            raise TrainingError(f"--{key.replace('_', '-')} is {value}; expected {least} to {most}.")


def rooms() -> dict[str, Room]:
    """Every family, by name: the modules in `training/families/`."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "families")]))
    return {name: cast(Room, importlib.import_module(f"training.families.{name}")) for name in names}
