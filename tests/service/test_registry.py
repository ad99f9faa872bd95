"""Which version answers whom."""

import shutil

import pytest

from service.errors import InvalidInput, UnknownModel, UnknownVersion
from service.family import rooms
from service.follower import Follower
from service.registry import Registry
from service.settings import Settings
from tests.conftest import write_codes_version, write_version

pytestmark = pytest.mark.anyio


def following(models_dir) -> tuple[Registry, Follower]:
    registry = Registry(rooms())
    return registry, Follower(registry, Settings(models_dir=models_dir, max_batch=2, rehearse=False), "cpu")


@pytest.fixture
def pair(models_dir):
    return following(models_dir)


@pytest.fixture
def registry(pair):
    return pair[0]


@pytest.fixture
def follower(pair):
    return pair[1]


async def test_an_unknown_version_names_those_that_are_served(registry, follower):
    await follower.look()
    with pytest.raises(UnknownVersion, match=r"served are \[1\]"):
        registry.get("light", "7")


@pytest.mark.parametrize("version", ["0", "01", "+1", "1_0", " 1 ", "１", "²", "-1", "1.0", "", "9" * 30])
async def test_a_version_that_is_no_plain_number_is_refused(registry, follower, version):
    await follower.look()
    with pytest.raises(InvalidInput, match="expected a whole number"):
        registry.get("light", version)


async def test_one_model_answers_its_familys_verbs_by_itself(registry, follower):
    await follower.look()
    assert registry.answering("classifier").name == "light"


async def test_of_two_models_a_request_must_name_one(registry, follower, models_dir):
    write_version(models_dir, "other")
    await follower.look()
    with pytest.raises(InvalidInput, match=r"expected one of \['light', 'other'\]"):
        registry.answering("classifier")


async def test_of_two_models_the_one_whose_manifest_says_so_answers(registry, follower, models_dir):
    write_version(models_dir, "other", default=True)
    await follower.look()
    assert registry.answering("classifier").name == "other"


async def test_a_family_without_a_model_says_so(registry, follower, models_dir):
    shutil.rmtree(models_dir / "light")
    await follower.look()
    with pytest.raises(UnknownModel, match="'classifier'"):
        registry.answering("classifier")


VERBS = {verb.name: verb for room in rooms().values() for verb in room.verbs}


@pytest.fixture
def coding(tmp_path):
    """Two models that encode, of which one cannot decode and denoises."""
    write_codes_version(tmp_path / "coding", "one")
    write_codes_version(tmp_path / "coding", "denoiser", kind="denoising", decodes=False)
    return following(tmp_path / "coding")


async def test_only_a_model_that_suits_a_verb_answers_it(coding):
    await coding[1].look()
    assert coding[0].answering("autoencoder", VERBS["decode"]).name == "one"
    assert coding[0].answering("autoencoder", VERBS["denoise"]).name == "denoiser"
    with pytest.raises(UnknownModel, match="No model of the family 'autoencoder' that answers '/v1/generate' is served"):
        coding[0].answering("autoencoder", VERBS["generate"])


async def test_of_models_that_suit_the_preferred_one_answers(coding):
    await coding[1].look()
    assert coding[0].answering("autoencoder", VERBS["encode"]).name == "one"
    with pytest.raises(InvalidInput, match="'model' is missing"):
        coding[0].answering("autoencoder")


async def test_among_several_that_suit_the_default_answers_and_none_is_taken_without(coding, tmp_path):
    write_codes_version(tmp_path / "coding", "two")
    await coding[1].look()
    with pytest.raises(InvalidInput, match=r"'model' is missing; expected one of \['one', 'two'\]"):
        coding[0].answering("autoencoder", VERBS["encode"])
    write_codes_version(tmp_path / "coding", "two", 2, default=True)
    await coding[1].look()
    assert coding[0].answering("autoencoder", VERBS["encode"]).name == "two"


async def test_a_named_version_that_does_not_suit_is_refused(coding):
    await coding[1].look()
    assert coding[0].chosen("autoencoder", "denoiser", "1", VERBS["encode"]).name == "denoiser"
    with pytest.raises(InvalidInput, match=r"'denoiser' \(version 1\) does not answer '/v1/decode'; expected one of \['one'\]"):
        coding[0].chosen("autoencoder", "denoiser", None, VERBS["decode"])


async def test_a_named_model_of_another_family_is_refused(registry, follower):
    await follower.look()
    with pytest.raises(InvalidInput, match="Model 'light' is of the family 'classifier'; expected 'autoencoder'"):
        registry.chosen("autoencoder", "light", None, VERBS["encode"])
