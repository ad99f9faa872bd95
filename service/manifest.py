"""The contract between training and service: what `models/<name>/<version>/manifest.json` says.

Pure: pydantic classes, and the digests they carry. Knows neither how a version is trained nor how it is served; both sides
import it. `Manifest.read` is the only way in, `Manifest.dump` the only way out.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from service import files

SCHEMA: Final = 1
MANIFEST = "manifest.json"
LARGEST_MANIFEST = 2**24
"""Bytes that are read: a thousand times what is usual."""
NO_DIGEST = "0" * 64
"""Where a file holds its own digest, what stands there while that is taken."""
SHOWN_FAULTS = 3
GOLDEN = "golden.npz"
SAMPLES = "samples.json"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)
VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)

Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
FileName = Annotated[str, Field(pattern=rf"^{FILE.pattern}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Axis = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]  # fmt: skip


ONNX_DATATYPES: Mapping[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""The protocol's names for what onnxruntime calls a tensor's type."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TensorSpec(_Part):
    """One input or output of a graph. `shape`: a number where the axis is fixed, a name where it is free."""

    name: str
    datatype: Datatype
    shape: tuple[Axis, ...]

    @property
    def row_shape(self) -> tuple[int | str, ...]:
        """The shape of one row: without the batch axis."""
        return self.shape[1:]

    @property
    def free(self) -> list[str]:
        """The names of its free axes but the rows'."""
        return [axis for axis in self.row_shape if isinstance(axis, str)]


class GraphSpec(_Part):
    """An ONNX file beside the manifest, its inputs and outputs. Every first axis is the free axis `batch`."""

    file: FileName
    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _first_axis_is_the_batch(self) -> Self:
        for tensor in (*self.inputs, *self.outputs):
            if not tensor.shape or tensor.shape[0] != "batch":
                raise ValueError(f"tensor {tensor.name!r} has shape {tensor.shape}; its first axis must be 'batch'")
        return self


class File(_Part):
    """A file of the version: its SHA-256 and its size."""

    sha256: Digest
    size_bytes: int = Field(ge=0)


class Source(_Part):
    """The raw data that a version was trained on."""

    name: str
    size_bytes: int
    sha256: Digest
    rows: dict[str, int]
    """Rows per split: train, validation, test."""
    note: str = ""


class Training(_Part):
    """How a version came to be."""

    config: dict[str, JsonValue]
    seed: int
    parameters: int
    seconds: Finite
    epochs: int
    finished: datetime
    code: str
    """Revision of the code, with `+changes` when the work tree was not clean; `unknown` outside a checkout."""
    libraries: dict[str, str]
    command: str
    forced: str = ""
    """The gate's refusal, when `--force` overrode it."""


class Golden(_Part):
    """Recorded rows in `golden.npz` and how far another machine's answers may be from PyTorch's."""

    rows: int = Field(ge=2)
    tolerance: Finite = Field(gt=0)
    """Largest difference, as a share of an output's largest recorded value where that is more than 1."""
    parity: Finite = Field(ge=0)
    """The largest one measured at export, ONNX against PyTorch on the CPU."""


class Manifest(_Part):
    """Everything that is known about one version; its presence means that the folder is complete."""

    schema_version: Literal[1] = SCHEMA
    sha256: Digest | None = None
    """Of the file that it was read from, with zeros in the place of this; none in files written before there was one."""
    name: Name
    version: int = Field(ge=1, le=999_999_999)
    family: Name
    summary: str
    default: bool = False
    """Whether this model answers its family's verbs when a request names none."""
    graphs: dict[Name, GraphSpec]
    """`model` is the one that tensor requests reach."""
    files: dict[FileName, File]
    labels: tuple[str, ...] = ()
    preparation: dict[str, JsonValue] = {}
    """What the family's `preprocess` needs to know, in the family's own words."""
    golden: Golden
    scores: dict[str, Finite]
    """On the held-out test set, measured on the ONNX graph."""
    baselines: dict[str, dict[str, Finite]] = {}
    evaluate: str
    """The command that reproduces the scores."""
    gate: Name
    """The score that decides whether a later version may replace this one."""
    source: Source
    statistics: dict[str, JsonValue] = {}
    """Of the training inputs, to compare live inputs with."""
    limits: dict[str, Annotated[int, Field(ge=1, le=2**24)]] = {}
    training: Training
    parent: int | None = None
    """The version that was the newest when this one was published."""

    @model_validator(mode="after")
    def _files_are_listed(self) -> Self:
        if "model" not in self.graphs:
            raise ValueError(f"graphs holds {sorted(self.graphs)}; one must be named 'model'")
        missing = {GOLDEN, *(graph.file for graph in self.graphs.values())} - set(self.files)
        if missing:
            raise ValueError(f"files lacks {sorted(missing)}")
        return self

    @property
    def graph(self) -> GraphSpec:
        """The graph that tensor requests reach."""
        return self.graphs["model"]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The manifest in `folder`. Raises OSError where there is none, ValueError where it is not a manifest."""
        data = files.read(files.inside(folder, MANIFEST), LARGEST_MANIFEST)
        try:
            manifest = cls.model_validate_json(data)
        except ValidationError as error:
            raise ValueError(faults(error)) from error
        if manifest.sha256 and not sealed(data, manifest.sha256):
            raise ValueError("it does not have the SHA-256 that it states")
        json.loads(data, object_pairs_hook=_once)
        return manifest

    def dump(self) -> bytes:
        """As JSON, indented, ending in a newline, with its digest."""
        unsealed = self.model_copy(update={"sha256": NO_DIGEST})
        return seal(unsealed.model_dump_json(indent=2).encode() + b"\n")

    def public(self) -> dict[str, Any]:
        """As plain values, for an answer."""
        return self.model_dump(mode="json")


def sha256(data: bytes) -> str:
    """Hexadecimal SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def seal(data: bytes) -> bytes:
    """`data` with its own SHA-256 in the place of the first NO_DIGEST."""
    return data.replace(NO_DIGEST.encode(), sha256(data).encode(), 1)


def sealed(data: bytes, stated: str) -> bool:
    """Whether `data` is as it was when it was given the digest that it states."""
    return sha256(data.replace(stated.encode(), NO_DIGEST.encode(), 1)) == stated


def faults(error: ValidationError) -> str:
    """What is wrong, without what was read: a link may have led to somebody's secrets."""
    found = error.errors(include_url=False, include_input=False)[:SHOWN_FAULTS]
    said = (": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in found)
    return f"{error.title}: {'; '.join(said)}"


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("it says one thing twice")
