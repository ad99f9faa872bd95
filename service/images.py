"""Turns the bytes of a PNG or JPEG into the array a graph takes; the service and the training side share it.

    bytes ── size ───> _open ───> _decode ──> digit ──┐
             limits    metadata   L, RGB or           ├──> uint8 (height, width, channels)
             first     left out   RGBA     └> _plain ─┘

Pillow gets a file without its metadata, which may hold warnings, gigabytes once inflated and quadratic loops, and gets
it by class: `Image.open` would look for other formats and warn at a limit of its own. Knows nothing of HTTP, of
models, and of how a digit is found in a picture.
"""

import base64
import io
import math
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from pydantic import BaseModel, Field

from service.digit import SEARCHED, Pixels, digit
from service.errors import InvalidInput, ServiceError, TooLarge, UnsupportedMedia

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
JPEG_START = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the SOF markers: they carry the size
JPEG_LEFT_OUT = (frozenset(range(0xE1, 0xF0)) - {0xEE}) | {0xFE}  # APPn and COM, but JFIF and Adobe tell the colours
JPEG_SCAN = 0xDA
JPEG_MARKER = re.compile(rb"\xff[\x01-\xfe]")  # searched for, so that fill bytes and junk are skipped as decoders do
GAP, GREY = 1, 128  # between pictures that stand side by side
MAX_PARTS = 20_000  # chunks or segments; a file of ten megabytes may hold a million
MAX_SCANS = 100  # of a progressive JPEG; each costs a pass over the whole picture, however few its bytes
CORRUPT = "The picture is cut short or corrupt; expected a complete PNG or JPEG file."

# EXIF's entry of the orientation as it stands in a file: tag 0x0112, type 3, count 1, its value
ORIENTATION = re.compile(rb"\x01\x12\0\x03\0\0\0\x01\0([\x01-\x08])|\x12\x01\x03\0\x01\0\0\0([\x01-\x08])\0")
Turn = Image.Transpose
TURNS = {2: Turn.FLIP_LEFT_RIGHT, 3: Turn.ROTATE_180, 4: Turn.FLIP_TOP_BOTTOM, 5: Turn.TRANSPOSE, 6: Turn.ROTATE_270,
         7: Turn.TRANSVERSE, 8: Turn.ROTATE_90}  # fmt: skip


class Preparation(BaseModel, frozen=True, extra="forbid"):
    """What a model wants done to a picture; stands in its manifest."""

    mode: Literal["digit", "plain"]
    height: int = Field(ge=1, le=1024)
    width: int = Field(ge=1, le=1024)
    channels: Literal[1, 3]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.height, self.width, self.channels


@dataclass(frozen=True)
class PictureLimits:
    """The largest picture that is decoded."""

    max_pixels: int = 16_000_000
    max_side: int = 20_000


def size(data: bytes, limits: PictureLimits) -> tuple[int, int]:
    """(width, height) as the header says, before any EXIF turn; decodes nothing."""
    if not data:
        raise InvalidInput("The picture is empty; expected the bytes of a PNG or JPEG file.")
    if data.startswith(PNG):
        width, height = struct.unpack_from(">II", data, 16) if data[12:16] == b"IHDR" and len(data) >= 24 else (0, 0)
    elif data.startswith(JPEG):
        starts = (at for marker, at, _ in _segments(data) if marker in JPEG_START)
        at = next(starts, len(data))
        height, width = (int.from_bytes(data[start : start + 2], "big") for start in (at + 5, at + 7))
    else:
        raise UnsupportedMedia("The picture is of a kind this service does not take; expected PNG or JPEG.")
    if width < 1 or height < 1:
        raise InvalidInput(CORRUPT)
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise TooLarge(
            f"The picture is {width} x {height} pixels; expected at most {limits.max_side} a side "
            f"and {limits.max_pixels} in all."
        )
    return width, height


def prepare(data: bytes, preparation: Preparation, limits: PictureLimits = PictureLimits()) -> Pixels:
    """The picture as uint8 (height, width, channels), C-contiguous."""
    shape = size(data, limits)
    try:
        file, turn = _open(data, shape)
        picture = _decode(file, max(SEARCHED, 2 * preparation.width, 2 * preparation.height))
    except ServiceError:
        raise
    except Exception as error:  # a decoder's list is open: OSError, SyntaxError, ValueError, zlib.error and more
        raise InvalidInput(CORRUPT) from error
    if turn is not None:
        picture = picture.transpose(turn)
    if preparation.mode == "plain":
        return _plain(picture, preparation)
    pixels = digit(picture, preparation.width, preparation.height)
    return np.repeat(pixels[:, :, np.newaxis], preparation.channels, axis=2)


def to_png(pixels: Pixels) -> bytes:
    """A PNG file of uint8 (height, width, 1 or 3)."""
    file = io.BytesIO()
    Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def pixels(values: NDArray[np.floating[Any]]) -> Pixels:
    """A graph's numbers, 0 to 255, as uint8: rounded, and clipped where they lie beyond."""
    whole: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return whole


def to_base64(pixels: Pixels) -> str:
    """The same PNG file as text, for JSON."""
    return base64.b64encode(to_png(pixels)).decode()


def across(pictures: int) -> int:
    """How many of them stand in a row of `grid`."""
    return math.isqrt(pictures - 1) + 1


def grid(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures of one size side by side, row by row, as square as possible, GAP apart; one picture is left as it is."""
    wide = across(len(pictures))
    down = -(-len(pictures) // wide)
    height, width, channels = pictures[0].shape
    sheet = np.full((down * (height + GAP) - GAP, wide * (width + GAP) - GAP, channels), GREY, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // wide * (height + GAP), index % wide * (width + GAP)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _open(data: bytes, shape: tuple[int, int]) -> tuple[ImageFile, Image.Transpose | None]:
    """The file, not decoded yet, and how EXIF wants it turned."""
    parts, exif = _png_parts(data) if data.startswith(PNG) else _jpeg_parts(data)
    stream = io.BytesIO(b"".join(parts))
    file = PngImageFile(stream) if data.startswith(PNG) else JpegImageFile(stream)
    if file.size != shape:  # by a second header, which would slip past the limits
        raise InvalidInput(CORRUPT)
    turned = ORIENTATION.search(exif)
    return file, TURNS.get(max(turned[0][-2:])) if turned else None


def _png_parts(data: bytes) -> tuple[list[bytes], bytes]:
    parts, exif, at, kind = [PNG], b"", 8, b""
    for _ in range(MAX_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if kind == b"eXIf":
            exif = data[at + 8 : end - 4]
        elif kind in PNG_KEPT:
            if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                raise InvalidInput(CORRUPT)
            parts.append(data[at:end])
        if kind == b"IEND":
            return parts, exif
        at = end
    raise InvalidInput(CORRUPT)


def _jpeg_parts(data: bytes) -> tuple[list[bytes], bytes]:
    parts, exif = [JPEG[:2]], b""
    for marker, at, end in _segments(data):
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            exif = exif or data[at + 10 : end]
        if marker == JPEG_SCAN:
            end = data.find(b"\xff\xd9", at) + 2  # what some cameras put behind the picture is left out, too
            if end < at or data.count(b"\xff\xda", at, end) > MAX_SCANS:
                break
            return [*parts, data[at:end]], exif
        if marker not in JPEG_LEFT_OUT:
            parts.append(data[at:end])
    raise InvalidInput(CORRUPT)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment of a JPEG up to the first scan."""
    at = 2
    for _ in range(MAX_PARTS):
        found = JPEG_MARKER.search(data, at)
        if not found or found.end() + 2 > len(data):
            return
        at = found.start()
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], at, end
        at = end


def _decode(file: ImageFile, kept: int) -> Image.Image:
    """The picture as L, RGB or, where something in it is transparent, RGBA; no side reduced below `kept` pixels."""
    picture: Image.Image = file
    file.draft(None, (kept, kept))  # a JPEG decodes at 1/2, 1/4 or 1/8 in a fraction of the time
    file.load()
    if file.mode == "I;16":  # `convert` would clip it to white
        deep = np.asarray(file)
        picture = Image.fromarray((deep >> 8).astype(np.uint8))
        if "transparency" in file.info:
            picture.putalpha(Image.fromarray(deep != file.info["transparency"]).convert("L"))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return picture.convert("RGB") if picture.getchannel("A").getextrema() == (255, 255) else picture
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def _plain(picture: Image.Image, preparation: Preparation) -> Pixels:
    width, height = preparation.width, preparation.height
    if picture.size != (width, height):
        scale = min(picture.width / width, picture.height / height)
        left, top = max(0.0, picture.width - width * scale) / 2, max(0.0, picture.height - height * scale) / 2
        box = (left, top, picture.width - left, picture.height - top)  # never outside, not even by a rounding error
        picture = picture.resize((width, height), Image.Resampling.BICUBIC, box, reducing_gap=2.0)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("L" if preparation.channels == 1 else "RGB")
    return np.array(picture).reshape(height, width, preparation.channels)


def means(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean pixel of each picture, 0 to 255."""
    found: NDArray[np.float64] = pictures.reshape(len(pictures), -1).mean(1)
    return found
