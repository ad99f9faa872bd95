"""Pictures to codes and back: trains what `service/families/autoencoder.py` serves.

Task: pictures again from few numbers, or without their noise. Source: MNIST (LeCun, Cortes and Burges), or `--data DIR`, a
folder of pictures, with a folder a class or without. Kinds: `linear`, which finds the principal components (Baldi and Hornik
1989); `undercomplete` and `stacked` (Hinton and Salakhutdinov 2006); `sparse` (Ng 2011); `denoising` (Vincent et al. 2008), by
default a U-Net; `variational` (Kingma and Welling 2014). Expected on MNIST's test pictures, in 3, 18 and 17 minutes on 2 cores:
an error of .0040 a pixel from 30 numbers, 21.5 dB at a noise of .5, a likelihood of -87.2 nats.

The graph: `image` (uint8, batch x height x width x channels), and for a variational one `noise` (float32, batch x code), which
its sample is made of -> `reconstruction` (float32, as the image), `code` (float32, batch x code) and `error` (float32, batch
x 1, mean squared error of a pixel in 0..1). The graph `decoder`: `code` -> `picture` (float32, as the image).
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from service.golden import Arrays
from training import autoencoders, gallery, pictures, reconstructions
from training.autoencoders import Autoencoder, Decoder, Deployed, Unet, noised, scaled
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
    TrainingError,
    check,
)

Kind = Literal["linear", "undercomplete", "stacked", "sparse", "denoising", "variational"]
name = "codes"
gate = "psnr"
reported = ("psnr", "mse")
tolerance = 0.3
NAMES = {"denoising": "denoiser", "variational": "generator"}
"""The models that the public data makes, by kind; the others make `codes`."""
SQUARED = {"loss": "squared", "batch_size": 256}
COINS = {"loss": "bernoulli", "batch_size": 256}
SUITS: dict[str, dict[str, Any]] = {
    "linear": {
        "hidden": (), "code_size": 30, "epochs": 80, "learning_rate": 0.01, "loss": "squared", "batch_size": 1024,
        "weight_decay": 0.0, "precision": "float32",
    },
    "undercomplete": {"hidden": (), "code_size": 30, "epochs": 20, "learning_rate": 0.005, **SQUARED},
    "stacked": {"code_size": 30, "epochs": 40, "learning_rate": 0.004, "weight_decay": 0.13, **COINS},
    "sparse": {"hidden": (), "code_size": 1000, "epochs": 20, "learning_rate": 0.003, **SQUARED},
    "denoising": {
        "hidden": (512,), "code_size": 128, "epochs": 28, "learning_rate": 0.003, "encoder": "unet", "width": 32, **COINS,
        "batch_size": 128,
    },
    "variational": {
        "hidden": (512,), "code_size": 40, "epochs": 50, "learning_rate": 0.004, "encoder": "convolutional", "width": 16,
        "batch_size": 128, "weight_decay": 0.03, "loss": "bernoulli",
    },
}  # fmt: skip
"""Where a kind starts from, where nothing was given: chosen on MNIST's validation rows."""
USUAL = {"width": 24, "weight_decay": 0.0001, "precision": "bfloat16"}
"""The same for every kind that does not say otherwise."""
VARIANTS: dict[str, dict[str, Any]] = {kind: {"kind": kind, **dict.fromkeys(suit)} for kind, suit in SUITS.items()}
BOUNDS = {
    **RECIPE_BOUNDS,
    "code_size": (1, 4096),
    "width": (1, 512),
    "blocks": (1, 8),
    "noise_level": (0, 1),
    "penalty": (0, 100),
    "activity": (0.001, 0.999),
    "warm_up": (0, 1),
    "image_size": (8, 1024),
    "validation_share": (0, 0.4),
    "test_share": (0, 0.4),
}
WIDE, NARROW, MOST_DENSE = (1536, 256), (256,), 4_096
"""Dense layers of a stacked one where none are given: alone up to so many numbers of a picture, beyond behind convolutions."""
SUMMARIES = {
    "linear": "{size} numbers of a picture, as principal components ({source})",
    "undercomplete": "{size} numbers of a picture and the picture from them ({source})",
    "stacked": "{size} numbers of a picture and the picture from them ({source})",
    "sparse": "{size} units of which a picture makes few active ({source})",
    "denoising": "A picture without its noise ({source})",
    "variational": "Pictures from {size} random numbers ({source})",
}
LEVELS = (0.3, 0.5)
"""Standard deviations of the noise that a denoising one is scored at."""
CODES_COMPARED, CODES_BESIDE = 64, 30
"""Random codes that the decoder's graph is compared on; principal components that codes are compared with."""
SETTLED, LEARNT_FROM = 25_000, 60_000
"""Training pictures that batch norms settle on; that probes and simpler ways of an evaluation learn from."""
ACTIVE = 0.1
"""From where on a squashed unit counts as active."""


@dataclass(frozen=True)
class Config:
    """How an autoencoder is trained."""

    # What the network is for; see the module.
    kind: Kind = "stacked"
    # Dense layers alone, or behind convolutions, or a U-Net; what suits kind and size where none is given.
    encoder: Literal["dense", "convolutional", "unet"] | None = None
    # Units of the dense layers between picture and code; what suits kind and size where none are given.
    hidden: tuple[int, ...] | None = None
    # Numbers of a code; the kind's own where none is given.
    code_size: int | None = None
    # Channels of the first convolution; the kind's own where none is given.
    width: int | None = None
    # Residual blocks of a U-Net's each size.
    blocks: int = 1
    # Of a denoising one.
    noise: Literal["gaussian", "dropout", "salt"] = "gaussian"
    # Standard deviation, or share of the pixels, up to which training draws the noise of each picture.
    noise_level: float = 0.6
    # Of a sparse one: the sum of activations, or their distance from `--activity` (Kullback and Leibler).
    sparsity: Literal["l1", "kl"] = "kl"
    # Weight of that penalty.
    penalty: float = 0.05
    # Share of the pictures that a unit should be active for.
    activity: float = 0.05
    # Share of the steps over which a variational one's divergence grows to its weight (Bowman et al. 2016).
    warm_up: float = 0.3
    # Whether a variational one sees each pixel drawn anew as black or white, by its shade (Burda et al. 2016); where not given,
    # if most pixels are nearly black or white.
    binarised: bool | None = None
    # What a pixel's fault costs: its square, or the log-likelihood of a coin; the kind's own where none is given.
    loss: Literal["squared", "bernoulli"] | None = None
    # Passes over the training rows; the kind's own where none is given.
    epochs: int | None = None
    # Rows in one step; the kind's own where none is given.
    batch_size: int | None = None
    # Peak rate of AdamW; the kind's own where none is given.
    learning_rate: float | None = None
    # Decoupled weight decay (Loshchilov and Hutter 2019), not on biases and norms; the kind's own where none is given.
    weight_decay: float | None = None
    # How the rate changes.
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    # Share of the rows seen in an epoch, those not yet learnt first.
    focus: float = 1.0
    # Keep a moving average of the weights instead of the last ones.
    average: bool = True
    # Longest the gradient may be; not cut where none is given.
    clip: float | None = None
    # Arithmetic of the matrix products while training, the kind's own where none is given; the graph is float32.
    precision: Literal["bfloat16", "float32"] | None = None
    # Height and width in pixels: 28 for MNIST, 64 for your own pictures where none is given.
    image_size: int | None = None
    # 1 gray, 3 colour: 1 for MNIST, 3 for your own pictures where none is given.
    channels: Literal[1, 3] | None = None
    # Of the training rows, held out to watch training.
    validation_share: float = 0.05
    # Of your own pictures, held out to report on.
    test_share: float = 0.15
    # Of everything random.
    seed: int = 0

    def __post_init__(self) -> None:
        """What suits the kind, where nothing was given. Raises TrainingError on a field out of bounds."""
        for field, value in {**USUAL, **SUITS[self.kind]}.items():
            if getattr(self, field) is None:
                object.__setattr__(self, field, value)
        if self.encoder == "unet" and self.kind != "denoising":
            raise TrainingError(f"--encoder is 'unet', which leads past the code; of the kind {self.kind!r} take another.")
        check(self, BOUNDS)

    @property
    def name(self) -> str:
        """Of the model that the public data makes."""
        return NAMES.get(self.kind, name)


def data(config: Config, origin: Sources) -> Data:
    """MNIST, or the user's own pictures, with classes or without."""
    wanted = pictures.Wanted(
        config.image_size, config.channels, None, config.validation_share, config.test_share, config.seed, classes=False
    )
    found = pictures.data(origin, wanted)
    random = np.random.default_rng(config.seed)
    some = random.permutation(len(found.train["image"]))[:LEARNT_FROM]
    test = {**found.test, **{f"train_{key}": array[some] for key, array in found.train.items()}}
    validation = dict(found.validation)
    if config.kind == "denoising":
        for split, seed in ((validation, config.seed + 1), (test, config.seed)):
            split |= {f"noisy_{level}": reconstructions.noisy(split["image"], level, seed) for level in LEVELS}
    if config.kind == "variational":
        for split in (validation, test):
            split["noise"] = random.normal(size=(len(split["image"]), cast(int, config.code_size))).astype(np.float32)
    return dataclasses.replace(found, test=test, validation=validation)


def pretrain(config: Config, data: Data, run: Keeper, fit: Fit) -> Data:  # noqa: ARG001 - pictures start from nothing
    """The data as it is."""
    return data


def network(config: Config, data: Data) -> nn.Module:
    """The kind's network, for this size and depth."""
    shape = (data.shape["channels"], data.shape["height"], data.shape["width"])
    code_size, width = cast(int, config.code_size), cast(int, config.width)
    encoder, hidden = config.encoder, config.hidden
    if config.kind == "stacked" and encoder is None and hidden is None:
        encoder, hidden = ("dense", WIDE) if math.prod(shape) <= MOST_DENSE else ("convolutional", NARROW)
    hidden = WIDE if hidden is None else hidden
    if encoder == "unet":
        return Unet(shape[0], width, config.blocks).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # its stub forgot it
    if config.kind == "variational":
        steps = -(-len(data.train["image"]) // cast(int, config.batch_size)) * cast(int, config.epochs) if data.train else 1
        drawn = (
            config.binarised if config.binarised is not None else bool(data.train) and pictures.two_toned(data.train["image"])
        )
        convolved = width if encoder == "convolutional" else None
        return autoencoders.variational(
            shape, hidden, code_size, width=convolved, warm_up=config.warm_up * steps, binarised=drawn
        )
    if encoder == "convolutional":
        return autoencoders.convolutional(shape, width, hidden, code_size)
    made = autoencoders.dense(shape, hidden, code_size, linear=config.kind == "linear")
    made.squashed = config.kind == "sparse"
    return made


def sample(config: Config) -> tuple[nn.Module, Tensor]:
    """The network for MNIST's sizes, or those of the configuration, and one picture of zeros."""
    size, channels = config.image_size or 28, config.channels or 1
    shape = {"height": size, "width": size, "channels": channels}
    return network(config, Data({}, {}, {}, NO_SOURCE, shape)), torch.zeros(1, channels, size, size)


def step(network: nn.Module, batch: Batch, config: Config) -> Tensor:
    """What each row's pixels cost on average, its divergence or its part of the sparsity penalty."""
    whole = scaled(batch["image"])
    shown = _shown(network, whole, config)
    truth = shown if config.kind == "variational" else whole
    raw, code, *divergence = network(shown)
    raw, code = raw.float(), code.float()
    if config.loss == "bernoulli":
        losses = F.binary_cross_entropy_with_logits(raw, truth, reduction="none")
    else:
        losses = ((raw if config.kind == "linear" else raw.sigmoid()) - truth).square()
    found: Tensor = losses.flatten(1).mean(1)
    if divergence:
        found = found + divergence[0] / truth[0].numel()
    if config.kind == "sparse":
        found = found + config.penalty * autoencoders.sparsity(code, config.sparsity, config.activity)
    return found


def export(network: nn.Module, data: Data, config: Config) -> Export:
    """The whole network, and its decoder where there is a way from codes to pictures."""
    image = torch.from_numpy(data.test["image"][:2])
    inputs: Batch = {"image": image}
    if config.kind == "variational":
        inputs["noise"] = torch.zeros(2, cast(int, config.code_size))
    decoder = {}
    if not isinstance(network, Unet):
        codes = torch.randn(CODES_COMPARED, cast(int, network.code_size), generator=torch.Generator().manual_seed(config.seed))
        made = Decoder(cast(Autoencoder, network))
        decoder["decoder"] = Export(made, {"code": codes[:2]}, ("picture",), rows={"code": codes.numpy()}, half=True)
    return Export(
        module=Deployed(network),
        inputs=inputs,
        outputs=("reconstruction", "code", "error"),
        summary=SUMMARIES[config.kind].format(source=data.source.name, size=network.code_size),
        limits={key: data.shape[key] for key in ("height", "width", "channels")},
        more=decoder,
        half=True,
        statistics=lambda: {"error_percentiles": autoencoders.percentiles(network, data.train["image"][:LEARNT_FROM])},
        served=lambda: _served(network, data, config),
    )


def _served(network: nn.Module, data: Data, config: Config) -> Arrays:
    """Training pictures under their noise, or of two tones with noise for their codes, as the network learnt from them."""
    random = torch.Generator().manual_seed(config.seed)
    seen = _shown(network, scaled(torch.from_numpy(data.train["image"][:SETTLED])), config, random)
    noise = torch.randn(len(seen), cast(int, config.code_size), generator=random).numpy()
    return {
        "image": (seen * 255).round().byte().permute(0, 2, 3, 1).numpy(),
        **({"noise": noise} if config.kind == "variational" else {}),
    }


def _shown(network: nn.Module, whole: Tensor, config: Config, random: torch.Generator | None = None) -> Tensor:
    """Pictures in 0..1 as the encoder sees them while it learns."""
    if config.kind == "variational" and network.binarised:
        return torch.bernoulli(whole, generator=random)
    if config.kind == "denoising":
        level = config.noise_level * torch.rand(len(whole), generator=random, device=whole.device)
        return noised(whole, config.noise, level, random)
    return whole


def rows(split: Arrays, files: Mapping[str, bytes]) -> Arrays:  # noqa: ARG001 - the manifest's preparation says it all
    """The split as it is: its pictures are prepared."""
    return split


def evaluate(predict: Predict, rows: Arrays, labels: tuple[str, ...]) -> Scores:  # noqa: ARG001 - every room's signature
    """Errors and PSNR; of a denoising one on noisy pictures; what codes tell; of a variational one bounds of the likelihood."""
    truth = reconstructions.floats(rows["image"])
    if denoising := [level for level in LEVELS if f"noisy_{level}" in rows]:
        return reconstructions.restored(predict, rows, denoising, alike="train_image" in rows)
    noise = {"noise": np.zeros_like(rows["noise"])} if "noise" in rows else {}
    answers = predict({"image": rows["image"], **noise})
    made, codes = answers["reconstruction"] / 255, answers["code"]
    values = {"psnr": reconstructions.psnr(truth, made), "mse": float(reconstructions.errors(truth, made).mean())}
    arrays = {"made": answers["reconstruction"]}
    if "train_image" in rows:
        zeros = {"noise": np.zeros((len(rows["train_image"]), codes.shape[1]), np.float32)} if noise else {}
        learnt = predict({"image": rows["train_image"], **zeros})["code"]
        values |= reconstructions.told(learnt, rows["train_label"], codes, rows["label"])
        arrays |= {"codes": codes, **gallery.walks(predict, codes, rows["label"])}
        arrays |= {"samples": gallery.samples(predict, codes.shape[1])} if noise else {}
    if codes.min() >= 0 and codes.max() <= 1:
        values["active_units"] = float((codes > ACTIVE).mean())
    if noise:
        values |= reconstructions.bounds(predict, rows, tight="train_image" in rows)
    return Scores(values, arrays=arrays)


def baselines(data: Data) -> dict[str, dict[str, float]]:
    """What simpler ways reach on the same test rows: principal components, or the usual filters."""
    levels = [level for level in LEVELS if f"noisy_{level}" in data.test]
    if levels:
        return reconstructions.restored_otherwise(data.test, levels)
    return {f"{CODES_BESIDE} principal components": reconstructions.principal(data.test, CODES_BESIDE)}


def statistics(data: Data) -> dict[str, Any]:
    """Of the training rows, to compare what comes in with: deciles of a picture's mean."""
    means = data.train["image"].reshape(len(data.train["image"]), -1).mean(1)
    return {"mean_pixel_deciles": [round(float(value), 3) for value in np.quantile(means, np.linspace(0, 1, 11))]}


def draw(found: Scores, rows: Arrays, labels: tuple[str, ...], folder: Path) -> list[Path]:
    """Noisy and made again, codes on a plane, walks, samples: see `gallery`."""
    noisy = [f"noisy_{level}" for level in LEVELS[-1:] if f"noisy_{level}" in rows]
    return gallery.draw(found.arrays, rows, noisy, labels, folder)
