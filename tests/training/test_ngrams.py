"""The linear model on runs of tokens."""

import numpy as np
import pytest

from training import ngrams


def texts(rows, classes, seed=0):
    """Noise, and one pair of words whose order tells the class: single words tell nothing."""
    random = np.random.default_rng(seed)
    targets = np.arange(rows) % classes
    made = []
    for target in targets:
        words = random.integers(20, 400, 40)
        place = int(random.integers(0, 38))
        words[place : place + 2] = [[2, 3], [3, 2], [4, 5]][target]
        if target != 2:
            words[-1 if place < 30 else 0] = 4
        made.append(words.astype(np.int32))
    return made, targets.astype(np.int64)


@pytest.mark.parametrize("classes", [2, 3])
def test_it_tells_classes_apart_by_the_order_of_words(classes):
    model = ngrams.fit(*texts(300, classes), classes)
    documents, targets = texts(150, classes, seed=1)
    found = model.scores(documents)
    assert found.shape == (150, classes)
    assert (found.argmax(1) == targets).mean() > 0.95


def test_of_two_classes_one_score_is_the_others_opposite():
    found = ngrams.fit(*texts(60, 2), 2).scores(texts(10, 2)[0])
    assert np.allclose(found[:, 0], -found[:, 1])


@pytest.mark.parametrize("document", [[], [7], [7, 8]])
def test_short_texts_have_scores(document):
    found = ngrams.fit(*texts(60, 2), 2).scores([np.array(document, np.int32)])
    assert np.isfinite(found).all()
