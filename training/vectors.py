"""Word vectors from a stream of token numbers: skip-gram and CBOW with negative sampling, on blocks of words.

Mikolov et al. 2013 ("Efficient estimation of word representations in vector space" and "Distributed representations of words
and phrases"), with negatives shared by a block of centres and workers that share the vectors without locks, as in Ji et al.
2016 ("Parallelizing word2vec in shared and distributed memory") and Niu et al. 2011 ("Hogwild!"): a block is a few small
matrix products instead of many vector products. CBOW moves the context words by the true gradient of their mean (Irsoy et al.
2021, "Corrected CBOW performs as well as skip-gram"). Knows numbers only, no words.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Mode = Literal["skipgram", "cbow"]
SEPARATOR = 0
"""The number that stands between texts; it has no vector."""
CENTRES, SHARED = 16, 16
"""Words in a block, negatives that a block shares."""
BLOCKS: dict[Mode, int] = {"skipgram": 32, "cbow": 64}
"""Blocks in a step at most. With more, the products leave the processor's nearest cache; with fewer, calls outweigh work."""
PREPARED = 512
"""Blocks whose pairs and negatives are made at a time."""
LEAST_MOVE, MOST_MOVE, WORDS_A_MOVE = 0.4, 7.0, 100
"""Pairs that the commonest word is in at once, times the rate: with more, vectors are moved too far and run away. The bound is
the vocabulary over WORDS_A_MOVE, within the first two: among few words, what moves one vector moves the others alike."""
CHUNK = 1 << 18
"""Tokens that a worker takes at a time."""
LEAST_RATE = 1e-4
"""Of the rate at the start."""


@dataclass(frozen=True)
class Recipe:
    """How word vectors are trained."""

    mode: Mode = "skipgram"
    size: int = 100
    window: int = 5
    """Words on either side that are context at most."""
    shrinks: bool = True
    """Whether each word draws how far its own window reaches, so that nearer words count more; else every window is whole."""
    epochs: int = 3
    negatives: int = 5
    """Negatives a pair counts for."""
    keep: float = 1e-4
    """Share above which a word is left out at random (`t` of Mikolov et al.); 1 keeps every word."""
    learning_rate: float = 0.05
    seed: int = 0
    workers: int = 1
    """Threads that share the vectors. One gives the same vectors each time; several do not wait for each other."""


def spread(documents: Sequence[NDArray[np.int32]], recipe: Recipe) -> NDArray[np.int32]:
    """The documents in a random order, so far apart that no window reaches from one into another."""
    order = np.random.default_rng(recipe.seed).permutation(len(documents))
    gap = np.full(recipe.window, SEPARATOR, np.int32)
    return np.concatenate([part for place in order for part in (documents[place], gap)])


def train(
    numbers: NDArray[np.int32], words: int, recipe: Recipe, advance: Callable[[int], None] = lambda _: None
) -> NDArray[np.float32]:
    """Vectors (words, size) of the numbers below `words` in `numbers`; 0 separates texts and has no vector.

    `advance(tokens)` is told of progress: `epochs * len(numbers)` in all.
    """
    trainer = Trainer(numbers, words, recipe)
    for epoch in range(recipe.epochs):
        trainer.epoch(epoch, lambda tokens, _: advance(tokens))
    return trainer.inner.numpy()


class Trainer:
    """The vectors, and a pass over the stream that improves them. The same on a CPU and on a GPU."""

    def __init__(self, numbers: NDArray[np.int32], words: int, recipe: Recipe, device: str = "cpu") -> None:
        random = torch.Generator().manual_seed(recipe.seed)
        self.inner = ((torch.rand(words, recipe.size, generator=random) - 0.5) / recipe.size).to(device)
        """(words, size): a word's own vector; these are what is wanted."""
        self.outer = torch.zeros(words, recipe.size, device=device)
        """(words, size): what a vector is compared with to tell how likely a word is beside it."""
        self.inner[SEPARATOR] = 0
        self._recipe, self._device = recipe, device
        self._stream = torch.from_numpy(numbers)
        counts = torch.from_numpy(np.bincount(numbers, minlength=words)).double()
        counts[SEPARATOR] = 0
        share = (counts / counts.sum()).clamp(min=1e-12)
        self._kept = ((recipe.keep / share).sqrt() + recipe.keep / share).clamp(max=1).float()
        self._kept[SEPARATOR] = 1
        move = recipe.learning_rate * _pairs_of_one(counts * self._kept, counts, recipe)
        bound = min(MOST_MOVE, max(LEAST_MOVE, words / WORDS_A_MOVE))
        self._blocks = max(1, min(BLOCKS[recipe.mode], int(bound / move)))
        self._rate = recipe.learning_rate * min(1.0, bound / move)
        self._pairs = _Pairs(recipe, _noise(counts).to(device), device)
        self._step = _skipgram_step if recipe.mode == "skipgram" else _cbow_step

    def epoch(self, epoch: int, advance: Callable[[int, float], None] = lambda _, __: None) -> float:
        """One pass; the mean loss of a word. `advance(tokens, loss)` is told of progress, from any of the workers."""
        starts = range(0, len(self._stream), CHUNK)
        begun, stop = epoch * len(self._stream), threading.Event()
        done: list[int] = []
        losses: list[float] = []

        def work(index: int) -> None:
            if stop.is_set():
                return
            part = self._stream[starts[index] : starts[index] + CHUNK]
            losses.extend(self._chunk(part, epoch * len(starts) + index, lambda: begun + sum(done)))
            done.append(len(part))
            advance(len(part), losses[-1] if losses else 0.0)

        with ThreadPoolExecutor(self._recipe.workers, "words", torch.set_num_threads, (1,)) as pool:
            try:
                for one in [pool.submit(work, index) for index in range(len(starts))]:
                    one.result()
            finally:
                stop.set()
        return float(np.mean(losses)) if losses else 0.0

    @torch.inference_mode()
    def _chunk(self, part: Tensor, number: int, done: Callable[[], int]) -> list[float]:
        recipe = self._recipe
        random = torch.Generator(self._device).manual_seed((recipe.seed * 1_000_003 + number * 7_919 + 1) % 2**63)
        draws = torch.Generator().manual_seed(random.initial_seed())
        chosen = part[torch.rand(len(part), generator=draws) < self._kept.index_select(0, part)].to(self._device)
        losses = []
        for contexts in torch.split(_contexts(chosen, recipe.window), PREPARED):
            left = max(LEAST_RATE, 1 - done() / (recipe.epochs * len(self._stream)))
            prepared = self._pairs.of(contexts, self._rate * left, random)
            for start in range(0, len(contexts), self._blocks):
                block = _Block(*(each[start : start + self._blocks] for each in prepared))
                answers = self._step(self.inner, self.outer, block)
                if not start and block.target.any():
                    losses.append(_loss(answers, block))
        return [loss.item() for loss in losses]


class _Block(NamedTuple):
    """Blocks of words: what is moved where. First axis: blocks."""

    inner: Tensor
    """(blocks, i) numbers whose own vectors take part"""
    outer: Tensor
    """(blocks, o) numbers that they are compared with, the negatives last"""
    target: Tensor
    """(blocks, CENTRES, o): the weight of a pair where it is a true one, else 0"""
    weight: Tensor
    """(blocks, CENTRES, o): the weight of a pair, true or not; the rate is in it"""
    mean: Tensor
    """(blocks, CENTRES, i): CBOW's mean over the context of each centre; nothing for skip-gram"""


class _Pairs:
    """Makes blocks of pairs from blocks of context."""

    def __init__(self, recipe: Recipe, noise: Tensor, device: str) -> None:
        self._recipe, self._noise, self._device = recipe, noise, device
        self._within = within(recipe.window).to(device)
        self._places = torch.arange(CENTRES, device=device)
        self._own = torch.eye(CENTRES, device=device)

    def of(self, contexts: Tensor, rate: float, random: torch.Generator) -> _Block:
        """Blocks for `contexts` (blocks, CENTRES + 2 window)."""
        recipe, count = self._recipe, len(contexts)
        centres = contexts[:, recipe.window : recipe.window + CENTRES]
        drawn = torch.randint(len(self._noise), (count * SHARED,), generator=random, device=self._device)
        negatives = self._noise.index_select(0, drawn).view(count, SHARED)
        pairs = self._near(contexts, centres, random)
        if recipe.mode == "skipgram":
            true, inner, outer, mean = pairs, centres, contexts, pairs.new_empty(count, 0, 0)
        else:
            many = pairs.sum(2, keepdim=True)
            mean, true = pairs / many.clamp(min=1), self._own * many.clamp(max=1)
            inner, outer = contexts, centres
        true = true * rate
        false = true.sum(2, keepdim=True) * (recipe.negatives / SHARED)
        return _Block(
            inner=inner,
            outer=torch.cat([outer, negatives], 1),
            target=torch.cat([true, true.new_zeros(count, CENTRES, SHARED)], 2),
            weight=torch.cat([true, false.expand(count, CENTRES, SHARED)], 2),
            mean=mean,
        )

    def _near(self, contexts: Tensor, centres: Tensor, random: torch.Generator) -> Tensor:
        """(blocks, CENTRES, CENTRES + 2 window): 1 where a word is context of a centre."""
        count, window = len(contexts), self._recipe.window
        least = 1 if self._recipe.shrinks else window
        reach = torch.randint(least, window + 1, (count, CENTRES), generator=random, device=self._device)
        near = self._within.index_select(0, (reach * CENTRES + self._places).view(-1)).view(count, CENTRES, -1)
        return near * (contexts != SEPARATOR)[:, None, :] * (centres != SEPARATOR)[:, :, None]


def within(window: int) -> Tensor:
    """((window + 1) * CENTRES, CENTRES + 2 window): row `reach * CENTRES + place` has 1 at the neighbours of that place."""
    width = CENTRES + 2 * window
    distance = (torch.arange(width)[None, :] - window - torch.arange(CENTRES)[:, None]).abs()
    return torch.cat([((distance > 0) & (distance <= reach)).float() for reach in range(window + 1)])


def _contexts(stream: Tensor, window: int) -> Tensor:
    """(blocks, CENTRES + 2 window): each block of centres with what stands around it, separators at the edges."""
    padded = torch.cat([stream.new_zeros(window), stream, stream.new_zeros(window + CENTRES - 1)])
    return padded.unfold(0, CENTRES + 2 * window, CENTRES)


def pairs(numbers: Sequence[int], window: int, mode: Mode) -> list[tuple[int | tuple[int, ...], int]]:
    """What a text of at most CENTRES words teaches, every window whole: of each centre, what is given and what is to be told.

    Skip-gram is given the centre and tells one word of its context at a time; CBOW is given the whole context, 0 where the text
    has ended, and tells the centre.
    """
    contexts = _contexts(torch.tensor(list(numbers), dtype=torch.int32), window)[:1]
    centres = contexts[:, window : window + CENTRES]
    recipe = Recipe(mode=mode, window=window, shrinks=False)
    near = _Pairs(recipe, torch.zeros(1, dtype=torch.int32), "cpu")._near(contexts, centres, torch.Generator())[0]
    around = contexts[0].tolist()
    if mode == "skipgram":
        return [(numbers[int(place)], around[int(other)]) for place, other in near.nonzero()]
    whole = within(window)[-CENTRES:]
    return [
        (tuple(around[int(other)] for other in whole[place].nonzero()), number)
        for place, number in enumerate(numbers)
        if near[place].any()
    ]


def _pairs_of_one(kept: Tensor, counts: Tensor, recipe: Recipe) -> float:
    """In how many pairs of a block the commonest word stands on average, true ones and negatives."""
    around = recipe.window + 1.0 if recipe.shrinks else 2.0 * recipe.window
    share = kept / kept.sum()
    noise = counts.pow(0.75) / counts.pow(0.75).sum()
    told = around if recipe.mode == "skipgram" else 1.0
    return float((CENTRES * told * (share + recipe.negatives * noise)).max())


def _noise(counts: Tensor, places: int = 1 << 22) -> Tensor:
    """A table to draw negatives from: each word as often as its count to the power 3/4."""
    weights = counts.pow(0.75)
    edges = (weights.cumsum(0) / weights.sum() * places).round().long()
    return torch.repeat_interleave(torch.arange(len(counts)), torch.diff(edges, prepend=edges.new_zeros(1))).int()


def _skipgram_step(inner: Tensor, outer: Tensor, block: _Block) -> Tensor:
    """One step of gradient descent on the pairs of these blocks, in place; the answers before it (blocks, CENTRES, o)."""
    given, asked = block.inner.reshape(-1), block.outer.reshape(-1)
    c = inner.index_select(0, given).view(*block.inner.shape, -1)
    o = outer.index_select(0, asked).view(*block.outer.shape, -1)
    answers = torch.bmm(c, o.mT).sigmoid_()
    pull = torch.addcmul(block.target, answers, block.weight, value=-1)
    inner.index_add_(0, given, torch.bmm(pull, o).view(-1, inner.shape[1]))
    outer.index_add_(0, asked, torch.bmm(pull.mT, c).view(-1, inner.shape[1]))
    return answers


def _cbow_step(inner: Tensor, outer: Tensor, block: _Block) -> Tensor:
    """The same where the mean of each centre's context is compared."""
    given, asked = block.inner.reshape(-1), block.outer.reshape(-1)
    i = inner.index_select(0, given).view(*block.inner.shape, -1)
    o = outer.index_select(0, asked).view(*block.outer.shape, -1)
    h = torch.bmm(block.mean, i)
    answers = torch.bmm(h, o.mT).sigmoid_()
    pull = torch.addcmul(block.target, answers, block.weight, value=-1)
    inner.index_add_(0, given, torch.bmm(block.mean.mT, torch.bmm(pull, o)).view(-1, inner.shape[1]))
    outer.index_add_(0, asked, torch.bmm(pull.mT, h).view(-1, inner.shape[1]))
    return answers


def _loss(answers: Tensor, block: _Block) -> Tensor:
    """Mean negative log-likelihood of a true pair and its negatives."""
    false = block.weight - block.target
    total = block.target * answers.clamp(min=1e-9).log() + false * (1 - answers).clamp(min=1e-9).log()
    return -total.sum() / block.target.sum()
