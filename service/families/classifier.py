"""Pictures in, a label each out: serves `POST /v1/classify` for any version that `training/families/classifier.py` exports.

The graph takes raw pixels (uint8, batch x height x width x channels) and gives `probabilities` (float32, batch x labels),
calibrated; scaling and softmax are inside it. How a picture becomes those pixels stands in the manifest (`preparation`).
Knows nothing of HTTP beyond its request's fields, and nothing of digits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, Field

from service import bodies, drift, family, images, tensors
from service.golden import Arrays
from service.manifest import Manifest
from service.samples import SEVEN
from service.settings import Settings


class Options(family.Options):
    """The query."""

    top: Annotated[int | None, Field(ge=1, le=10_000, description="how many of the labels to list")] = None


class Prediction(BaseModel):
    """The likeliest label, and the probability of each label, likeliest first."""

    label: str
    probability: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Assets:
    """The labels in the order of the graph's output, and how a picture becomes its input."""

    labels: tuple[str, ...]
    preparation: images.Preparation
    limits: images.PictureLimits


def assets(manifest: Manifest, files: Mapping[str, bytes], settings: Settings) -> Assets:  # noqa: ARG001 - no file is needed
    """Raises ValueError where labels, preparation and graph do not fit each other."""
    preparation = images.Preparation.model_validate(manifest.preparation)
    picture, probabilities = manifest.graph.inputs[0], manifest.graph.outputs[0]
    if picture.row_shape != (preparation.height, preparation.width, preparation.channels):
        raise ValueError(f"input {picture.name!r} has shape {picture.shape}, the preparation is {preparation}")
    if probabilities.row_shape != (len(manifest.labels),):
        raise ValueError(f"output {probabilities.name!r} has shape {probabilities.shape} for {len(manifest.labels)} labels")
    return Assets(manifest.labels, preparation, images.PictureLimits(settings.max_pixels, settings.max_side))


def preprocess(picture: bytes, assets: Assets) -> family.Item:
    """An encoded picture to `image` (uint8, 1 x height x width x channels)."""
    return family.Item({"image": images.prepare(picture, assets.preparation, assets.limits)[np.newaxis]})


def predict(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """`image` of a batch to `probabilities` of a batch."""
    return graphs["model"].run(arrays)


def postprocess(arrays: Arrays, about: None, assets: Assets, options: Options) -> dict[str, Any]:  # noqa: ARG001 - a picture leaves nothing to tell
    """`probabilities` of one row to a `Prediction`."""
    row = arrays["probabilities"][0]
    order = np.argsort(-row, kind="stable")[: options.top]
    listed = {assets.labels[index]: row[index] for index in order}
    best = int(order[0])
    return {"label": assets.labels[best], "probability": row[best], "probabilities": listed}


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
        example={"images": [SEVEN]},
    ),
)
raw = family.Raw("picture", verbs[0], lambda element: bodies.Body(element, bodies.OCTETS, b""))
