"""The shipped `digits`, on real MNIST test pictures."""

import gzip
import io
import os
import re
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from service import images
from service.manifest import Manifest
from service.samples import SEVEN_PNG
from tests.conftest import DATA, ROOT


@pytest.fixture(scope="module")
def slice_of_mnist():
    with np.load(DATA / "mnist.npz") as archive:
        return archive["test_images"], archive["test_labels"]


@pytest.fixture(scope="module")
def mnist_rows():
    """Real pictures that the network was trained on: what no drift looks like."""
    with np.load(DATA / "mnist.npz") as archive:
        return archive["train_images"][:500]


@pytest.fixture
def server(start):
    return start(models_dir=ROOT / "models")


def classify(url: str, picture: bytes, media: str = "image/png") -> dict:
    answer = httpx.post(f"{url}/v1/classify", content=picture, headers={"content-type": media})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"][0]


def test_of_a_hundred_real_test_pictures_sent_as_png_at_least_99_are_right(server, slice_of_mnist):
    right = sum(
        classify(server.url, images.to_png(image[..., np.newaxis]))["label"] == str(label)
        for image, label in zip(*slice_of_mnist, strict=True)
    )
    assert right >= 99


def test_a_drawing_in_pen_on_paper_is_read_as_well(server):
    assert classify(server.url, SEVEN_PNG)["label"] == "7"


def test_black_on_white_and_photographed_sideways_digits_are_read(server, slice_of_mnist):
    right = 0
    for image, label in zip(*(part[::5] for part in slice_of_mnist), strict=True):
        paper = Image.fromarray(255 - image).resize((280, 280), Image.Resampling.BICUBIC)
        canvas = Image.new("L", (600, 500), 255)
        canvas.paste(paper, (250, 60))
        exif = Image.Exif()
        exif[0x0112] = 6  # turn right to see it upright
        file = io.BytesIO()
        canvas.transpose(Image.Transpose.ROTATE_90).save(file, "JPEG", quality=80, exif=exif)
        right += classify(server.url, file.getvalue(), "image/jpeg")["label"] == str(label)
    assert right >= 19  # of 20


def test_the_readme_states_the_score_of_the_shipped_version():
    folder = max((path for path in (ROOT / "models/digits").iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    manifest = Manifest.read(folder)
    assert f"{100 * manifest.scores['accuracy']:.2f} %" in (ROOT / "README.md").read_text()


def mnist_folder() -> Path:
    named = os.environ.get("MODELYARD_DATA_DIR")
    for folder in [Path(named)] if named else [ROOT.parent / "shared/data"]:
        for candidate in (folder, folder / "mnist"):
            if (candidate / "t10k-images-idx3-ubyte.gz").exists():
                return candidate
    pytest.skip("the full MNIST is not here; MODELYARD_DATA_DIR names a folder that has it")


def test_all_ten_thousand_test_pictures_give_the_score_in_the_manifest():
    import onnxruntime

    folder = max((path for path in (ROOT / "models/digits").iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    data = mnist_folder()
    pictures = np.frombuffer(gzip.decompress((data / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((data / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    session = onnxruntime.InferenceSession((folder / "model.onnx").read_bytes())
    answers = [session.run(None, {"image": rows})[0].argmax(1) for rows in np.split(pictures.reshape(-1, 28, 28, 1), 20)]
    accuracy = float((np.concatenate(answers) == labels).mean())
    assert accuracy == pytest.approx(Manifest.read(folder).scores["accuracy"], abs=1e-9)


def drift(url: str) -> dict[str, dict]:
    return {one["name"]: one for one in httpx.get(f"{url}/v1/models/digits/drift").json()["properties"]}


def send(url: str, pictures: np.ndarray, pause_s: float = 0.06) -> None:
    """As tensors, no faster than they are looked at."""
    for start in range(0, len(pictures), 16):
        part = pictures[start : start + 16]
        tensor = {"name": "image", "datatype": "UINT8", "shape": [len(part), 28, 28, 1], "data": part.ravel().tolist()}
        httpx.post(f"{url}/v2/models/digits/infer", json={"inputs": [tensor]}).raise_for_status()
        time.sleep(pause_s)


@pytest.mark.slow
def test_digits_like_those_of_the_training_are_no_drift_and_inverted_ones_are(start, mnist_rows):
    steady, moved = start(models_dir=ROOT / "models"), start(models_dir=ROOT / "models")
    send(steady.url, mnist_rows)
    send(moved.url, 255 - mnist_rows)
    assert drift(steady.url)["mean_pixel"]["drift"] == "none"
    assert drift(moved.url)["mean_pixel"]["drift"] == "large"
    metrics = httpx.get(f"{moved.url}/metrics").text
    (line,) = re.findall(r'modelyard_drift\{model="digits"\} (\S+)', metrics)
    assert float(line) > 1
