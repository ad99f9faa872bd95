"""Both sides of the contract together: a version that training publishes is served, and answers as PyTorch did."""

import base64
import io

import httpx
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from service import images
from service.golden import Golden
from service.text import Tokenizer
from training import pipeline
from training.families import classifier, sentiment
from training.families.classifier import Config
from training.pipeline import Options


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> pipeline.Outcome:
    """Two classes of pictures that a small network tells apart at once: bright in the middle, and dark in the middle."""
    root = tmp_path_factory.mktemp("contract")
    random = np.random.default_rng(0)
    for name, light in (("bright", 200), ("dark", 40)):
        (root / "pictures" / name).mkdir(parents=True)
        for index in range(30):
            pixels = random.integers(0, 60, (40, 32, 3), np.uint8)
            pixels[10:30, 8:24] = light + random.integers(-20, 20, (20, 16, 3))
            Image.fromarray(pixels).save(root / "pictures" / name / f"{index}.png")
    config = Config(architecture="dense", epochs=2, image_size=32, channels=3, batch_size=16)
    options = Options(name="middle", data=root / "pictures", models_dir=root / "models", runs_dir=root / "runs")
    return pipeline.train("classifier", classifier, config, options, Console(quiet=True))


def test_a_published_version_is_served_and_answers_as_pytorch_did(published, start):
    server = start(models_dir=published.folder.parent.parent)
    golden = Golden.unpack((published.folder / "golden.npz").read_bytes())
    pictures = [base64.b64encode(images.to_png(image)).decode() for image in golden.inputs["image"]]
    answer = httpx.post(f"{server.url}/v1/classify", json={"images": pictures}).json()
    assert (answer["model"], answer["version"]) == ("middle", 1)
    served = [[one["probabilities"][label] for label in ("bright", "dark")] for one in answer["predictions"]]
    assert np.abs(np.array(served) - golden.outputs["probabilities"]).max() <= 1e-5


def test_training_and_serving_prepare_a_picture_alike(published, start):
    server = start(models_dir=published.folder.parent.parent)
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 70, 3), np.uint8))
    file = io.BytesIO()
    picture.save(file, "JPEG")
    preparation = images.Preparation.model_validate(published.manifest.preparation)
    pixels = images.prepare(file.getvalue(), preparation)
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, *pixels.shape], "data": pixels.ravel().tolist()}
    with server.client() as client:
        typed = client.post("/v1/classify", content=file.getvalue(), headers={"content-type": "image/jpeg"}).json()
        raw = client.post("/v2/models/middle/infer", json={"inputs": [tensor]}).json()
    assert sorted(typed["predictions"][0]["probabilities"].values()) == sorted(raw["outputs"][0]["data"])


def test_the_manifest_tells_how_the_version_came_to_be(published):
    manifest = published.manifest
    assert manifest.training.config["architecture"] == "dense"
    assert manifest.source.rows["train"] + manifest.source.rows["validation"] + manifest.source.rows["test"] == 60
    assert manifest.golden.parity <= 1e-5
    assert set(manifest.baselines) == {"commonest label", "linear model"}


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> pipeline.Outcome:
    """Two classes of texts that a small network tells apart: one word more in the good ones."""
    root = tmp_path_factory.mktemp("texts")
    random = np.random.default_rng(0)
    lines = ["text\tlabel"]
    for row in range(120):
        words = [f"w{number}" for number in random.integers(0, 50, random.integers(3, 70))]
        words[int(random.integers(0, len(words)))] = ("dreadful", "superb")[row % 2]
        lines.append(f"{' '.join(words)}\t{('bad', 'good')[row % 2]}")
    (root / "reviews.tsv").write_text("\n".join(lines))
    config = sentiment.Config(units=8, size=12, limit=40, epochs=2, batch_size=16, pretrain="none")
    options = Options(name="own", data=root / "reviews.tsv", models_dir=root / "models", runs_dir=root / "runs")
    return pipeline.train("sentiment", sentiment, config, options, Console(quiet=True))


def test_texts_are_served_as_pytorch_read_them_alone_and_in_a_padded_batch_of_64(reader, start):
    server = start(models_dir=reader.folder.parent.parent, max_items=64)
    golden = Golden.unpack((reader.folder / "golden.npz").read_bytes())
    tokenizer = Tokenizer.load((reader.folder / "tokenizer.json").read_bytes())
    texts = [
        " ".join(tokenizer.words[number - 2] if number > 1 else "zzz" for number in row[row != 0])
        for row in golden.inputs["tokens"]
    ]
    padded = [*texts, *(["w1 " * 39] * (64 - len(texts)))]
    with server.client() as client:
        together = client.post("/v1/sentiment", json={"texts": padded}).json()["predictions"][: len(texts)]
        alone = [client.post("/v1/sentiment", json={"texts": [one]}).json()["predictions"][0] for one in texts]
    for answers in (together, alone):
        served = np.array([[one["probabilities"][label] for label in ("bad", "good")] for one in answers])
        assert np.abs(served - golden.outputs["probabilities"]).max() <= 1e-5


def test_the_published_versions_explanation_adds_up(reader, start):
    server = start(models_dir=reader.folder.parent.parent)
    texts = ["w1 w2 superb w3", "dreadful", "w5 " * 60 + "superb dreadful"]
    with server.client() as client:
        answers = client.post("/v1/sentiment?explain=true", json={"texts": texts}).json()["predictions"]
    bases = set()
    for written, answer in zip(texts, answers, strict=True):
        found = answer["explanation"]
        p = answer["probability"]
        assert found["log_odds"] == pytest.approx(np.log(p / (1 - p)), abs=1e-3)
        assert found["base"] + sum(word["contribution"] for word in found["words"]) == pytest.approx(
            found["log_odds"], abs=1e-6
        )
        assert all(written[word["start"] : word["end"]] == word["text"] for word in found["words"])
        bases.add((answer["label"], round(found["base"], 3)))
    assert len({abs(base) for _, base in bases}) == 1  # one constant, whatever the text
