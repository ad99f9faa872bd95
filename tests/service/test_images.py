"""Pictures as bytes: what is refused, and what a graph gets of the rest."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from service.errors import InvalidInput, ServiceError, TooLarge, UnsupportedMedia
from service.images import PictureLimits, Preparation, prepare, size, to_png

PLAIN = Preparation(mode="plain", height=28, width=28, channels=1)
COLOUR = Preparation(mode="plain", height=28, width=28, channels=3)
DIGIT = Preparation(mode="digit", height=28, width=28, channels=1)
LIMITS = PictureLimits()
NOISE = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
ORIENTATIONS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # EXIF's number: what Image.transpose takes


def encoded(picture: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


def exif(orientation: int, order: str = ">") -> bytes:
    mark = b"MM\0*" if order == ">" else b"II*\0"
    return mark + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


PNG, JPEG = encoded(NOISE), encoded(NOISE, "JPEG", quality=90)
START = JPEG.index(b"\xff\xc0")  # of the frame: marker, length, precision, height, width


def with_size(jpeg: bytes, width: int, height: int) -> bytes:
    return jpeg[: START + 5] + struct.pack(">HH", height, width) + jpeg[START + 9 :]


# What is refused


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM"])
def test_only_png_and_jpeg_are_taken(kind):
    with pytest.raises(UnsupportedMedia, match="expected PNG or JPEG"):
        prepare(encoded(NOISE, kind), PLAIN)


def test_what_is_no_picture_is_unsupported():
    with pytest.raises(UnsupportedMedia):
        prepare(b"<svg/>", PLAIN)


def test_no_bytes_are_invalid_input():
    with pytest.raises(InvalidInput, match="empty"):
        prepare(b"", PLAIN)


@pytest.mark.parametrize("whole", [PNG, JPEG], ids=["png", "jpeg"])
def test_a_file_cut_short_anywhere_is_refused(whole):
    for end in range(8, len(whole)):
        with pytest.raises(InvalidInput, match="cut short"):
            prepare(whole[:end], PLAIN)


def test_a_png_with_any_byte_changed_is_refused():
    small = encoded(NOISE[:3, :3])
    for at in range(len(small)):
        with pytest.raises(ServiceError):
            prepare(small[:at] + bytes([small[at] ^ 0x10]) + small[at + 1 :], PLAIN)


@pytest.mark.parametrize(
    "huge",
    [PNG[:8] + header(50_000, 50_000), with_size(JPEG, 50_000, 50_000)[: START + 9]],
    ids=["png", "jpeg"],
)
def test_a_huge_picture_is_refused_by_its_header_alone(huge):
    for refused in (lambda: prepare(huge, PLAIN), lambda: size(huge, LIMITS)):
        with pytest.raises(TooLarge, match="50000 x 50000 pixels; expected at most 20000 a side and 16000000 in all"):
            refused()


@pytest.mark.parametrize(("limits", "fits"), [((784, 28), True), ((783, 28), False), ((784, 27), False)])
def test_the_limits_are_the_largest_that_pass(limits, fits):
    if fits:
        assert prepare(PNG, PLAIN, PictureLimits(*limits)).shape == (28, 28, 1)
    else:
        with pytest.raises(TooLarge):
            prepare(PNG, PLAIN, PictureLimits(*limits))


def test_a_second_header_does_not_slip_past_the_limits():
    gray = encoded(NOISE[:, :, 0])
    for second in (header(50_000, 50_000), header(28, 10)):
        with pytest.raises(InvalidInput):
            prepare(gray[:33] + second + gray[33:], PLAIN)
    with pytest.raises(InvalidInput):
        prepare(JPEG[: START + 19] + with_size(JPEG, 50_000, 50_000)[START:], PLAIN)


def test_a_picture_without_width_is_corrupt():
    with pytest.raises(InvalidInput):
        size(PNG[:8] + header(0, 5), LIMITS)


def test_a_jpeg_that_asks_for_thousands_of_passes_is_refused():
    progressive = encoded(NOISE, "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    assert prepare(progressive, COLOUR).shape == (28, 28, 3)
    with pytest.raises(InvalidInput):
        prepare(progressive[:-2] + 1000 * scan + progressive[-2:], COLOUR)


def test_a_png_of_very_many_chunks_is_refused():
    with pytest.raises(InvalidInput):
        prepare(PNG[:33] + 20_000 * chunk(b"teXt", b"") + PNG[33:], PLAIN)


# What is no reason to refuse


def test_the_size_is_read_without_the_pixels():
    wide = encoded(NOISE[:10])
    assert size(wide[:40], LIMITS) == (28, 10)
    assert size(JPEG[: START + 9], LIMITS) == (28, 28)


def test_what_pillow_would_inflate_or_warn_of_is_left_out():
    bomb = chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(2_000_000)))  # more than Pillow inflates
    animated = chunk(b"acTL", bytes(8))  # a warning: no frames
    assert np.array_equal(prepare(PNG[:33] + bomb + animated + PNG[33:], COLOUR), NOISE)
    broken = b"Exif\0\0II*\0" + struct.pack("<IHHHII", 8, 9, 0x010F, 2, 999, 999)  # a warning: beyond the end
    segment = b"\xff\xe1" + struct.pack(">H", len(broken) + 2) + broken
    assert np.array_equal(prepare(JPEG[:2] + segment + JPEG[2:], COLOUR), prepare(JPEG, COLOUR))


def test_pillows_own_limit_is_not_asked(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert np.array_equal(prepare(PNG, COLOUR), NOISE)


def test_bytes_behind_the_picture_do_no_harm():
    for whole in (PNG, JPEG):
        assert np.array_equal(prepare(whole + 200 * b"\xff\xda more", COLOUR), prepare(whole, COLOUR))


def test_fill_bytes_between_the_segments_of_a_jpeg_do_no_harm():
    assert np.array_equal(prepare(JPEG[:2] + 9 * b"\xff" + JPEG[2:], COLOUR), prepare(JPEG, COLOUR))


# What a graph gets


@pytest.mark.parametrize(("pixels", "preparation"), [(NOISE[:, :, :1], PLAIN), (NOISE, COLOUR)], ids=["gray", "colour"])
def test_a_picture_of_the_right_size_and_kind_stays_as_it_is(pixels, preparation):
    assert np.array_equal(prepare(to_png(pixels), preparation), pixels)


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize(("orientation", "turn"), ORIENTATIONS.items())
def test_a_photograph_is_turned_as_exif_says(orientation, turn, order):
    wide = Preparation(mode="plain", height=7, width=5, channels=3)
    stored = Image.fromarray(NOISE[:7, :5] if orientation < 5 else NOISE[:5, :7])
    turned = np.asarray(stored.transpose(Image.Transpose(turn)))
    png = encoded(stored)
    assert np.array_equal(prepare(png[:33] + chunk(b"eXIf", exif(orientation, order)) + png[33:], wide), turned)
    jpeg = prepare(encoded(stored, "JPEG", quality=100, subsampling=0, exif=b"Exif\0\0" + exif(orientation, order)), wide)
    assert np.abs(jpeg.astype(int) - turned).mean() < 5


@pytest.mark.parametrize("written", [b"", b"MM", b"II*\0\xff\xff\xff\xff", exif(1), exif(9), exif(0)])
def test_an_orientation_that_says_nothing_leaves_the_picture_upright(written):
    assert np.array_equal(prepare(PNG[:33] + chunk(b"eXIf", written) + PNG[33:], COLOUR), NOISE)


def test_16_bit_gray_is_scaled_and_not_clipped():
    deep = NOISE[:, :, 0].astype(np.uint16) * 257
    assert np.array_equal(prepare(encoded(deep), PLAIN)[:, :, 0], NOISE[:, :, 0])


def test_a_palette_gives_its_colours_and_not_their_numbers():
    picture = Image.new("P", (28, 28), 1)
    picture.putpalette([0, 0, 0, 200, 100, 50])
    assert (prepare(encoded(picture), COLOUR) == (200, 100, 50)).all()


@pytest.mark.parametrize(
    ("picture", "options"),
    [
        (Image.new("RGBA", (28, 28), (9, 9, 9, 0)), {}),
        (Image.new("LA", (28, 28), (9, 0)), {}),
        (Image.new("RGB", (28, 28), (9, 9, 9)), {"transparency": (9, 9, 9)}),
        (Image.new("L", (28, 28), 9), {"transparency": 9}),
        (Image.new("P", (28, 28), 0), {"transparency": 0}),
        (Image.new("1", (28, 28), 0), {"transparency": 0}),
        (Image.fromarray(np.full((28, 28), 9, np.uint16)), {"transparency": 9}),
    ],
    ids=lambda value: getattr(value, "mode", ""),
)
def test_what_is_transparent_becomes_white(picture, options):
    assert (prepare(encoded(picture, **options), COLOUR) == 255).all()


def test_half_transparent_black_becomes_middle_gray():
    assert (prepare(encoded(Image.new("RGBA", (90, 60), (0, 0, 0, 128))), PLAIN) == 127).all()


def test_a_jpeg_of_printing_colours_is_read():
    red = prepare(encoded(Image.new("CMYK", (28, 28), (0, 255, 255, 0)), "JPEG"), COLOUR)
    assert red[..., 0].min() > 240
    assert red[..., 1:].max() < 15


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("scale", [1, 10])
def test_of_a_wide_picture_the_middle_is_kept(kind, scale):
    thirds = np.repeat([[255, 0, 0], [0, 128, 0], [0, 0, 255]], 60 * scale, axis=0).astype(np.uint8)
    picture = np.broadcast_to(thirds, (60 * scale, 180 * scale, 3)).copy()
    middle = prepare(encoded(picture, kind, quality=95), COLOUR)
    assert np.abs(middle[:, 2:-2].astype(int) - (0, 128, 0)).max() < 12


def test_a_large_jpeg_comes_out_like_the_same_picture_made_small_first():
    rows, columns = np.indices((1200, 1600))
    large = Image.fromarray(((rows // 5 + columns // 10) % 256).astype(np.uint8))
    small = np.asarray(large.resize((28, 28), Image.Resampling.BICUBIC, (200, 0, 1400, 1200)), int)
    assert np.abs(prepare(encoded(large, "JPEG", quality=95), PLAIN)[:, :, 0] - small).mean() < 4


def test_a_thread_of_a_picture_fills_a_large_frame():
    large = Preparation(mode="plain", height=1024, width=1024, channels=1)
    assert (prepare(encoded(Image.new("L", (1, 20_000), 77)), large) == 77).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_to_png_and_back_is_the_same(channels):
    pixels = NOISE[:20, :, :channels]
    back = prepare(to_png(pixels), Preparation(mode="plain", height=20, width=28, channels=channels))
    assert np.array_equal(back, pixels)


# Whatever comes

PREPARATIONS = st.builds(
    Preparation,
    mode=st.sampled_from(["digit", "plain"]),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    channels=st.sampled_from([1, 3]),
)


@given(
    preparation=PREPARATIONS,
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK"]),
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_a_picture_of_any_size_and_mode_gives_the_array_asked_for(preparation, mode, shape, seed):
    levels = np.random.default_rng(seed).choice([0, 3, 120, 255], (*shape, 4)).astype(np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(levels[:, :, 0].astype(np.uint16) * 200)
    else:
        picture = Image.fromarray(levels, "RGBA").convert("RGB" if mode in ("CMYK", "P") else "RGBA").convert(mode)
    pixels = prepare(encoded(picture, "JPEG" if mode == "CMYK" else "PNG"), preparation)
    assert pixels.shape == (preparation.height, preparation.width, preparation.channels)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@given(data=st.binary(max_size=200), start=st.sampled_from([b"", PNG[:8], PNG[:33], JPEG[:2], JPEG[:20], JPEG[: START + 19]]))
@settings(max_examples=300, deadline=None)
def test_random_bytes_raise_only_what_a_client_can_be_told(data, start):
    with pytest.raises(ServiceError):
        prepare(start + data, PLAIN)


@given(
    whole=st.sampled_from([PNG, JPEG, encoded(NOISE, "JPEG", progressive=True), encoded(Image.fromarray(NOISE).quantize(9))]),
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.one_of(st.none(), st.tuples(st.floats(0, 1), st.integers(-30, 30))),
    mend=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_a_damaged_file_gives_a_picture_or_what_a_client_can_be_told(whole, changes, cut, mend):
    data = bytearray(whole)
    for place, value in changes:
        data[int(place * len(data))] = value
    if cut:
        at, length = int(cut[0] * len(data)), cut[1]
        data[at : at + max(0, -length)] = bytes(max(0, length))
    if mend and whole[:8] == PNG[:8]:  # else the checksums would find it all before the decoder does
        data = bytearray(mended(bytes(data)))
    try:
        assert prepare(bytes(data), COLOUR).shape == (28, 28, 3)
    except ServiceError as error:
        assert len(error.message) < 200


def mended(png: bytes) -> bytes:
    """The same chunks with the checksums they should have."""
    parts, at = [png[:8]], 8
    while at + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        parts.append(chunk(png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    return b"".join(parts)


# One digit: however it was made, it comes out as MNIST would hold it

GROUND = np.indices((400, 500)).sum(0) / 900  # 0 to 1 from corner to corner

with np.load(Path(__file__).parent.parent / "data/mnist.npz") as file:
    ROWS = file["train_images"][np.unique(file["train_labels"], return_index=True)[1]]  # one of each digit


def prepared(picture: np.ndarray | Image.Image, kind: str = "PNG", **options) -> np.ndarray:
    return prepare(encoded(picture, kind, **options), DIGIT)[:, :, 0]


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


def test_a_row_stays_as_it_is_in_colour_and_with_an_edge_that_is_not_all_black():
    row = ROWS[5].copy()
    row[0, 9:15] = 255
    assert np.array_equal(prepared(np.repeat(row[:, :, np.newaxis], 3, 2)), row)


def test_a_model_of_three_channels_gets_the_gray_three_times():
    pixels = prepare(encoded(ROWS[5]), Preparation(mode="digit", height=28, width=28, channels=3))
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
    pixels = prepare(encoded(inked(written(ROWS[9]), 0, 255)), other)[:, :, 0]
    assert pixels.shape == (height, width)
    assert max(box(pixels)) == max(1, round(min(height, width) * 20 / 28))


def test_a_jpeg_reduced_to_the_frame_while_decoded_is_prepared_all_the_same():
    large = Image.fromarray(inked(written(ROWS[9], 200, 20, 150), 255, 0)).resize((800, 800))
    frame = Preparation(mode="digit", height=400, width=400, channels=1)
    pixels = prepare(encoded(large, "JPEG"), frame)[:, :, 0]
    assert middle(pixels) == pytest.approx((200.5, 200.5), abs=0.51)


def test_a_hairline_comes_out_bright_and_thick_enough_to_see():
    drawing = Image.new("L", (1000, 1000), 255)
    ImageDraw.Draw(drawing).line([(300, 100), (320, 900)], fill=0, width=1)
    thickness = prepared(drawing).sum(1)[6:22] / 255
    assert thickness.min() > 1.3
    assert thickness.max() < 3.5


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
    return encoded(np.clip(picture, 0, 255).astype(np.uint8), "JPEG", quality=50)


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
