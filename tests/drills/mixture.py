"""Requests of every kind that a service takes, and of kinds that it should refuse. Knows the families' examples and the protocol.

What is honest is made from what the service says of itself, so that it can be one that runs elsewhere.
"""

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np

from service.family import rooms
from service.protocol import LENGTH_HEADER
from service.samples import NOUGHT, SEVEN_PNG
from service.tensors import DTYPES
from tests.drills.asking import raw

SMALL_PNG = base64.b64decode(NOUGHT)
LENGTH = 8
"""Of every free axis but the rows'."""
PAGES = ("/", "/status", "/docs", "/openapi.json", "/metrics")
FORM = "multipart/form-data; boundary=x"
ANY_BODY = {
    "malformed JSON": b'{"inputs": [1, ', "no JSON": b"\xed\xa0\x80\x00", "deep JSON": b"[" * 5000,
    "nothing": b"", "NaN": b'{"inputs": [NaN]}', "a number": b"7", "null": b'{"inputs": null}',
}  # fmt: skip
BODIES = {
    "/v1/classify": (b'{"images": ["%%%"]}', b'{"images": ["aGVsbG8="]}', b'{"images": [' + b'"",' * 99 + b'""]}', b'{"images": [[]]}'),
    "/v1/sentiment": (b'{"texts": ["\\ud800"]}', b'{"texts": [7]}', b'{"texts": []}', b'{"texts": "x", "texts": [1e400]}'),
    "/v1/forecast": (
        b'{"series": [1, 2, 3], "horizon": 1000000000}', b'{"series": [1e400, 1, 2]}', b'{"series": [1e39, 1, 2]}',
        b'{"series": [[1, 2], [3]]}'
    ),
    "/v1/decode": (b'{"codes": [[1]]}', b'{"codes": [[1e39]]}'),
    "/v1/generate": (b'{"count": 1000000000}', b'{"count": -1}', b'{"temperature": 1e300}'),
    "/v1/neighbors": (b'{"word": "", "k": 99999}',),
    "/v1/similarity": (b'{"pairs": [["film"]]}',),
}  # fmt: skip
"""Readable, and wrong in their values."""


@dataclass(frozen=True)
class Request:
    """Its bytes, how often it is sent beside others, whether it should be refused, whether its client leaves."""

    name: str
    sent: bytes
    weight: float = 1.0
    hostile: bool = False
    leaves: bool = False


def authorized(key: str) -> dict[str, str]:
    """The headers that a client with this key sends."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def every(url: str, key: str = "", *, chosen: bool = False) -> list[Request]:
    """All of them; with `chosen` just those honest ones that are answered, where it is not known what is served."""
    more = tuple(f"{name}: {value}" for name, value in authorized(key).items())
    with httpx.Client(base_url=url, headers=authorized(key), timeout=30) as client:
        models = {card["name"]: card for card in client.get("/v1/models").json()["models"]}
        metadata = {name: client.get(f"/v2/models/{name}").json() for name in models}
    honest = [*_verbs(models, more), *_tensors(metadata, more), *_told(models, more)]
    if chosen:
        honest = [one for one in honest if _answered(url, one)]
    return [*honest, *_refused(list(models), more), *_leaving(more)]


def _answered(url: str, request: Request) -> bool:
    from tests.drills.asking import Line

    with Line(url, 30) as line:
        return line.ask(request.sent).status == 200


def _verbs(models: dict[str, Any], more: tuple[str, ...]) -> Iterator[Request]:
    served = {path for card in models.values() for path in card["verbs"]}
    for room in rooms().values():
        for verb in room.verbs:
            path = f"/v1/{verb.name}"
            if path in served:
                body = json.dumps(verb.example).encode()
                yield Request(path, raw("POST", path, body, "application/json", *more))
                if verb.draw:
                    yield Request(f"{path} drawn", raw("POST", path, body, "application/json", "Accept: image/png", *more), 0.3)
    if "/v1/classify" in served:
        yield Request("a PNG", raw("POST", "/v1/classify", SEVEN_PNG, "image/png", *more))
        yield Request("a small PNG", raw("POST", "/v1/classify", SMALL_PNG, "image/png", *more), 6)
        yield Request("a PNG in a form", raw("POST", "/v1/classify", form(SMALL_PNG), FORM, *more))
    if "/v1/sentiment" in served:
        text = b"A slow start, but the ending is superb."
        yield Request("a text", raw("POST", "/v1/sentiment", text, "text/plain", *more), 6)
        packed = gzip.compress(json.dumps({"texts": ["Superb.", "Dull."]}).encode())
        yield Request("gzip", raw("POST", "/v1/sentiment", packed, "application/json", "Content-Encoding: gzip", *more))


def form(file: bytes) -> bytes:
    """A file in a form."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    return head + file + b"\r\n--x--\r\n"


def _tensors(metadata: dict[str, Any], more: tuple[str, ...]) -> Iterator[Request]:
    for name, said in metadata.items():
        arrays = {
            one["name"]: (one["datatype"], np.ones([1, *(LENGTH if size < 0 else size for size in one["shape"][1:])],
                                                   DTYPES[one["datatype"]]))
            for one in said["inputs"] if one["datatype"] != "BYTES"
        }  # fmt: skip
        path, outputs = f"/v2/models/{name}/infer", [{"name": said["outputs"][0]["name"]}]
        plain = [
            {"name": one, "datatype": datatype, "shape": array.shape, "data": array.ravel().tolist()}
            for one, (datatype, array) in arrays.items()
        ]
        body = json.dumps({"inputs": plain, "outputs": outputs}).encode()
        yield Request(f"{path} as JSON", raw("POST", path, body, "application/json", *more), 6)
        told = [
            {"name": one, "datatype": datatype, "shape": array.shape, "parameters": {"binary_data_size": array.nbytes}}
            for one, (datatype, array) in arrays.items()
        ]
        head = json.dumps({"inputs": told, "outputs": [{**outputs[0], "parameters": {"binary_data": True}}]}).encode()
        body = head + b"".join(array.tobytes() for _, array in arrays.values())
        size = f"{LENGTH_HEADER}: {len(head)}"
        yield Request(f"{path} as bytes", raw("POST", path, body, "application/octet-stream", size, *more), 6)


def _told(models: dict[str, Any], more: tuple[str, ...]) -> Iterator[Request]:
    def get(path: str, weight: float) -> Request:
        return Request(f"GET {path}", raw("GET", path, b"", "", *more), weight)

    for path in ("/v2/health/live", "/v2/health/ready", "/v2", "/v2/models", "/v1/models"):
        yield get(path, 1)
    for name in models:
        for suffix in ("", "/ready", "/config", "/stats"):
            yield get(f"/v2/models/{name}{suffix}", 0.3)
        for suffix in ("", "/samples", "/drift"):
            yield get(f"/v1/models/{name}{suffix}", 0.1)
    yield from (get(path, 0.2) for path in PAGES)


def _refused(models: list[str], more: tuple[str, ...]) -> Iterator[Request]:
    def post(name: str, path: str, body: bytes, media: str = "application/json", *also: str) -> Request:
        return Request(name, raw("POST", path, body, media, *also, *more), hostile=True)

    paths = [f"/v2/models/{name}/infer" for name in models] or ["/v2/models/none/infer"]
    tensor = '{"inputs": [{"name": "x", "datatype": "FP32", "shape": %s, "data": %s}]}'
    for path in ("/v1/classify", "/v1/sentiment", "/v1/forecast", paths[0]):
        for name, body in ANY_BODY.items():
            yield post(f"{name} to {path}", path, body)
    for path, bodies in BODIES.items():
        for body in bodies:
            yield post(f"{body[:30]!r} to {path}", path, body)
    for path in paths:
        yield post("a wrong shape", path, (tensor % ("[1, 2, 3]", "[1]")).encode())
        yield post("a huge shape", path, (tensor % ("[99999999999, 99999999999]", "[1]")).encode())
        yield post("lengths that lie", path, b"{}" + b"\0" * 9, "application/octet-stream", f"{LENGTH_HEADER}: 99999")
    yield post("a PNG that ends early", "/v1/classify", SEVEN_PNG[: len(SEVEN_PNG) // 2], "image/png")
    yield post("no PNG", "/v1/classify", b"GIF89a" + b"\0" * 99, "image/png")
    yield post("a form that ends early", "/v1/classify", form(SEVEN_PNG)[:300], FORM)
    yield post("an unknown model", "/v1/classify?model=none", SEVEN_PNG, "image/png")
    yield post("an unknown model's tensors", "/v2/models/none/infer", b"{}")
    yield post("a query that is not taken", "/v1/classify?x=1", SEVEN_PNG, "image/png")
    yield post("no gzip", "/v1/sentiment", b"\x1f\x8b\x08\x00junk", "application/json", "Content-Encoding: gzip")
    yield post("a made-up encoding", "/v1/sentiment", b"{}", "application/json", "Content-Encoding: rot13")
    yield post("a path that is not there", "/v1/nothing/%00/../x", b"{}")
    yield Request("a method that is not taken", raw("GET", "/v1/classify", b"", "", *more), hostile=True)
    yield Request("a long path", raw("GET", "/" + "a" * 9000, b"", "", *more), hostile=True)
    yield Request("many headers", raw("GET", "/v2", b"", "", *(f"x{index}: 1" for index in range(150))), hostile=True)
    yield Request("no HTTP", b"\x16\x03\x01\x02\x00\r\n\r\n", hostile=True)


def _leaving(more: tuple[str, ...]) -> Iterator[Request]:
    whole = raw("POST", "/v1/classify", SEVEN_PNG, "image/png", *more)
    text = raw("POST", "/v1/sentiment", b"so " * 3000, "text/plain", *more)
    pages = raw("GET", "/docs", b"", "", *more)
    for name, sent in (
        ("in its head", whole[:40]), ("in its body", whole[:-100]), ("before a picture's answer", whole),
        ("in its batch", text), ("in the middle of two", whole + whole[:300]), ("before a page", pages * 3),
    ):  # fmt: skip
        yield Request(f"a client that leaves {name}", sent, 3, hostile=True, leaves=True)
