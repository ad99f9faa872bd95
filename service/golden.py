"""Recorded inputs and PyTorch's answers to them: written by training, replayed by the service. Part of the contract.

Knows numpy and the file's layout (`golden.npz`: arrays `inputs.<name>` and `outputs.<name>`, all with one number of rows);
knows neither PyTorch nor onnxruntime.
"""

import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = dict[str, Array]

CHOICES = 0.02
"""Of an output's whole numbers, those that may differ from what was recorded."""
LARGEST = 2**29
"""Bytes of the arrays together: a packed file may hold a thousand times its size in zeros."""
SINGLE_ROWS = 8
"""Rows that are also asked one by one, because a batch of one takes other paths through a runtime."""


@dataclass(frozen=True)
class Golden:
    """Inputs and expected outputs by name."""

    inputs: Arrays
    outputs: Arrays

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    def pack(self) -> bytes:
        """As the bytes of an .npz file."""
        named = {f"inputs.{name}": array for name, array in self.inputs.items()}
        named |= {f"outputs.{name}": array for name, array in self.outputs.items()}
        file = io.BytesIO()
        np.savez_compressed(file, **named)  # type: ignore[arg-type]  # its stub takes the names for keyword options
        return file.getvalue()

    @classmethod
    def unpack(cls, data: bytes) -> "Golden":
        """From the bytes of an .npz file. Raises ValueError where it is none of ours; never unpickles."""
        try:
            _check_size(data)
            with np.load(io.BytesIO(data), allow_pickle=False) as archive:
                arrays = {key: archive[key] for key in archive.files}
        except Exception as error:
            raise ValueError(f"it cannot be read: {error}") from error
        sides: dict[str, Arrays] = {"inputs": {}, "outputs": {}}
        for key, array in arrays.items():
            side, _, name = key.partition(".")
            if side not in sides or array.ndim == 0:
                raise ValueError(f"it holds {key!r} of {array.ndim} axes")
            sides[side][name] = array
        if not sides["inputs"] or not sides["outputs"] or len({array.shape[0] for array in arrays.values()}) != 1:
            raise ValueError("it must hold inputs and outputs with one number of rows")
        return cls(**sides)

    def difference(self, predict: Callable[[Arrays], Arrays]) -> float:
        """The largest difference of `predict`'s answers from the recorded ones, asked together and one by one.

        Of an output whose recorded values are large it is a share of the largest: a forecast of millions has no 1e-4. NaN where
        an answer holds NaN. Raises ValueError where an output is missing or has another shape.
        """
        together = predict(self.inputs)
        count = min(SINGLE_ROWS, self.rows)
        singles = [predict({name: array[row : row + 1] for name, array in self.inputs.items()}) for row in range(count)]
        apart = {name: np.concatenate([single[name] for single in singles]) for name in singles[0]}
        worst = [0.0]
        for name, recorded in self.outputs.items():
            for got, wanted in ((together.get(name), recorded), (apart.get(name), recorded[:count])):
                if got is None or got.shape != wanted.shape:
                    shape = None if got is None else got.shape
                    raise ValueError(f"output {name!r} has shape {shape} where {wanted.shape} was recorded")
                worst.append(self.apart(name, got, wanted))
        return float(np.max(worst))  # unlike max(), keeps a NaN

    def apart(self, name: str, got: Array, wanted: Array) -> float:
        """How far an output is from what was recorded of it. Whole numbers are choices, which near ties let fall either way:
        they are as good as the same where no more than CHOICES of them differ, and nothing alike where more do.
        """
        if wanted.dtype.kind in "iu":
            return 0.0 if (got != wanted).mean() <= CHOICES else math.inf
        return float(np.abs(got.astype(np.float64) - wanted.astype(np.float64)).max()) / self.magnitude(name)

    def magnitude(self, name: str) -> float:
        """What a difference of this output is measured in: its largest recorded value, or 1."""
        return max(1.0, float(np.abs(self.outputs[name].astype(np.float64)).max(initial=0)))


def _check_size(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        size = sum(one.file_size for one in packed.infolist())  # no more than that is unpacked, whatever is there
    if size > LARGEST:
        raise ValueError(f"it unpacks to {size} bytes; at most {LARGEST} are read")
