"""Pictures to labels: trains what `service/families/classifier.py` serves.

Task: one label for each picture. Source: MNIST (LeCun, Cortes and Burges), or `--data DIR` with one folder a class.
Architectures: `book`, the convnet of Chollet, "Deep Learning with Python" (2nd ed. 2021, chapter 8); `deep`, with convolutions
repeated before each pooling (Simonyan and Zisserman 2014); `residual`, with skip connections and 1x1 bottlenecks (He et al.
2015); `dense`, the fully connected baseline. Expected score and time: the README's table.

The graph: `image` (uint8, batch x height x width x channels) -> `probabilities` (float32, batch x classes).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from service.golden import Arrays
from training import convnets, pictures, plots, scores
from training.room import (
    NO_SOURCE,
    RECIPE_BOUNDS,
    Batch,
    Data,
    Export,
    Fit,
    Keeper,
    Predict,
    Scores,
    Sources,
    check,
)

name = "digits"
gate = "accuracy"
reported = ("accuracy",)
tolerance = 0.01
SUITS = {
    "residual": {"epochs": 29, "learning_rate": 0.01, "dropout": 0.4, "focus": 0.35},
    "book": {"epochs": 13, "learning_rate": 0.003, "dropout": 0.2, "focus": 1.0},
    "deep": {"epochs": 14, "learning_rate": 0.005, "dropout": 0.2, "focus": 1.0},
    "dense": {"epochs": 14, "learning_rate": 0.002, "dropout": 0.2, "focus": 1.0},
}
"""What suits an architecture where nothing was given: minutes on two cores, chosen on validation rows."""
VARIANTS: dict[str, dict[str, Any]] = {one: {"architecture": one, **dict.fromkeys(suit)} for one, suit in SUITS.items()}
"""What `compare` trains beside each other; None stands for what suits the architecture."""
LAYER_ROWS = 16
"""Pictures that the graph of the layers is compared on."""
SHARES = {"validation_share": (0, 0.4), "test_share": (0, 0.4), "label_smoothing": (0, 1), "dropout": (0, 1)}
BOUNDS = {**RECIPE_BOUNDS, **SHARES, "width": (1, 4096), "image_size": (18, 1024)}


@dataclass(frozen=True)
class Config:
    """How a classifier is trained. The defaults are what the shipped `digits` was trained with."""

    # Which network.
    architecture: Literal["residual", "book", "deep", "dense"] = "residual"
    # Passes over the training rows; the architecture's own where none is given.
    epochs: int | None = None
    # Rows in one step.
    batch_size: int = 128
    # Peak rate of AdamW; the architecture's own where none is given.
    learning_rate: float | None = None
    # Decoupled weight decay (Loshchilov and Hutter 2019), not on biases and norms.
    weight_decay: float = 0.05
    # How the rate changes.
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    # Share of the rows seen in an epoch, those not yet learnt first; the architecture's own. 1 where labels may be wrong.
    focus: float | None = None
    # Keep a moving average of the weights instead of the last ones.
    average: bool = True
    # Rotate, shift, scale, shear and bend the training pictures.
    augment: bool = True
    # Mirror half of the training pictures; for photographs, not for writing.
    flip: bool = False
    # Share of the target spread over all labels.
    label_smoothing: float = 0.05
    # Share of the last features left out in a step; the architecture's own where none is given.
    dropout: float | None = None
    # Longest the gradient may be; not cut where none is given.
    clip: float | None = None
    # Channels of the residual network's first block.
    width: int = 32
    # Arithmetic of the matrix products while training; the graph is float32.
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    # Height and width in pixels: 28 for MNIST, 64 for your own pictures where none is given.
    image_size: int | None = None
    # 1 gray, 3 colour: 1 for MNIST, 3 for your own pictures where none is given.
    channels: Literal[1, 3] | None = None
    # How pictures become the network's: `digit` for MNIST, `plain` for your own where none is given.
    prepare: Literal["digit", "plain"] | None = None
    # Of the training rows, held out to watch training and to calibrate.
    validation_share: float = 0.05
    # Of your own pictures, held out to report on.
    test_share: float = 0.15
    # Of everything random.
    seed: int = 0

    def __post_init__(self) -> None:
        """What suits the architecture, where nothing was given. Raises TrainingError on a field out of bounds."""
        for field, value in SUITS[self.architecture].items():
            if getattr(self, field) is None:
                object.__setattr__(self, field, value)
        check(self, BOUNDS)


def data(config: Config, origin: Sources) -> Data:
    """MNIST's own test split and its last training rows for validation, or shares of the user's pictures by seed."""
    shape = (config.image_size, config.channels, config.prepare)
    return pictures.data(origin, pictures.Wanted(*shape, config.validation_share, config.test_share, config.seed))


def pretrain(config: Config, data: Data, run: Keeper, fit: Fit) -> Data:  # noqa: ARG001 - pictures start from nothing
    """The data as it is."""
    return data


def network(config: Config, data: Data) -> nn.Module:
    """The architecture, for this size, depth and number of classes."""
    made = convnets.build(config.architecture, data.shape, width=config.width, dropout=config.dropout or 0)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # its stub forgot it


def sample(config: Config) -> tuple[nn.Module, Tensor]:
    """The network for MNIST's sizes, or those of the configuration, and one picture of zeros."""
    size, channels = config.image_size or 28, config.channels or 1
    shape = {"height": size, "width": size, "channels": channels, "classes": 10}
    return network(config, Data({}, {}, {}, NO_SOURCE, shape)), torch.zeros(1, channels, size, size)


# A step


def step(network: nn.Module, batch: Batch, config: Config) -> Tensor:
    """Cross-entropy of each row of one batch, augmented where wanted."""
    pixels = _scaled(batch["image"])
    if config.augment:
        pixels = _augmented(pixels, flip=config.flip)
    logits = network(pixels.contiguous(memory_format=torch.channels_last))
    return F.cross_entropy(logits.float(), batch["label"], label_smoothing=config.label_smoothing, reduction="none")


def _scaled(image: Tensor) -> Tensor:
    """Raw pixels (batch, height, width, channels) to (batch, channels, height, width) in 0..1."""
    return image.permute(0, 3, 1, 2).float() * (1 / 255)


def _augmented(pixels: Tensor, *, flip: bool) -> Tensor:
    """Each picture moved by its own random affine map and bent by a smooth random field (Simard et al. 2003)."""
    rows, device = pixels.shape[0], pixels.device

    def within(most: float) -> Tensor:
        return (torch.rand(rows, device=device) * 2 - 1) * most

    turn, shear = within(math.radians(10)), within(0.1)
    wide, high = 1 + within(0.1), 1 + within(0.1)
    if flip:
        wide = wide * (1 - 2 * torch.randint(0, 2, (rows,), device=device))
    right, down = within(1 / 14), within(1 / 14)  # 1 of 28 pixels; a grid is 2 wide
    cos, sin = turn.cos(), turn.sin()
    first = torch.stack([cos * wide, -sin * high + shear, right], 1)
    second = torch.stack([sin * wide, cos * high, down], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(pixels.shape), align_corners=False)
    knots = torch.randn(rows, 2, 7, 7, device=device) * (0.5 / 14)
    field = F.interpolate(knots, size=pixels.shape[2:], mode="bicubic", align_corners=False)
    return F.grid_sample(pixels, grid + field.permute(0, 2, 3, 1), align_corners=False)


class Deployed(nn.Module):
    """Raw pixels in, calibrated probabilities out."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(_scaled(image)) / self.temperature
        return logits.softmax(1)


class Layers(nn.Module):
    """Raw pixels in, what each convolution makes of them out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(convnets.stages(self.network, _scaled(image)))


def export(network: nn.Module, data: Data, config: Config) -> Export:
    """The network behind its scaling and in front of its softmax, whose temperature is chosen on the validation rows."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        rows = torch.from_numpy(data.validation["image"]).to(device)
        logits = torch.cat([network(_scaled(part)) for part in torch.split(rows, 500)]).float().cpu().numpy()
    pictures = torch.from_numpy(data.test["image"][:LAYER_ROWS])
    return Export(
        module=Deployed(network, scores.temperature(data.validation["label"], logits)),
        inputs={"image": pictures[:2]},
        outputs=("probabilities",),
        summary=f"Which of {len(data.labels)} labels a picture shows ({config.architecture} network, {data.source.name})",
        limits={key: data.shape[key] for key in ("height", "width", "channels")},
        more=_layers(network, pictures),
    )


def _layers(network: nn.Module, pictures: Tensor) -> dict[str, Export]:
    """The graph `layers`, where the network has convolutions."""
    shown = Layers(network.cpu().eval())
    with torch.inference_mode():
        count = len(shown(pictures[:1]))
    names = tuple(f"convolution_{index + 1}" for index in range(count))
    rows = {"image": pictures.numpy()}
    return {"layers": Export(shown, {"image": pictures[:2]}, names, rows=rows)} if count else {}


def rows(split: Arrays, files: Mapping[str, bytes]) -> Arrays:  # noqa: ARG001 - the manifest's preparation says it all
    """The split as it is: its pictures are prepared."""
    return split


def evaluate(predict: Predict, rows: Arrays, labels: tuple[str, ...]) -> Scores:
    """Accuracy, log loss and calibration; precision and recall by label."""
    probabilities = predict({"image": rows["image"]})["probabilities"].astype(np.float64)
    return scores.classification(rows["label"], probabilities, labels)


def baselines(data: Data) -> dict[str, dict[str, float]]:
    """What simpler things reach on the same test rows."""
    train, test = data.train["label"].astype(np.int64), data.test["label"].astype(np.int64)
    flat = [split["image"].reshape(len(split["image"]), -1).astype(np.float32) / 255 for split in (data.train, data.test)]
    found = {"commonest label": {"accuracy": float((test == np.bincount(train).argmax()).mean())}}
    if flat[0].shape[1] <= 4096:
        accuracy = scores.linear_accuracy(flat[0], train, flat[1], test, len(data.labels))
        found["linear model"] = {"accuracy": accuracy}
    return found


def statistics(data: Data) -> dict[str, Any]:
    """Of the training rows, to compare what comes in with: deciles of a picture's mean, and the share of each label."""
    means = data.train["image"].reshape(len(data.train["image"]), -1).mean(1)
    shares = np.bincount(data.train["label"].astype(np.int64), minlength=len(data.labels)) / len(means)
    deciles = [round(float(value), 3) for value in np.quantile(means, np.linspace(0, 1, 11))]
    return {
        "mean_pixel_deciles": deciles,
        "label_shares": dict(zip(data.labels, shares.round(5).tolist(), strict=True)),
    }


def draw(found: Scores, rows: Arrays, labels: tuple[str, ...], folder: Path) -> list[Path]:
    """`confusion.png` and `mistakes.png`."""
    probabilities, truth = found.arrays["probabilities"], rows["label"].astype(np.int64)
    answers = probabilities.argmax(1)
    wrong = np.flatnonzero(answers != truth)
    worst = wrong[np.argsort(-probabilities[wrong].max(1), kind="stable")][:48]
    captions = [f"{labels[truth[i]]} → {labels[answers[i]]}  {probabilities[i].max():.2f}" for i in worst]
    return [
        plots.confusion(found.arrays["confusion"].astype(np.int64), labels, folder / "confusion.png"),
        plots.mistakes(rows["image"][worst], captions, folder / "mistakes.png", wrong=len(wrong), total=len(truth)),
    ]
