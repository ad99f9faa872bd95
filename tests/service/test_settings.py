"""The environment."""

import pytest
from pydantic import ValidationError

from service.settings import Settings
from tests.conftest import ROOT


def test_every_setting_stands_in_the_readme_with_its_default():
    readme = (ROOT / "README.md").read_text()
    for name, field in Settings.model_fields.items():
        line = next((line for line in readme.splitlines() if f"`MODELYARD_{name.upper()}`" in line), None)
        assert line, f"MODELYARD_{name.upper()} is not in the README"
        assert f"`{field.default}`" in line, f"{line} does not state {field.default}"
        assert field.description in line, f"{line} does not say {field.description!r}"


def test_a_setting_comes_from_its_variable(monkeypatch):
    monkeypatch.setenv("MODELYARD_MAX_BATCH", "7")
    assert Settings().max_batch == 7


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "70000"), ("WORKERS", "0"), ("MAX_BATCH", "many"), ("DEADLINE_S", "nan"), ("PROVIDER", "tpu")]
)
def test_a_value_out_of_bounds_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"MODELYARD_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_slots_share_the_cores_among_the_workers(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert Settings(workers=2).slots == 4
    assert Settings(workers=16).slots == 1
    assert Settings(threads=3).slots == 3


@pytest.mark.parametrize(
    ("provider", "asked", "does"),
    [("auto", "auto", True), ("cuda", "auto", False), ("cuda", "on", True), ("auto", "off", False)],
)
def test_a_lost_gpu_is_left_for_the_cpu_unless_it_was_asked_for_by_name(provider, asked, does):
    assert Settings(provider=provider, gpu_fallback=asked).falls_back is does
