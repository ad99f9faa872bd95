"""Networks for pictures: how their blocks are made."""

import torch

from training import convnets

MNIST = {"height": 28, "width": 28, "channels": 1, "classes": 10}


def test_a_bottleneck_is_narrow_inside_and_a_skip_brings_the_depth_along():
    narrow, wider = convnets.Residual(64, 64, bottleneck=16), convnets.Residual(16, 32, stride=2)
    kinds = [
        (conv.kernel_size[0], conv.in_channels, conv.out_channels) for conv in narrow.body if isinstance(conv, torch.nn.Conv2d)
    ]
    assert kinds == [(1, 64, 16), (3, 16, 16), (1, 16, 64)]
    assert isinstance(narrow.skip, torch.nn.Identity)
    assert wider.skip[0].kernel_size == (1, 1)
    assert wider(torch.zeros(2, 16, 8, 8)).shape == (2, 32, 4, 4)


def test_the_residual_networks_depth_changes_by_a_1x1_convolution_beside_the_block():
    network = convnets.build("residual", MNIST, width=32, dropout=0)
    blocks = [module for module in network.modules() if isinstance(module, convnets.Residual)]
    changes = [block for block in blocks if not isinstance(block.skip, torch.nn.Identity)]
    assert [(block.skip[0].kernel_size, block.skip[0].stride) for block in changes] == [((1, 1), (2, 2))]
    assert any(block.body[0].kernel_size == (1, 1) for block in blocks)  # the bottleneck
