"""Inputs that stand in the docs, warm models up, and are tried by tests. Knows the files in `web/`, and how a PNG is made."""

import base64
from pathlib import Path

import numpy as np

from service import images

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
