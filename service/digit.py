"""Makes of a photograph, a screenshot or a drawing of one digit a picture like MNIST's.

    thumbnail ──> ink ──────────────> parts ──────> box ──────────> frame
                  lighting and ground specks, lines strokes bright  longest side 20/28 of it,
                  taken away          and desk cut  and thick       centre of mass in the middle

The last step is what MNIST's makers did: scaled with the aspect ratio kept to fit a 20x20 box, antialiased, and set
into 28x28 by the centre of mass (LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document
recognition", 1998, and the MNIST page of LeCun, Cortes and Burges). The rest brings other pictures to where theirs
began: black ink scanned from white paper. Knows nothing of files, of models and of which digit it is; of several
digits in a picture it takes the heaviest.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

Pixels = NDArray[np.uint8]
Ink = NDArray[np.float32]  # (height, width), 0 where nothing is written, up to 1 where the pen went

SEARCHED = 400  # the long side, in pixels, at which a digit is looked for
GRID = 96  # the long side at which lighting is estimated
CELLS = 64  # the long side at which connected parts are told from each other
FINE = 80  # the long side at which strokes are thickened
THICKNESS = 0.12  # of the long side, as the median of MNIST's strokes
CLOSED = 12  # half the width, of GRID, up to which what is dark is a stroke and no shadow
BLACK = 32  # up to here, of 255, a ground is black
GROUND = 0.4  # of the edge at least is black or white where a picture is ready: of strong noise, half is cut off there
FLAT = 10  # how far, of 255, the ground along the edge may vary and still be one colour
FAINT = 0.05  # of the ground's brightness: fainter ink is none


def digit(picture: Image.Image, width: int, height: int) -> Pixels:
    """uint8 (height, width), white on black; as it is if it came so, all 0 where there is nothing to see."""
    ready = picture.size == (width, height)
    if not ready:
        picture = _shrunk(picture, SEARCHED)
    if picture.mode == "RGBA":
        picture = _grounded(picture)
    gray = picture.convert("L")
    pixels = np.array(gray)
    edge = _edge(pixels)
    if pixels.min() == pixels.max():
        return np.zeros((height, width), np.uint8)
    black, white = np.mean(edge <= BLACK), np.mean(edge >= 255 - BLACK)
    if ready and max(black, white) > GROUND:
        return pixels if black >= white else 255 - pixels
    found = _found(_ink(gray))
    return _framed(_thickened(found), width, height) if found.size else np.zeros((height, width), np.uint8)


def _shrunk(picture: Image.Image, side: int) -> Image.Image:
    scale = min(1.0, side / max(picture.size))
    shape = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(shape, Image.Resampling.BOX, reducing_gap=2.0)


def _edge(grid: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((grid[0], grid[-1], grid[:, 0], grid[:, -1]))


def _grounded(picture: Image.Image) -> Image.Image:
    """Transparency filled: under strokes alone with their opposite, around a card with strokes on it with the card."""
    gray, alpha = np.asarray(picture.convert("LA"), np.float32).transpose(2, 0, 1)
    solid = gray[alpha > alpha.max() / 2]
    middle = float(np.median(solid)) if solid.size else 0.0
    card = 2 * solid.size > alpha.size and np.mean(np.abs(solid - middle) > 64) > 0.01
    tone = round(middle) if card else 0 if middle > 127 else 255
    return Image.alpha_composite(Image.new("RGBA", picture.size, (tone, tone, tone)), picture)


def _ink(gray: Image.Image) -> Ink:
    """How far each pixel is from the ground around it, in the direction in which the strokes are."""
    small = _shrunk(gray, GRID)
    tones = np.asarray(small, np.float32)
    low, tone, high = np.percentile(_edge(tones), (10, 50, 90)).tolist()
    flat = high - low <= FLAT and np.mean(np.abs(tones - tone) <= FLAT) > 0.3  # else the edge is a frame
    dark = ((tones - tone) ** 3).sum() < 0 if flat else _darker(small)
    if not dark:
        gray, tones, tone = ImageChops.invert(gray), 255 - tones, 255 - tone
    ground = np.float32(tone) if flat else _lighting(tones, gray.size)
    written = np.asarray(gray.filter(ImageFilter.GaussianBlur(0.7)), np.float32)
    return np.asarray((ground - written) / np.maximum(ground, BLACK), np.float32)


def _darker(small: Image.Image) -> bool:
    """Whether the few pixels that stand out most are dark: without the edge, and lighting, whose changes are wide."""
    across, down = small.width // 12, small.height // 12
    inner = small.crop((across, down, small.width - across, small.height - down))
    around = np.asarray(inner.filter(ImageFilter.BoxBlur(GRID / 8)), np.float32)
    return bool(((np.asarray(inner, np.float32) - around) ** 3).sum() < 0)


def _lighting(tones: Ink, shape: tuple[int, int]) -> Ink:
    """The light ground under dark strokes, by a closing little wider than they are, so that it follows shadows."""
    depth = _closed(tones, CLOSED) - tones
    stroke = _stroke(depth > depth.max() / 2)
    ground = Image.fromarray(_closed(tones, min(CLOSED, math.ceil(1.1 * stroke + 1))))
    return np.asarray(ground.resize(shape, Image.Resampling.BILINEAR), np.float32)


def _closed(tones: Ink, reach: int) -> Ink:
    """What is dark and narrower than 2 * reach + 1 as light as its sides; one pixel less light where shadows end."""
    tones = np.pad(tones, 2 * reach + 1, "edge")
    for rank, width in ((np.maximum, 2 * reach), (np.minimum, 2 * reach + 2)):
        for _ in "down", "across":
            rows = len(tones) - width
            tones = rank.reduce([tones[start : start + rows] for start in range(width + 1)]).T
    return tones


def _stroke(inside: NDArray[np.bool_]) -> float:
    """The width of strokes: twice their area over their outline, which a grid makes 4 / pi too long."""
    inside = np.pad(inside, 1)
    outline = np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[:, 1:] != inside[:, :-1])
    return 2 * np.count_nonzero(inside) / max(1.0, outline * math.pi / 4)


def _found(ink: Ink) -> Ink:
    """The box of the digit, its strokes near 1 and all else 0; empty where nothing stands out of the noise."""
    noise = 1.5 * float(np.median(np.abs(ink - np.median(ink))))
    peak = float(np.asarray(Image.fromarray(ink).reduce(2)).max())
    if peak < max(FAINT, 6 * noise):
        return ink[:0]
    cut = max(0.35 * peak, 3 * noise)
    inked = np.where(ink > cut, ink, 0)
    parts = _parts(inked)
    masses = np.bincount(parts.ravel(), inked.ravel())
    along = np.bincount(_edge(parts), minlength=masses.size) > 0.4 * max(ink.shape)
    along[0] = False  # the ground; a part that runs along the picture's edge is a frame, the desk or a shadow
    if along[masses.argmax()]:
        inner = _found(np.where(along[parts], 0, ink))
        if inner.size and max(inner.shape) > max(ink.shape) / 10:
            return inner
        along[:] = False
    ink = np.where(np.isin(parts, [part for part in _near(parts, masses) if not along[part]]), ink, 0)
    level = float(np.percentile(ink[ink > cut], 60))
    ink = np.clip((ink - max(0.5 * level, 2.5 * noise)) / (0.5 * level) + 0.5, 0, 1)
    rows, columns = np.flatnonzero((ink > 0.25).any(1)), np.flatnonzero((ink > 0.25).any(0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if rows.size else ink[:0]


def _parts(inked: Ink) -> NDArray[np.int32]:
    """Each pixel with the number of the connected part, from 1, that it is in or beside; the ground has 0."""
    cell = -(-max(inked.shape) // CELLS)
    padded = np.pad(inked, [(0, -side % cell) for side in inked.shape])
    cells = padded.reshape(padded.shape[0] // cell, cell, -1, cell).any((1, 3))
    parts, count = np.zeros(cells.shape, np.int32), 0
    left = {(row, column) for row, column in np.argwhere(cells).tolist()}
    while left:
        todo, count = [left.pop()], count + 1
        while todo:
            row, column = todo.pop()
            parts[row, column] = count
            near = {(row + down, column + right) for down in (-1, 0, 1) for right in (-1, 0, 1)} & left
            left -= near
            todo += near
    parts = np.asarray(Image.fromarray(parts).filter(ImageFilter.MaxFilter(3)))
    return parts.repeat(cell, 0).repeat(cell, 1)[: inked.shape[0], : inked.shape[1]]


def _near(parts: NDArray[np.int32], masses: NDArray[Any]) -> list[int]:
    """The heaviest part and those close to it, without specks."""
    heaviest = np.argwhere(parts == masses.argmax())
    low, high = heaviest.min(0), heaviest.max(0)
    near = []
    for part in np.flatnonzero(masses > 0.03 * masses.max()).tolist():
        pixels = np.argwhere(parts == part)
        if np.maximum(low - pixels.max(0), pixels.min(0) - high).max() <= 0.3 * (high - low + 1).max():
            near.append(part)
    return near


def _thickened(found: Ink) -> Image.Image:
    """FINE pixels long, its strokes as bright and at least as thick as MNIST's."""
    scale = FINE / max(found.shape)
    shape = max(1, round(found.shape[1] * scale)), max(1, round(found.shape[0] * scale))
    fine = np.asarray(Image.fromarray(found).resize(shape, Image.Resampling.BILINEAR))
    fine = np.clip(fine / float(np.percentile(fine[fine > fine.max() / 8], 80)), 0, 1)
    steps = max(0, round((THICKNESS * FINE - _stroke(fine > 0.5)) / 2))
    picture = Image.fromarray(np.pad((fine * 255).astype(np.uint8), steps))
    for _ in range(steps):
        picture = picture.filter(ImageFilter.MaxFilter(3))
    return picture


def _framed(picture: Image.Image, width: int, height: int) -> Pixels:
    """Its long side 20/28 of the frame, its centre of mass in the middle."""
    scale = min(width, height) * 20 / 28 / max(picture.size)
    shape = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    pixels = np.asarray(picture.resize(shape, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR))
    frame, corner = np.zeros((height, width), np.uint8), []
    for axis, side in enumerate(frame.shape):
        weights = pixels.sum(1 - axis, dtype=np.float64)
        middle = weights @ np.arange(weights.size) / max(1.0, float(weights.sum()))
        corner.append(min(max(round(side / 2 - middle), 0), side - weights.size))
    frame[corner[0] : corner[0] + pixels.shape[0], corner[1] : corner[1] + pixels.shape[1]] = pixels
    return frame
