"""Networks that tell what is in a picture: (batch, channels, height, width) in 0..1 -> logits (batch, classes).

Knows PyTorch; knows no family, no data and no training.
"""

from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Shape = Mapping[str, int]
"""`height`, `width`, `channels`, `classes`."""


def build(architecture: str, shape: Shape, *, width: int, dropout: float) -> nn.Module:
    """`residual`, `book`, `deep` or `dense`. `width`: channels of the residual network's first block."""
    if architecture == "residual":
        return _residual(shape, width, dropout)
    return {"book": _book, "deep": _deep, "dense": _dense}[architecture](shape, dropout)


class Residual(nn.Module):
    """x + f(x); a 1x1 convolution brings x along where the depth or the size changes. `bottleneck` narrows f inside."""

    def __init__(self, depth_in: int, depth_out: int, *, stride: int = 1, bottleneck: int = 0) -> None:
        super().__init__()
        if bottleneck:
            self.body = nn.Sequential(
                *_conv(depth_in, bottleneck, 1), nn.ReLU(),
                *_conv(bottleneck, bottleneck, 3, stride), nn.ReLU(),
                *_conv(bottleneck, depth_out, 1),
            )  # fmt: skip
        else:
            self.body = nn.Sequential(*_conv(depth_in, depth_out, 3, stride), nn.ReLU(), *_conv(depth_out, depth_out, 3))
        same = depth_in == depth_out and stride == 1
        self.skip = nn.Identity() if same else nn.Sequential(*_conv(depth_in, depth_out, 1, stride))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.skip(x))

    def stages(self, x: Tensor) -> Iterator[Tensor]:
        """What each convolution of the body makes, the sum with the skip at the end."""
        inside = x
        for layer in self.body:
            inside = layer(inside)
            if isinstance(layer, nn.ReLU):
                yield inside
        yield F.relu(inside + self.skip(x))


def stages(network: nn.Module, x: Tensor) -> Iterator[Tensor]:
    """(rows, channels, height, width) -> what each convolution makes of it, behind its ReLU; nothing where there is none."""
    for layer in network.children():
        if isinstance(layer, Residual):
            *inside, x = layer.stages(x)
            yield from [*inside, x]
            continue
        x = layer(x)
        if isinstance(layer, nn.ReLU) and x.dim() == 4:
            yield x


class MeanMaxPool(nn.Module):
    """(batch, c, h, w) -> (batch, 2 c): the mean and the maximum of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)


def _conv(depth_in: int, depth_out: int, kernel: int, stride: int = 1) -> tuple[nn.Module, ...]:
    """A convolution and its norm; the norm has the bias."""
    return nn.Conv2d(depth_in, depth_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(depth_out)


def _residual(shape: Shape, width: int, dropout: float) -> nn.Module:
    def left(size: int) -> int:
        return -(-size // 4)  # two strides of two, padded

    return nn.Sequential(
        *_conv(shape["channels"], width, 5, 2), nn.ReLU(),
        Residual(width, width),
        Residual(width, 2 * width, stride=2),
        Residual(2 * width, 2 * width),
        Residual(2 * width, 2 * width, bottleneck=width),
        nn.Flatten(), nn.Dropout(dropout),
        nn.Linear(2 * width * left(shape["height"]) * left(shape["width"]), shape["classes"]),
    )  # fmt: skip


def _book(shape: Shape, dropout: float) -> nn.Module:
    def left(size: int) -> int:
        return ((size - 2) // 2 - 2) // 2 - 2  # three unpadded 3x3 convolutions, two poolings

    # the book's ReLU stands before each pooling: after it the answer is the same, for a quarter of the work
    return nn.Sequential(
        nn.Conv2d(shape["channels"], 32, 3), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(32, 64, 3), nn.MaxPool2d(2), nn.ReLU(),
        nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
        nn.Dropout(dropout), nn.Linear(64 * left(shape["height"]) * left(shape["width"]), 64), nn.ReLU(),
        nn.Dropout(dropout), nn.Linear(64, shape["classes"]),
    )  # fmt: skip


def _deep(shape: Shape, dropout: float) -> nn.Module:
    return nn.Sequential(
        *_conv(shape["channels"], 32, 3), nn.ReLU(), *_conv(32, 32, 3), nn.MaxPool2d(2), nn.ReLU(),
        *_conv(32, 64, 3), nn.ReLU(), *_conv(64, 64, 3), nn.MaxPool2d(2), nn.ReLU(),
        *_conv(64, 96, 3), nn.ReLU(), *_conv(96, 96, 3), nn.ReLU(),
        MeanMaxPool(), nn.Dropout(dropout), nn.Linear(192, shape["classes"]),
    )  # fmt: skip


def _dense(shape: Shape, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(shape["channels"] * shape["height"] * shape["width"], 512), nn.ReLU(),
        nn.Dropout(dropout), nn.Linear(512, 256), nn.ReLU(),
        nn.Dropout(dropout), nn.Linear(256, shape["classes"]),
    )  # fmt: skip
