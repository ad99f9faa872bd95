"""What is no HTTP, or can be read in two ways: request lines, headers and framings that a parser must refuse.

Knows HTTP/1.1 (RFC 9112) and no endpoint.
"""

import random
from collections.abc import Callable

from tests.drills.seeds import Seed, Shot, chunks, head

SMUGGLED = b"GET /v2/health/live HTTP/1.1\r\nHost: smuggled\r\n\r\n"
"""Hidden in a body whose length is told in two ways: whoever answers it was led astray."""
FIRST_LINES = (
    b"", b"\r\n", b"GET\r\n", b"GET /\r\n", b"GET / HTTP/9.9\r\n", b"GET / HTTP/1.1 x\r\n", b"GET  / HTTP/1.1\r\n", b"\0\0\0\0\r\n",
    b"GET / HTTP/0.9\r\n", b"GET http://[::1 HTTP/1.1\r\n", b"GET /\0 HTTP/1.1\r\n", b"G\xffT / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\n", b"GET * HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n", b"OPTIONS * HTTP/1.1\r\n", b"GET\t/\tHTTP/1.1\r\n",
    b"GET http://elsewhere/v2 HTTP/1.1\r\n", b"GET //elsewhere/v2 HTTP/1.1\r\n", b"GET /v2 HTTP/1.0\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03",
    b"GET v2 HTTP/1.1\r\n", b"GET /v2#x HTTP/1.1\r\n", b"GET /v2 http/1.1\r\n", b"get /v2 HTTP/1.1\r\n", b"POST /v1/classify\r\n",
)  # fmt: skip
LINES = (
    b"X\0: a", b"X: a\0b", b"X : a", b" X: a", b"X", b": a", b"X: a\rb", b"X:\r\n folded", b"\xff: a", b"X(: a", b"Host: a\r\nHost: b",
    b"X: \x7f\x01", b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: -1", b"Content-Length: +5", b"Content-Length: 5, 5",
    b"Content-Length: 99999999999999999999999", b"Content-Length: 0x5", b"Content-Length: \xef\xbc\x91", b"Transfer-Encoding: nonsense",
    b"Transfer-Encoding: identity", b"Content-Length: 1e3", b"Content-Length: ", b"Content-Length: 18446744073709551616",
)  # fmt: skip
FRAMINGS = (
    (b"Content-Length: %d", b"Transfer-Encoding: chunked"),
    (b"Transfer-Encoding: chunked", b"Content-Length: %d"),
    (b"Content-Length: %d", b"Content-Length: 0"),
    (b"Content-Length: 0", b"Content-Length: %d"),
    (b"Transfer-Encoding: chunked, identity",),
    (b"Transfer-Encoding: xchunked", b"Content-Length: %d"),
    (b"Transfer-Encoding: identity, chunked", b"Content-Length: %d"),
    (b"Transfer-Encoding : chunked", b"Content-Length: %d"),
    (b"Transfer-Encoding:\x0bchunked", b"Content-Length: %d"),
    (b"X: x\nTransfer-Encoding: chunked", b"Content-Length: %d"),
)
CHUNKS = (
    b"zz\r\nx\r\n0\r\n\r\n",
    b"-1\r\nx\r\n",
    b"ffffffffffffffff1\r\nx\r\n",
    b"5\r\nabc\r\n0\r\n\r\n",
    b"1;" + b"e" * 20_000 + b"\r\nx\r\n0\r\n\r\n",
)
CHUNKS += (
    b"1\nx\n0\n\n",
    b"0x1\r\nx\r\n0\r\n\r\n",
    b"1\r\nx\r\n0\r\nX: " + b"t" * 40_000 + b"\r\n\r\n",
    b"1\r\nxy\r\n0\r\n\r\n",
)

Random = random.Random


def malformed(rng: Random, seed: Seed) -> Shot:
    """One of the ways below."""
    return rng.choice(WAYS)(rng, seed)


def first_line(rng: Random, seed: Seed) -> Shot:
    return Shot("request line", rng.choice(FIRST_LINES) + head("", "", seed.headers).partition(b"\r\n")[2], whole=False)


def header_line(rng: Random, seed: Seed) -> Shot:
    start = head(seed.method, seed.target, seed.headers)[:-2]
    return Shot("header line", start + rng.choice(LINES) + b"\r\n\r\n" + seed.body[:2000], whole=False)


def too_much(rng: Random, seed: Seed) -> Shot:
    """Header blocks and targets beyond every limit."""
    start = head(seed.method, seed.target, ())[:-2]
    way = rng.randrange(5)
    if way == 0:
        return Shot("too much", start + b"X: " + b"a" * rng.choice((33_000, 200_000)) + b"\r\n\r\n", whole=False)
    if way == 1:
        return Shot(
            "too much", start + b"".join(b"X-%d: a\r\n" % k for k in range(rng.choice((101, 3000)))) + b"\r\n", whole=False
        )
    if way == 2:
        return Shot("too much", head("GET", "/" + "a" * rng.choice((8200, 70_000)), ()), whole=False)
    if way == 3:
        return Shot("too much", b"a" * rng.choice((100, 100_000)), whole=False)
    return Shot("too much", start + b"Content-Length: 99999999999\r\n\r\n" + b"a" * 100, whole=False)


def smuggled(rng: Random, seed: Seed) -> Shot:
    """Both lengths, two lengths, a coding that hides: a second request lies where one of the two readings ends."""
    body = b"0\r\n\r\n" + SMUGGLED
    lines = b"".join((line % len(body) if b"%d" in line else line) + b"\r\n" for line in rng.choice(FRAMINGS))
    start = head("POST", seed.target if seed.method == "POST" else "/v1/generate", ())[:-2]
    return Shot("smuggling", start + lines + b"\r\n" + body, whole=False, ambiguous=True)


def bad_chunks(rng: Random, seed: Seed) -> Shot:
    start = head(
        "POST", seed.target if seed.method == "POST" else "/v1/generate", (*seed.headers, ("Transfer-Encoding", "chunked"))
    )
    return Shot("chunks", start + rng.choice(CHUNKS), whole=False)


def damaged_head(rng: Random, seed: Seed) -> Shot:
    """One to four bytes of a whole request replaced, most of them in its head."""
    data = bytearray(
        head(seed.method, seed.target, (*seed.headers, ("Content-Length", str(len(seed.body))))) + seed.body[:3000]
    )
    for _ in range(rng.choice((1, 1, 2, 4))):
        data[rng.randrange(min(len(data), 300))] = rng.choice((0, 9, 10, 13, 32, 58, 255, rng.randrange(256)))
    return Shot("head", bytes(data), whole=False)


def cut(rng: Random, seed: Seed) -> Shot:
    """A request that ends too early."""
    data = head(seed.method, seed.target, (*seed.headers, ("Transfer-Encoding", "chunked"))) + chunks(seed.body)
    return Shot("cut", data[: rng.randrange(len(data))], whole=False)


def noise(rng: Random, seed: Seed) -> Shot:
    return Shot("noise", rng.randbytes(rng.choice((1, 10, 1000, 50_000))), whole=False)


WAYS: tuple[Callable[[Random, Seed], Shot], ...] = (
    first_line, header_line, too_much, smuggled, smuggled, bad_chunks, damaged_head, damaged_head, cut, noise,
)  # fmt: skip
