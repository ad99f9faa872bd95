"""What is served follows the repository."""

import shutil

import pytest

from service.errors import InvalidInput, Unavailable, UnknownModel, UnknownVersion
from service.family import rooms
from service.registry import Registry
from service.settings import Settings
from tests.conftest import write_codes_version, write_version

pytestmark = pytest.mark.anyio


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def registry(models_dir, clock):
    return Registry(Settings(models_dir=models_dir, max_batch=2), rooms(), "cpu", clock)


def served(registry) -> dict[str, list[int]]:
    return {name: [one.version for one in versions] for name, versions in registry.models().items()}


async def test_before_the_first_look_nothing_is_ready_and_nothing_is_unknown(registry):
    assert registry.not_ready()
    with pytest.raises(Unavailable):
        registry.get("light")
    with pytest.raises(Unavailable):
        registry.answering("classifier")


async def test_a_new_version_becomes_the_one_that_answers(registry, models_dir):
    await registry.look()
    assert registry.get("light").version == 1
    write_version(models_dir, version=2)
    await registry.look()
    assert registry.get("light").version == 2
    assert registry.not_ready() is None


async def test_as_many_of_the_newest_are_served_as_the_setting_says(registry, models_dir):
    for version in (2, 3, 10):
        write_version(models_dir, version=version)
    await registry.look()
    assert served(registry) == {"light": [10, 3]}


async def test_a_broken_version_is_refused_and_named_and_the_one_before_stays(registry, models_dir):
    await registry.look()
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    await registry.look()
    assert served(registry) == {"light": [1]}
    (refused,) = registry.refused()
    assert (refused.found.version, "cannot open the graph" in refused.reason) == (2, True)


async def test_a_refused_version_is_not_tried_at_every_look_but_again_later(registry, models_dir, clock, monkeypatch):
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    tried = []
    load = registry._load
    monkeypatch.setattr(registry, "_load", lambda found: tried.append(found.version) or load(found))
    await registry.look()
    await registry.look()
    assert tried.count(2) == 1
    clock.now = 31
    await registry.look()
    assert tried.count(2) == 2


async def test_a_refused_version_that_is_mended_is_served(registry, models_dir):
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    await registry.look()
    write_version(models_dir, version=2)
    await registry.look()
    assert served(registry) == {"light": [2, 1]}
    assert not registry.refused()


async def test_a_removed_version_is_no_longer_served(registry, models_dir):
    write_version(models_dir, version=2)
    await registry.look()
    shutil.rmtree(models_dir / "light/2")
    await registry.look()
    assert served(registry) == {"light": [1]}


async def test_a_removed_model_is_unknown(registry, models_dir):
    await registry.look()
    shutil.rmtree(models_dir / "light")
    await registry.look()
    with pytest.raises(UnknownModel):
        registry.get("light")


async def test_a_repository_that_vanishes_takes_nothing_away(registry, models_dir, tmp_path):
    await registry.look()
    models_dir.rename(tmp_path / "elsewhere")
    await registry.look()
    assert served(registry) == {"light": [1]}


async def test_a_version_replaced_in_place_by_a_broken_one_stays_as_it_was(registry, models_dir):
    await registry.look()
    before = registry.get("light")
    write_version(models_dir, version=1, files={"model.onnx": b"junk"})
    await registry.look()
    assert registry.get("light") is before


async def test_an_unknown_version_names_those_that_are_served(registry):
    await registry.look()
    with pytest.raises(UnknownVersion, match=r"served are \[1\]"):
        registry.get("light", "7")


@pytest.mark.parametrize("version", ["0", "01", "+1", "1_0", " 1 ", "１", "²", "-1", "1.0", "", "9" * 30])
async def test_a_version_that_is_no_plain_number_is_refused(registry, version):
    await registry.look()
    with pytest.raises(InvalidInput, match="expected a whole number"):
        registry.get("light", version)


async def test_one_model_answers_its_familys_verbs_by_itself(registry):
    await registry.look()
    assert registry.answering("classifier").name == "light"


async def test_of_two_models_a_request_must_name_one(registry, models_dir):
    write_version(models_dir, "other")
    await registry.look()
    with pytest.raises(InvalidInput, match=r"expected one of \['light', 'other'\]"):
        registry.answering("classifier")


async def test_of_two_models_the_one_whose_manifest_says_so_answers(registry, models_dir):
    write_version(models_dir, "other", default=True)
    await registry.look()
    assert registry.answering("classifier").name == "other"


async def test_a_family_without_a_model_says_so(registry, models_dir):
    shutil.rmtree(models_dir / "light")
    await registry.look()
    with pytest.raises(UnknownModel, match="'classifier'"):
        registry.answering("classifier")


VERBS = {verb.name: verb for room in rooms().values() for verb in room.verbs}


@pytest.fixture
def coding(tmp_path):
    """Two models that encode, of which one cannot decode and denoises."""
    write_codes_version(tmp_path / "coding", "one")
    write_codes_version(tmp_path / "coding", "denoiser", kind="denoising", decodes=False)
    return Registry(Settings(models_dir=tmp_path / "coding", max_batch=2), rooms(), "cpu")


async def test_only_a_model_that_suits_a_verb_answers_it(coding):
    await coding.look()
    assert coding.answering("autoencoder", VERBS["decode"]).name == "one"
    assert coding.answering("autoencoder", VERBS["denoise"]).name == "denoiser"
    with pytest.raises(UnknownModel, match="No model of the family 'autoencoder' that answers '/v1/generate' is served"):
        coding.answering("autoencoder", VERBS["generate"])


async def test_of_models_that_suit_the_preferred_one_answers(coding):
    await coding.look()
    assert coding.answering("autoencoder", VERBS["encode"]).name == "one"
    with pytest.raises(InvalidInput, match="'model' is missing"):
        coding.answering("autoencoder")


async def test_among_several_that_suit_the_default_answers_and_none_is_taken_without(coding, tmp_path):
    write_codes_version(tmp_path / "coding", "two")
    await coding.look()
    with pytest.raises(InvalidInput, match=r"'model' is missing; expected one of \['one', 'two'\]"):
        coding.answering("autoencoder", VERBS["encode"])
    write_codes_version(tmp_path / "coding", "two", 2, default=True)
    await coding.look()
    assert coding.answering("autoencoder", VERBS["encode"]).name == "two"


async def test_a_named_version_that_does_not_suit_is_refused(coding):
    await coding.look()
    assert coding.chosen("autoencoder", "denoiser", "1", VERBS["encode"]).name == "denoiser"
    with pytest.raises(InvalidInput, match=r"'denoiser' \(version 1\) does not answer '/v1/decode'; expected one of \['one'\]"):
        coding.chosen("autoencoder", "denoiser", None, VERBS["decode"])


async def test_a_named_model_of_another_family_is_refused(registry):
    await registry.look()
    with pytest.raises(InvalidInput, match="Model 'light' is of the family 'classifier'; expected 'autoencoder'"):
        registry.chosen("autoencoder", "light", None, VERBS["encode"])


async def test_close_drains_every_version(registry):
    await registry.look()
    await registry.close()
    assert served(registry) == {"light": []} or served(registry) == {}
    assert registry.not_ready()
