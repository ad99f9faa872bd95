"""Pictures as bytes: what is refused, and what a graph gets of the rest."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.errors import InvalidInput, ServiceError, TooLarge, UnsupportedMedia
from service.images import GREY, PictureLimits, Preparation, grid, pixels, prepare, size, to_png

PLAIN = Preparation(mode="plain", height=28, width=28, channels=1)
COLOUR = Preparation(mode="plain", height=28, width=28, channels=3)
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


def test_numbers_are_rounded_and_clipped_to_pixels():
    found = pixels(np.array([-1e9, -0.4, 0.6, 254.4, 255.6, 1e9], np.float32))
    assert (found.dtype, found.tolist()) == (np.uint8, [0, 0, 1, 254, 255, 255])


@pytest.mark.parametrize(
    ("count", "across", "down"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (8, 3, 3), (16, 4, 4), (64, 8, 8)]
)
def test_a_grid_is_as_square_as_possible(count, across, down):
    assert grid([NOISE[:5]] * count).shape == (down * 6 - 1, across * 29 - 1, 3)


def test_pictures_stand_in_a_grid_in_order_one_pixel_apart():
    sheet = grid([np.full((2, 3, 1), light, np.uint8) for light in (10, 20, 30)])[:, :, 0]
    assert (sheet[:2, :3] == 10).all()
    assert (sheet[:2, 4:] == 20).all()
    assert (sheet[3:, :3] == 30).all()
    assert (sheet[2] == GREY).all()
    assert (sheet[:, 3] == GREY).all()
    assert (sheet[3:, 4:] == GREY).all()


def test_one_picture_is_a_grid_as_it_is():
    assert np.array_equal(grid([NOISE]), NOISE)


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


def test_a_picture_that_just_covers_is_not_cut_outside_by_a_rounding_error():
    file = io.BytesIO()
    Image.new("1", (63, 2)).save(file, "PNG")
    prepared = prepare(file.getvalue(), Preparation(mode="plain", height=1, width=57, channels=1))
    assert prepared.shape == (1, 57, 1)
