"""Recurrent layers: padded rows answer as packed ones do, and the graph as PyTorch does."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from training import export, recurrent
from training.recurrent import LAYERS, Recurrent, inside, lengths
from training.room import Export

CELLS = list(LAYERS)
LENGTHS = torch.tensor([7, 1, 4, 6])


def rows(features=5):
    torch.manual_seed(1)
    return torch.randn(4, 7, features) * inside(LENGTHS, 7)[:, :, None]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [([[5, 6, 0], [1, 1, 1]], [2, 3]), ([[0, 0, 0], [0, 2, 0]], [1, 2]), ([[9]], [1])],
)
def test_a_row_is_as_long_as_its_last_token_and_one_at_least(tokens, expected):
    assert lengths(torch.tensor(tokens)).tolist() == expected


def test_rows_are_reversed_up_to_their_length():
    x = torch.arange(6.0).view(1, 6, 1)
    assert recurrent.reversed_inside(x, torch.tensor([4]))[0, :4, 0].tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_padded_rows_answer_as_packed_ones_do(cell, bidirectional, layers):
    ours = Recurrent(cell, 5, 6, layers=layers, bidirectional=bidirectional).eval()
    theirs = LAYERS[cell](5, 6, layers, batch_first=True, bidirectional=bidirectional)
    for depth, layer in enumerate(ours.layers):
        for direction, suffix in zip(layer, ("", "_reverse"), strict=False):
            for name, weight in direction.named_parameters():
                getattr(theirs, name.replace("_l0", f"_l{depth}{suffix}")).data.copy_(weight)
    packed = nn.utils.rnn.pack_padded_sequence(rows(), LENGTHS, batch_first=True, enforce_sorted=False)
    wanted, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    assert torch.allclose(ours(rows(), LENGTHS), wanted, atol=1e-6)


class Whole(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, length):
        return self.layer(x, length)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, True), (2, False)])
def test_the_graph_has_one_operator_a_layer_and_answers_alike_at_other_sizes(cell, layers, bidirectional):
    layer = Recurrent(cell, 5, 6, layers=layers, bidirectional=bidirectional).eval()
    wanted = Export(Whole(layer), {"x": torch.zeros(2, 3, 5), "length": torch.tensor([3, 2])}, ("states",), {"x": {1: "time"}})
    found = export.export(wanted, {"x": rows().numpy(), "length": LENGTHS.numpy()})
    operators = [node.op_type for node in onnx.load_from_string(found.graph).graph.node]
    assert operators.count(cell.upper()) == layers
    assert "Loop" not in operators
    assert "Scan" not in operators
    longer, lengths = torch.randn(9, 30, 5), torch.tensor([30, 1, 2, 3, 29, 5, 5, 17, 30])
    got = export.open_graph(found.graph)({"x": longer.numpy(), "length": lengths.numpy()})["states"]
    assert np.abs(got - layer(longer, lengths).detach().numpy()).max() < 1e-6


def test_an_lstm_begins_by_remembering():
    (layer,) = Recurrent("lstm", 3, 4).layers[0]
    assert layer.bias_ih_l0.tolist() == [0] * 4 + [1] * 4 + [0] * 8
    for gate in layer.weight_hh_l0.split(4):
        assert torch.allclose(gate @ gate.T, torch.eye(4), atol=1e-5)
