"""The way to several machines, as `docs/scale.md` tells it: its commands are known, and its files are there."""

import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "scale.md").read_text()
COMMANDS = [line.removeprefix("$ ").split("  #")[0].strip() for line in re.findall(r"^\$ .*$", TEXT, re.MULTILINE)]


def words(command: str) -> list[str]:
    return [word for word in shlex.split(command) if not re.match(r"[A-Z_]+=", word)]


def of(*start: str) -> list[list[str]]:
    return [words(command)[len(start) :] for command in COMMANDS if words(command)[: len(start)] == list(start)]


def test_every_file_that_is_applied_is_there():
    named = [word for command in COMMANDS for word in words(command) if word.startswith("deploy/")]
    assert named
    assert all((ROOT / name).exists() for name in named)


def test_every_extra_is_one_of_ours():
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for group in re.findall(r"modelyard\[([a-z,]+)\]", TEXT) for extra in group.split(",")}
    assert named <= set(extras)
    assert {"remote", "ray", "search"} <= named


def test_what_is_asked_of_the_service_and_of_training_is_known():
    from service.commands import COMMANDS as OF_VERSIONS
    from training.__main__ import _usage
    from training.room import rooms

    assert {asked[0] for asked in of("python", "-m", "service", "models")} <= set(OF_VERSIONS)
    usage = _usage(rooms())
    assert all(f"  {asked[0]} FAMILY" in usage and asked[1] in rooms() for asked in of("python", "-m", "training"))


def test_what_is_asked_of_the_cluster_is_known(capsys):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from service import cluster, gateway

    with pytest.raises(SystemExit):
        cluster.main(["--help"])
    known = capsys.readouterr().out
    for asked in of("python", "-m", "service.cluster"):
        assert all(word in known for word in asked if word.startswith("--"))
    assert f"{gateway.VARIABLE}={gateway.NAMED}" in TEXT
    fields = re.search(r"service\.cluster:application ([a-z0-9= ]+)", TEXT)[1].split()
    cluster.Asked.model_validate(dict(one.split("=") for one in fields))


def test_every_test_that_it_names_is_there():
    named = re.findall(r"tests/\w+\.py", TEXT)
    assert named
    assert all(Path(ROOT / name).exists() for name in named)
