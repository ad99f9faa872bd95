"""What a room in `service/families/` must offer, and the folder listing that finds the rooms. Knows no room by name.

A room is a module. It serves one or several verbs (`POST /v1/<verb>`); each takes an input through

    body --reader--> raw inputs --preprocess--> items --predict, batched--> arrays of one row --postprocess--> prediction
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from service import tensors
from service.bodies import Body, Reader
from service.digit import Pixels
from service.drift import Watched
from service.golden import Arrays
from service.manifest import Manifest
from service.settings import Settings


class Runs(Protocol):
    """An opened graph, as `predict` sees it."""

    def run(self, arrays: Arrays) -> Arrays:
        """Outputs by name for inputs by name."""
        ...


Graphs = Mapping[str, Runs]
Predict = Callable[[Graphs, Arrays], Arrays]


@dataclass(frozen=True)
class Item:
    """One input as the graph takes it, and whatever `postprocess` wants to know of where it came from."""

    arrays: Arrays
    about: Any = None


class Options(BaseModel):
    """The query parameters that every verb takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Verb:
    """One typed endpoint of a family."""

    name: str
    summary: str
    reader: Reader
    Request: type[BaseModel]
    """The JSON body."""
    Options: type[Options]
    """The query."""
    Prediction: type[BaseModel]
    """One element of the answer's `predictions`, for the docs."""
    preprocess: Callable[[Any, Any], Item]
    """(raw input, assets) -> an item, of one row for each prediction that the input asks for."""
    predict: Predict
    """(graphs, arrays of a batch) -> arrays of a batch. Verbs that share it share their batches."""
    postprocess: Callable[[Arrays, Any, Any, Any], dict[str, Any]]
    """(arrays of one row, what the item is about, assets, options) -> prediction."""
    example: dict[str, Any]
    """A JSON body that works: it stands in the docs and warms a version up."""
    warms_up: Callable[[Any], dict[str, Any]] | None = None
    """(assets) -> a body that this version answers, where not every version answers the documented one."""
    draw: Callable[[Arrays, Any], Pixels] | None = None
    """(arrays of one row, assets) -> the prediction's picture, where it has one: a client may want nothing else."""
    further: Callable[[Any, Manifest], Predict | None] = lambda _, __: None
    """(options, manifest) -> what runs instead of `predict` where the query asks for more than the answer, such as reasons.

    It costs many times as much: it never runs on the event loop, and a request asks it of few inputs. Raises InvalidInput
    where this version has no such thing.
    """
    suits: Callable[[Manifest], bool] = lambda _: True
    """Whether a version can answer it at all."""
    prefers: Callable[[Manifest], bool] = lambda _: True
    """Whether a version should where a request names none; where no version should, any that can does."""


MOST_FURTHER = 8
"""Inputs of which a request may ask for more than the answer."""


@dataclass(frozen=True)
class Lookup:
    """What a family tells of a version without running it: `GET /v1/<name>`."""

    name: str
    summary: str
    Options: type[Options]
    """The query."""
    Answer: type[BaseModel]
    """What stands in the answer beside model and version, for the docs."""
    answer: Callable[[Any, Any], dict[str, Any]]
    """(assets, options) -> answer."""


@dataclass(frozen=True)
class Raw:
    """What tensor requests may send instead of a graph's inputs: BYTES, an element a row, read and prepared as by a verb."""

    name: str
    verb: Verb
    """Its reader reads an element, its `preprocess` makes an item of one row."""
    body: Callable[[bytes], Body]
    """An element as the body of a request to that verb."""

    def read(self, element: bytes, settings: Settings) -> Any:
        """An element as a raw input. Raises what is wrong with it."""
        (found,) = self.verb.reader.read(self.body(element), self.verb.Request, settings)
        return found


class Room(Protocol):
    """What a module in `service/families/` must have. It may also have `lookups`, `raw`, `watched` and `alike`."""

    verbs: tuple[Verb, ...]
    predict: Predict
    """All outputs: what tensor requests get, and what is replayed before a version is served."""

    def assets(self, manifest: Manifest, files: Mapping[str, bytes], settings: Settings) -> object:
        """What `preprocess` and `postprocess` need of a version. Raises ValueError where the manifest does not fit."""
        ...


def lookups(room: Room) -> tuple[Lookup, ...]:
    """A room's `lookups`, where it has any."""
    found: tuple[Lookup, ...] = getattr(room, "lookups", ())
    return found


def raw(room: Room) -> Raw | None:
    """What a room's models take instead of tensors, where they take anything."""
    found: Raw | None = getattr(room, "raw", None)
    return found


def watched(room: Room, manifest: Manifest) -> tuple[Watched, ...]:
    """The properties of a version's live requests that its manifest has training statistics of."""
    found: Callable[[Manifest], tuple[Watched, ...]] = getattr(room, "watched", lambda _: ())
    return found(manifest)


def alike(room: Room, one: Arrays, other: Arrays) -> NDArray[np.bool_]:
    """Which rows of two versions' answers say the same: as the room says, else those whose numbers are close."""
    found: Callable[[Arrays, Arrays], NDArray[np.bool_]] = getattr(room, "alike", tensors.close)
    return found(one, other)


def rooms() -> dict[str, Room]:
    """Every family, by name: the modules in `service/families/`."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / "families")]))
    return {name: cast(Room, importlib.import_module(f"service.families.{name}")) for name in names}
