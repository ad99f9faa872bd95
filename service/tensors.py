"""Arrays by name: checked against a graph's specification, put together into a batch, taken apart again.

Knows numpy and the manifest's `TensorSpec`; knows nothing of onnxruntime, of HTTP or of any family. An item is `Arrays`
whose every array starts with the same number of rows; a batch is several items, one after the other.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.errors import InvalidTensor, ModelFailed
from service.golden import Array, Arrays
from service.manifest import Datatype, TensorSpec

DTYPES: Mapping[Datatype, np.dtype[np.generic]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
DATATYPES: Mapping[np.dtype[np.generic], Datatype] = {dtype: name for name, dtype in DTYPES.items()}


def rows(arrays: Arrays) -> int:
    """Rows of an item: the length of the batch axis."""
    return len(next(iter(arrays.values())))


def length(arrays: Arrays, specs: Sequence[TensorSpec]) -> int:
    """How long an item's rows are along their free axes; 1 where every axis is fixed. What padding would cost."""
    longest = 1
    for spec in specs:
        for axis, size in enumerate(spec.shape[1:], start=1):
            if isinstance(size, str):
                longest = max(longest, arrays[spec.name].shape[axis])
    return longest


def check(arrays: Arrays, specs: Sequence[TensorSpec], limits: Mapping[str, int]) -> None:
    """Raise InvalidTensor unless `arrays` has just these names, dtypes and shapes, one number of rows, finite numbers.

    `limits` holds the longest that free axes may be, by name.
    """
    names = [spec.name for spec in specs]
    if set(arrays) != set(names):
        raise InvalidTensor(f"The inputs are {sorted(arrays)}; this model takes {names}.")
    sizes: dict[str, tuple[str, int]] = {}
    for spec in specs:
        array = arrays[spec.name]
        if array.dtype != DTYPES[spec.datatype]:
            datatype = DATATYPES.get(array.dtype, str(array.dtype))
            raise InvalidTensor(f"Input '{spec.name}' has datatype {datatype}; expected {spec.datatype}.")
        if not _fits(array.shape, spec, sizes, limits):
            expected = [size if isinstance(size, int) else -1 for size in spec.shape]
            raise InvalidTensor(f"Input '{spec.name}' has shape {list(array.shape)}; expected {expected}.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidTensor(f"Input '{spec.name}' holds NaN or infinity; expected finite numbers.")


def _fits(shape: tuple[int, ...], spec: TensorSpec, sizes: dict[str, tuple[str, int]], limits: Mapping[str, int]) -> bool:
    """Whether `shape` is one of `spec`; a free axis has one size in all inputs, remembered in `sizes`."""
    if len(shape) != len(spec.shape):
        return False
    for size, wanted in zip(shape, spec.shape, strict=True):
        if isinstance(wanted, int):
            if size != wanted:
                return False
            continue
        if size < 1:
            return False
        if size > limits.get(wanted, size):
            raise InvalidTensor(
                f"Input '{spec.name}' has {size} along its axis '{wanted}'; this model takes at most {limits[wanted]}."
            )
        other, known = sizes.setdefault(wanted, (spec.name, size))
        if size != known:
            raise InvalidTensor(
                f"Input '{spec.name}' has {size} along its axis '{wanted}' and '{other}' has {known}; expected the same."
            )
    return True


def finite(arrays: Arrays) -> None:
    """Raise ModelFailed where an output holds NaN or infinity."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFailed(f"The model's output '{name}' holds NaN or infinity.")


def or_error(arrays: Arrays) -> Arrays | ModelFailed:
    """`arrays`, or what `finite` raises of them."""
    try:
        finite(arrays)
    except ModelFailed as error:
        return error
    return arrays


def close(one: Arrays, other: Arrays, tolerance: float = 0.05) -> NDArray[np.bool_]:
    """Which rows have the same numbers: none further apart than `tolerance` of its output's largest, or of 1."""
    same = np.ones(rows(one), np.bool_)
    for name, array in one.items():
        if name not in other or other[name].shape != array.shape or array.dtype == object:
            return np.zeros_like(same)
        apart = np.abs(array.astype(np.float64) - other[name].astype(np.float64)).reshape(len(same), -1)
        same &= apart.max(1, initial=0) <= tolerance * max(1.0, float(np.abs(array).max(initial=0)))
    return same


def same_choice(output: str, one: Arrays, other: Arrays) -> NDArray[np.bool_]:
    """Which rows of (rows, choices) have their largest value at the same place."""
    same: NDArray[np.bool_] = one[output].argmax(1) == other[output].argmax(1)
    return same


def join(items: Sequence[Arrays]) -> Arrays:
    """Items after each other along the batch axis; shorter rows are padded with zeros at the end of their free axes."""
    if len(items) == 1:
        return items[0]
    return {name: _join([item[name] for item in items]) for name in items[0]}


def _join(parts: Sequence[Array]) -> Array:
    row_shapes = {part.shape[1:] for part in parts}
    if len(row_shapes) == 1:
        return np.concatenate(parts)
    widest = tuple(max(sizes) for sizes in zip(*row_shapes, strict=True))
    joined = np.zeros((sum(part.shape[0] for part in parts), *widest), parts[0].dtype)
    start = 0
    for part in parts:
        joined[(slice(start, start + part.shape[0]), *(slice(size) for size in part.shape[1:]))] = part
        start += part.shape[0]
    return joined


def split(batch: Arrays, counts: Iterable[int]) -> list[Arrays]:
    """The inverse of `join` for outputs: `counts` rows for each item, in order."""
    items, start = [], 0
    for count in counts:
        items.append({name: array[start : start + count] for name, array in batch.items()})
        start += count
    return items


def singles(batch: Arrays) -> list[Arrays]:
    """Each row of a batch by itself."""
    return split(batch, [1] * rows(batch))


def chunks(arrays: Arrays, most: int) -> list[Arrays]:
    """An item of many rows as several of at most `most`."""
    total = rows(arrays)
    if total <= most:
        return [arrays]
    return split(arrays, [min(most, total - start) for start in range(0, total, most)])


def ones(specs: Sequence[TensorSpec], count: int, length: int) -> Arrays:
    """Inputs of ones (zeros may be padding): `count` rows, `length` along every other free axis. To time a graph with."""
    return {
        spec.name: np.ones(
            (count, *(size if isinstance(size, int) else length for size in spec.row_shape)), DTYPES[spec.datatype]
        )
        for spec in specs
    }
