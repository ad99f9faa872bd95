"""What validation windows decide once a forecaster is trained: which forecasts make the mean, and how wide the bands are.

Knows tensors; knows neither networks nor data.
"""

from dataclasses import dataclass

from torch import Tensor

A_STEP = 1_000
"""Errors that a factor of its own wants."""
CLEARLY = 1.05
"""Of two forecasts the mean is taken, unless one alone is better by this factor on the validation windows: weights that are
fitted do worse than equal ones on what comes later (Timmermann 2006, "Forecast combinations")."""


@dataclass(frozen=True)
class Settled:
    """What the validation windows decide once a network is trained."""

    share: float
    """Of the linear forecast in the mean; the rest is the network's."""
    below: Tensor
    above: Tensor
    """What the distances of the quantiles from the median are multiplied by, at each step: (horizon,)."""


def settle(
    mean: Tensor,
    apart: Tensor,
    straight: Tensor | None,
    truth: Tensor,
    quantiles: tuple[float, ...],
    *,
    alone: bool = False,
) -> Settled:
    """What suits these validation windows: the better of the two forecasts or their mean, and bands as wide as they should be.

    All standardised: `mean`, `straight` and `truth` (n, columns, horizon), `apart` (n, columns, horizon, quantiles). The bands
    are made wider or narrower so that the outermost quantiles hold what they say at each step (after Romano et al. 2019,
    "Conformalized quantile regression", by a factor instead of a term, so that bands stay narrow where windows are calm).
    """
    share = 0.0
    if straight is not None:
        share = 1.0 if alone else _share(mean, straight, truth)
        mean = share * straight + (1 - share) * mean
    middle = quantiles.index(0.5)
    error = truth - mean - apart[..., middle]
    below = _factor(-error, apart[..., middle] - apart[..., 0], 1 - quantiles[0])
    above = _factor(error, apart[..., -1] - apart[..., middle], quantiles[-1])
    return Settled(share, below, above)


def _share(mean: Tensor, straight: Tensor, truth: Tensor) -> float:
    """Of the linear forecast: a half, or all or nothing where that is clearly better."""
    errors = {share: float((share * straight + (1 - share) * mean - truth).square().mean()) for share in (0.5, 0.0, 1.0)}
    best = min(errors, key=errors.__getitem__)
    return best if errors[best] * CLEARLY < errors[0.5] else 0.5


def _factor(error: Tensor, distance: Tensor, share: float) -> Tensor:
    """What `distance` must be multiplied by so that this share of the errors is not beyond it: (horizon,).

    Of few windows, one factor for all steps.
    """
    ratio = (error / distance.clamp(min=1e-6)).permute(2, 0, 1).flatten(1)  # (horizon, n * columns)
    steps, count = ratio.shape
    if count < A_STEP:
        ratio = ratio.reshape(1, -1)
    rank = max(1, min(ratio.shape[1], round(share * ratio.shape[1])))
    return ratio.kthvalue(rank, 1).values.clamp(0.1, 10.0).expand(steps).clone()
