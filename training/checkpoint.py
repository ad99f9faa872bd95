"""A run's state in one file: tensors in safetensors, everything else as JSON in its header. No pickle. Knows no network."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training.room import TrainingError


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and plain values."""

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def write(self, path: Path) -> None:
        """Replace `path` by this, whole or not at all."""
        tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in self.tensors.items()}
        replace(path, save(tensors, {"values": json.dumps(self.values)}))

    @classmethod
    def read(cls, path: Path) -> "Checkpoint":
        """From `path`. Raises TrainingError where it is no checkpoint."""
        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
                return cls(tensors, json.loads(file.metadata()["values"]))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"The checkpoint {path} cannot be read: {error}.") from error


def replace(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all, also when the machine stops meanwhile."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
