"""Pictures in, a label each out: serves `POST /v1/classify` for any version that `training/families/classifier.py` exports.

The graph takes raw pixels (uint8, batch x height x width x channels) and gives `probabilities` (float32, batch x labels),
calibrated; scaling and softmax are inside it. How a picture becomes those pixels stands in the manifest (`preparation`). A
further graph `layers`, where there is one, gives what each convolution makes of the pixels (float32, batch x maps x height x
width, by the layer's name). Knows nothing of HTTP beyond its request's fields, and nothing of digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from service import bodies, drift, explaining, family, images, media, tensors
from service.digit import Pixels
from service.errors import InvalidInput
from service.golden import Array, Arrays
from service.manifest import Manifest
from service.samples import SEVEN
from service.settings import Settings

LAYERS = "layers"
"""The further graph that gives what each convolution makes of a picture."""
LARGEST_MAP = 64
"""Pixels of a map's side, as it is shown."""
METHOD = (
    "occlusion: how much the label's log-odds (natural logarithm) fall when a square of the picture is hidden by the "
    "picture's own ground"
)


class Options(family.Options):
    """The query."""

    top: Annotated[int | None, Field(ge=1, le=10_000, description="how many of the labels to list")] = None
    seen: Annotated[bool, Field(description="whether to return the picture as the network saw it")] = False
    explain: Annotated[bool, Field(description="whether to say which parts of the picture speak for the label")] = False
    layers: Annotated[bool, Field(description="whether to return what each convolution made of the picture")] = False


class Seen(BaseModel):
    """The picture as the network saw it: a PNG in base64."""

    image: str
    width: int
    height: int


class Explanation(BaseModel):
    """How much the label's log-odds fall when a square of the picture is hidden: above 0 it speaks for the label."""

    method: str
    label: str
    patch: Annotated[int, Field(description="pixels of the square's side, in the picture as the network saw it")]
    values: Annotated[list[list[float]], Field(description="row by row; first and last squares stand at the edges")]


class Layer(BaseModel):
    """A layer's maps side by side, `across` in a row, a pixel apart; white is the layer's largest value. A PNG in base64."""

    name: str
    channels: int
    height: int
    width: int
    across: int
    image: str


class Prediction(BaseModel):
    """The likeliest label, and the probability of each label, likeliest first."""

    label: str
    probability: float
    probabilities: dict[str, float]
    seen: Seen | None = None
    explanation: Explanation | None = None
    layers: list[Layer] | None = None


@dataclass(frozen=True)
class Assets:
    """The labels in the order of the graph's output, how a picture becomes its input, and which layers can be shown."""

    labels: tuple[str, ...]
    preparation: images.Preparation
    limits: images.PictureLimits
    layers: tuple[str, ...] = ()


def assets(manifest: Manifest, files: Mapping[str, bytes], settings: Settings) -> Assets:  # noqa: ARG001 - no file is needed
    """Raises ValueError where labels, preparation and graph do not fit each other."""
    preparation = images.Preparation.model_validate(manifest.preparation)
    picture, probabilities = manifest.graph.inputs[0], manifest.graph.outputs[0]
    if picture.row_shape != preparation.shape:
        raise ValueError(f"input {picture.name!r} has shape {picture.shape}, the preparation is {preparation}")
    if probabilities.row_shape != (len(manifest.labels),):
        raise ValueError(f"output {probabilities.name!r} has shape {probabilities.shape} for {len(manifest.labels)} labels")
    limits = images.PictureLimits(settings.max_pixels, settings.max_side)
    layers = manifest.graphs[LAYERS].outputs if LAYERS in manifest.graphs else ()
    return Assets(manifest.labels, preparation, limits, tuple(layer.name for layer in layers))


def preprocess(picture: bytes, assets: Assets) -> family.Item:
    """An encoded picture to `image` (uint8, 1 x height x width x channels), about which its pixels are remembered."""
    pixels = images.prepare(picture, assets.preparation, assets.limits)
    return family.Item({"image": pixels[np.newaxis]}, pixels)


def predict(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """`image` of a batch to `probabilities` of a batch."""
    return graphs["model"].run(arrays)


def predict_explained(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """The same, and `occluded` (batch x down x across x labels): the probabilities with each square hidden."""

    def ask(pictures: Any) -> Any:
        return predict(graphs, {"image": pictures})["probabilities"]

    return {**predict(graphs, arrays), "occluded": explaining.occluded(arrays["image"], ask)}


def predict_layered(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """The same as `predict`, and the layers' maps by name."""
    return {**predict(graphs, arrays), **graphs[LAYERS].run(arrays)}


def predict_whole(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """All that there is."""
    return {**predict_explained(graphs, arrays), **graphs[LAYERS].run(arrays)}


def further(options: Options, manifest: Manifest) -> family.Predict | None:
    """What runs where the query asks for more than labels. Raises InvalidInput where this version has no layers to show."""
    if options.layers and LAYERS not in manifest.graphs:
        raise InvalidInput(f"Parameter 'layers' is true; version {manifest.version} of '{manifest.name}' has none to show.")
    if options.layers:
        return predict_whole if options.explain else predict_layered
    return predict_explained if options.explain else None


def postprocess(arrays: Arrays, about: Pixels, assets: Assets, options: Options) -> dict[str, Any]:
    """`probabilities` of one row, and what was asked beside them, to a `Prediction`."""
    row = arrays["probabilities"][0]
    order = np.argsort(-row, kind="stable")[: options.top]
    best = int(order[0])
    prediction: dict[str, Any] = {
        "label": assets.labels[best],
        "probability": row[best],
        "probabilities": {assets.labels[index]: row[index] for index in order},
    }
    if options.seen:
        height, width, _ = about.shape
        prediction["seen"] = {"image": images.to_base64(about), "width": width, "height": height}
    if options.explain:
        prediction["explanation"] = _explanation(arrays["occluded"][0], row, best, assets)
    if options.layers:
        prediction["layers"] = [_layer(name, arrays[name][0]) for name in assets.layers]
    return prediction


def _explanation(occluded: Array, row: Array, best: int, assets: Assets) -> dict[str, Any]:
    falls = explaining.log_odds(row[best]) - explaining.log_odds(occluded[..., best])
    patch = explaining.squares(assets.preparation.height, assets.preparation.width).patch
    return {"method": METHOD, "label": assets.labels[best], "patch": patch, "values": falls.round(4).tolist()}


def _layer(name: str, maps: Array) -> dict[str, Any]:
    """(channels, height, width), none below 0 -> a `Layer`; a large map is thinned."""
    channels, height, width = maps.shape
    thin = -(-max(height, width) // LARGEST_MAP)
    bright = images.pixels(maps[:, ::thin, ::thin, np.newaxis] * (255 / max(float(maps.max()), 1e-6)))
    size = {"height": bright.shape[1], "width": bright.shape[2]}
    return {
        "name": name, "channels": channels, **size, "across": images.across(channels),
        "image": images.to_base64(images.grid(list(bright))),
    }  # fmt: skip


def watched(manifest: Manifest) -> tuple[drift.Watched, ...]:
    """How light pictures are, and which labels they get."""
    stated = manifest.statistics
    return (
        *drift.ranged("mean_pixel", stated.get("mean_pixel_deciles"), "image", images.means),
        *drift.chosen("label", stated.get("label_shares"), "probabilities", lambda rows: rows.argmax(1)),
    )


alike = partial(tensors.same_choice, "probabilities")
"""Rows with the same likeliest label."""
verbs = (
    family.Verb(
        name="classify",
        summary="What is in a picture",
        reader=bodies.PICTURE,
        Request=bodies.Pictures,
        Options=Options,
        Prediction=Prediction,
        preprocess=preprocess,
        predict=predict,
        postprocess=postprocess,
        further=further,
        example={"images": [SEVEN]},
    ),
)
raw = family.Raw("picture", verbs[0], lambda element: bodies.Body(element, media.OCTETS, b""))
