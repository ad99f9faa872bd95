"""The environment."""

from pathlib import Path

import pytest

from service.settings import Settings as ServiceSettings
from training.settings import Settings


def test_versions_are_in_a_folder_or_behind_an_address(monkeypatch, tmp_path):
    monkeypatch.setenv("MODELYARD_MODELS_DIR", str(tmp_path))
    assert (Settings().is_remote, Settings().repository) == (False, tmp_path)
    monkeypatch.setenv("MODELYARD_MODELS_DIR", "s3://bucket/models/")
    assert Settings().is_remote
    assert Settings().repository == ServiceSettings().repository == ServiceSettings(models_dir="s3://bucket/models").repository


@pytest.mark.parametrize("name", ["data_dir", "cache_dir", "runs_dir"])
def test_a_folder_comes_from_its_variable(monkeypatch, name):
    monkeypatch.setenv(f"MODELYARD_{name.upper()}", "elsewhere")
    assert getattr(Settings(), name) == Path("elsewhere")


def test_models_and_runs_are_here_where_nothing_is_set(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MODELYARD_{name.upper()}", raising=False)
    assert (Settings().models_dir, Settings().runs_dir, Settings().data_dir) == ("models", Path("runs"), None)


def test_the_services_own_variables_do_no_harm(monkeypatch):
    monkeypatch.setenv("MODELYARD_PORT", "8000")
    assert Settings().models_dir
