"""Nobody gets in without a key; and the walk finds who would."""

import re

import httpx
import pytest

from service import access
from service.app import create_app
from service.settings import Settings
from tests.drills import access as drilled
from tests.drills.figures import Ground


def test_nobody_gets_in_without_a_key_and_roles_rotation_and_rates_hold(start, tmp_path):
    (tmp_path / "ground").mkdir()
    figures = drilled.drill(Ground(start, tmp_path / "ground"), seconds=1.5, kinds=2)
    assert [one for one in figures if not one.ok] == []
    assert len(figures) == 6


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (
            lambda monkeypatch: monkeypatch.setattr(access, "PUBLIC", re.compile(r"/v1/.*|" + access.PUBLIC.pattern)),
            "GET /v1/models ",
        ),
        (lambda monkeypatch: monkeypatch.setattr(access, "READING", ("GET", "HEAD", "OPTIONS")), "OPTIONS / "),
        (lambda monkeypatch: monkeypatch.setattr(access.keys.Key, "fits", lambda *_: True), "Bearer mk_probe_"),
    ],
    ids=["a route", "a method", "a digest that is not compared"],
)
async def test_the_walk_finds_an_unguarded(monkeypatch, tmp_path, planted, found):
    file = tmp_path / "keys.json"
    key = drilled.keys(file, "add", "probe", "--role", "infer")
    planted(monkeypatch)
    app = create_app(Settings(keys=file, models_dir=tmp_path))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        _, let_in = await drilled.walk(drilled.over(client), drilled.routes({"paths": {}}), drilled.wrong(key)[:2])
    assert any(found in line for line in let_in)
