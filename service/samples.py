"""Inputs that stand in the docs, warm models up, are tried by tests, and are what a version's page starts with.

Knows the files in `web/`, how a PNG is made, and the form of `samples.json`, which training writes; knows no family.
"""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service import images
from service.manifest import SAMPLES

SEVEN_PNG = (Path(__file__).parent / "web" / "seven.png").read_bytes()
"""A seven drawn with a thick pen on white, 160 x 160."""

NOISY = base64.b64encode((Path(__file__).parent / "web" / "noisy.png").read_bytes()).decode()
"""The same seven, white on black, 28 x 28, under noise of half the range."""

SEVEN = base64.b64encode(SEVEN_PNG).decode()


def _nought() -> bytes:
    rows, columns = np.indices((28, 28)) - 13.5
    ring = 3 * (1.5 - np.abs(np.hypot(rows, columns * 1.3) - 7.5)).clip(0, 1)
    return images.to_png(images.pixels(85 * ring[:, :, np.newaxis]))


NOUGHT = base64.b64encode(_nought()).decode()
"""A white nought on black, 28 x 28."""

SEVEN_CODE = [
    -4.9, -4.3, 3.8, -10.2, -4.8, -1.9, 2.1, 2.2, 1.7, 9.0, 4.0, 1.0, -0.7, 2.9, 2.3,
    2.6, -2.7, 1.7, 1.7, 1.2, -3.9, 5.9, 2.5, 6.8, -5.8, 0.3, 0.5, 0.1, 4.3, -1.2,
]  # fmt: skip
"""About what the shipped `codes` makes of SEVEN."""


class Sample(BaseModel):
    """A body that the first verb of its model answers, and what is true of it where that is known."""

    model_config = ConfigDict(extra="forbid")

    title: str = ""
    body: dict[str, JsonValue]
    truth: JsonValue = None


class Samples(BaseModel):
    """What a version's page starts with; `note` says where it is from."""

    model_config = ConfigDict(extra="forbid")

    note: str = ""
    samples: list[Sample] = Field(min_length=1, max_length=100)


def read(files: Mapping[str, bytes], example: Mapping[str, Any]) -> Samples:
    """Those that a version was published with; its verb's example where there are none. Raises ValueError."""
    if SAMPLES in files:
        return Samples.model_validate_json(files[SAMPLES])
    return Samples(samples=[Sample(body=dict(example))])
