"""What surrounds every request, and the docs."""

import asyncio
import json

import orjson
import pytest

from service import app, logs, metrics
from service.app import create_app
from service.follower import Follower
from service.samples import SEVEN_CODE, SEVEN_PNG
from tests.card import FakeCard
from tests.conftest import serving, write_codes_version, write_steps_version, write_vectors_version, write_words_version

pytestmark = pytest.mark.anyio
PNG = {"content-type": "image/png"}


@pytest.fixture
async def client(settings):
    async with serving(settings) as client:
        yield client


async def test_a_request_has_an_id_or_keeps_its_own(client):
    assert (await client.get("/v2/health/live", headers={"x-request-id": "mine-1"})).headers["x-request-id"] == "mine-1"
    made = {(await client.get("/v2/health/live")).headers["x-request-id"] for _ in range(5)}
    assert len(made) == 5


@pytest.mark.parametrize("sent", ["a b", "x" * 65, "<script>", "é"])
async def test_an_id_that_could_harm_a_log_is_not_kept(client, sent):
    answer = await client.get("/v2/health/live", headers={"x-request-id": sent.encode()})
    assert answer.headers["x-request-id"] != sent


async def test_what_nobody_expected_is_a_500_that_tells_nothing_and_a_log_that_tells_all(client, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(client.app.state.registry, "refused", fail)
    answer = await client.get("/v1/models", headers={"x-request-id": "me"})
    assert (answer.status_code, answer.json()["code"], answer.json()["request_id"]) == (500, "internal", "me")
    assert "secret" not in answer.text
    assert "RuntimeError: secret" in caplog.text


async def test_metrics_count_requests_batches_and_refusals(client):
    await client.post("/v1/classify", content=SEVEN_PNG, headers=PNG)
    await client.post("/v1/classify", content=b"junk", headers=PNG)
    text = (await client.get("/metrics")).text
    for line in (
        'modelyard_requests_total{method="POST",route="/v1/classify",status="200"}',
        'modelyard_requests_total{method="POST",route="/v1/classify",status="415"}',
        'modelyard_rejects_total{code="unsupported_media"}',
        'modelyard_request_seconds_bucket{le="0.001",route="/v1/classify"}',
        'modelyard_queue_seconds_count{model="light"}',
        'modelyard_batch_rows_count{model="light"}',
        'modelyard_compute_seconds_count{model="light"}',
        'modelyard_model_version{model="light"} 1.0',
        'modelyard_provider{provider="cpu"} 1.0',
        "modelyard_in_flight 1.0",
    ):
        assert line in text, line


async def test_labels_come_from_closed_sets_whatever_clients_send(client):
    def series() -> int:
        return sum(len(metric.samples) for metric in metrics.REQUESTS.collect())

    await client.request("GET", "/random")
    before = series()
    for index in range(20):
        await client.request(f"VERB{index}", f"/random/{index}")
        await client.get(f"/v1/models/{index}")
    assert series() <= before + 3


async def test_the_access_log_has_the_request_and_its_id(client, capsys, monkeypatch):
    monkeypatch.setattr(logs.access, "enabled", True)
    await client.get("/v2/health/live", headers={"x-request-id": "seen"})
    logs.access.write()
    logs.writer.flush()
    line = next(json.loads(line) for line in capsys.readouterr().err.splitlines() if '"seen"' in line)
    assert (line["path"], line["status"], line["request_id"]) == ("/v2/health/live", 200, "seen")
    assert (line["level"], line["logger"], line["message"]) == ("info", "modelyard.access", "request")


def operations(document: dict):
    """Of every path; what takes a model away comes last."""
    for path, methods in sorted(document["paths"].items(), key=lambda one: one[0].endswith("/unload")):
        for method, operation in methods.items():
            yield path, method, operation


async def test_every_endpoint_has_a_summary_and_its_example_runs(settings):
    write_words_version(settings.repository)
    write_steps_version(settings.repository, horizon=12)
    write_vectors_version(settings.repository)
    write_codes_version(settings.repository, default=True, spare=len(SEVEN_CODE) - 4)
    write_codes_version(settings.repository, "denoiser", kind="denoising", decodes=False)
    write_codes_version(settings.repository, "generator", kind="variational")
    async with serving(settings) as client:
        await _every_example_runs(client)


async def _every_example_runs(client):
    document = (await client.get("/openapi.json")).json()
    ran = 0
    for path, method, operation in operations(document):
        assert operation["summary"], path
        url = path.replace("{name}", "light").replace("{version}", "1")
        content = operation.get("requestBody", {}).get("content", {})
        body = content.get("application/json", {}).get("example")
        assert bool(body) == (method == "post"), f"{path} has no example"
        sent = {"content": orjson.dumps(body), "headers": {"content-type": "application/json"}} if body else {}
        answer = await client.request(method, url, **sent)
        assert answer.status_code == 200, (path, answer.text)
        ran += 1
    assert ran >= 36


async def test_every_path_parameter_has_an_example(client):
    for path, _, operation in operations((await client.get("/openapi.json")).json()):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path":
                assert b"examples" in orjson.dumps(parameter), path


async def test_a_redirect_never_comes_before_a_check(client):
    assert (await client.post("/v1/classify/", content=SEVEN_PNG)).status_code == 404


async def test_while_draining_answers_tell_clients_to_go(client):
    client.app.state.registry.draining = True
    answer = await client.get("/v2/health/live")
    assert answer.headers["connection"] == "close"
    assert (await client.get("/v2/health/ready")).status_code == 503


async def test_a_worker_beside_others_listens_once_its_models_are_loaded(settings):
    app = create_app(settings.model_copy(update={"workers": 2}))
    async with app.router.lifespan_context(app):  # uvicorn listens after it is entered
        assert app.state.registry.not_ready() is None


async def test_a_worker_listens_after_a_while_whatever_its_models_do(settings, monkeypatch):
    monkeypatch.setattr("service.app.FIRST_LOOK_S", 0.05)
    monkeypatch.setattr(Follower, "look", lambda _: asyncio.sleep(60))
    app = create_app(settings.model_copy(update={"workers": 2}))
    async with asyncio.timeout(5), app.router.lifespan_context(app):
        assert app.state.registry.not_ready() == "The service is loading its models."


@pytest.fixture
def card(monkeypatch):
    monkeypatch.setattr(app, "choose_provider", lambda _: ("cuda", "provider: cuda (found)"))
    return FakeCard().install(monkeypatch)


async def test_a_lost_gpu_is_told_by_health_and_metrics_while_the_cpu_answers(settings, card):
    settings = settings.model_copy(update={"rehearse": False})
    async with serving(settings) as client:
        before = (await client.post("/v1/classify", content=SEVEN_PNG, headers=PNG)).json()
        assert (await client.get("/v2/health/ready")).json()["provider"] == "cuda"
        card.lost = True
        assert (await client.post("/v1/classify", content=SEVEN_PNG, headers=PNG)).json() == before
        assert (await client.get("/v2/health/ready")).json()["provider"] == "cpu"
        assert (await client.get("/v1/models/light")).json()["provider"] == "cpu"
        text = (await client.get("/metrics")).text
        assert 'modelyard_provider{provider="cpu"} 1.0' in text
        assert 'modelyard_provider{provider="cuda"} 0.0' in text


async def test_a_lost_gpu_that_may_not_be_left_makes_the_service_not_ready(settings, card):
    settings = settings.model_copy(update={"rehearse": False, "provider": "cuda"})
    async with serving(settings) as client:
        card.lost = True
        assert (await client.post("/v1/classify", content=SEVEN_PNG, headers=PNG)).status_code == 500
        answer = await client.get("/v2/health/ready")
        assert answer.status_code == 503
        assert answer.json()["error"].startswith("The GPU is lost")
