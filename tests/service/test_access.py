"""Who may ask: roles, rates, names, what is noted."""

import asyncio
import logging
import re
from pathlib import Path

import httpx
import pytest

from service import access, keys
from service.access import Bucket, Guard, needed
from service.app import create_app
from service.errors import Forbidden, MisdirectedRequest, TooManyRequests, Unauthorized
from service.keys import Key, Keys
from service.settings import Settings


def made(path, **names):
    """A key file with a key for each name; the keys."""
    held, said = {}, {}
    for name, fields in names.items():
        said[name], digest = keys.made(name)
        held[name] = Key(digests=(digest,), created=keys.now(), **fields)
    keys.write(path, Keys(keys=held))
    return said


@pytest.fixture
def guarded(tmp_path):
    path = tmp_path / "keys.json"
    said = made(path, app={"roles": {"infer"}}, prometheus={"roles": {"metrics"}}, ops={"roles": {"admin"}})
    return Guard(Settings(keys=path)), said, path


def bearer(key):
    return {b"authorization": f"Bearer {key}".encode(), b"host": b"localhost"}


def admit(guard, method, path, headers):
    """The key's name; raises the refusal."""
    name, error = access.refusal(guard, method, path, {b"host": b"localhost", **headers})
    if error:
        raise error
    return name


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/", None), ("HEAD", "/web/app.js", None), ("GET", "/play/digits", None), ("GET", "/v2/health/ready", None),
        ("POST", "/", "infer"), ("GET", "/metrics", "metrics"), ("POST", "/metrics", "metrics"), ("GET", "/v1/models", "infer"),
        ("POST", "/v2/repository/index", "infer"), ("POST", "/v2/repository/models/digits/load", "admin"),
        ("POST", "/v2/logging", "admin"), ("GET", "/v2/logging", "infer"), ("POST", "/v2/models/digits/trace/setting", "admin"),
        ("GET", "/nothing", "infer"), ("GET", "/play/a/b", "infer"), ("GET", "/v2/health/live\n", "infer"),
    ],
)  # fmt: skip
def test_what_is_not_listed_needs_a_key(method, path, role):
    assert needed(method, path) == role


def test_a_key_has_its_roles_and_admin_has_all(guarded):
    guard, said, _ = guarded
    assert admit(guard, "POST", "/v1/classify", bearer(said["app"])) == "app"
    assert admit(guard, "GET", "/metrics", bearer(said["prometheus"])) == "prometheus"
    for path in ("/v1/classify", "/metrics", "/v2/repository/models/x/load"):
        assert admit(guard, "POST", path, bearer(said["ops"])) == "ops"
    with pytest.raises(Forbidden, match="'app' has the roles \\['infer'\\]; this needs 'metrics'"):
        admit(guard, "GET", "/metrics", bearer(said["app"]))


@pytest.mark.parametrize(
    "value", [b"", b"Bearer", b"Bearer mk_app_x", b"Basic YTpi", b"Bearer \xff", "Bearer mk_app_é".encode()]
)
def test_what_is_no_key_is_refused(guarded, value):
    with pytest.raises(Unauthorized):
        admit(guarded[0], "GET", "/v1/models", {b"authorization": value})


def test_a_key_of_another_name_or_secret_is_refused_without_saying_which(guarded):
    guard, said, _ = guarded
    messages = set()
    for key in (said["app"][:-1] + "~", said["app"].replace("app", "ops"), "mk_nobody_" + said["app"][-43:]):
        with pytest.raises(Unauthorized) as error:
            admit(guard, "GET", "/v1/models", bearer(key.replace("~", "A" if said["app"][-1] != "A" else "B")))
        messages.add(error.value.message)
    assert len(messages) == 1


def test_secrets_are_compared_as_bytes_in_constant_time():
    assert all("hmac.compare_digest(" in Path(module.__file__).read_text() for module in (keys, access))


def test_without_a_key_file_everybody_may(tmp_path):
    assert admit(Guard(Settings()), "POST", "/v2/repository/models/x/load", {}) == ""


def test_a_changed_file_counts_at_the_next_look_and_a_broken_one_changes_nothing(guarded, caplog):
    guard, said, path = guarded
    held = keys.read(path)
    keys.write(path, held.changed("app", None))
    with caplog.at_level(logging.INFO):
        guard.look()
    with pytest.raises(Unauthorized):
        admit(guard, "GET", "/v1/models", bearer(said["app"]))
    path.write_text("{")
    guard.look()
    assert admit(guard, "GET", "/metrics", bearer(said["prometheus"])) == "prometheus"
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR"]
    path.unlink()
    guard.look()
    assert admit(guard, "GET", "/metrics", bearer(said["prometheus"])) == "prometheus"


def test_a_bucket_allows_a_burst_and_then_its_rate():
    bucket, rate, burst = Bucket(None), 10.0, 3
    taken = [step for step in range(100) if bucket.wait_s(rate, burst, 5 + step / 50) == 0]
    assert taken[:3] == [0, 1, 2]
    assert len(taken) == burst + 19  # 1.98 s
    assert bucket.wait_s(rate, burst, 5 + 99 / 50) == pytest.approx(0.02, abs=0.1)


def test_a_bucket_in_a_file_is_one_for_all_workers(tmp_path):
    one, other = Bucket(tmp_path / "rate"), Bucket(tmp_path / "rate")
    assert [bucket.wait_s(1, 2, 7.0) == 0 for bucket in (one, other, one, other)] == [True, True, False, False]


def test_beyond_its_rate_a_key_is_told_when_to_come_again(tmp_path):
    said = made(tmp_path / "keys.json", slow={"roles": {"infer"}, "rate": 0.5})
    guard = Guard(Settings(keys=tmp_path / "keys.json"))
    admit(guard, "GET", "/v1/models", bearer(said["slow"]))
    with pytest.raises(TooManyRequests, match="requests a second, 1 at once") as error:
        admit(guard, "GET", "/v1/models", bearer(said["slow"]))
    assert error.value.retry_after_s == 2


@pytest.mark.parametrize(
    ("settings", "host", "known"),
    [
        ({}, b"localhost:8000", True), ({}, b"127.0.0.1", True), ({}, b"[::1]:80", True), ({}, b"LOCALHOST", True),
        ({}, b"evil.example", False), ({}, b"localhost.evil.example", False), ({}, None, False), ({}, b"", False),
        ({"host": "0.0.0.0"}, b"evil.example", True), ({"hosts": "any"}, b"evil.example", True),
        ({"hosts": "a.org, 10.0.0.7"}, b"A.org:1", True), ({"hosts": "a.org,10.0.0.7"}, b"localhost", False),
    ],
)  # fmt: skip
def test_a_name_that_is_not_ours_is_not_answered(settings, host, known):
    guard = Guard(Settings(**settings))
    assert guard.answers_to(host) is known
    assert guard.elsewhere("/v2/health/ready", host) is None  # whoever asks for health may call us by any name
    assert isinstance(guard.elsewhere("/v1/models", host), MisdirectedRequest) is not known


@pytest.fixture
def client(guarded, tmp_path):
    app = create_app(Settings(keys=guarded[2], models_dir=tmp_path))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")


@pytest.mark.anyio
async def test_a_refusal_has_the_one_form_and_says_how_to_come_in(client):
    async with client:
        found = await client.get("/v1/models")
    assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
    assert found.json().keys() == {"error", "code", "request_id"}
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.anyio
async def test_an_admin_call_is_noted_with_its_key_whether_it_was_allowed_or_not(client, guarded, caplog):
    path = "/v2/repository/models/light/unload"
    async with client:
        for key in (guarded[1]["ops"], guarded[1]["app"]):
            await client.post(path, headers={"Authorization": f"Bearer {key}"})
    noted = [record.fields for record in caplog.records if record.name == "modelyard.audit"]
    assert [(one["key"], one["path"], one["status"]) for one in noted] == [("ops", path, 503), ("app", path, 403)]
    assert not any(key in caplog.text for key in guarded[1].values())


@pytest.mark.anyio
async def test_no_other_site_may_read_an_answer(client):
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with client:
        for found in (await client.options("/v1/classify", headers=asked), await client.get("/v2/health/live", headers=asked)):
            assert not [name for name in found.headers if name.startswith("access-control-")]


@pytest.mark.anyio
async def test_the_document_says_which_operations_want_a_key(client):
    async with client:
        document = (await client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    roles = {path: operation.get("x-role") for path, methods in document["paths"].items() for operation in methods.values()}
    assert roles["/v1/classify"] == "infer"
    assert roles["/v2/repository/models/{name}/load"] == "admin"
    assert roles["/v2/health/live"] is None


@pytest.mark.anyio
async def test_following_looks_again_and_again(guarded, monkeypatch):
    guard, _, path = guarded
    monkeypatch.setattr(access, "LOOKED_EVERY_S", 0.001)
    following = asyncio.create_task(guard.follow())
    keys.write(path, Keys())
    for _ in range(1000):
        await asyncio.sleep(0.001)
        if not guard._held.keys:
            break
    following.cancel()
    assert guard._held == Keys()


def test_the_pattern_of_a_key_is_linear():
    assert not re.search(r"\)[*+]", keys.WRITTEN.pattern.decode())
