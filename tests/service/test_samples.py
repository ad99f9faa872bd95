"""Inputs to try models with."""

import json

import pytest

from service import samples
from service.manifest import SAMPLES
from service.repository import BrokenVersion
from tests.conftest import serving, write_version

pytestmark = pytest.mark.anyio
MADE = {"note": "made up", "samples": [{"title": "dark", "body": {"images": ["AAAA"]}, "truth": "dark"}]}


async def test_a_versions_own_samples_are_told(settings):
    write_version(settings.repository, version=2, files={SAMPLES: json.dumps(MADE).encode()})
    async with serving(settings) as client:
        answer = (await client.get("/v1/models/light/samples")).json()
    assert answer == {"model": "light", "version": 2, **MADE}


async def test_a_version_without_any_has_its_verbs_example_which_works(settings):
    async with serving(settings) as client:
        (sample,) = (await client.get("/v1/models/light/samples?version=1")).json()["samples"]
        assert (await client.post("/v1/classify", json=sample["body"])).status_code == 200
        assert (await client.get("/v1/models/light/samples?version=9")).status_code == 404


@pytest.mark.parametrize(
    "content", [b"junk", b"{}", b'{"samples": []}', b'{"samples": [{"truth": 1}]}', b'{"samples": [{"body": []}]}']
)
def test_samples_of_another_form_are_refused(content):
    with pytest.raises(ValueError, match="Samples"):
        samples.read({SAMPLES: content}, {})


async def test_a_version_with_such_samples_is_not_served(settings):
    write_version(settings.repository, version=2, files={SAMPLES: b"junk"})
    async with serving(settings) as client:
        assert (await client.get("/v1/models/light")).json()["version"] == 1
        (refused,) = (await client.get("/v1/models")).json()["refused"]
    assert "Samples" in refused["reason"]
    assert BrokenVersion.__name__ not in refused["reason"]
