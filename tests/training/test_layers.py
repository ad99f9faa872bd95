"""The layer table."""

import pytest
import torch
from torch import nn

from training import layers
from training.families import classifier, sentiment
from training.families.classifier import SUITS, Config


def table(architecture):
    return layers.layers(*classifier.sample(Config(architecture=architecture)))


def test_the_books_network_has_the_books_counts():
    found = [layer for layer in table("book") if layer.parameters]
    assert [layer.parameters for layer in found] == [320, 18_496, 36_928, 36_928, 650]
    assert sum(layer.parameters for layer in found) == 93_322
    assert [layer.count for layer in found] == [
        "3·3·1·32 + 32",
        "3·3·32·64 + 64",
        "3·3·64·64 + 64",
        "576·64 + 64",
        "64·10 + 10",
    ]


def test_the_books_network_has_the_books_shapes():
    found = [layer for layer in table("book") if layer.kind.startswith(("conv", "max", "linear"))]
    assert [layer.output for layer in found] == [(32, 26, 26), (32, 13, 13), (64, 11, 11), (64, 5, 5), (64, 3, 3), (64,), (10,)]


@pytest.mark.parametrize("architecture", SUITS)
def test_the_tables_sum_is_the_networks_size(architecture):
    network, _ = classifier.sample(Config(architecture=architecture))
    assert sum(layer.parameters for layer in table(architecture)) == sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize("architecture", SUITS)
def test_each_count_comes_about_as_it_says(architecture):
    for layer in table(architecture):
        assert eval(layer.count.replace("·", "*") or "0") == layer.parameters, layer


def test_the_residual_network_has_skips_and_1x1_convolutions():
    kinds = [layer.kind for layer in table("residual")]
    assert "skip" in kinds
    assert "conv 1x1" in kinds


def test_the_deep_network_repeats_convolutions_before_each_pooling():
    kinds = [kind for layer in table("deep") if (kind := layer.kind.split()[0]) in ("conv", "max", "meanmaxpool")]
    assert kinds == ["conv", "conv", "max", "conv", "conv", "max", "conv", "conv", "meanmaxpool"]


def test_layers_stand_in_the_order_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(3, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.last(self.first(x))

    assert [layer.path for layer in layers.layers(Backwards(), torch.zeros(1, 4))] == ["first", "last"]


def test_a_kind_says_size_and_stride():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 5, 2), nn.BatchNorm2d(2), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Identity(), nn.ReLU()
    )
    kinds = [layer.kind for layer in layers.layers(network, torch.zeros(1, 1, 28, 28))]
    assert kinds == ["conv 5x5 /2", "batch norm", "max pool 2x2", "dropout 0.25", "skip", "relu"]


def test_looking_leaves_no_hook_behind():
    network, row = classifier.sample(Config(architecture="book"))
    layers.layers(network, row)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("variant", [*sentiment.VARIANTS.values(), {"layers": 2, "bidirectional": False}], ids=str)
def test_the_table_of_a_reader_is_right_too(variant):
    network, row = sentiment.sample(sentiment.Config(**variant))
    found = layers.layers(network, row)
    assert sum(layer.parameters for layer in found) == sum(weight.numel() for weight in network.parameters())
    for layer in found:
        count = layer.count.replace("·", "*").replace("²", "**2")
        assert eval(count or "0") == layer.parameters, layer
