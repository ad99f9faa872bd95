"""Networks for pictures: how their blocks are made."""

import pytest
import torch

from training import convnets

BEHIND = {"residual": 7, "book": 8, "deep": 20}
"""Which of a network's layers is the first that is behind all convolutions."""
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


@pytest.mark.parametrize(("architecture", "count"), [("residual", 10), ("book", 3), ("deep", 6), ("dense", 0)])
@torch.inference_mode()
def test_each_convolution_has_a_stage_and_the_last_one_leads_to_the_answer(architecture, count):
    network = convnets.build(architecture, MNIST, width=8, dropout=0).eval()
    x = torch.rand(2, 1, 28, 28)
    stages = list(convnets.stages(network, x))
    convolutions = [one for one in network.modules() if isinstance(one, torch.nn.Conv2d)]
    beside = [
        one for one in network.modules() if isinstance(one, convnets.Residual) and not isinstance(one.skip, torch.nn.Identity)
    ]
    assert len(stages) == count == len(convolutions) - len(beside)
    assert all(stage.dim() == 4 and float(stage.min()) >= 0 for stage in stages)
    if stages:
        answer = stages[-1]
        for layer in list(network.children())[BEHIND[architecture] :]:
            answer = layer(answer)
        torch.testing.assert_close(answer, network(x))
