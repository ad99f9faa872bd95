"""What is settled on validation windows."""

import pytest
import torch

from training.bands import settle

QUANTILES = (0.1, 0.5, 0.9)


def windows(n=400):
    """Truth that is noise of a known spread around nought."""
    truth = torch.randn(n, 2, 7, generator=torch.Generator().manual_seed(2))
    apart = torch.tensor([-0.1, 0.0, 0.1]).expand(n, 2, 7, 3)
    return truth, apart


def test_bands_are_made_as_wide_as_they_say():
    truth, apart = windows(2000)
    found = settle(torch.zeros_like(truth), apart, None, truth, QUANTILES)
    assert (found.share, found.below.shape) == (0.0, (7,))
    assert found.below.mean().item() == pytest.approx(12.8, rel=0.25)  # 1.28 standard deviations, but for the bound of 10
    inside = (truth >= -0.1 * found.below) & (truth <= 0.1 * found.above)
    assert 0.66 <= inside.float().mean() <= 0.82


def test_of_few_windows_all_steps_share_a_factor():
    truth, apart = windows(20)
    assert len(settle(torch.zeros_like(truth), apart, None, truth, QUANTILES).below.unique()) == 1


@pytest.mark.parametrize(("network", "straight", "share"), [(0.1, -0.1, 0.5), (0.0, 3.0, 0.0), (3.0, 0.0, 1.0)])
def test_both_forecasts_count_alike_unless_one_is_clearly_better(network, straight, share):
    truth, apart = windows()
    assert settle(truth + network, apart, truth + straight, truth, QUANTILES).share == share
    assert settle(truth + network, apart, truth + straight, truth, QUANTILES, alone=True).share == 1.0
