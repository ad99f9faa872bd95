"""The environment."""

from pathlib import Path

import pytest

from training.settings import Settings


@pytest.mark.parametrize("name", ["models_dir", "data_dir", "cache_dir", "runs_dir"])
def test_a_folder_comes_from_its_variable(monkeypatch, name):
    monkeypatch.setenv(f"MODELYARD_{name.upper()}", "elsewhere")
    assert getattr(Settings(), name) == Path("elsewhere")


def test_models_and_runs_are_here_where_nothing_is_set(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(f"MODELYARD_{name.upper()}", raising=False)
    assert (Settings().models_dir, Settings().runs_dir, Settings().data_dir) == (Path("models"), Path("runs"), None)


def test_the_services_own_variables_do_no_harm(monkeypatch):
    monkeypatch.setenv("MODELYARD_PORT", "8000")
    assert Settings().models_dir
