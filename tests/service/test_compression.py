"""Bodies that came compressed."""

import gzip
import zlib

import pytest

from service.compression import unpacked
from service.errors import BadRequest, TooLarge, UnsupportedMedia

DATA = b"tensors " * 100


@pytest.mark.parametrize(("encoding", "packed"), [("gzip", gzip.compress(DATA, mtime=0)), ("deflate", zlib.compress(DATA))])
def test_what_was_packed_comes_out(encoding, packed):
    assert unpacked(packed, encoding, len(DATA)) == DATA


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_a_bomb_is_not_unpacked_beyond_the_limit(pack):
    with pytest.raises(TooLarge, match="larger than 1000 bytes"):
        unpacked(pack(bytes(50_000_000)), "gzip" if pack is gzip.compress else "deflate", 1000)


@pytest.mark.parametrize(
    "spoilt", [b"", b"x", gzip.compress(DATA, mtime=0)[:-3], gzip.compress(DATA, mtime=0) + b"x", zlib.compress(DATA)]
)
def test_what_is_no_gzip_is_refused(spoilt):
    with pytest.raises(BadRequest):
        unpacked(spoilt, "gzip", 10_000)


def test_another_encoding_is_named():
    with pytest.raises(UnsupportedMedia, match="'br'; expected gzip, deflate or none"):
        unpacked(DATA, "br", 10_000)
