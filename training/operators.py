"""Operators that PyTorch's exporter has no good form for: each a PyTorch operator of ours, and what stands for it in a graph.

Knows PyTorch and onnxscript; `export` hands `TRANSLATIONS` to the exporter.
"""

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18
from torch import Tensor

ONNX: Any = opset18  # its stubs cannot follow a cast


@torch.library.custom_op("modelyard::dots", mutates_args=())
def dots(coarse: Tensor, table: Tensor) -> Tensor:
    """(batch, size) whole numbers from -127 to 127, times `table` (words, size) int8: (batch, words) float32, exact.

    In a graph it is the product that processors have 8-bit instructions for; they want one of its sides without a sign.
    """
    return coarse @ table.float().T


@dots.register_fake
def _(coarse: Tensor, table: Tensor) -> Tensor:
    return coarse.new_empty(coarse.shape[0], table.shape[0])


def _dots(coarse: Any, table: Any) -> Any:
    """`dots` in ONNX (https://onnx.ai/onnx/operators: MatMulInteger)."""
    zero = ONNX.Constant(value_int=128)
    unsigned = ONNX.Cast(ONNX.Add(coarse, ONNX.Constant(value_float=128.0)), to=2)  # UINT8
    across = ONNX.Transpose(table, perm=[1, 0])
    return ONNX.Cast(ONNX.MatMulInteger(unsigned, across, ONNX.Cast(zero, to=2)), to=1)  # FLOAT


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.modelyard.dots.default: _dots}
