"""Word vectors as a network: trained ones, and the graph that looks them up and finds their neighbours. Knows no words.

The graph holds 8-bit unit vectors; neighbours are found among all of them by one matrix product and a top-k, the words that
were sent left out (Mikolov et al. 2013 call the sum of several 3CosAdd).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from service.vocabulary import PADDING
from training.operators import dots

BELOW = 4.0
"""Taken from the cosine of a word that must not be found: more than cosines differ."""
NOT_ONE = -2.0
"""Stands for the cosine of nothing."""
BETWEEN_TIES = 1e-12
"""What a number loses to the one before it: where there is no direction, the commonest words are found."""
STEPS = 127
"""Of the 8-bit numbers, either way."""


class Embedding(nn.Module):
    """Vectors (words, size) of numbers, and those they were compared with in training."""

    inner: Tensor
    outer: Tensor

    def __init__(self, inner: Tensor, outer: Tensor) -> None:
        super().__init__()
        self.inner, self.outer = nn.Parameter(inner, requires_grad=False), nn.Parameter(outer, requires_grad=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """(…,) numbers -> (…, size) vectors."""
        return self.inner[numbers]


class Lookup(nn.Module):
    """Numbers (batch, terms) and weights (batch, terms) to unit vectors, and to the nearest of their weighted sum."""

    table: Tensor
    column: Tensor
    bias: Tensor
    inverse: Tensor

    def __init__(self, inner: Tensor, most: int, column: NDArray[np.int64] | None = None) -> None:
        """`column` (words,): where given, neighbours are of the first word's column only. `most` neighbours are found."""
        super().__init__()
        scale = inner.abs().amax(1, keepdim=True).clamp(min=1e-12) / STEPS
        self.register_buffer("table", (inner / scale).round().to(torch.int8))
        self.table[PADDING] = 0
        self.register_buffer("column", torch.zeros(0) if column is None else torch.from_numpy(column).to(torch.int32))
        bias = torch.arange(len(inner)) * -BETWEEN_TIES
        bias[PADDING] = -BELOW
        self.register_buffer("bias", bias.float())
        self.register_buffer("inverse", 1 / self.table.float().square().sum(1).sqrt().clamp(min=1.0))
        self.most = min(most, len(inner) - 1)

    def unit(self) -> Tensor:
        """(words, size) float32; zeros for padding."""
        vectors = self.table.float()
        return vectors / vectors.square().sum(1, keepdim=True).sqrt().clamp(min=1.0)  # no whole number but 0 is shorter

    def forward(self, words: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`vectors` (batch, terms, size), `neighbors` (batch, most) int32 and `cosines` (batch, most).

        A number out of range is padding. Where fewer words than `most` may be found, padding stands in their place, its cosine
        NOT_ONE; so it does everywhere where all weights of a batch are 0: then nothing is searched.
        """
        unit = self.unit()
        known = (words > PADDING) & (words < len(self.table))
        numbers = torch.where(known, words, PADDING).long()
        vectors = unit[numbers]
        wanted = (weights != 0).any()
        neighbors, cosines = torch.cond(wanted, self._nearest, self._nothing, (numbers, weights, vectors, unit))
        return vectors, neighbors, cosines

    def _nothing(self, numbers: Tensor, weights: Tensor, vectors: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002 - as `_nearest`
        """Padding, as near as nothing is."""
        nothing = numbers[:, :1] * 0
        return nothing.expand(-1, self.most).to(torch.int32), (nothing.expand(-1, self.most) + NOT_ONE).float()

    def _nearest(self, numbers: Tensor, weights: Tensor, vectors: Tensor, unit: Tensor) -> tuple[Tensor, Tensor]:
        direction = (vectors * weights[:, :, None]).sum(1)
        direction = direction / direction.square().sum(1, keepdim=True).sqrt().clamp(min=1e-9)
        coarse = (direction / direction.abs().amax(1, keepdim=True).clamp(min=1e-9) * STEPS).round()
        cosines = dots(coarse, self.table) / coarse.square().sum(1, keepdim=True).sqrt().clamp(min=1.0)
        cosines = cosines * self.inverse + self.bias
        cosines = cosines.scatter_add(1, numbers, torch.full_like(weights, -BELOW))
        if len(self.column):
            cosines = cosines - BELOW * (self.column[numbers[:, :1]] != self.column[None, :])
        found, places = cosines.topk(self.most, 1)
        exact = (unit[places] @ direction[:, :, None])[:, :, 0]
        found, order = torch.where(found < -1, NOT_ONE, exact + self.bias[places]).topk(self.most, 1)
        places = torch.where(found < -1, PADDING, places.gather(1, order))
        return places.to(torch.int32), found
