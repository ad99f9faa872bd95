"""Recurrent layers over rows of different lengths: padded in training, one fused ONNX operator a layer when exported.

On a CPU, PyTorch's packed sequences are many times slower than padded ones, and neither exporter takes them. So in training
each direction runs over padded rows, the backward one over rows that are reversed up to their length; the graph gets
`LSTM`, `GRU` or `RNN` with `sequence_lens`. Either way padding changes nothing. Knows no family.
"""

from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

Cell = Literal["lstm", "gru", "rnn"]
LAYERS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
GATES: dict[str, tuple[int, ...]] = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}
"""PyTorch's gates in the order of ONNX: i f g o -> i o f c; r z n -> z r h."""


def lengths(tokens: Tensor) -> Tensor:
    """(batch, time) numbers, 0 for padding -> (batch,) how long each row is up to its last token; 1 at least."""
    places = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)
    return ((tokens != 0) * places).amax(1).clamp(min=1)


def inside(length: Tensor, time: int) -> Tensor:
    """(batch,) lengths -> (batch, time), true where a row has a step."""
    return torch.arange(time, device=length.device) < length[:, None]


def reversed_inside(x: Tensor, length: Tensor) -> Tensor:
    """(batch, time, …) with each row's first `length` steps in reverse order; what follows them means nothing."""
    places = torch.arange(x.shape[1], device=x.device)
    index = (length[:, None] - 1 - places).clamp(min=0)
    return x.gather(1, index[:, :, None].expand(-1, -1, x.shape[2]))


class Recurrent(nn.Module):
    """(batch, time, features) and (batch,) lengths -> states (batch, time, directions * units), 0 after a row's end."""

    def __init__(
        self, cell: Cell, features: int, units: int, *, layers: int = 1, bidirectional: bool = False, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.cell, self.units, self.bidirectional = cell, units, bidirectional
        self.dropout = nn.Dropout(dropout)
        directions = 2 if bidirectional else 1
        self.layers = nn.ModuleList(
            nn.ModuleList(_layer(cell, features if depth == 0 else directions * units, units) for _ in range(directions))
            for depth in range(layers)
        )

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        for depth, layer in enumerate(self.layers):
            if depth:
                x = self.dropout(x)
            directions = cast(list[nn.RNNBase], list(cast(nn.ModuleList, layer)))
            run = _fused if torch.onnx.is_in_onnx_export() else _padded
            x = run(self.cell, directions, x, length)
        return x


def _layer(cell: Cell, features: int, units: int) -> nn.RNNBase:
    """One direction of one layer.

    It starts with orthogonal recurrences (Saxe et al. 2014), inputs after Glorot, and an LSTM begins by remembering.
    """
    layer: nn.RNNBase = LAYERS[cell](features, units, batch_first=True)
    for name, weight in layer.named_parameters():
        for gate in torch.split(weight.detach(), units):
            if name.startswith("weight_hh"):
                nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                nn.init.xavier_uniform_(gate)
            else:
                nn.init.zeros_(gate)
        if cell == "lstm" and name.startswith("bias_ih"):
            nn.init.ones_(weight.detach()[units : 2 * units])
    return layer


def _padded(cell: Cell, directions: list[nn.RNNBase], x: Tensor, length: Tensor) -> Tensor:  # noqa: ARG001 - the layers are of their cell
    """One layer over padded rows."""
    states = [directions[0](x)[0]]
    if len(directions) > 1:
        states.append(reversed_inside(directions[1](reversed_inside(x, length))[0], length))
    return torch.where(inside(length, x.shape[1])[:, :, None], torch.cat(states, 2), 0)


def _fused(cell: Cell, directions: list[nn.RNNBase], x: Tensor, length: Tensor) -> Tensor:
    """One ONNX operator for the layer, both directions (https://onnx.ai/onnx/operators: LSTM, GRU, RNN)."""
    batch, time, units, count = x.shape[0], x.shape[1], directions[0].hidden_size, len(directions)

    def gathered(name: str) -> Tensor:
        return torch.stack([_in_order(getattr(direction, name), cell, units) for direction in directions])

    bias = torch.cat([gathered("bias_ih_l0"), gathered("bias_hh_l0")], 1)
    attributes: dict[str, Any] = {"hidden_size": units, "direction": "bidirectional" if count > 1 else "forward"}
    if cell == "gru":
        attributes["linear_before_reset"] = 1
    final = (count, batch, units)
    outputs = torch.onnx.ops.symbolic_multi_out(
        cell.upper(),
        (x.transpose(0, 1), gathered("weight_ih_l0"), gathered("weight_hh_l0"), bias, length.to(torch.int32)),
        attributes,
        dtypes=(x.dtype,) * (3 if cell == "lstm" else 2),
        shapes=((time, count, batch, units), *([final] * (2 if cell == "lstm" else 1))),
    )
    return outputs[0].permute(2, 0, 1, 3).reshape(batch, time, count * units)


def _in_order(weight: Tensor, cell: Cell, units: int) -> Tensor:
    gates = torch.split(weight, units)
    return torch.cat([gates[index] for index in GATES[cell]])
