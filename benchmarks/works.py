"""What every server is asked to do: real tensors for real graphs, in the Open Inference Protocol or as a PNG in a form.

Pictures are test pictures of MNIST; series and token numbers are random, as a
network's speed does not depend on them. Knows no server.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service import images

ROOT = Path(__file__).parent.parent
BUILT = ROOT / "runs/benchmark/models"
TYPES = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32"}
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Asked:
    """Requests over HTTP that differ in their bodies only; they are sent in turn."""

    path: str
    bodies: tuple[bytes, ...]
    media: str = "application/json"
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Work:
    """`items` are requests' tensors; `outputs` what is wanted of the graph; `clients` the columns of the table."""

    name: str
    said: str
    model: str
    clients: tuple[int, ...]
    items: tuple[Arrays, ...]
    outputs: tuple[str, ...]
    form: str = "json"
    """Or `bytes`, or `png`."""


@dataclass(frozen=True)
class Graph:
    """A model's file in a repository of ours, and what to ask of it."""

    model: str
    file: Path
    outputs: tuple[str, ...]

    @property
    def repository(self) -> Path:
        """The folder that our service is given."""
        return self.file.parents[2]


def graphs() -> Mapping[str, Graph]:
    """By model; those that are not shipped are trained now, in a minute: their speed does not depend on how well."""
    shipped = {"oil": ("mean",), "denoiser": ("reconstruction",), "words": ("neighbors", "cosines")}
    found = {name: Graph(name, _newest(ROOT / "models", name), outputs) for name, outputs in shipped.items()}
    for name, train in (("book", _train_book), ("reader", _train_reader)):
        if not list(BUILT.glob(f"{name}/*/model.onnx")):
            train()
        found[name] = Graph(name, _newest(BUILT, name), ("probabilities",))
    return found


def _newest(repository: Path, name: str) -> Path:
    return max(repository.glob(f"{name}/*/model.onnx"), key=lambda file: int(file.parent.name)).resolve()


def _train(*arguments: str) -> None:
    command = [sys.executable, "-m", "training", "train", *arguments, "--epochs", "1", "--models-dir", str(BUILT), "--force"]
    subprocess.run([*command, "--runs-dir", str(BUILT.parent / "runs")], cwd=ROOT, check=True, stdout=sys.stderr)


def _train_book() -> None:
    """The convnet of Chollet's book on MNIST."""
    _train("classifier", "--architecture", "book", "--name", "book")


def _train_reader() -> None:
    """A GRU of 32 units that reads up to 800 tokens one by one, on texts that are made up."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        lines = ["text,label"]
        for index in range(400):
            words = generator.integers(0, 30_000, 200)
            lines.append(f"{' '.join(f'w{word}' for word in words)} {('good', 'bad')[index % 2]},{('yes', 'no')[index % 2]}")
        (Path(folder) / "texts.csv").write_text("\n".join(lines) + "\n")
        plain = ("--cell", "gru", "--no-bidirectional", "--units", "32", "--size", "64", "--readout", "last", "--conv", "0")
        data = ("--data", f"{folder}/texts.csv", "--name", "reader", "--limit", "800", "--pretrain", "none")
        _train("sentiment", *data, *plain)


def works() -> list[Work]:
    """All of them."""
    with np.load(ROOT / "tests/data/mnist.npz") as archive:
        pictures = archive["test_images"][:64].reshape(64, 28, 28, 1)
    generator = np.random.default_rng(0)

    def text(tokens: int) -> Arrays:
        return {"tokens": generator.integers(2, 8_000, (1, tokens)).astype(np.int32)}

    series = np.cumsum(generator.normal(0, 1, (1, 504, 7)), 1).astype(np.float32)
    words: Arrays = {"words": np.array([[1000]], np.int32), "weights": np.ones((1, 1), np.float32)}
    one, many, labels = {"image": pictures[:1]}, {"image": pictures}, ("probabilities",)
    return [
        Work("one", "one picture as JSON", "book", (1, 16, 64, 256), (one,), labels),
        Work("many", "64 pictures as JSON", "book", (16,), (many,), labels),
        Work("bytes", "64 pictures as bytes", "book", (16,), (many,), labels, "bytes"),
        Work("png", "one PNG in a form", "book", (1, 64), (one,), labels, "png"),
        Work("text", "one text of 200 tokens", "reader", (1, 16, 64), (text(200),), labels),
        Work("mixed", "texts of 20 to 800 tokens", "reader", (64,), tuple(map(text, generator.integers(20, 801, 256))), labels),
        Work("forecast", "one forecast of 96 hours", "oil", (16,), ({"series": series},), ("mean",)),
        Work("neighbours", "a word's 100 neighbours", "words", (16,), (words,), ("neighbors", "cosines")),
        Work("denoise", "one picture without its noise", "denoiser", (16,), (one,), ("reconstruction",)),
    ]


def protocol(item: Arrays, outputs: tuple[str, ...]) -> bytes:
    """The Open Inference Protocol's JSON."""
    tensors = [
        {"name": name, "datatype": TYPES[str(array.dtype)], "shape": array.shape, "data": array.ravel().tolist()}
        for name, array in item.items()
    ]
    return json.dumps({"inputs": tensors, "outputs": [{"name": name} for name in outputs]}).encode()


def binary(item: Arrays, outputs: tuple[str, ...]) -> tuple[bytes, int]:
    """The protocol's tensors as bytes, both ways, and the length of the JSON before them."""
    tensors = [
        {
            "name": name,
            "datatype": TYPES[str(array.dtype)],
            "shape": array.shape,
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in item.items()
    ]
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    written = json.dumps({"inputs": tensors, "outputs": wanted}).encode()
    return written + b"".join(array.tobytes() for array in item.values()), len(written)


def form(item: Arrays) -> tuple[bytes, str]:
    """A picture in a form, as browsers send it."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    return head + images.to_png(item["image"][0]) + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


def over_protocol(work: Work, path: str, *, bytes_too: bool = False) -> Asked | None:
    """The requests of a server that speaks the protocol, or its JSON at least; None for what it does not take."""
    if work.form == "json":
        return Asked(path, tuple(protocol(item, work.outputs) for item in work.items))
    if work.form == "bytes" and bytes_too:
        body, length = binary(work.items[0], work.outputs)
        return Asked(path, (body,), "application/octet-stream", (f"Inference-Header-Content-Length: {length}",))
    return None


def over_form(work: Work, path: str) -> Asked | None:
    """The requests of a server that takes forms."""
    if work.form != "png":
        return None
    body, media = form(work.items[0])
    return Asked(path, (body,), media)
