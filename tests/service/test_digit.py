"""A picture of one digit, however it was made, comes out as MNIST would hold it."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from service.images import Preparation, prepare

DIGIT = Preparation(mode="digit", height=28, width=28, channels=1)
GROUND = np.indices((400, 500)).sum(0) / 900  # 0 to 1 from corner to corner

with np.load(Path(__file__).parent.parent / "data/mnist.npz") as file:
    ROWS = file["train_images"][np.unique(file["train_labels"], return_index=True)[1]]  # one of each digit


def png(picture: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def prepared(picture: np.ndarray | Image.Image, kind: str = "PNG", **options) -> np.ndarray:
    return prepare(png(picture, kind, **options), DIGIT)[:, :, 0]


def written(row: np.ndarray, side: int = 280, left: int = 150, top: int = 90) -> np.ndarray:
    """Where the pen went, 0 to 1, in a picture of 400 x 500: the row as large as `side`."""
    picture = Image.new("L", (500, 400))
    picture.paste(Image.fromarray(row).resize((side, side), Image.Resampling.BICUBIC), (left, top))
    smooth = np.asarray(picture.filter(ImageFilter.GaussianBlur(side / 100)), float)
    return np.clip((smooth - 100) / 50, 0, 1)


def inked(pen: np.ndarray, ink, ground) -> np.ndarray:
    """The strokes in one tone or colour on a ground of one or many."""
    if np.ndim(ink) or np.ndim(ground) == 1:
        pen = pen[..., np.newaxis]
    return np.clip(ground + (np.asarray(ink, float) - ground) * pen, 0, 255).astype(np.uint8)


def nearest(pixels: np.ndarray) -> int:
    """Which of ROWS it is most like, by the angle between them; -1 where it is unlike all."""
    shifted = [np.roll(ROWS, (down, right), (1, 2)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    rows = np.stack(shifted).reshape(9, len(ROWS), -1).astype(float)
    flat = pixels.ravel().astype(float)
    likeness = (rows @ flat / np.linalg.norm(rows, axis=2) / max(1.0, float(np.linalg.norm(flat)))).max(0)
    return int(likeness.argmax()) if likeness.max() > 0.85 else -1


def box(pixels: np.ndarray) -> tuple[int, int]:
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1


def middle(pixels: np.ndarray) -> tuple[float, float]:
    """The centre of mass, 0 where a frame begins and its side where it ends."""
    return tuple(
        float((pixels.sum(1 - axis) @ (np.arange(side) + 0.5)) / pixels.sum()) for axis, side in enumerate(pixels.shape)
    )


# A picture that is ready


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_a_row_of_mnist_stays_as_it_is_and_its_negative_becomes_it(row):
    assert np.array_equal(prepared(ROWS[row]), ROWS[row])
    assert np.array_equal(prepared(255 - ROWS[row]), ROWS[row])


def test_a_row_under_strong_noise_stays_as_it_is_and_its_negative_becomes_it():
    random = np.random.default_rng(0)
    for row in np.resize(ROWS, (300, 28, 28)):
        noisy = np.clip(row + random.normal(0, 0.6 * 255, row.shape), 0, 255).round().astype(np.uint8)
        assert np.array_equal(prepared(noisy), noisy)
        assert np.array_equal(prepared(255 - noisy), noisy)


def test_a_row_stays_as_it_is_in_colour_and_with_an_edge_that_is_not_all_black():
    row = ROWS[5].copy()
    row[0, 9:15] = 255
    assert np.array_equal(prepared(np.repeat(row[:, :, np.newaxis], 3, 2)), row)


def test_a_model_of_three_channels_gets_the_gray_three_times():
    pixels = prepare(png(ROWS[5]), Preparation(mode="digit", height=28, width=28, channels=3))
    assert np.array_equal(pixels, np.repeat(ROWS[5][:, :, np.newaxis], 3, 2))


# A drawing


@pytest.mark.parametrize(("side", "left", "top"), [(390, 60, 5), (280, 0, 0), (280, 215, 115), (120, 300, 200), (50, 40, 300)])
def test_a_pen_on_paper_is_found_at_any_place_and_size(side, left, top):
    assert [nearest(prepared(inked(written(row, side, left, top), 20, 255))) for row in ROWS] == list(range(len(ROWS)))


def test_light_on_dark_comes_out_like_dark_on_light():
    pen = written(ROWS[9])
    assert np.abs(prepared(inked(pen, 255, 0)).astype(int) - prepared(inked(pen, 0, 255))).max() <= 2


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ((255, 255, 255), (200, 30, 30)),
        ((255, 225, 40), (255, 255, 255)),
        ((0, 0, 160), (0, 0, 0)),
        ((30, 60, 200), (255, 240, 200)),
    ],
)
def test_colours_come_out_like_black_and_white(ink, ground):
    pen = written(ROWS[9])
    assert np.abs(prepared(inked(pen, ink, ground)).astype(int) - prepared(inked(pen, 0, 255))).mean() < 4


@pytest.mark.parametrize("tone", [0, 255])
@pytest.mark.parametrize("strength", [255, 90])
def test_strokes_on_nothing_come_out_whatever_their_tone(tone, strength):
    pen = written(ROWS[9])
    drawing = np.dstack([np.full((*pen.shape, 3), tone), pen * strength]).astype(np.uint8)
    assert nearest(prepared(drawing)) == 9


def test_a_card_with_nothing_around_it_is_the_ground():
    card = inked(written(ROWS[9], 280, 100, 60), (0, 0, 0), (255, 255, 255))
    drawing = np.dstack([card, np.full(card.shape[:2], 255, np.uint8)])
    bottom = np.flatnonzero((card < 128).any((1, 2)))[-1]  # of the digit, which reaches the card's edge
    drawing[:30] = drawing[bottom:] = drawing[:, :30] = drawing[:, -30:] = 0
    assert nearest(prepared(drawing)) == 9


def test_the_long_side_is_20_of_28_and_the_mass_is_in_the_middle():
    for row in ROWS:
        pixels = prepared(inked(written(row, 200, 20, 150), 0, 255))
        assert max(box(pixels)) == 20
        assert middle(pixels) == pytest.approx((14.5, 14.5), abs=0.51)  # as MNIST's: at pixel 14 of 0 to 27


@pytest.mark.parametrize(("height", "width"), [(56, 56), (40, 90), (7, 7), (1, 1), (500, 300)])
def test_the_rule_of_20_in_28_holds_for_any_frame(height, width):
    other = Preparation(mode="digit", height=height, width=width, channels=1)
    pixels = prepare(png(inked(written(ROWS[9]), 0, 255)), other)[:, :, 0]
    assert pixels.shape == (height, width)
    assert max(box(pixels)) == max(1, round(min(height, width) * 20 / 28))


def test_a_jpeg_reduced_to_the_frame_while_decoded_is_prepared_all_the_same():
    large = Image.fromarray(inked(written(ROWS[9], 200, 20, 150), 255, 0)).resize((800, 800))
    frame = Preparation(mode="digit", height=400, width=400, channels=1)
    pixels = prepare(png(large, "JPEG"), frame)[:, :, 0]
    assert middle(pixels) == pytest.approx((200.5, 200.5), abs=0.51)


def test_a_hairline_comes_out_bright_and_thick_enough_to_see():
    drawing = Image.new("L", (1000, 1000), 255)
    ImageDraw.Draw(drawing).line([(300, 100), (320, 900)], fill=0, width=1)
    thickness = prepared(drawing).sum(1)[6:22] / 255
    assert thickness.min() > 1.3
    assert thickness.max() < 3.5


def test_a_digit_drawn_along_the_edge_is_no_frame():
    drawing = Image.new("L", (280, 280), 255)
    pen = ImageDraw.Draw(drawing)
    pen.line([(12, 100), (12, 180), (90, 180)], fill=0, width=24)  # an L, its foot apart from it
    pen.line([(40, 215), (100, 215)], fill=0, width=20)
    assert box(prepared(drawing)) == (20, 16)


def test_a_broad_brush_stays_broad():
    drawing = Image.new("L", (280, 280), 255)
    ImageDraw.Draw(drawing).line([(140, 30), (140, 250)], fill=0, width=44)
    assert (prepared(drawing)[8:20] > 200).sum(1).tolist() == [4] * 12


@pytest.mark.parametrize(("down", "right", "side"), [(300, 40, 4), (170, 150, 4), (190, 350, 5), (360, 20, 25), (20, 460, 25)])
def test_specks_and_far_blots_are_not_part_of_the_digit(down, right, side):
    picture = inked(written(ROWS[9], 200, 150, 100), 0, 255)
    clean = prepared(picture)
    picture[down : down + side, right : right + side] = 0
    assert np.abs(prepared(picture).astype(int) - clean).max() <= 2


@pytest.mark.parametrize("thick", [1, 6, 15])
@pytest.mark.parametrize("ink", [0, 210])
def test_a_frame_is_not_part_of_the_digit(thick, ink):
    picture = inked(written(ROWS[9], 200, 150, 100), ink, 255)
    picture[:thick] = picture[-thick:] = picture[:, :thick] = picture[:, -thick:] = 0
    assert nearest(prepared(picture)) == 9


def test_a_digit_in_two_pieces_stays_whole():
    drawing = Image.new("L", (300, 300), 255)
    pen = ImageDraw.Draw(drawing)
    pen.line([(100, 80), (100, 220)], fill=0, width=16)
    pen.line([(125, 80), (190, 80)], fill=0, width=16)
    assert box(prepared(drawing))[1] > 10


# A photograph


def photographed(pen: np.ndarray, light: np.ndarray, ink=(70, 80, 115), noise: float = 6) -> bytes:
    """Blue-gray ink on paper, as a JPEG of poor quality."""
    picture = inked(pen, ink, (225, 215, 190)) * light[..., np.newaxis]
    picture = picture + np.random.default_rng(0).normal(0, noise, picture.shape)
    return png(np.clip(picture, 0, 255).astype(np.uint8), "JPEG", quality=50)


LIGHTS = {
    "even": np.ones((400, 500)),
    "a lamp": 1 - 0.6 * GROUND,
    "a shadow": 1 - 0.4 / (1 + np.exp(-60 * (GROUND - 0.5))),
    "a hard shadow": np.where(np.indices((400, 500))[1] > 280, 1, 0.6),
}


@pytest.mark.parametrize("light", LIGHTS.values(), ids=LIGHTS)
def test_a_photograph_is_read_in_any_light(light):
    found = [nearest(prepare(photographed(written(row), light), DIGIT)[:, :, 0]) for row in ROWS]
    assert found == list(range(len(ROWS)))


def test_a_photograph_is_read_up_to_its_edge():
    pen = written(ROWS[9])
    bottom = np.flatnonzero(pen.any(1))[-1] + 1
    assert nearest(prepare(photographed(pen[:bottom], LIGHTS["a lamp"][:bottom]), DIGIT)[:, :, 0]) == 9


def test_the_shadow_of_an_arm_is_not_part_of_the_digit():
    arm = np.abs(np.indices((400, 500)).sum(0) / 2**0.5 - 250)  # from corner to corner, beside the digit
    light = 1 - 0.35 / (1 + np.exp((arm - 50) / 4))
    found = [nearest(prepare(photographed(written(row, 150, 60, 40), light), DIGIT)[:, :, 0]) for row in ROWS[::3]]
    assert found == [0, 3, 6, 9]


@pytest.mark.parametrize("light", ["even", "a lamp", "a shadow"])
@pytest.mark.parametrize("place", [(280, 150, 90), (120, 300, 200)])
def test_a_faint_pencil_is_read(light, place):
    photograph = photographed(written(ROWS[9], *place), LIGHTS[light], (165, 160, 145), 4)
    assert nearest(prepare(photograph, DIGIT)[:, :, 0]) == 9


def test_chalk_on_a_blackboard_is_read():
    light = Image.open(io.BytesIO(photographed(written(ROWS[9]), LIGHTS["a lamp"])))
    assert nearest(prepared(255 - np.asarray(light), "JPEG")) == 9


def test_ruled_paper_is_not_part_of_the_digit():
    pen = written(ROWS[9], 200, 150, 100)
    pen[20::40] = np.maximum(pen[20::40], 0.3)
    assert nearest(prepare(photographed(pen, LIGHTS["a lamp"]), DIGIT)[:, :, 0]) == 9


def test_the_desk_beside_the_paper_is_not_part_of_the_digit():
    light = LIGHTS["a lamp"].copy()
    light[:, :40] = 0.15
    assert nearest(prepare(photographed(written(ROWS[9]), light), DIGIT)[:, :, 0]) == 9


def test_a_photograph_of_twelve_megapixels_is_read_lying_on_its_side():
    large = Image.fromarray(inked(written(ROWS[9]), 60, 230)).resize((4000, 3200)).rotate(90, expand=True)
    tags = Image.Exif()
    tags[0x0112] = 6  # turn right
    assert nearest(prepared(large, "JPEG", exif=tags)) == 9


# Nothing to see


@pytest.mark.parametrize("tone", [0, 100, 255])
@pytest.mark.parametrize("shape", [(28, 28), (1, 1), (300, 200)])
def test_a_blank_picture_gives_a_blank_frame(tone, shape):
    assert not prepared(np.full(shape, tone, np.uint8)).any()


@pytest.mark.parametrize("light", [LIGHTS["even"], LIGHTS["a lamp"]], ids=["even", "a lamp"])
def test_a_photograph_of_blank_paper_gives_a_blank_frame(light):
    assert not prepare(photographed(np.zeros((400, 500)), light), DIGIT).any()


def test_a_picture_all_transparent_gives_a_blank_frame():
    assert not prepared(np.zeros((90, 60, 4), np.uint8)).any()
