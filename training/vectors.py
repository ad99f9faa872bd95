"""Word vectors from a stream of token numbers: skip-gram with negative sampling, on blocks of words.

Mikolov et al. 2013 ("Distributed representations of words and phrases"), with negatives shared by a block of centres, as in
Ji et al. 2016 ("Parallelizing word2vec in shared and distributed memory"): a block is three small matrix products instead of
many vector products. Knows numbers only, no words.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CENTRES, BLOCKS, SHARED = 16, 64, 24
"""Words in a block, blocks in a step at most, negatives that a block shares."""
WORDS_A_BLOCK = 16
"""So many words of the vocabulary for each block of a step: a small one would be moved too far at once."""


@dataclass(frozen=True)
class Recipe:
    """How word vectors are trained."""

    size: int = 100
    window: int = 5
    epochs: int = 3
    negatives: int = 5
    """Negatives a pair counts for."""
    keep: float = 1e-4
    """Share above which a word is left out at random (`t` of Mikolov et al.)."""
    learning_rate: float = 0.05
    seed: int = 0


def spread(documents: list[NDArray[np.int32]], recipe: Recipe) -> NDArray[np.int32]:
    """The documents in a random order, so far apart that no window reaches from one into another."""
    order = np.random.default_rng(recipe.seed).permutation(len(documents))
    gap = np.zeros(recipe.window, np.int32)
    return np.concatenate([part for place in order for part in (documents[place], gap)])


def train(
    numbers: NDArray[np.int32], words: int, recipe: Recipe, advance: Callable[[int], None] = lambda _: None
) -> NDArray[np.float32]:
    """Vectors (words, size) of the numbers below `words` in `numbers`; 0 separates texts and has no vector.

    `advance(tokens)` is told of progress: `epochs * len(numbers)` in all. It runs on one thread: its steps are so short that
    two would wait for each other.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _trained(numbers, words, recipe, advance)
    finally:
        torch.set_num_threads(threads)


def _trained(numbers: NDArray[np.int32], words: int, recipe: Recipe, advance: Callable[[int], None]) -> NDArray[np.float32]:
    random = torch.Generator().manual_seed(recipe.seed)
    counts = torch.from_numpy(np.bincount(numbers, minlength=words)).double()
    counts[0] = 0
    noise = _noise(counts)
    share = counts / counts.sum()
    kept = ((recipe.keep / share.clamp(min=1e-12)).sqrt() + recipe.keep / share.clamp(min=1e-12)).clamp(max=1).float()
    kept[0] = 1  # separators stay
    inner = (torch.rand(words, recipe.size, generator=random) - 0.5) / recipe.size
    outer = torch.zeros(words, recipe.size)
    stream = torch.from_numpy(numbers)
    done, total = 0, recipe.epochs * len(stream)
    for _ in range(recipe.epochs):
        chosen = stream[torch.rand(len(stream), generator=random) < kept[stream]]
        scale = len(stream) / max(1, len(chosen))
        for centres, contexts in _steps(chosen, recipe.window, max(1, min(BLOCKS, words // WORDS_A_BLOCK))):
            rate = recipe.learning_rate * max(1e-4, 1 - done / total)
            drawn = noise[torch.randint(len(noise), (len(centres), SHARED), generator=random)]
            reach = torch.randint(1, recipe.window + 1, (len(centres), CENTRES, 1), generator=random)
            _step(inner, outer, (centres, contexts, drawn, reach), recipe, rate)
            seen = min(total - done, round(centres.numel() * scale))
            done += seen
            advance(seen)
    inner[0] = 0
    return inner.numpy()


def _noise(counts: Tensor, places: int = 1 << 22) -> Tensor:
    """A table to draw negatives from: each word as often as its count to the power 3/4."""
    weights = counts.pow(0.75)
    edges = (weights.cumsum(0) / weights.sum() * places).round().long()
    return torch.repeat_interleave(torch.arange(len(counts)), torch.diff(edges, prepend=edges.new_zeros(1)))


def _steps(stream: Tensor, window: int, blocks: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Centres (blocks, CENTRES) and what stands around each block (blocks, CENTRES + 2 window)."""
    padded = torch.cat([stream.new_zeros(window), stream, stream.new_zeros(window + CENTRES)]).long()
    contexts = padded.unfold(0, CENTRES + 2 * window, CENTRES)
    for part in torch.split(contexts, blocks):
        yield part[:, window : window + CENTRES], part


def _step(inner: Tensor, outer: Tensor, rows: tuple[Tensor, Tensor, Tensor, Tensor], recipe: Recipe, rate: float) -> None:
    """One step of gradient descent on the pairs of these blocks, in place."""
    centres, contexts, drawn, reach = rows
    blocks, width = contexts.shape
    distance = (torch.arange(width)[None, :] - recipe.window - torch.arange(CENTRES)[:, None]).abs()
    pairs = ((distance > 0) & (distance <= reach) & (contexts != 0)[:, None, :] & (centres != 0)[:, :, None]).float()
    c = inner.index_select(0, centres.reshape(-1)).view(blocks, CENTRES, -1)
    x = outer.index_select(0, contexts.reshape(-1)).view(blocks, width, -1)
    n = outer.index_select(0, drawn.reshape(-1)).view(blocks, SHARED, -1)
    weight = pairs.sum(2, keepdim=True) * (recipe.negatives / SHARED)
    towards = (1 - torch.sigmoid(c @ x.transpose(1, 2))) * pairs * rate
    away = -torch.sigmoid(c @ n.transpose(1, 2)) * weight * rate
    inner.index_add_(0, centres.reshape(-1), (towards @ x + away @ n).view(-1, recipe.size))
    outer.index_add_(0, contexts.reshape(-1), (towards.transpose(1, 2) @ c).view(-1, recipe.size))
    outer.index_add_(0, drawn.reshape(-1), (away.transpose(1, 2) @ c).view(-1, recipe.size))
