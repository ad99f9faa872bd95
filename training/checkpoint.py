"""A run's state in one file: tensors in safetensors, everything else as JSON in its header, its own digest among that.

No pickle. Knows no network.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from service.manifest import NO_DIGEST, seal, sealed
from training.room import TrainingError

ASIDE = re.compile(r"\..+\.[0-9]+")
"""The name of a file that is being written."""


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and plain values."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def write(self, path: Path, before: Path | None = None) -> None:
        """Replace `path` by this, whole or not at all; what was there becomes `before`."""
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.tensors.items()}
        data = save(tensors, {"sha256": NO_DIGEST, "values": json.dumps(self.values)})
        replace(path, seal(data), before)

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """From `path`. Raises TrainingError where it is no checkpoint, or not as it was written."""
        try:
            data = path.read_bytes()
            return cls(load(data), json.loads(_checked(data)["values"]))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(f"The checkpoint {path} cannot be read: {error}.") from error


def _checked(data: bytes) -> dict[str, str]:
    """What the header says beside where the tensors are. Raises ValueError where the digest in it is another."""
    said: dict[str, str] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    if said.keys() - {"values"} and not sealed(data, said["sha256"]):  # there was a time without
        raise ValueError("it does not have the SHA-256 that it states")
    return said


def replace(path: Path, data: bytes, before: Path | None = None) -> None:
    """Write `data` to `path`, whole or not at all, also when the machine stops meanwhile; what was there becomes `before`."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if before and path.exists():
            path.replace(before)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes were writing, at any depth."""
    for path in folder.rglob(".*"):
        if ASIDE.fullmatch(path.name):
            path.unlink(missing_ok=True)
