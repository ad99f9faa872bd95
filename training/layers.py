"""The layer table of a network: kind, output shape, parameters, and how each count comes about. Knows PyTorch's layers only."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Layer:
    """One module that has no modules inside."""

    path: str
    kind: str
    output: tuple[int, ...]
    """Without the batch axis."""
    parameters: int
    count: str


def layers(network: nn.Module, row: Tensor) -> list[Layer]:
    """The layers of `network` in the order they run on `row` (a batch of one)."""
    found: list[Layer] = []
    paths = {module: path for path, module in network.named_modules()}

    def note(module: nn.Module, _: Any, output: Tensor | tuple[Tensor, ...]) -> None:
        counted = sum(weight.numel() for weight in module.parameters())
        shape = (output[0] if isinstance(output, tuple) else output).shape  # a recurrent layer gives its last state too
        found.append(Layer(paths[module], _kind(module), tuple(shape[1:]), counted, _count(module)))

    hooks = [module.register_forward_hook(note) for module in network.modules() if not list(module.children())]
    try:
        with torch.inference_mode():
            network.eval()(row)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _kind(module: nn.Module) -> str:
    match module:
        case nn.Conv2d():
            stride = f" /{module.stride[0]}" if module.stride[0] > 1 else ""
            return f"conv {module.kernel_size[0]}x{module.kernel_size[1]}{stride}"
        case nn.Conv1d():
            return f"conv {module.kernel_size[0]}{f' /{module.stride[0]}' if module.stride[0] > 1 else ''}"
        case nn.MaxPool2d():
            return f"max pool {module.kernel_size}x{module.kernel_size}"
        case nn.BatchNorm2d():
            return "batch norm"
        case nn.Dropout():
            return f"dropout {module.p:g}"
        case nn.Identity():
            return "skip"
        case _:
            return type(module).__name__.lower()


def _count(module: nn.Module) -> str:
    """`inputs x weights + biases`, in numbers."""
    match module:
        case nn.Conv2d():
            bias = f" + {module.out_channels}" if module.bias is not None else ""
            return f"{module.kernel_size[0]}·{module.kernel_size[1]}·{module.in_channels}·{module.out_channels}{bias}"
        case nn.Conv1d():
            return f"{module.kernel_size[0]}·{module.in_channels}·{module.out_channels} + {module.out_channels}"
        case nn.Embedding():
            return f"{module.num_embeddings}·{module.embedding_dim}"
        case nn.RNNBase():  # a matrix for the input, one for the state, and two biases, for each gate
            gates = {"LSTM": 4, "GRU": 3}.get(module.mode, 1)
            return f"{gates}·({module.input_size}·{module.hidden_size} + {module.hidden_size}² + 2·{module.hidden_size})"
        case nn.Linear():
            return f"{module.in_features}·{module.out_features} + {module.out_features}"
        case nn.BatchNorm2d() if module.affine:
            return f"2·{module.num_features}"
        case _:
            return "" if not list(module.parameters()) else "its own"
