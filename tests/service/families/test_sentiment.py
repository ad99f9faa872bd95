"""The room of texts: its parts, and `POST /v1/sentiment` over a model whose answers can be worked out in the head."""

import math
import threading

import numpy as np
import pytest

from service import text
from service.families import sentiment
from service.families.sentiment import Options, Read
from service.manifest import Manifest
from service.settings import Settings
from tests.conftest import WORDS, serving, write_words_version

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path):
    return write_words_version(tmp_path / "models")


@pytest.fixture
def assets(folder):
    manifest = Manifest.read(folder)
    return sentiment.assets(manifest, {name: (folder / name).read_bytes() for name in manifest.files}, Settings())


@pytest.fixture
async def client(folder):
    async with serving(Settings(models_dir=folder.parent.parent, reload_s=0.05, max_batch=8)) as client:
        yield client


async def ask(client, *texts, **query):
    answer = await client.post("/v1/sentiment", json={"texts": list(texts)}, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def log_odds(prediction) -> float:
    p = prediction["probability"]
    return math.log(p / (1 - p))


# Its parts


def test_a_text_becomes_one_row_of_numbers_and_is_remembered(assets):
    item = sentiment.preprocess("The film is SUPERB", assets)
    assert item.arrays["tokens"].tolist() == [[5, 4, 1, 2]]
    assert item.arrays["tokens"].dtype == np.int32
    assert item.about.text == "The film is SUPERB"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": ("negative", "positive", "neither")}, "this family's are"),
        ({"limits": {"time": 500}}, "keeps 12 tokens"),
        ({"limits": {}}, "keeps 12 tokens"),
    ],
)
def test_files_that_do_not_fit_each_other_are_refused(folder, change, said):
    manifest = Manifest.read(folder).model_copy(update=change)
    with pytest.raises(ValueError, match=said):
        sentiment.assets(manifest, {name: (folder / name).read_bytes() for name in manifest.files}, Settings())


def test_of_three_labels_parts_are_against_the_mean_of_the_others(assets):
    three = sentiment.Assets(("a", "b", "c"), assets.tokenizer)
    scores = np.array([[1.0, 0.5, 0.0], [0.0, 2.0, 1.0]], np.float32)
    logits = scores.sum(0) + np.array([0.5, 0, 0], np.float32)
    shares = np.exp(logits) / np.exp(logits).sum()
    about = Read("superb film", assets.tokenizer.encode("superb film"))
    arrays = {"probabilities": shares[np.newaxis].astype(np.float32), "contributions": scores[np.newaxis]}
    found = sentiment.postprocess(arrays, about, three, Options(explain=True))["explanation"]
    assert [word["contribution"] for word in found["words"]] == pytest.approx([0.5 - 0.5, 2.0 - 0.5])
    assert found["log_odds"] == pytest.approx(2.5 - 1.25, abs=1e-5)
    assert found["base"] == pytest.approx(-0.25, abs=1e-5)


# Over HTTP


async def test_texts_are_answered_in_order(client):
    good, bad = await ask(client, "A superb film", "Boring, boring, the end")
    assert (good["label"], bad["label"]) == ("positive", "negative")
    assert log_odds(good) == pytest.approx(2.25, abs=1e-5)
    assert log_odds(bad) == pytest.approx(4.0, abs=1e-5)
    assert good["probabilities"] == {"negative": pytest.approx(1 - good["probability"]), "positive": good["probability"]}


async def test_it_says_how_much_it_read_and_knew(client):
    (short,) = await ask(client, "Superb. Not boring!")
    assert (short["tokens"], short["truncated"], short["unknown_share"]) == (4, False, 0.5)
    (long,) = await ask(client, "film " * 40)
    assert (long["tokens"], long["truncated"], long["unknown_share"]) == (12, True, 0.0)
    assert "explanation" not in long


@pytest.mark.parametrize("written", ["The film:\n <b>Superb</b> — isn’t it? 😀", "superb", "film " * 9 + "x " * 30 + "boring"])
async def test_words_and_base_add_up_to_the_log_odds_and_stand_where_they_say(client, written):
    (answer,) = await ask(client, written, explain="true")
    found = answer["explanation"]
    assert found["base"] + sum(word["contribution"] for word in found["words"]) == pytest.approx(found["log_odds"])
    assert found["log_odds"] == pytest.approx(log_odds(answer), abs=1e-4)
    assert all(written[word["start"] : word["end"]] == word["text"] for word in found["words"])
    assert len(found["words"]) == answer["tokens"]
    known = {word["text"].lower(): word["contribution"] for word in found["words"] if word["text"].lower() in WORDS}
    sign = 1 if answer["label"] == "positive" else -1
    assert all(
        value == pytest.approx(sign * dict(zip(WORDS, (2, -2, 0.25, 0), strict=True))[word]) for word, value in known.items()
    )


async def test_a_text_alone_and_among_longer_ones_is_answered_alike(client):
    (alone,) = await ask(client, "superb film", explain="true")
    among = await ask(client, "superb film", *["boring " * length for length in range(1, 12)], explain="true")
    assert among[0] == alone


async def test_a_text_without_a_word_is_one_unknown(client):
    (answer,) = await ask(client, "— ,", explain="true")
    assert (answer["tokens"], answer["unknown_share"], answer["explanation"]["words"]) == (0, 1.0, [])


async def test_plain_text_is_one_text(client):
    answer = await client.post("/v1/sentiment", content=b"superb", headers={"Content-Type": "text/plain; charset=utf-8"})
    assert answer.json()["predictions"][0]["label"] == "positive"


async def test_curl_that_is_told_no_content_type_is_understood(client):
    answer = await client.post(
        "/v1/sentiment",
        content=b'{"texts":["A slow start, but the ending is superb."]}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.json()["predictions"][0]["label"] == "positive"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "empty"),
        (b"{}", 422, "'texts' is missing"),
        (b'{"texts": []}', 422, "'texts' is empty"),
        (b'{"texts": [""]}', 422, "texts[0]"),
        (b'{"texts": ["good", " \\n\\t "]}', 422, "texts[1]"),
        (b'{"texts": ["good", 5]}', 422, "'texts[1]' is '5'"),
        (b'{"texts": [null]}', 422, "texts[0]"),
        (b'{"texts": "good"}', 422, "'texts' is 'good'"),
        (b'{"texts": ["a\\u0000b"]}', 422, "NUL"),
        (b'{"texts": ["\\ud800"]}', 400, "not JSON"),
        (b'{"texts": ["\xed\xa0\x80"]}', 400, "not JSON"),
        (b'{"texts": ["good"], "more": 1}', 422, "more"),
        (b'{"texts": [' + b",".join([b'"a"'] * 33) + b"]}", 413, "33 entries"),
        (b'{"texts": ["' + b"a" * (1 << 20) + b'"]}', 413, "1048576 characters"),
        (b'{"texts": ["' + b"a" * 1_000_000 + b'"]}', 413, "1000000 characters"),
    ],
)
async def test_bad_input_gets_one_sentence(client, body, status, said):
    answer = await client.post("/v1/sentiment", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    error = answer.json()
    assert said in error["error"]
    assert len(answer.content) < 1024


@pytest.mark.parametrize(("media", "status"), [("image/png", 415), ("text/html", 415), ("text/plain", 400)])
async def test_other_bodies_are_refused(client, media, status):
    answer = await client.post("/v1/sentiment", content=b"\xff\xfe", headers={"Content-Type": media})
    assert answer.status_code == status


async def test_a_tensor_longer_than_the_model_reads_is_refused(client):
    tensor = {"name": "tokens", "datatype": "INT32", "shape": [1, 13], "data": [2] * 13}
    answer = await client.post("/v2/models/words/infer", json={"inputs": [tensor]})
    assert answer.status_code == 400
    assert "at most 12" in answer.json()["error"]


async def test_long_texts_are_read_and_explained_off_the_event_loop(client, monkeypatch):
    threads = []
    spans = text.spans
    monkeypatch.setattr(text, "spans", lambda written: (threads.append(threading.current_thread()), spans(written))[1])
    for written in ("superb", "superb film " * 5_000):
        await ask(client, written, explain="true")
    short, long = threads
    assert short is threading.main_thread()
    assert long is not threading.main_thread()


async def test_after_each_word_the_label_is_as_probable_as_if_the_text_ended_there(client):
    written = "superb dull superb film"
    (whole,) = await ask(client, written, after="true")
    for place in whole["after"]:
        (alone,) = await ask(client, written[: place["end"]])
        assert place["probability"] == pytest.approx(alone["probabilities"][whole["label"]], abs=1e-6)
    assert [place["words"] for place in whole["after"]] == [1, 2, 3, 4]


async def test_unknown_words_and_what_was_cut_are_told(client):
    (said,) = await ask(client, "superb zzqq", explain="true")
    assert [word["known"] for word in said["explanation"]["words"]] == [True, False]
    assert said["explanation"]["cut"] is None
    written = " ".join(["superb"] * 5 + ["dull"] * 3 + ["film"] * 8)
    (long,) = await ask(client, written, explain="true", after="true")
    cut = long["explanation"]["cut"]
    read = [word["start"] for word in long["explanation"]["words"]]
    assert cut["tokens"] == 16 - len(read) == 4
    assert not any(cut["start"] <= start < cut["end"] for start in read)
    assert len(written[cut["start"] : cut["end"]].split()) == 4
    assert long["after"][-1]["words"] == len(read)


async def test_offsets_count_characters_whatever_they_are(client):
    (said,) = await ask(client, "😀 superb", explain="true", after="true")
    assert [(word["start"], word["end"]) for word in said["explanation"]["words"]] == [(0, 1), (2, 8)]
    assert said["after"][-1]["end"] == 8
