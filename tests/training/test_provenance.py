"""Where a training comes from."""

import re
import subprocess

import pytest

from training import provenance


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("/a/b", "…/b"),
        ("/a/b/", "…/b/"),
        ("--data=/a/b", "--data=…/b"),
        ("~/b", "…/b"),
        ("/b", "…/b"),
        ("../b", "../b"),
        ("0.5", "0.5"),
    ],
)
def test_a_command_is_kept_without_the_places_it_names(monkeypatch, typed, kept):
    monkeypatch.setattr("sys.argv", ["training", "train", typed])
    assert provenance.command() == f"python -m training train {kept}"


def test_the_revision_is_gits_or_unknown(monkeypatch):
    assert re.fullmatch(r"[0-9a-f]{12}(\+changes)?|unknown", provenance.revision())
    monkeypatch.setenv("PATH", "")
    assert provenance.revision() == "unknown"


def test_a_git_that_fails_costs_no_training(monkeypatch):
    def fail(*words, **options):
        raise subprocess.TimeoutExpired("git", 10)

    monkeypatch.setattr(subprocess, "run", fail)
    assert provenance.revision() == "unknown"


def test_each_library_that_numbers_depend_on_has_a_version():
    assert all(re.match(r"\d+\.\d+", version) for version in provenance.libraries().values())
