"""Networks with an encoder and a decoder: dense and convolutional ones, a variational one, and one that takes noise away.

All take pictures (batch, channels, height, width) in 0..1 and give them in 0..1. Knows shapes only; knows no data.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

TOGETHER = 500
"""Pictures that are asked for at once."""


class Autoencoder(nn.Module):
    """A code of `code_size` numbers between an encoder and a decoder. `decode` gives logits unless the network is linear."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, shape: tuple[int, int, int], code_size: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.shape, self.code_size = shape, code_size
        self.linear, self.squashed = False, False

    def encode(self, pictures: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, code size); from 0 to 1 where codes are squashed."""
        code: Tensor = self.encoder(pictures)
        return torch.sigmoid(code) if self.squashed else code

    def raw(self, code: Tensor) -> Tensor:
        """(batch, code size) -> (batch, channels, height, width), before the sigmoid where there is one."""
        made: Tensor = self.decoder(code)
        return made.view(-1, *self.shape)

    def decode(self, code: Tensor) -> Tensor:
        """(batch, code size) -> pictures"""
        raw = self.raw(code)
        return raw if self.linear else raw.sigmoid()

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """What is made, before the sigmoid where there is one, and codes."""
        code = self.encode(pictures)
        return self.raw(code), code


class Variational(Autoencoder):
    """A code that is a normal distribution (Kingma and Welling 2014): `encoder` gives means and logarithms of variances."""

    seen: Tensor

    def __init__(self, *args: Any, warm_up: float, binarised: bool) -> None:
        """`warm_up`: steps over which the divergence grows to its weight (Bowman et al. 2016).

        `binarised`: whether it learns from pixels that are drawn as black or white.
        """
        super().__init__(*args)
        self.warm_up, self.binarised = warm_up, binarised
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """The same from a sample, and the divergence of each row from the standard normal distribution, weighted."""
        mean, log_variance = self.distribution(pictures)
        mean, log_variance = mean.float(), log_variance.float()
        code = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        if self.training:
            divergence = divergence * (self.seen / self.warm_up).clamp(max=1) if self.warm_up else divergence
            self.seen += 1
        return self.raw(code), code, divergence

    def distribution(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, (batch, code size) each."""
        mean, log_variance = self.encoder(pictures).chunk(2, 1)
        return mean, log_variance.clamp(-12, 6)

    def encode(self, pictures: Tensor) -> Tensor:
        """The mean."""
        return self.distribution(pictures)[0]


def dense(shape: tuple[int, int, int], hidden: Sequence[int], code_size: int, *, linear: bool = False) -> Autoencoder:
    """Fully connected, the decoder the encoder's mirror; SiLU between layers, or nothing at all where it is linear.

    A linear one starts from a random projection and the way back: from other weights it may stay near a saddle for long.
    """
    encoder, decoder = _dense(shape, hidden, code_size, code_size, linear=linear)
    made = Autoencoder(encoder, decoder, shape, code_size)
    made.linear = linear
    if linear:
        there, back = ([one for one in part.modules() if isinstance(one, nn.Linear)] for part in (encoder, decoder))
        for one, other in zip(there, reversed(back), strict=True):
            nn.init.orthogonal_(one.weight)
            other.weight.data.copy_(one.weight.T)
    return made


def convolutional(shape: tuple[int, int, int], width: int, hidden: Sequence[int], code_size: int) -> Autoencoder:
    """Convolutions down to a quarter of the sides, dense layers to the code, and the way back."""
    return Autoencoder(*_convolutional(shape, width, hidden, code_size, code_size), shape, code_size)


def variational(
    shape: tuple[int, int, int],
    hidden: Sequence[int],
    code_size: int,
    *,
    width: int | None = None,
    warm_up: float = 0,
    binarised: bool = False,
) -> Variational:
    """With a distribution for a code: convolutions in front, and dense layers, or these alone where there is no width."""
    if width is None:
        parts = _dense(shape, hidden, 2 * code_size, code_size)
    else:
        parts = _convolutional(shape, width, hidden, 2 * code_size, code_size)
    return Variational(*parts, shape, code_size, warm_up=warm_up, binarised=binarised)


def _dense(
    shape: tuple[int, int, int], hidden: Sequence[int], given: int, code_size: int, *, linear: bool = False
) -> tuple[nn.Module, nn.Module]:
    """Encoder, which gives so many numbers, and decoder."""
    pixels = math.prod(shape)
    encoder = nn.Sequential(nn.Flatten(), _layers([pixels, *hidden, given], linear=linear))
    return encoder, _layers([code_size, *reversed(hidden), pixels], linear=linear)


def _convolutional(
    shape: tuple[int, int, int], width: int, hidden: Sequence[int], given: int, code_size: int
) -> tuple[nn.Module, nn.Module]:
    """Encoder, which gives so many numbers, and decoder. Sides are filled up to a multiple of 4 and cut again."""
    channels, height, across = shape
    low = (-(-height // 4), -(-across // 4))
    small = 2 * width * low[0] * low[1]
    encoder = nn.Sequential(
        nn.ZeroPad2d((0, -across % 4, 0, -height % 4)), nn.PixelUnshuffle(2),
        nn.Conv2d(4 * channels, width, 3, padding=1), _Block(width),
        nn.Conv2d(width, 2 * width, 2, stride=2), _Block(2 * width), nn.BatchNorm2d(2 * width), nn.SiLU(),
        nn.Flatten(), _layers([small, *hidden, given]),
    )  # fmt: skip
    decoder = nn.Sequential(
        _layers([code_size, *reversed(hidden), small]), nn.Unflatten(1, (2 * width, *low)),
        _Block(2 * width), nn.ConvTranspose2d(2 * width, width, 2, stride=2),
        _Block(width), nn.BatchNorm2d(width), nn.SiLU(),
        nn.Conv2d(width, 4 * channels, 3, padding=1), nn.PixelShuffle(2), _Cut(height, across),
    )  # fmt: skip
    return encoder, decoder


def _layers(sizes: Sequence[int], *, linear: bool = False) -> nn.Sequential:
    made: list[nn.Module] = []
    for index, (one, other) in enumerate(itertools.pairwise(sizes)):
        made.append(nn.Linear(one, other))
        if not linear and index < len(sizes) - 2:
            made.append(nn.SiLU())
    return nn.Sequential(*made)


class _Block(nn.Module):
    """Two convolutions beside a skip (He et al. 2016, "Identity mappings")."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm2d(depth), nn.SiLU(), nn.Conv2d(depth, depth, 3, padding=1, bias=False),
            nn.BatchNorm2d(depth), nn.SiLU(), nn.Conv2d(depth, depth, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.layers(x)
        return x + added


class Unet(nn.Module):
    """Takes noise away: pictures are folded (pixel unshuffle), looked at in three sizes, and unfolded again.

    Ronneberger et al. 2015; the folding keeps every pixel where pooling would drop some (Shi et al. 2016). The code is the mean
    of the smallest maps: there is no way back from it alone.
    """

    def __init__(self, channels: int, width: int, blocks: int = 1) -> None:
        super().__init__()
        self.code_size = 4 * width
        self.into = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.first = _several(width, blocks)
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.second = _several(2 * width, blocks)
        self.further = nn.Conv2d(2 * width, 4 * width, 2, stride=2)
        self.third = _several(4 * width, blocks)
        self.up = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.fourth = _several(2 * width, blocks)
        self.higher = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.fifth = _several(width, blocks)
        self.out = nn.Conv2d(width, 4 * channels, 3, padding=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, ...]:
        """Logits (batch, channels, height, width) and codes (batch, 4 width)."""
        one = self.first(self.into(F.pixel_unshuffle(_even(pictures), 2)))
        two = self.second(self.down(_even(one)))
        three = self.third(self.further(_even(two)))
        two = self.fourth(_like(self.up(three), two) + two)
        one = self.fifth(_like(self.higher(two), one) + one)
        return _like(F.pixel_shuffle(self.out(one), 2), pictures), three.mean((2, 3))


def _even(maps: Tensor) -> Tensor:
    """With a row and a column of zeros more where their number is odd."""
    return F.pad(maps, (0, maps.shape[3] % 2, 0, maps.shape[2] % 2))


def _like(maps: Tensor, other: Tensor) -> Tensor:
    """Cut to the other's height and width."""
    return maps[:, :, : other.shape[2], : other.shape[3]]


def _several(depth: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(_Block(depth) for _ in range(blocks)))


class _Cut(nn.Module):
    """To the picture's own size."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : self.height, : self.width].flatten(1)


def noised(pictures: Tensor, kind: str, level: Tensor, random: torch.Generator | None = None) -> Tensor:
    """Pictures with noise, in 0..1: `gaussian` of that standard deviation, `dropout` of that share of pixels, or `salt`, that
    share of them black or white. `level` (batch,).
    """
    level = level.view(-1, 1, 1, 1)
    if kind == "gaussian":
        return (pictures + level * torch.randn(pictures.shape, generator=random, device=pictures.device)).clamp(0, 1)
    drawn = torch.rand(pictures.shape, generator=random, device=pictures.device)
    if kind == "dropout":
        return torch.where(drawn < level, 0.0, pictures)
    return torch.where(drawn < level, (drawn < level / 2).float(), pictures)


class Deployed(nn.Module):
    """Raw pixels in; raw pixels, codes and errors out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        pictures = scaled(image)
        if isinstance(self.network, Unet):
            logits, code = self.network(pictures)
            made = logits.sigmoid()
        elif noise is not None:
            mean, log_variance = cast(Variational, self.network).distribution(pictures)
            code = mean + noise * (0.5 * log_variance).exp()
            made = cast(Variational, self.network).decode(code)
        else:
            code = cast(Autoencoder, self.network).encode(pictures)
            made = cast(Autoencoder, self.network).decode(code)
        error = (made - pictures).square().flatten(1).mean(1, keepdim=True)
        return _pixels(made), code, error


class Decoder(nn.Module):
    """Codes in, raw pixels out."""

    def __init__(self, network: Autoencoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, code: Tensor) -> Tensor:
        return _pixels(self.network.decode(code))


def sparsity(code: Tensor, kind: str, wanted: float) -> Tensor:
    """Of codes in 0..1: their mean (`l1`), or how far the units' means are from the wanted one (`kl`: Ng 2011)."""
    if kind == "l1":
        return code.mean()
    mean = code.mean(0).clamp(1e-6, 1 - 1e-6)
    apart = wanted * (wanted / mean).log() + (1 - wanted) * ((1 - wanted) / (1 - mean)).log()
    return apart.mean()


def percentiles(network: nn.Module, image: NDArray[np.uint8]) -> list[float]:
    """101 of the errors that raw pictures (rows, height, width, channels) are made again with."""
    device, module = next(network.parameters()).device, Deployed(network.eval())
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(image), TOGETHER)
        found = torch.cat([module(part.to(device))[2].cpu() for part in parts]).numpy()
    return [round(float(value), 8) for value in np.percentile(found, range(101))]


def scaled(image: Tensor) -> Tensor:
    """Raw pixels (batch, height, width, channels) to (batch, channels, height, width) in 0..1."""
    return image.permute(0, 3, 1, 2).float() * (1 / 255)


def _pixels(made: Tensor) -> Tensor:
    return made.permute(0, 2, 3, 1) * 255
