"""Requests that work: every path and method of a service's OpenAPI document with its example, tensors as bytes, forms, pictures.

Knows the document, the Open Inference Protocol's metadata and what HTTP/1.1 looks like; knows no fault. `mutations` spoils them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import httpx
from PIL import Image

from tests.conftest import ROOT

JSON = "application/json"
PICTURES = {"image/png": "seven.png", "image/jpeg": ""}
SIZES = {"UINT8": 1, "INT8": 1, "BOOL": 1, "FP16": 2, "INT32": 4, "FP32": 4, "INT64": 8, "FP64": 8}
LENGTH = "Inference-Header-Content-Length"
PAGES = (
    "/",
    "/docs",
    "/status",
    "/play/digits",
    "/web/api.js",
    "/web/nothing.js",
    "/web/../../x",
    "/nothing",
    "/openapi.json",
    "/v2/",
)
NOT_THERE = "not-there"
"""Stands for a model where naming a real one would change what is served."""


@dataclass(frozen=True)
class Seed:
    """One request. `document` is what `body` holds, where it is JSON: it can be changed and written again."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    document: Any = None
    parameters: tuple[str, ...] = ()
    """The names that its query may have."""
    template: str = "-"
    """Its path as the document has it; `-` for what that leaves out."""

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def with_header(self, name: str, value: str) -> "Seed":
        """The same with one header set anew."""
        kept = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return replace(self, headers=(*kept, (name, value)))


def head(method: str, target: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Request line and headers as bytes. What cannot be latin-1 goes as UTF-8."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    return b"".join(_bytes(line) + b"\r\n" for line in lines) + b"\r\n"


def _bytes(line: str) -> bytes:
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogatepass")


def jpeg() -> bytes:
    """A small picture."""
    data = BytesIO()
    Image.linear_gradient("L").resize((40, 40)).save(data, "JPEG")
    return data.getvalue()


def picture(kind: str) -> bytes:
    return (ROOT / "service/web/seven.png").read_bytes() if kind == "image/png" else jpeg()


def form(files: list[bytes], boundary: str = "drill", name: str = "file") -> bytes:
    """As `multipart/form-data`."""
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{index}.png"\r\n\r\n'.encode()
        + data
        + b"\r\n"
        for index, data in enumerate(files)
    ]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


@dataclass(frozen=True)
class Shot:
    """What is sent: `data`; of which kind of fault; whether it is whole, so that there must be an answer."""

    kind: str
    data: bytes
    whole: bool = True
    ambiguous: bool = False
    """Whether its framing can be read in two ways, so that nothing of it may be answered but by a refusal."""


def shot(kind: str, seed: Seed, *, chunked: bool = False) -> Shot:
    """The seed as bytes, framed as it should be."""
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(seed.body)))
    if not seed.body and seed.method in ("GET", "HEAD"):
        return Shot(kind, head(seed.method, seed.target, seed.headers))
    body = chunks(seed.body) if chunked else seed.body
    return Shot(kind, head(seed.method, seed.target, (*seed.headers, framing)) + body)


def chunks(data: bytes) -> bytes:
    """A body in three chunks or so."""
    size = max(1, len(data) // 3)
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


class Seeds:
    """All of them, of a service that runs."""

    def __init__(self, url: str, key: str = "", *, own: bool = False) -> None:
        """Of one's `own` service, models that are there may be loaded."""
        self._own = own
        self.common = (("Authorization", f"Bearer {key}"),) if key else ()
        with httpx.Client(base_url=url, timeout=30, headers=dict(self.common)) as client:
            self.document: dict[str, Any] = client.get("/openapi.json").raise_for_status().json()
            self.models: list[str] = client.get("/v2/models").raise_for_status().json()["models"]
            self._inputs = {name: client.get(f"/v2/models/{name}").raise_for_status().json()["inputs"] for name in self.models}
        self.all = tuple(replace(seed, headers=(*seed.headers, *self.common)) for seed in (*self._documented(), *self._more()))

    def _documented(self) -> Iterator[Seed]:
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                names = tuple(one["name"] for one in operation.get("parameters", ()) if one["in"] == "query")
                for name in self._names(path):
                    filled = path.replace("{name}", name).replace("{version}", "1")
                    for kind, content in operation.get("requestBody", {"content": {"": {}}})["content"].items():
                        seed = Seed(method.upper(), filled, parameters=names, template=path)
                        yield from self._bodies(seed, kind, content.get("example"))

    def _names(self, path: str) -> list[str]:
        safe = "/repository/" not in path or (self._own and path.endswith("/load"))
        return self.models if "{name}" in path and safe else [NOT_THERE]

    def _bodies(self, seed: Seed, kind: str, example: Any) -> Iterator[Seed]:
        seed = replace(seed, headers=(("Content-Type", kind),)) if kind else seed
        if seed.path.endswith("/infer"):
            yield from self._tensors(seed)
        elif kind == JSON:
            yield replace(seed, body=json.dumps(example).encode(), document=example)
        elif kind in PICTURES:
            yield replace(seed, body=picture(kind))
        elif kind == "text/plain":
            yield replace(seed, body=b"A slow start, but the ending is superb.")
        elif kind == "multipart/form-data":
            files = [picture("image/png"), picture("image/jpeg")]
            yield replace(seed, body=form(files)).with_header("Content-Type", f"{kind}; boundary=drill")
        elif not kind:
            yield seed

    def _tensors(self, seed: Seed) -> Iterator[Seed]:
        """Each model's inputs as JSON and as bytes behind it; what stands for them (BYTES) as well."""
        inputs = self._inputs[seed.path.split("/")[3]]
        own, raw = [one for one in inputs if one["datatype"] != "BYTES"], [one for one in inputs if one["datatype"] == "BYTES"]
        for tensors in (own, raw):
            if not tensors:
                continue
            shaped = [{**one, "shape": [max(1, size) for size in one["shape"]]} for one in tensors]
            yield self._as_bytes(seed, shaped)
            if tensors[0]["name"] != "picture":  # a picture is no text
                yield self._as_json(seed, shaped)

    @staticmethod
    def _as_json(seed: Seed, tensors: list[dict[str, Any]]) -> Seed:
        inputs = [{**one, "data": ["good"] if one["datatype"] == "BYTES" else [0] * _count(one["shape"])} for one in tensors]
        document = {"id": "1", "inputs": inputs}
        return replace(seed, body=json.dumps(document).encode(), document=document)

    @staticmethod
    def _as_bytes(seed: Seed, tensors: list[dict[str, Any]]) -> Seed:
        data, inputs = b"", []
        for one in tensors:
            element = picture("image/png") if one["name"] == "picture" else b"good"
            prefixed = len(element).to_bytes(4, "little") + element
            content = prefixed if one["datatype"] == "BYTES" else bytes(_count(one["shape"]) * SIZES[one["datatype"]])
            data += content
            inputs.append({**one, "parameters": {"binary_data_size": len(content)}})
        start = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
        return replace(
            seed, body=start + data, headers=(("Content-Type", "application/octet-stream"), (LENGTH, str(len(start))))
        )

    def _more(self) -> Iterator[Seed]:
        """What the document leaves out, or says without an example."""
        for path in PAGES:
            yield Seed("GET", path)
        for query in ({"explain": "true"}, {"layers": "true", "seen": "true"}, {"top": "3"}):
            yield Seed("POST", "/v1/classify", tuple(query.items()), (("Content-Type", "image/png"),), picture("image/png"))
        texts = {"texts": ["A slow start, but the ending is superb.", "Dull."]}
        for query in ({"explain": "true"}, {"after": "true"}):
            yield Seed(
                "POST", "/v1/sentiment", tuple(query.items()), (("Content-Type", JSON),), json.dumps(texts).encode(), texts
            )
        for path in ("/v2/systemsharedmemory/region/x/register", "/v2/trace/setting", "/v2/logging"):
            yield Seed("POST", path, (), (("Content-Type", JSON),), b"{}", {})
        for wanted in ("/v1/denoise", "/v1/classify"):
            yield Seed("POST", wanted, (), (("Content-Type", "image/png"), ("Accept", "image/png")), picture("image/png"))


def _count(shape: list[int]) -> int:
    number = 1
    for size in shape:
        number *= size
    return number
