"""Pictures to codes and back: serves what `training/families/autoencoder.py` exports.

The graph `model` takes raw pixels (uint8 `image`, batch x height x width x channels) and gives `reconstruction` (float32, of
the same shape, 0 to 255), `code` (float32, batch x size) and `error` (float32, batch x 1: the mean squared error of a pixel in
0 to 1). A variational one takes `noise` (float32, batch x size), too, which is added to its codes: verbs send zeros. The graph
`decoder`, where there is one, makes a `picture` of a `code`; a network that leads past its code has none. How many training
pictures have a smaller error stands in the manifest (`statistics`). Knows nothing of HTTP beyond its requests' fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from service import bodies, drift, family, images, media, planes
from service.errors import InvalidInput, shown
from service.golden import Array, Arrays
from service.manifest import GraphSpec, Manifest
from service.samples import NOISY, NOUGHT, SEVEN, SEVEN_CODE
from service.settings import Settings

KINDS = ("linear", "undercomplete", "stacked", "sparse", "denoising", "variational")
PERCENTILES = 101  # of the training pictures' errors: 0 to 100
LARGEST = 1e6  # of a code's numbers, either way
MOST = 64  # pictures in one answer
TOUCHES = 16 * 1024  # what a picture that is drawn costs, in bytes to touch
PICTURES: dict[str, Any] = {"images": [SEVEN]}
CODES: dict[str, Any] = {"codes": [SEVEN_CODE]}
GENERATE: dict[str, Any] = {"count": 16, "seed": 0, "temperature": 1.0}
INTERPOLATE: dict[str, Any] = {"images": [SEVEN, NOUGHT], "steps": 8}

Codes = Annotated[
    Any,
    Field(
        description="each as many numbers as the model's codes have",
        json_schema_extra={"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
    ),
]


class DecodeRequest(bodies.Document):
    """Codes, such as encoding gives."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [CODES]})

    codes: Codes

    def work(self) -> int:
        """A picture for each code."""
        return TOUCHES * len(self.codes) if isinstance(self.codes, list) else 0


class GenerateRequest(bodies.Document):
    """How many pictures to make up, and of what normal numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [GENERATE]})

    count: Annotated[int, Field(ge=1, le=MOST, description="how many pictures")] = 16
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="the same seed gives the same pictures")] = 0
    temperature: Annotated[
        float, Field(ge=0, le=2, allow_inf_nan=False, description="what the normal numbers are multiplied with; 0 for the mean")
    ] = 1.0

    def work(self) -> int:
        """A picture for each that is made up."""
        return TOUCHES * self.count


class InterpolateRequest(bodies.Document):
    """Two pictures, or two codes, and how many pictures from one to the other, both included."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [INTERPOLATE]})

    images: Annotated[bodies.Strings | None, Field(description="two, each a PNG or JPEG in base64, or a data: URL")] = None
    codes: Codes = None
    steps: Annotated[int, Field(ge=2, le=MOST, description="how many pictures")] = 8

    def work(self) -> int:
        """A picture for each step, and those that are sent."""
        sent = 0 if self.images is None else sum(len(one) for one in self.images) + 2 * bodies.TOUCHES * 28 * 28
        return TOUCHES * self.steps + sent


class Drawn(BaseModel):
    """A picture: a PNG in base64."""

    image: str
    width: int
    height: int


class Measured(BaseModel):
    """How well a picture is made again of its code, and how unusual that is."""

    error: Annotated[float, Field(description="mean squared error of a pixel in 0 to 1")]
    percentile: Annotated[float, Field(description="how many of 100 training pictures have a smaller error")]


class Reconstructed(Measured, Drawn):
    """A picture as the model sees it, how far it is from the one that was sent, and how unusual that is."""


class Encoded(Measured):
    """A picture's code, how well the picture is made again of it, and how unusual that is."""

    code: list[float]


@dataclass(frozen=True)
class Assets:
    """How a picture becomes the graph's input, what a code is, and the training pictures' errors."""

    preparation: images.Preparation
    limits: images.PictureLimits
    settings: Settings
    size: int
    """Of a code."""
    noisy: bool
    """Whether the graph takes `noise`."""
    errors: NDArray[np.float64]
    """Their percentiles."""
    plane: dict[str, Any] | None = None


def kind(manifest: Manifest) -> object:
    """What kind of autoencoder a version is: one of KINDS."""
    return manifest.training.config.get("kind")


def assets(manifest: Manifest, files: Mapping[str, bytes], settings: Settings) -> Assets:
    """Raises ValueError where preparation, graphs and statistics do not fit each other."""
    if kind(manifest) not in KINDS:
        raise ValueError(f"its kind is {kind(manifest)!r}; expected one of {KINDS}")
    preparation = images.Preparation.model_validate(manifest.preparation)
    picture, size = preparation.shape, _size(manifest.graph)
    noisy = kind(manifest) == "variational"
    noise = {"noise": ("FP32", (size,))} if noisy else {}
    outputs = {"reconstruction": ("FP32", picture), "code": ("FP32", (size,)), "error": ("FP32", (1,))}
    _fits("model", manifest.graph, {"image": ("UINT8", picture), **noise}, outputs)
    if "decoder" in manifest.graphs:
        _fits("decoder", manifest.graphs["decoder"], {"code": ("FP32", (size,))}, {"picture": ("FP32", picture)})
    errors = _errors(manifest.statistics.get("error_percentiles"))
    limits = images.PictureLimits(settings.max_pixels, settings.max_side)
    plane = planes.read(files, planes.PLANE, planes.Codes, manifest.labels)
    return Assets(preparation, limits, settings, size, noisy, errors, plane)


def _size(graph: GraphSpec) -> int:
    shapes = [tensor.row_shape for tensor in graph.outputs if tensor.name == "code"]
    if len(shapes) != 1 or len(shapes[0]) != 1 or not isinstance(shapes[0][0], int):
        raise ValueError(f"the graph 'model' gives codes of shape {shapes}; expected one output 'code' of a fixed size")
    return shapes[0][0]


def _fits(name: str, graph: GraphSpec, inputs: Mapping[str, object], outputs: Mapping[str, object]) -> None:
    for side, tensors, wanted in (("takes", graph.inputs, inputs), ("gives", graph.outputs, outputs)):
        found = {tensor.name: (tensor.datatype, tensor.row_shape) for tensor in tensors}
        if found != wanted:
            raise ValueError(f"the graph {name!r} {side} rows of {found}; expected {wanted}")


def _errors(stated: object) -> NDArray[np.float64]:
    numbers = stated if isinstance(stated, list) and set(map(type, stated)) <= {int, float} else []
    errors = np.array(numbers, np.float64)
    if len(errors) != PERCENTILES or not np.isfinite(errors).all() or (np.diff(errors) < 0).any():
        raise ValueError(f"the statistics' error_percentiles are {shown(stated)}; expected {PERCENTILES} ascending numbers")
    return errors


def preprocess_picture(raw: bytes, assets: Assets) -> family.Item:
    """An encoded picture to `image` (uint8, 1 x height x width x channels) and, where it is taken, no `noise`."""
    return family.Item({"image": images.prepare(raw, assets.preparation, assets.limits)[np.newaxis], **_silence(assets, 1)})


def preprocess_codes(raw: DecodeRequest, assets: Assets) -> family.Item:
    """Codes to `code` (float32, codes x size)."""
    return family.Item({"code": _codes(raw.codes, assets)})


def preprocess_generate(raw: GenerateRequest, assets: Assets) -> family.Item:
    """Normal numbers to `code` (float32, count x size)."""
    normal = np.random.default_rng(raw.seed).standard_normal((raw.count, assets.size))
    return family.Item({"code": (raw.temperature * normal).astype(np.float32)})


def preprocess_interpolate(raw: InterpolateRequest, assets: Assets) -> family.Item:
    """Two ends to a row for each step: both ends as `images` or as `codes`, which of them counts, and the second's `share`.

    Every item has all of them, so that a batch can hold items of both sorts.
    """
    if (raw.images is None) == (raw.codes is None):
        there = "are both missing" if raw.images is None else "are both there"
        raise InvalidInput(f"Fields 'images' and 'codes' {there}; expected exactly one of them.")
    sent, field = (raw.codes, "codes") if raw.images is None else (raw.images, "images")
    if isinstance(sent, list) and len(sent) != 2:
        raise InvalidInput(f"Field '{field}' has {len(sent)} entries; expected two.")
    pictures, codes = np.zeros((2, *assets.preparation.shape), np.uint8), np.zeros((2, assets.size), np.float32)
    if raw.images is None:
        codes = _codes(sent, assets)
    else:
        files = [bodies.unbase64(text, f"images[{index}]") for index, text in enumerate(raw.images)]
        pictures = np.stack([images.prepare(file, assets.preparation, assets.limits) for file in files])
    return family.Item({
        "images": np.broadcast_to(pictures, (raw.steps, *pictures.shape)),
        "codes": np.broadcast_to(codes, (raw.steps, *codes.shape)),
        "pictured": np.full((raw.steps, 1), raw.images is not None),
        "share": np.linspace(0, 1, raw.steps, dtype=np.float32)[:, np.newaxis],
        **_silence(assets, raw.steps),
    })  # fmt: skip


def _silence(assets: Assets, rows: int) -> Arrays:
    return {"noise": np.zeros((rows, assets.size), np.float32)} if assets.noisy else {}


def _codes(sent: object, assets: Assets) -> Array:
    """Codes as they were sent to float32, codes x size. Raises InvalidInput with the first that is none."""
    if not isinstance(sent, list):
        raise InvalidInput(f"Field 'codes' is {shown(sent)}; expected codes of {assets.size} numbers each.")
    for index, code in enumerate(bodies.few(sent, "codes", assets.settings)):
        if not isinstance(code, list):
            raise InvalidInput(f"Field 'codes[{index}]' is {shown(code)}; expected {assets.size} numbers.")
        if len(code) != assets.size:
            raise InvalidInput(f"Field 'codes[{index}]' has {len(code)} numbers; expected {assets.size}.")
    checked = [bodies.numbers(code, f"codes[{index}]", assets.size, LARGEST) for index, code in enumerate(sent)]
    return np.array(checked, np.float32)


def predict(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """`image`, and `noise` where it is taken, of a batch to `reconstruction`, `code` and `error` of a batch."""
    return graphs["model"].run(arrays)


def predict_pictures(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """`code` of a batch to `picture` of a batch."""
    return graphs["decoder"].run(arrays)


def predict_interpolate(graphs: family.Graphs, arrays: Arrays) -> Arrays:
    """Both ends and the second's share of a batch to `picture` of a batch. Ends that come again are encoded once."""
    ends, pictured = np.array(arrays["codes"]), arrays["pictured"][:, 0]
    if pictured.any():
        pairs = arrays["images"][pictured]
        new = np.append(True, (pairs[1:] != pairs[:-1]).any(axis=(1, 2, 3, 4)))
        first = pairs[new]
        pixels = first.reshape(-1, *first.shape[2:])
        silence = {"noise": np.zeros((len(pixels), ends.shape[2]), np.float32)} if "noise" in arrays else {}
        code = graphs["model"].run({"image": pixels, **silence})["code"]
        ends[pictured] = code.reshape(-1, 2, ends.shape[2])[np.cumsum(new) - 1]
    share = arrays["share"]
    return graphs["decoder"].run({"code": (1 - share) * ends[:, 0] + share * ends[:, 1]})


def postprocess_reconstruction(arrays: Arrays, about: None, assets: Assets, options: family.Options) -> dict[str, Any]:  # noqa: ARG001 - every room's signature
    """One row's arrays to a `Reconstructed`."""
    return {**_drawn(arrays["reconstruction"][0]), **_unusual(arrays, assets)}


def postprocess_code(arrays: Arrays, about: None, assets: Assets, options: family.Options) -> dict[str, Any]:  # noqa: ARG001 - every room's signature
    """One row's arrays to an `Encoded`."""
    return {"code": arrays["code"][0], **_unusual(arrays, assets)}


def postprocess_picture(arrays: Arrays, about: None, assets: Assets, options: family.Options) -> dict[str, Any]:  # noqa: ARG001 - every room's signature
    """One row's arrays to a `Drawn`."""
    return _drawn(arrays["picture"][0])


def _drawn(values: Array) -> dict[str, Any]:
    height, width, _ = values.shape
    return {"image": images.to_base64(images.pixels(values)), "width": width, "height": height}


def _unusual(arrays: Arrays, assets: Assets) -> dict[str, float]:
    error = float(arrays["error"][0, 0])
    return {"error": error, "percentile": float(np.interp(error, assets.errors, np.arange(PERCENTILES)))}


def _plain(manifest: Manifest) -> bool:
    """A denoising version's code is that of another picture: it is asked for by name."""
    return kind(manifest) != "denoising"


def watched(manifest: Manifest) -> tuple[drift.Watched, ...]:
    """How light pictures are."""
    return drift.ranged("mean_pixel", manifest.statistics.get("mean_pixel_deciles"), "image", images.means)


_pictures = partial(
    family.Verb, reader=bodies.PICTURE, Request=bodies.Pictures, Options=family.Options, preprocess=preprocess_picture,
    predict=predict, example=PICTURES,
)  # fmt: skip
_repaints = partial(
    _pictures,
    Prediction=Reconstructed,
    postprocess=postprocess_reconstruction,
    draw=lambda arrays, _: images.pixels(arrays["reconstruction"][0]),
)
_paints = partial(
    family.Verb, reader=bodies.DOCUMENT, Options=family.Options, Prediction=Drawn, postprocess=postprocess_picture,
    draw=lambda arrays, _: images.pixels(arrays["picture"][0]),
)  # fmt: skip
verbs = (
    _repaints(
        name="denoise",
        summary="A picture without its noise",
        example={"images": [NOISY]},
        suits=lambda manifest: kind(manifest) == "denoising",
    ),
    _repaints(name="reconstruct", summary="A picture as it is made again of its code", prefers=_plain),
    _pictures(name="encode", summary="The code of a picture", Prediction=Encoded, postprocess=postprocess_code, prefers=_plain),
    _paints(
        name="decode",
        summary="The picture of a code",
        Request=DecodeRequest,
        preprocess=preprocess_codes,
        predict=predict_pictures,
        example=CODES,
        warms_up=lambda assets: {"codes": [[0.5] * assets.size]},
        suits=lambda manifest: "decoder" in manifest.graphs,
        prefers=_plain,
    ),
    _paints(
        name="generate",
        summary="Pictures that are made up",
        Request=GenerateRequest,
        preprocess=preprocess_generate,
        predict=predict_pictures,
        example=GENERATE,
        suits=lambda manifest: "decoder" in manifest.graphs and kind(manifest) == "variational",
    ),
    _paints(
        name="interpolate",
        summary="Pictures from one to another",
        Request=InterpolateRequest,
        preprocess=preprocess_interpolate,
        predict=predict_interpolate,
        example=INTERPOLATE,
        suits=lambda manifest: "decoder" in manifest.graphs,
        prefers=_plain,
    ),
)
lookups = (planes.lookup("plane", "Codes of test pictures on a plane", planes.Codes),)
raw = family.Raw("picture", verbs[2], lambda element: bodies.Body(element, media.OCTETS, b""))
