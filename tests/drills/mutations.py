"""Requests that are wrong in one way: each is made of a seed and a number, and of nothing else, so that it can be made again.

Knows HTTP, JSON and the traps that services of this kind fall into; knows no endpoint beyond what the seeds say.
"""

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from tests.drills.malformed import malformed
from tests.drills.seeds import LENGTH, Seed, Seeds, Shot, form, picture, shot
from tests.drills.traps import HEADERS, LARGE, METHODS, NAMES, NUMBERS, PLAIN, SHAPES, TEXTS


class Raw(bytes):
    """JSON, or what only looks like it, as it goes into a document."""


class Pairs(list[tuple[str, Any]]):
    """An object in which a key may come twice."""


Random = random.Random
Mutation = Callable[[Random, Seed], Shot]


def written(value: Any) -> bytes:
    """As JSON."""
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, dict | Pairs):
        pairs = value.items() if isinstance(value, dict) else value
        return b"{" + b",".join(json.dumps(key).encode() + b":" + written(one) for key, one in pairs) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(written, value)) + b"]"
    return json.dumps(value).encode()


def fragment(rng: Random) -> Raw:
    """A value that somebody forgot."""
    return Raw(rng.choice(rng.choice((NUMBERS, TEXTS, SHAPES))))


def changed(rng: Random, value: Any) -> Any:
    """`value` with one place in it changed."""
    if isinstance(value, dict | Pairs) and value and rng.random() < 0.85:
        pairs, place = Pairs(value.items() if isinstance(value, dict) else value), rng.randrange(len(value))
        key, inner = pairs[place]
        return _changed_pairs(rng, pairs, place, key, inner)
    if isinstance(value, list) and not isinstance(value, Pairs) and value and rng.random() < 0.75:
        place, ways = rng.randrange(len(value)), rng.random()
        if ways < 0.15:
            return value[:place] + value[place + 1 :]
        if ways < 0.25:
            return value * rng.choice((2, 5, 40))
        return [*value[:place], changed(rng, value[place]), *value[place + 1 :]]
    if value == {} and rng.random() < 0.5:
        return Pairs([(rng.choice(NAMES), fragment(rng)) for _ in range(rng.choice((1, 3)))])
    return fragment(rng)


def _changed_pairs(rng: Random, pairs: Pairs, place: int, key: str, inner: Any) -> Pairs:
    way = rng.random()
    if way < 0.65:
        pairs[place] = (key, changed(rng, inner))
    elif way < 0.75:
        del pairs[place]
    elif way < 0.85:
        pairs.insert(rng.randrange(len(pairs) + 1), (key, fragment(rng)))
    elif way < 0.95:
        pairs.append((rng.choice(NAMES), fragment(rng)))
    else:
        pairs[place] = (key[: rng.randrange(len(key) + 1)], inner)
    return pairs


def as_it_is(rng: Random, seed: Seed) -> Shot:
    return shot("as it is", seed, chunked=rng.random() < 0.3)


def values(rng: Random, seed: Seed) -> Shot:
    """JSON with one to three places changed."""
    if seed.document is None:
        return query(rng, seed)
    document = seed.document
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        document = changed(rng, document)
    return shot("JSON values", replace(seed, body=written(document)), chunked=rng.random() < 0.1)


def large(rng: Random, seed: Seed) -> Shot:
    """A document of megabytes: one value of it, or a field that nobody knows, again and again."""
    one = rng.choice(LARGE)
    many = Raw(b"[" + one * (rng.choice((1, 4, 9)) * 2**20 // len(one)) + b"0]")
    if rng.random() < 0.2:
        many = Raw(b'"' + rng.choice((b"[", b"a ", b"\\n[", b"-'", "é".encode())) * rng.choice((300_000, 2_000_000)) + b'"')
    pairs = Pairs(seed.document.items())
    if rng.random() < 0.2:
        return shot("large", replace(seed, body=written(Pairs([*pairs, *((f"k{index}", 1) for index in range(300_000))]))))
    place = rng.randrange(len(pairs) + 1)
    pairs[place : place + 1] = [(pairs[place][0] if place < len(pairs) else "x", many)]
    return shot("large", replace(seed, body=written(pairs)))


def query(rng: Random, seed: Seed) -> Shot:
    """Parameters that are wrong, come twice, or are unknown."""
    names = (*seed.parameters, rng.choice(("x", "", "model", "__init__", "a" * 100)))
    pairs = [(rng.choice(names), rng.choice(PLAIN)) for _ in range(rng.choice((1, 1, 2, 4)))]
    text = "&".join(f"{_quoted(rng, name)}={_quoted(rng, value)}" for name, value in pairs)
    text += rng.choice(("", "", "", "&", "&&=&", "%", "%zz", "%ff", "?", ";a=1"))
    return shot("query", replace(seed, path=f"{seed.path}?{text}", query=()))


def _quoted(rng: Random, text: str) -> str:
    if rng.random() < 0.05:
        return text.translate({ord(c): None for c in " \r\n\0#"}).encode("ascii", "ignore").decode()
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def path(rng: Random, seed: Seed) -> Shot:
    """A part of the path replaced. No name of a model can come of it where that would change what is served."""
    parts = seed.path.split("/")
    place = rng.randrange(1, len(parts)) if len(parts) > 1 else 0
    traps = [trap for trap in PLAIN if trap != "digits"]
    parts[place] = _quoted(
        rng, rng.choice((*traps, parts[place] + "/", parts[place].upper(), parts[place] + ";x", "%2e%2e", "%2F"))
    )
    return shot("path", replace(seed, path="/".join(parts)))


def method(rng: Random, seed: Seed) -> Shot:
    return shot("method", replace(seed, method=rng.choice(METHODS)))


def headers(rng: Random, seed: Seed) -> Shot:
    """One to three headers that are wrong; of a body now and then what the header says of it."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        name, choices = rng.choice(HEADERS)
        seed = seed.with_header(name, rng.choice(choices))
    return shot("headers", seed)


def packed(rng: Random, seed: Seed) -> Shot:
    """A body compressed, well or badly."""
    body = seed.body or b"{}"
    if rng.random() < 0.03:
        body = bytes(12 * 2**20)  # small packed, larger than any limit unpacked
    way = rng.choice(("gzip", "deflate"))
    data = gzip.compress(body, 1, mtime=0) if way == "gzip" else zlib.compress(body, 1)
    spoilt = rng.random()
    if spoilt < 0.3:
        data = damaged(rng, data)
    elif spoilt < 0.4:
        way = "gzip" if way == "deflate" else "deflate"
    return shot("compressed", replace(seed, body=data).with_header("Content-Encoding", way), chunked=rng.random() < 0.3)


def damaged(rng: Random, data: bytes) -> bytes:
    """Bytes flipped, cut, doubled, or put in."""
    spoilt = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        at, way = rng.randrange(len(spoilt)), rng.randrange(5)
        if way == 0:
            spoilt[at] ^= 1 << rng.randrange(8)
        elif way == 1:
            del spoilt[max(1, at) :]
        elif way == 2:
            spoilt[at:at] = spoilt[at : at + 64]
        elif way == 3:
            spoilt[at : at + rng.choice((1, 4, 100))] = rng.randbytes(rng.choice((1, 4)))
        else:
            spoilt[at:at] = rng.choice(
                (b"\0", b"\xff\xff\xff\xff", b"\xed\xa0\x80", b'"', b"}", b"\r\n", b"--drill", bytes(300))
            )
        spoilt = spoilt or bytearray(b"\0")
    return bytes(spoilt)


def flipped(rng: Random, seed: Seed) -> Shot:
    """A body that suffered on its way."""
    return shot("bytes", replace(seed, body=damaged(rng, seed.body)), chunked=rng.random() < 0.2)


def tensors(rng: Random, seed: Seed) -> Shot:
    """The head of a binary request changed, or what it says of its length."""
    stated = next((int(value) for name, value in seed.headers if name == LENGTH), None)
    if stated is None:
        return values(rng, seed)
    start, data = json.loads(seed.body[:stated]), seed.body[stated:]
    way = rng.random()
    if way < 0.7:
        new = written(changed(rng, start))
        return shot("binary tensors", replace(seed, body=new + data).with_header(LENGTH, str(len(new))))
    if way < 0.85:
        return shot("binary tensors", seed.with_header(LENGTH, str(stated + rng.choice((-1, 1, -stated, 1000, 10**12)))))
    return shot("binary tensors", replace(seed, body=seed.body[:stated] + damaged(rng, data)))


def forms(rng: Random, seed: Seed) -> Shot:
    """A form whose parts, names or boundary are wrong."""
    files = [picture(rng.choice(("image/png", "image/jpeg"))) for _ in range(rng.choice((0, 1, 2, 33)))]
    body = form(files, rng.choice(("drill", "", "--", "a" * 70)), rng.choice(("file", "files", "", "é", "f" * 300)))
    if rng.random() < 0.6:
        body = damaged(rng, body)
    kind = f"multipart/form-data; boundary={rng.choice(('drill', 'drill', 'drill', '', 'x', chr(34)))}"
    return shot("forms", replace(seed, body=body).with_header("Content-Type", kind))


def pictures(rng: Random, seed: Seed) -> Shot:
    """A picture that is damaged, or says of itself that it is huge."""
    kind = rng.choice(("image/png", "image/jpeg"))
    data = bytearray(picture(kind))
    if kind == "image/png" and rng.random() < 0.3:
        place = rng.choice((16, 20))  # width and height of IHDR; its checksum is made good
        data[place : place + 4] = rng.choice((0, 1, 5000, 20_001, 2**31 - 1, 2**32 - 1)).to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    else:
        data[:] = damaged(rng, bytes(data))
    return shot("pictures", replace(seed, body=bytes(data)).with_header("Content-Type", kind))


TABLE: tuple[tuple[Mutation, float, str], ...] = (
    (as_it_is, 3, ""),
    (values, 33.4, "document"),
    (large, 0.6, "document"),
    (tensors, 8, "infer"),
    (query, 9, ""),
    (path, 6, ""),
    (method, 4, ""),
    (headers, 9, ""),
    (packed, 4, "body"),
    (flipped, 9, "body"),
    (forms, 3, "picture"),
    (pictures, 4, "picture"),
    (malformed, 7, ""),
)
"""Each with its share, and what its seeds must have."""


class Mutations:
    """Made of one service's seeds."""

    def __init__(self, seeds: Seeds) -> None:
        self._groups = {wanted: _groups([one for one in seeds.all if _has(one, wanted)]) for _, _, wanted in TABLE}

    def make(self, seed: int, index: int) -> Shot:
        """Always the same of the same two numbers."""
        rng = random.Random(f"{seed}:{index}")  # of a text, so that neighbours have nothing in common
        ((mutation, _, wanted),) = rng.choices(TABLE, [share for _, share, _ in TABLE])
        return mutation(rng, rng.choice(rng.choice(self._groups[wanted])))


def _has(seed: Seed, wanted: str) -> bool:
    return {
        "": True,
        "document": seed.document is not None,
        "body": bool(seed.body),
        "infer": seed.path.endswith("/infer"),
        "picture": any(value.startswith("image/") for _, value in seed.headers),
    }[wanted]


def _groups(seeds: list[Seed]) -> list[list[Seed]]:
    """By the path's template: one with many models comes no more often than others."""
    found: dict[str, list[Seed]] = {}
    for seed in seeds:
        found.setdefault(seed.template, []).append(seed)
    return list(found.values())
