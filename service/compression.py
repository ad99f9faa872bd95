"""Bodies that came compressed, unpacked within a limit, and answers packed.

Knows gzip and deflate (zlib); knows nothing of what is in them.
"""

import zlib

from service.errors import BadRequest, TooLarge, UnsupportedMedia, shown

WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's window bits by `Content-Encoding`: 31 expects gzip's header, 15 zlib's own."""

WAYS = ("gzip", "deflate")
"""In which an answer can be packed."""


def packed(data: bytes, encoding: str) -> bytes:
    """`data` in one of WAYS, quickly rather than small."""
    packer = zlib.compressobj(1, zlib.DEFLATED, WINDOWS[encoding])
    return packer.compress(data) + packer.flush()


def unpacked(data: bytes, encoding: str, most: int) -> bytes:
    """`data` as it was before it was compressed. Raises UnsupportedMedia, TooLarge, BadRequest."""
    if encoding not in WINDOWS:
        raise UnsupportedMedia(f"Content-Encoding is {shown(encoding)}; expected gzip, deflate or none.")
    unpacker = zlib.decompressobj(WINDOWS[encoding])
    try:
        found = unpacker.decompress(data, most + 1)
    except zlib.error:
        raise BadRequest(f"The body is no {encoding}.") from None
    if len(found) > most:
        raise TooLarge(f"The body is larger than {most} bytes once it is unpacked.")
    if not unpacker.eof or unpacker.unused_data:
        raise BadRequest(f"The body ends within its {encoding}, or goes on behind it.")
    return found
