"""Who gets in: every route and method without a key and with wrong ones, each role everywhere, revoked and hurried keys.

Knows the service's routes by its app and, of one that runs elsewhere, by its document. What is for everybody is listed here once
more, so that a slip in the service's own list is found.
"""

import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx

from service.app import create_app
from service.settings import Settings
from tests.conftest import ROOT, Process, write_version
from tests.drills.figures import Figure, Ground

ANYWHERE = True
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
FOR_EVERYBODY = {"/", "/docs", "/status", "/openapi.json", "/play/{name}", "/web", "/v2/health/live", "/v2/health/ready"}
STRANGE = (
    "/metrics/", "//metrics", "/Metrics", "/%6detrics", "/web/../metrics", "/web/..%2fmetrics", "/v2/health/live/../../../metrics",
    "/v2/health/live/", "/v2/health/live%0a", "/play/../v1/models", "/nothing", "/v1/models?key=mk_x_y", "/openapi.json/x",
)  # fmt: skip
"""Paths that are no public ones, however they are spelt."""

Ask = Callable[[str, str, dict[str, str]], Awaitable[int]]
"""(method, path, headers) -> status"""


def routes(document: dict) -> list[tuple[str, str]]:
    """(template, path) of each route of this version and of the document."""
    templates = {*_templates(create_app(Settings()).routes), *document["paths"]}
    return sorted(
        (template, re.sub(r"\{\w+\}", "light", template) + ("/app.js" if template == "/web" else "")) for template in templates
    )


def _templates(found: Iterable[Any]) -> Iterator[str]:
    for route in found:
        if hasattr(route, "path"):
            yield route.path
        else:  # FastAPI keeps a router that was included as it is
            yield from _templates(route.original_router.routes)


def wrong(key: str) -> list[dict[str, str]]:
    """Headers that let nobody in, made from a key that is valid (or looks so)."""
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    values = [
        "", "Bearer", f"Basic {key}", key, f"Bearer {key}x", f"Bearer {key[:-1]}", f"Bearer {key.upper()}",
        f"Bearer {key}, Bearer {key}", "Bearer " + "mk_x_" + "A" * 43, f"Bearer {key.replace('_', '-')}", "Bearer \xe9\xff",
    ]  # fmt: skip
    return [
        {},
        {"authorization": f"Bearer {other}"},
        {"x-api-key": key},
        {"cookie": f"key={key}"},
        *({"authorization": value} for value in values),
    ]


async def walk(ask: Ask, known: Iterable[tuple[str, str]], without: list[dict[str, str]]) -> tuple[int, list[str]]:
    """How many requests were made with each of these headers, and which were answered as if they had a valid key."""
    tried, let_in = 0, []
    for (template, path), method in itertools.product(known, METHODS):
        public = template in FOR_EVERYBODY and method in ("GET", "HEAD")
        for headers in without[:1] if public else without:
            status = await ask(method, path, headers)
            tried += 1
            if (status == 401) == public:
                let_in.append(f"{method} {path} {headers or ''}: {status}")
    for path in STRANGE:
        status = await ask("GET", path, {})
        tried += 1
        if status < 400:
            let_in.append(f"GET {path}: {status}")
    return tried, let_in


def over(client: httpx.AsyncClient) -> Ask:
    """By HTTP, the path as it stands."""

    async def ask(method: str, path: str, headers: dict[str, str]) -> int:
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        url = client.base_url.copy_with(raw_path=path.encode())
        return (await client.request(method, url, headers=raw)).status_code

    return ask


async def _walked(url: str, key: str, kinds: int) -> Figure:
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:
        document = (await client.get("/openapi.json")).json()
        tried, let_in = await walk(over(client), routes(document), wrong(key or "mk_x_" + "A" * 43)[:kinds])
    return Figure("every route and method without a valid key", "0 let in", _counted(let_in, tried), ok=not let_in)


def _counted(found: list[str], tried: int) -> str:
    return f"{len(found)} of {tried:,}{' (' + '; '.join(found[:3]) + ')' if found else ''}"


def keys(file: Path, *words: str) -> str:
    """What `python -m service keys` says."""
    environment = {**os.environ, "MODELYARD_KEYS": str(file)}
    command = [sys.executable, "-m", "service", "keys", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


ROLES = {
    "infer": {"/v1/models": 200, "/v2/models/light/ready": 200, "/metrics": 403, "POST /v2/repository/models/light/load": 403},
    "metrics": {
        "/v1/models": 403,
        "/v2/models/light/ready": 403,
        "/metrics": 200,
        "POST /v2/repository/models/light/load": 403,
    },
    "admin": {"/v1/models": 200, "/v2/models/light/ready": 200, "/metrics": 200, "POST /v2/repository/models/light/load": 200},
}


def _roles(server: Process, held: dict[str, str]) -> Figure:
    wrong, tried = [], 0
    with server.client() as client:
        for role, places in ROLES.items():
            for place, status in places.items():
                method, path = place.split() if " " in place else ("GET", place)
                found = client.request(method, path, headers=bearer(held[role])).status_code
                tried += 1
                if found != status:
                    wrong.append(f"{role} at {place}: {found}")
    return Figure("each role at each kind of route", "0 answered for another", _counted(wrong, tried), ok=not wrong)


def _statuses(server: Process, key: str, count: int) -> set[int]:
    """Of requests on connections of their own, so that every worker is asked."""
    return {httpx.get(f"{server.url}/v1/models", headers=bearer(key)).status_code for _ in range(count)}


def _seconds_until(server: Process, key: str, status: int) -> float:
    begun = time.monotonic()
    while _statuses(server, key, 12) != {status}:
        if time.monotonic() - begun > 20:
            return time.monotonic() - begun
    return time.monotonic() - begun


def _ended(server: Process, file: Path, held: dict[str, str]) -> list[Figure]:
    new = keys(file, "rotate", "infer")
    rotated = max(_seconds_until(server, new, 200), _seconds_until(server, held["infer"], 401))
    keys(file, "revoke", "infer")
    revoked = _seconds_until(server, new, 401)
    held["rotated"] = new
    return [
        Figure(f"a key {what}, two workers, no restart", "<= 5 s", f"{seconds:.1f} s", ok=seconds <= 5)
        for what, seconds in (("rotated: new one in, old one out", rotated), ("revoked", revoked))
    ]


async def _hurry(url: str, key: str, seconds: float) -> tuple[list[httpx.Response], float]:
    found = list[httpx.Response]()
    clients = [httpx.AsyncClient(base_url=url, headers=bearer(key)) for _ in range(8)]
    begun = time.monotonic()

    async def one(client: httpx.AsyncClient) -> None:
        async with client:
            while time.monotonic() - begun < seconds:
                found.append(await client.get("/v2/models/light/ready"))

    await asyncio.gather(*map(one, clients))
    return found, time.monotonic() - begun


def _rate(server: Process, key: str, seconds: float) -> Figure:
    found, took_s = asyncio.run(_hurry(server.url, key, seconds))
    taken = sum(one.status_code == 200 for one in found)
    late = [one for one in found if one.status_code == 429 and int(one.headers["retry-after"]) >= 1]
    most = 5 + 20 * took_s
    ok = len(found) > taken + 20 and taken + len(late) == len(found) and most - 5 <= taken <= most + 1
    said = f"{taken} of {len(found)} in {took_s:.1f} s, the others 429 with Retry-After"
    return Figure(
        "a key of 20 requests a second, 5 at once, hurried on 8 connections to two workers", f"{most:.0f}", said, ok=ok
    )


def _silent(server: Process, secrets: Iterable[str]) -> Figure:
    log = server.log.read_text()
    told = [key[:6] for key in secrets if key.rpartition("_")[2] in log or key in log]
    calls = sum('"admin call"' in line and '"key":"admin"' in line for line in log.splitlines())
    ok = not told and calls > 0
    return Figure("keys in the log; admin calls in the audit log", "0; all", f"{len(told)}; {calls} of 1", ok=ok and calls == 1)


def drill(ground: Ground, seconds: float = 3.0, kinds: int = 99) -> list[Figure]:
    """`seconds`: how long a key is hurried; `kinds`: of wrong headers."""
    if ground.url:
        return [asyncio.run(_walked(ground.url, ground.key, kinds))]
    file = ground.folder / "keys.json"
    held = {role: keys(file, "add", role, "--role", role) for role in ROLES}
    held["slow"] = keys(file, "add", "slow", "--role", "infer", "--rate", "20", "--burst", "5")
    write_version(ground.folder / "models")
    server = ground.start(models_dir=ground.folder / "models", keys=file, workers=2)
    return [
        asyncio.run(_walked(server.url, held["infer"], kinds)),
        _roles(server, held),
        *_ended(server, file, held),
        _rate(server, held["slow"], seconds),
        _silent(server, held.values()),
    ]
