"""Which version is asked, and what a client sees of a trial: nothing but answers."""

import numpy as np
import pytest

from service import images, policy
from service.policy import Policy
from tests.conftest import light_graph, serving, until, write_version

pytestmark = pytest.mark.anyio
PNG = {"content-type": "image/png"}


def grey(light: int) -> bytes:
    return images.to_png(np.full((28, 28, 1), light, np.uint8))


def tried(settings, kind: str, percent: float = 50, **budget) -> None:
    plan = {"kind": kind, "version": 2, "percent": percent, "budget": {"least": 10, **budget}}
    policy.write(settings.repository / "light", Policy(pinned=1).changed(trial=plan))


async def asked(client, light: int, times: int = 1, path: str = "/v1/classify") -> list[int]:
    answers = [await client.post(path, content=grey(light), headers=PNG) for _ in range(times)]
    assert {one.status_code for one in answers} == {200}, answers[0].text
    return [one.json()["version"] for one in answers]


def told(client) -> dict:
    return client.app.state.registry.entries["light"].trial.public()


async def test_a_canary_answers_its_share(settings):
    write_version(settings.repository, version=2)
    tried(settings, "canary", percent=25)
    async with serving(settings) as client:
        assert await asked(client, 9, 8) == [1, 1, 1, 2, 1, 1, 1, 2]
        await until(lambda: told(client)["compared"])
        assert (told(client)["answering"]["requests"], told(client)["candidate"]["requests"]) == (6, 2)


async def test_tensors_take_part_too(settings):
    write_version(settings.repository, version=2)
    tried(settings, "canary", percent=50)
    data = [{"name": "image", "datatype": "UINT8", "shape": [1, 28, 28, 1], "data": [9] * 784}]
    async with serving(settings) as client:
        answers = [await client.post("/v2/models/light/infer", json={"inputs": data}) for _ in range(4)]
        assert [one.json()["model_version"] for one in answers] == ["1", "2", "1", "2"]


async def test_who_names_a_version_gets_that_one(settings):
    write_version(settings.repository, version=2)
    tried(settings, "canary", percent=100)
    async with serving(settings) as client:
        assert await asked(client, 9, 3, "/v1/classify?model=light&version=1") == [1, 1, 1]


async def test_a_canary_that_fails_is_made_up_for_and_taken_back(settings):
    write_version(settings.repository, version=2, files={"model.onnx": light_graph(fragile=True)})
    tried(settings, "canary", percent=100, errors=0.2)
    async with serving(settings) as client:
        assert await asked(client, 9, 2) == [2, 2]
        assert await asked(client, 0, 3) == [1, 1, 1]
        assert await asked(client, 9) == [1]
        entry = client.app.state.registry.entries["light"]
        assert (entry.trial, "3 of its 5 requests failed" in entry.policy.ended) == (None, True)
        await until(lambda: policy.read(settings.repository / "light", Policy()).ended)


async def test_a_request_that_is_wrong_for_both_is_no_error_of_the_candidate(settings):
    write_version(settings.repository, version=2)
    tried(settings, "canary", percent=100)
    async with serving(settings) as client:
        assert (await client.post("/v1/classify", content=b"junk", headers=PNG)).status_code == 415
        assert told(client)["candidate"] == {"version": 2, "requests": 0, "errors": 0, "p50_ms": 0, "p99_ms": 0}


async def test_a_shadow_answers_nobody_and_is_compared(settings):
    write_version(settings.repository, version=2, gain=0.5)
    tried(settings, "shadow", percent=100, disagreement=1)
    async with serving(settings) as client:
        for light in (200, 20):
            assert await asked(client, light) == [1]
            await until(lambda: client.app.state.registry.entries["light"].trial._copying.done())
        found = told(client)
        assert (found["compared"], found["agreement"], len(found["differing_requests"])) == (2, 0.5, 1)


async def test_a_shadow_that_fails_fails_nobody(settings):
    write_version(settings.repository, version=2, files={"model.onnx": light_graph(fragile=True)})
    tried(settings, "shadow", percent=100)
    async with serving(settings) as client:
        assert await asked(client, 0, 3) == [1, 1, 1]
        await until(lambda: client.app.state.registry.entries["light"].policy.ended)


async def test_the_statistics_count_what_was_answered_and_what_failed(settings):
    async with serving(settings) as client:
        await asked(client, 9, 3)
        await client.post("/v1/classify", content=b"junk", headers=PNG)
        (found,) = (await client.get("/v2/models/light/stats")).json()["model_stats"]
        spans = found["inference_stats"]
        assert (spans["success"]["count"], spans["fail"]["count"], found["inference_count"]) == (3, 1, 3)
        parts = sum(spans[phase]["ns"] for phase in ("queue", "compute_input", "compute_infer", "compute_output"))
        assert spans["success"]["ns"] == pytest.approx(parts, abs=100)
