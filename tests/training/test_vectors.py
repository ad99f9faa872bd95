"""Word vectors from a stream of numbers."""

import time

import numpy as np
import pytest
import torch

from service import text
from training import vectors
from training.documents import Lexicon
from training.vectors import Recipe, Trainer

MODES = ("skipgram", "cbow")


def texts(count=600, seed=0):
    """Words 2..6 keep company with each other, and so do 7..11; 1 stands anywhere."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        words = random.integers(2, 7, 30) + 5 * random.integers(0, 2)
        words[random.random(30) < 0.1] = 1
        made.append(words.astype(np.int32))
    return made


QUICK = Recipe(size=16, epochs=4, keep=1.0)


def recipe(**changes):
    return Recipe(**{**QUICK.__dict__, **changes})


def company(found):
    """How much nearer words of the same company lie than others: the least inside less the most across."""
    unit = found[2:] / np.linalg.norm(found[2:], axis=1, keepdims=True)
    near = unit @ unit.T
    inside = np.concatenate([near[:5, :5][np.triu_indices(5, 1)], near[5:, 5:][np.triu_indices(5, 1)]])
    return inside.min() - near[:5, 5:].max()


HEY = ("hey", "this", "is", "great")


def listed(window, mode):
    """The pairs of a text in words, 0 as `_`."""
    lexicon = Lexicon()
    numbers = lexicon.numbers("Hey, this is great") + 1
    names = ["_", *HEY]
    found = vectors.pairs(numbers.tolist(), window, mode)
    return [(tuple(names[one] for one in given) if mode == "cbow" else names[given], names[told]) for given, told in found]


def test_skip_gram_tells_each_word_around_a_word():
    assert listed(1, "skipgram") == [
        ("hey", "this"),
        ("this", "hey"), ("this", "is"),
        ("is", "this"), ("is", "great"),
        ("great", "is"),
    ]  # fmt: skip
    assert listed(2, "skipgram") == [
        ("hey", "this"), ("hey", "is"),
        ("this", "hey"), ("this", "is"), ("this", "great"),
        ("is", "hey"), ("is", "this"), ("is", "great"),
        ("great", "this"), ("great", "is"),
    ]  # fmt: skip


def test_cbow_tells_a_word_from_those_on_both_sides_padded_at_the_edges():
    assert listed(1, "cbow") == [
        (("_", "this"), "hey"),
        (("hey", "is"), "this"),
        (("this", "great"), "is"),
        (("is", "_"), "great"),
    ]
    assert listed(2, "cbow") == [
        (("_", "_", "this", "is"), "hey"),
        (("_", "hey", "is", "great"), "this"),
        (("hey", "this", "great", "_"), "is"),
        (("this", "is", "_", "_"), "great"),
    ]


def test_the_sentence_has_four_tokens():
    assert tuple(text.normal(token) for token in text.tokens("Hey, this is great")) == HEY


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("workers", [1, 2])
def test_words_that_keep_company_lie_near_each_other(mode, workers):
    rate = 0.05 if mode == "skipgram" else 0.2
    asked = recipe(mode=mode, workers=workers, learning_rate=rate, epochs=6)
    assert company(vectors.train(vectors.spread(texts(), asked), 12, asked)) > 0.2


@pytest.mark.parametrize("mode", MODES)
def test_padding_has_no_vector_and_the_shape_is_as_asked(mode):
    asked = recipe(mode=mode)
    found = vectors.train(vectors.spread(texts(20), asked), 15, asked)
    assert (found.shape, found.dtype) == ((15, 16), np.float32)
    assert (found[0] == 0).all()
    assert np.isfinite(found).all()


def test_the_seed_decides():
    stream = vectors.spread(texts(20), QUICK)
    one, again, other = (vectors.train(stream, 12, recipe(seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_pass_that_begins_from_another_passs_vectors_gives_the_same_as_both_in_one():
    stream = vectors.spread(texts(50), QUICK)
    whole = vectors.train(stream, 12, QUICK)
    first = Trainer(stream, 12, QUICK)
    for epoch in (0, 1):
        first.epoch(epoch)
    second = Trainer(stream, 12, QUICK)
    second.inner.copy_(first.inner)
    second.outer.copy_(first.outer)
    for epoch in (2, 3):
        second.epoch(epoch)
    assert np.array_equal(second.inner.numpy(), whole)


def test_no_window_reaches_into_another_text():
    stream = vectors.spread([np.array([5, 6], np.int32), np.array([7], np.int32)], QUICK)
    places = np.flatnonzero(stream)
    assert sorted(stream[places].tolist()) == [5, 6, 7]
    gaps = np.diff(places)
    assert sorted(gaps.tolist()) == [1, QUICK.window + 1]


def test_progress_is_told_to_the_end():
    told = []
    stream = vectors.spread(texts(50), QUICK)
    vectors.train(stream, 12, Recipe(size=8, epochs=2, keep=0.01), told.append)
    assert sum(told) == 2 * len(stream)


@pytest.mark.parametrize("mode", MODES)
def test_the_loss_falls(mode):
    asked = recipe(mode=mode, learning_rate=0.1)
    trainer = Trainer(vectors.spread(texts(), asked), 12, asked)
    losses = [trainer.epoch(epoch) for epoch in range(asked.epochs)]
    assert losses[-1] < losses[0] - 0.05
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_step_follows_the_gradient(mode):
    """Against autograd on the written-out loss, for one block of pairs."""
    stream = np.concatenate(texts(2))
    asked = recipe(mode=mode, shrinks=False, learning_rate=0.1)
    trainer = Trainer(stream, 12, asked)
    trainer.outer.uniform_(-1, 1)
    made = vectors._Pairs(asked, vectors._noise(torch.from_numpy(np.bincount(stream, minlength=12)).double()), "cpu")
    block = made.of(vectors._contexts(torch.from_numpy(stream), asked.window), 0.1, torch.Generator().manual_seed(0))
    inner, outer = (table.clone().requires_grad_(True) for table in (trainer.inner, trainer.outer))
    given = inner[block.inner] if mode == "skipgram" else block.mean @ inner[block.inner]
    scores = given @ outer[block.outer].mT
    false = block.weight - block.target
    loss = -(block.target * torch.nn.functional.logsigmoid(scores) + false * torch.nn.functional.logsigmoid(-scores)).sum()
    loss.backward()
    trainer._step(trainer.inner, trainer.outer, block)
    # the step is down the gradient of a loss in which the rate is a weight
    torch.testing.assert_close(trainer.inner, (inner - inner.grad).detach())
    torch.testing.assert_close(trainer.outer, (outer - outer.grad).detach())


def test_negatives_are_drawn_by_count_to_the_power_of_three_quarters():
    counts = torch.tensor([0.0, 16.0, 1.0, 81.0]).double()
    share = np.bincount(vectors._noise(counts).numpy(), minlength=4) / (1 << 22)
    np.testing.assert_allclose(share, [0, 8 / 36, 1 / 36, 27 / 36], atol=1e-5)


def test_a_negatives_weight_is_that_of_the_pairs_it_stands_for():
    stream = torch.arange(1, 12, dtype=torch.int32)
    asked = recipe(shrinks=False, window=2, negatives=7)
    made = vectors._Pairs(asked, torch.ones(4, dtype=torch.int32), "cpu")
    block = made.of(vectors._contexts(stream, 2), 1.0, torch.Generator())
    pairs = block.target.sum(2)
    assert pairs[0, :4].tolist() == [2, 3, 4, 4]
    torch.testing.assert_close((block.weight - block.target).sum(2), 7 * pairs)


def test_a_shrinking_window_reaches_each_distance_as_often_as_it_should():
    stream = torch.ones(16 * 4000, dtype=torch.int32)
    made = vectors._Pairs(recipe(window=4), torch.ones(4, dtype=torch.int32), "cpu")
    near = made._near(*_blocks(stream, 4), torch.Generator().manual_seed(0))[1:-1]
    share = [near[:, 8, 4 + 8 + distance].mean().item() for distance in range(-4, 5)]
    np.testing.assert_allclose(share, [0.25, 0.5, 0.75, 1, 0, 1, 0.75, 0.5, 0.25], atol=0.03)


def _blocks(stream, window):
    contexts = vectors._contexts(stream, window)
    return contexts, contexts[:, window : window + vectors.CENTRES]


def test_common_words_are_left_out_more_often_than_rare_ones():
    stream = np.array([1] * 9_000 + [2] * 90 + [3] * 10, np.int32)
    kept = Trainer(stream, 4, recipe(keep=0.01))._kept
    assert kept[0] == kept[2] == kept[3] == 1
    assert kept[1] == pytest.approx((0.01 / 0.989) ** 0.5 + 0.01 / 0.989, rel=0.01)


def test_a_fault_in_a_worker_ends_the_pass(monkeypatch):
    trainer = Trainer(vectors.spread(texts(50), QUICK), 12, recipe(workers=2))

    def fails(*_):
        raise RuntimeError("no more")

    monkeypatch.setattr(trainer, "_chunk", fails)
    with pytest.raises(RuntimeError, match="no more"):
        trainer.epoch(0)


def test_whoever_stops_a_pass_does_not_wait_for_its_end(monkeypatch):
    monkeypatch.setattr(vectors, "CHUNK", 1000)
    stream = np.tile(np.concatenate(texts(100)), 200)
    trainer = Trainer(stream, 12, recipe(workers=2))
    begun = time.monotonic()

    def stops(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.epoch(0, stops)
    assert time.monotonic() - begun < 3
