"""The reader of token numbers, and what its graph says of each token."""

import itertools

import numpy as np
import pytest
import torch

from training import export, reader
from training.reader import Deployed, Plan, Reader
from training.room import Export

TOKENS = torch.tensor([[2, 3, 4, 5, 6, 7, 8], [9, 1, 0, 0, 0, 0, 0], [5, 5, 5, 5, 0, 0, 0]], dtype=torch.int32)
VARIANTS = [
    {"cell": cell, "pooled": pooled, "conv": conv, "bidirectional": both}
    for cell, pooled, conv, both in itertools.product(("lstm", "gru", "rnn"), (True, False), (0, 2, 3), (True, False))
]
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda one: "-".join(map(str, one.values())))


def deployed(variant, classes=3, temperature=1.5):
    torch.manual_seed(0)
    made = Reader(Plan(words=12, classes=classes, size=6, units=5, **variant)).eval()
    torch.nn.init.normal_(made.output.bias)
    return Deployed(made, temperature).eval()


@every_variant
def test_the_parts_add_up_to_the_score_less_the_bias(variant):
    module = deployed(variant)
    probabilities, parts = module(TOKENS)
    base = module.reader.output.bias / 1.5
    logits = parts.sum(1) + base
    assert torch.allclose(logits.softmax(1), probabilities, atol=1e-5)
    assert parts.shape == (3, 7, 3)
    assert (parts[1, 2:] == 0).all()  # padding has no part


@every_variant
def test_padding_and_company_change_nothing(variant):
    module = deployed(variant)
    probabilities, parts = module(TOKENS)
    for row, length in enumerate((7, 2, 4)):
        alone, its_parts = module(TOKENS[row : row + 1, :length])
        assert torch.allclose(alone[0], probabilities[row], atol=1e-6)
        assert torch.allclose(its_parts[0], parts[row, :length], atol=1e-6)


def test_a_number_that_is_no_words_is_unknown():
    module = deployed({"cell": "lstm"})
    strange, unknown = torch.tensor([[2, -5, 12, 999]]), torch.tensor([[2, 1, 1, 1]])
    assert torch.equal(module(strange)[0], module(unknown)[0])


def test_word_vectors_of_8_bits_are_nearly_those_trained():
    module = deployed({"cell": "lstm"})
    kept = module.table.float() * module.scale
    trained = module.reader.embedding.weight
    assert module.table.dtype == torch.int8
    assert ((kept - trained).abs() <= trained.abs().amax(1, keepdim=True) / 250).all()


@pytest.mark.parametrize("conv", [0, 2])
def test_the_graph_answers_alike_at_other_lengths_and_carries_8_bit_vectors_once(conv):
    module = deployed({"cell": "gru", "conv": conv})
    wanted = Export(
        module, {"tokens": torch.ones(2, 9, dtype=torch.int32)}, ("probabilities", "contributions"), {"tokens": {1: "time"}}
    )
    found = export.export(wanted, {"tokens": TOKENS.numpy()})
    tokens = np.random.default_rng(0).integers(1, 12, (5, 40)).astype(np.int32)
    answers = export.open_graph(found.graph)({"tokens": tokens})
    probabilities, parts = module(torch.from_numpy(tokens))
    assert np.abs(answers["probabilities"] - probabilities.detach().numpy()).max() < 1e-5
    assert np.abs(answers["contributions"] - parts.detach().numpy()).max() < 1e-5
    trained = module.reader.embedding.weight.detach().numpy()
    assert trained.tobytes() not in found.graph


def test_it_starts_from_given_vectors_at_its_own_scale():
    made = Reader(Plan(words=12, classes=2, size=6, cell="lstm", units=4))
    vectors = torch.randn(12, 6) * 9
    vectors[0] = 0
    made.start_from(vectors)
    assert made.embedding.weight[1:].std().item() == pytest.approx(0.5, abs=1e-5)
    assert (made.embedding.weight[0] == 0).all()


def test_rows_asked_by_length_come_back_in_their_order(monkeypatch):
    monkeypatch.setattr(reader, "TOGETHER", 2)
    tokens = np.array([[5, 5, 5], [1, 0, 0], [2, 2, 0], [7, 0, 0], [9, 9, 9]], np.int32)
    widths = []

    def predict(arrays):
        widths.append(arrays["tokens"].shape[1])
        return {"probabilities": arrays["tokens"][:, :1].astype(float)}

    assert reader.by_length(predict, tokens)[:, 0].tolist() == [5, 1, 2, 7, 9]
    assert widths == [1, 3, 3]


def test_the_last_bit_of_a_state_does_not_decide_where_a_maximum_stands():
    module = deployed({"cell": "lstm"})
    states = torch.rand(1, 6, 10) * 0.5
    states[:, 1] = states[:, 4] = 0.9  # the maximum, twice
    nudged = states.clone()
    nudged[:, 4] += 1e-7
    steps = torch.tensor([6])
    assert (module._by_step(states, steps) - module._by_step(nudged, steps)).abs().max() < 1e-4
