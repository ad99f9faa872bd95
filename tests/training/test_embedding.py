"""Vectors as a network, and the search among them, in PyTorch and in the graph."""

import numpy as np
import pytest
import torch

from training import export
from training.embedding import Lookup
from training.room import Export

SIZE, WORDS, MOST = 20, 300, 25


@pytest.fixture(scope="module")
def inner():
    vectors = torch.randn(1 + WORDS, SIZE, generator=torch.Generator().manual_seed(0))
    vectors[0] = 0
    return vectors


def exported(lookup):
    wanted = Export(
        module=lookup,
        inputs={"words": torch.ones(2, 3, dtype=torch.int32), "weights": torch.ones(2, 3)},
        outputs=("vectors", "neighbors", "cosines"),
        axes={"words": {1: "terms"}, "weights": {1: "terms"}},
    )
    words = np.random.default_rng(0).integers(1, 1 + WORDS, (40, 3)).astype(np.int32)
    words[::3, 1:] = 0
    rows = {"words": words, "weights": np.where(words, np.array([1, -1, 1], np.float32), 0).astype(np.float32)}
    return export.open_graph(export.export(wanted, rows).graph)


@pytest.fixture(scope="module")
def graph(inner):
    return exported(Lookup(inner, MOST))


def ask(graph, words, weights=None):
    words = np.array(words, np.int32)
    weights = np.ones(words.shape, np.float32) if weights is None else np.array(weights, np.float32)
    return graph({"words": words, "weights": weights})


def unit(inner):
    table = inner[1:].numpy()
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def test_vectors_are_units_near_those_that_were_trained(graph, inner):
    found = ask(graph, np.arange(1, 1 + WORDS)[:, np.newaxis])["vectors"][:, 0]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert ((found * unit(inner)).sum(1) > 0.9995).all()  # 8 bits


def test_neighbours_are_those_of_every_word_compared(graph):
    every = ask(graph, np.arange(1, 1 + WORDS)[:, np.newaxis])
    table = every["vectors"][:, 0]
    cosines = table @ table.T
    np.fill_diagonal(cosines, -9)
    for row in range(0, WORDS, 7):
        wanted = np.argsort(-cosines[row])[:MOST]
        same = len({*(wanted + 1)} & set(every["neighbors"][row]))
        assert same >= MOST - 1  # the last places may fall either way: candidates are found in 8 bits
        assert every["neighbors"][row, :10].tolist() == (wanted[:10] + 1).tolist()
        np.testing.assert_allclose(every["cosines"][row, :10], cosines[row, wanted[:10]], atol=1e-5)


def test_neighbours_of_a_sum_are_those_of_its_direction(graph):
    found = ask(graph, [[5, 9, 70]], [[1, 1, -1]])
    table = ask(graph, np.arange(1, 1 + WORDS)[:, np.newaxis])["vectors"][:, 0]
    direction = table[4] + table[8] - table[69]
    cosines = table @ direction / np.linalg.norm(direction)
    cosines[[4, 8, 69]] = -9
    assert found["neighbors"][0, :10].tolist() == (np.argsort(-cosines)[:10] + 1).tolist()
    np.testing.assert_allclose(found["cosines"][0, :10], np.sort(cosines)[::-1][:10], atol=1e-5)


def test_neither_padding_nor_what_was_sent_is_found(inner):
    small = exported_small(inner)
    found = ask(small, [[3, 5, 0]])
    said = found["neighbors"][0][found["cosines"][0] >= -1]
    assert sorted(said.tolist()) == [1, 2, 4, 6, 7, 8]


def exported_small(inner):
    return lambda arrays: dict(
        zip(
            ("vectors", "neighbors", "cosines"),
            (
                part.numpy()
                for part in Lookup(inner[:9], MOST)(*(torch.from_numpy(arrays[name]) for name in ("words", "weights")))
            ),
            strict=True,
        )
    )


def test_a_number_out_of_range_is_padding(graph):
    found = ask(graph, [[3, -1], [3, 1 + WORDS], [3, 2**31 - 1]])
    assert (found["vectors"][:, 1] == 0).all()
    alone = ask(graph, [[3]])
    assert (found["neighbors"] == alone["neighbors"]).all()


def test_where_there_is_no_direction_the_commonest_words_are_found(graph):
    assert ask(graph, [[7, 7]], [[1, -1]])["neighbors"][0, :4].tolist() == [1, 2, 3, 4]


def test_nothing_is_searched_where_every_weight_is_0(graph):
    found = ask(graph, [[3], [4]], [[0], [0]])
    assert (found["neighbors"] == 0).all()
    assert (found["cosines"] < -1).all()
    assert np.array_equal(found["vectors"], ask(graph, [[3], [4]])["vectors"])


def test_of_a_table_neighbours_are_of_the_same_column(inner):
    column = np.array([-1, *(number % 3 for number in range(1, 1 + WORDS))])
    graph = exported(Lookup(inner, MOST, column))
    found = ask(graph, [[6], [7]])
    for row, of in enumerate((0, 1)):
        said = found["neighbors"][row][found["cosines"][row] >= -1]
        assert len(said) == MOST
        assert set(column[said]) == {of}


def test_a_word_alone_and_in_a_batch_has_the_same_neighbours(graph):
    words = np.arange(1, 65)[:, np.newaxis]
    together = ask(graph, words)["neighbors"]
    for row in range(0, 64, 9):
        assert np.array_equal(ask(graph, words[row : row + 1])["neighbors"][0], together[row])
