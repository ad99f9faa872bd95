"""Words over HTTP: vectors, neighbours, analogies, similarities, the vocabulary."""

import numpy as np
import pytest

from service.settings import Settings
from tests.conftest import VECTORS, serving, unit_vectors, write_vectors_version

pytestmark = pytest.mark.anyio
UNIT = dict(zip(VECTORS, unit_vectors(list(VECTORS.values()))[1:], strict=True))


@pytest.fixture
async def client(tmp_path):
    folder = tmp_path / "models"
    write_vectors_version(folder)
    async with serving(Settings(models_dir=folder, reload_s=0.05, drain_delay_s=0)) as one:
        yield one


async def ask(client, verb, body, **query):
    answer = await client.post(f"/v1/{verb}", json=body, params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"] == "vectors"
    return answer.json()["predictions"]


async def test_each_word_gets_its_unit_vector_in_order(client):
    said = await ask(client, "embed", {"words": ["king", "FILM"]})
    assert [one["word"] for one in said] == ["king", "FILM"]
    assert [one["count"] for one in said] == [96, 100]
    np.testing.assert_allclose(said[0]["vector"], UNIT["king"], atol=1e-6)
    np.testing.assert_allclose(said[1]["vector"], UNIT["film"], atol=1e-6)


async def test_an_unknown_word_is_told_beside_the_others(client):
    known, unknown = await ask(client, "embed", {"words": ["king", "brillant"]})
    assert known["unknown"] == []
    assert (unknown["vector"], unknown["count"]) == (None, 0)
    (told,) = unknown["unknown"]
    assert (told["word"], told["code"], told["near"]) == ("brillant", "unknown_word", ["brilliant"])
    assert told["error"] == "'brillant' is not among the 9 words of this model."


async def test_neighbours_come_by_their_cosine_without_the_word_itself(client):
    (said,) = await ask(client, "neighbors", {"word": "film", "k": 8})
    wanted = sorted(((float(UNIT["film"] @ UNIT[word]), word) for word in VECTORS if word != "film"), reverse=True)
    assert [one["word"] for one in said["neighbors"]] == [word for _, word in wanted]
    np.testing.assert_allclose([one["similarity"] for one in said["neighbors"]], [cosine for cosine, _ in wanted], atol=1e-6)
    assert said["excluded"] == ["film"]


@pytest.mark.parametrize("k", [1, 3, 100])
async def test_as_many_neighbours_as_are_asked_for_and_there(client, k):
    (said,) = await ask(client, "neighbors", {"word": "film", "k": k})
    assert len(said["neighbors"]) == min(k, len(VECTORS) - 1)


async def test_neighbours_of_an_unknown_word_are_none(client):
    (said,) = await ask(client, "neighbors", {"word": "kink"})
    assert (said["neighbors"], said["unknown"][0]["near"]) == ([], ["king"])


async def test_woman_is_to_queen_what_man_is_to_king(client):
    (said,) = await ask(client, "analogy", {"positive": ["king", "woman"], "negative": ["man"], "k": 2})
    assert said["neighbors"][0]["word"] == "queen"
    assert said["excluded"] == ["king", "woman", "man"]
    assert not {"king", "woman", "man"} & {one["word"] for one in said["neighbors"]}


async def test_an_analogy_with_an_unknown_word_says_which(client):
    (said,) = await ask(client, "analogy", {"positive": ["king", "womann"], "negative": ["mann"]})
    assert said["neighbors"] == []
    assert [one["word"] for one in said["unknown"]] == ["womann", "mann"]


async def test_similarities_are_cosines(client):
    said = await ask(client, "similarity", {"pairs": [["film", "movie"], ["man", "man"], ["man", "nobody"]]})
    assert said[0]["similarity"] == pytest.approx(float(UNIT["film"] @ UNIT["movie"]), abs=1e-6)
    assert said[1]["similarity"] == pytest.approx(1, abs=1e-6)
    assert (said[2]["similarity"], said[2]["unknown"][0]["word"]) == (None, "nobody")
    assert said[2]["pair"] == ["man", "nobody"]


async def test_many_words_at_once_are_answered_in_order(client):
    words = list(VECTORS) * 28
    said = await ask(client, "embed", {"words": words})
    assert [one["word"] for one in said] == words


async def test_the_vocabulary_is_listed_by_prefix(client):
    answer = (await client.get("/v1/vocabulary", params={"prefix": "M", "limit": 1})).json()
    assert answer == {
        "model": "vectors", "version": 1, "words": [{"word": "movie", "count": 99}], "matching": 2, "total": 9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ({"limit": "0"}, 422, "Field 'limit' is '0'"),
        ({"limit": "many"}, 422, "Field 'limit' is 'many'"),
        ({"prefix": "x" * 201}, 422, "Field 'prefix'"),
        ({"suffix": "x"}, 422, "Field 'suffix'"),
        ({"model": "nobody"}, 404, "Model 'nobody' is not served"),
        ({"model": "vectors", "version": "7"}, 404, "Version 7 of 'vectors' is not served"),
    ],
)
async def test_a_lookup_that_cannot_be_answered_says_why(client, query, status, told):
    answer = await client.get("/v1/vocabulary", params=query)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text


@pytest.mark.parametrize(
    ("verb", "body", "status", "told"),
    [
        ("embed", {"words": []}, 422, "Field 'words' is '[]'"),
        ("embed", {"words": ["a"] * 10_000}, 413, "Field 'words' has 10000 entries; expected at most 256."),
        ("embed", {"words": ["a", "x" * 1_000_000]}, 413, "Field 'words[1]' has 1000000 characters; expected at most 200."),
        ("embed", {"words": ["a", 3]}, 422, "Field 'words[1]' is '3'"),
        ("embed", {"words": ["a", "  "]}, 422, "Field 'words[1]' is '  '; expected a word."),
        ("embed", {"words": None}, 422, "Field 'words'"),
        ("embed", {"words": [["a"]]}, 422, "Field 'words[0]'"),
        ("embed", {}, 422, "Field 'words' is missing."),
        ("embed", {"words": ["a"], "more": 1}, 422, "Field 'more'"),
        ("neighbors", {"word": "film", "k": 0}, 422, "Field 'k' is '0'"),
        ("neighbors", {"word": "film", "k": 10**9}, 422, "Field 'k' is '1000000000'"),
        ("neighbors", {"word": "film", "k": -1}, 422, "Field 'k'"),
        ("neighbors", {"word": "film", "k": 1.5}, 422, "Field 'k'"),
        ("neighbors", {"word": "film", "k": "3"}, 422, "Field 'k'"),
        ("neighbors", {"word": ["film"]}, 422, "Field 'word'"),
        ("neighbors", {"word": ""}, 422, "Field 'word' is ''; expected a word."),
        ("neighbors", {"word": "x" * 1_000_000}, 413, "Field 'word' has 1000000 characters"),
        ("analogy", {"positive": [], "negative": ["man"]}, 422, "Field 'positive' is '[]'"),
        ("analogy", {"positive": ["man"] * 17}, 422, "Field 'positive'"),
        ("analogy", {"positive": "man"}, 422, "Field 'positive'"),
        ("similarity", {"pairs": [["man"]]}, 422, "Field 'pairs[0]'"),
        ("similarity", {"pairs": [["man", "king", "film"]]}, 422, "Field 'pairs[0]'"),
        ("similarity", {"pairs": [["man", "king"]] * 257}, 413, "Field 'pairs' has 257 entries"),
        ("similarity", {"pairs": []}, 422, "Field 'pairs'"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_its_field(client, verb, body, status, told):
    answer = await client.post(f"/v1/{verb}", json=body)
    assert (answer.status_code, told in answer.json()["error"]) == (status, True), answer.text
    assert len(answer.content) < 1000


@pytest.mark.parametrize("word", ["\0", "\ud7ff", "a\nb", "<b>", "🙂", "x" * 200, "' OR 1=1", "../..", "%00"])
async def test_odd_words_are_unknown_ones(client, word):
    for verb, body in (("embed", {"words": [word]}), ("neighbors", {"word": word}), ("similarity", {"pairs": [[word, word]]})):
        (said,) = await ask(client, verb, body)
        assert said["unknown"][0]["code"] == "unknown_word"


async def test_another_media_type_is_refused(client):
    answer = await client.post("/v1/embed", content=b"film", headers={"content-type": "text/plain"})
    assert answer.status_code == 415


async def test_tensors_give_the_same_neighbours(client):
    (typed,) = await ask(client, "analogy", {"positive": ["king", "woman"], "negative": ["man"], "k": 6})
    words = list(VECTORS)
    body = {
        "inputs": [
            {"name": "words", "datatype": "INT32", "shape": [1, 3], "data": [1 + words.index(w) for w in ("king", "woman", "man")]},
            {"name": "weights", "datatype": "FP32", "shape": [1, 3], "data": [1, 1, -1]},
        ],
        "outputs": [{"name": "neighbors"}],
    }  # fmt: skip
    answer = (await client.post("/v2/models/vectors/infer", json=body)).json()
    first = [words[number - 1] for number in answer["outputs"][0]["data"][:6]]
    assert first == [one["word"] for one in typed["neighbors"]]


async def test_a_models_values_are_asked_for_with_their_column(tmp_path):
    folder = tmp_path / "models"
    values = {"dest=ATL": (1.0, 0.1), "dest=MCO": (1.0, 0.0), "origin=JFK": (0.0, 1.0)}
    write_vectors_version(folder, vectors=values, columns=("dest", "origin"))
    async with serving(Settings(models_dir=folder, reload_s=0.05, drain_delay_s=0)) as client:
        for word in ("dest=ATL", "ATL"):
            (said,) = await ask(client, "neighbors", {"word": word, "k": 1})
            assert said["neighbors"][0]["word"] == "dest=MCO"
            assert said["excluded"] == ["dest=ATL"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"limits": {"terms": 5, "words": 9}}, "expected 32 terms"),
        ({"limits": {"terms": 32, "words": 8}}, "the graph knows 8 words"),
    ],
)
async def test_a_version_whose_parts_do_not_fit_is_refused(tmp_path, changes, told):
    folder = tmp_path / "models"
    write_vectors_version(folder, **changes)
    async with serving(Settings(models_dir=folder, reload_s=0.05, drain_delay_s=0)) as client:
        (refused,) = (await client.get("/v1/models")).json()["refused"]
        assert told in refused["reason"]
