"""New versions are checked in a process of their own."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from service import rehearsal, repository
from service.rehearsal import Rehearsal
from service.repository import BrokenVersion
from service.settings import Settings
from tests.conftest import until, write_version

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rehearse():
    one = Rehearsal(Settings(max_batch=4), "cpu")
    yield one
    await one.close()


def found(models_dir, version: int = 1):
    return next(one for one in repository.scan(models_dir) if one.version == version)


async def test_a_good_version_has_its_costs_told_by_a_process_that_is_kept(models_dir, rehearse, monkeypatch):
    monkeypatch.setattr(rehearsal, "HUMBLE_S", 50)  # however busy this machine is
    curve = await rehearse(found(models_dir))
    assert {rows for rows, _ in curve.points} == {1, 2, 4}
    pid = rehearse._process.pid
    await rehearse(found(models_dir))
    assert rehearse._process.pid == pid
    assert os.sched_getscheduler(pid) == os.SCHED_IDLE


@pytest.fixture
def busy():
    """One processor for all, which somebody else always wants."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    yield
    for hog in hogs:
        hog.kill()
        hog.wait()
    os.sched_setaffinity(0, before)


async def test_on_a_busy_machine_a_version_is_checked_all_the_same(models_dir, rehearse, busy, monkeypatch):
    monkeypatch.setattr(rehearsal, "HUMBLE_S", 0.5)
    async with asyncio.timeout(30):
        await rehearse(found(models_dir))
    assert os.sched_getscheduler(rehearse._process.pid) == os.SCHED_OTHER


async def test_a_broken_version_is_refused_with_its_reason(models_dir, rehearse):
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    with pytest.raises(BrokenVersion, match="cannot open the graph"):
        await rehearse(found(models_dir, 2))
    await rehearse(found(models_dir))


async def test_a_version_that_takes_the_process_along_is_refused_and_the_next_one_is_checked(models_dir, rehearse):
    await rehearse(found(models_dir))
    os.kill(rehearse._process.pid, signal.SIGKILL)
    with pytest.raises(BrokenVersion, match="the process that checked it ended with -9"):
        await rehearse(found(models_dir))
    await rehearse(found(models_dir))


async def test_a_version_that_hangs_is_refused_and_its_process_ended(models_dir):
    hasty = Rehearsal(Settings(rehearsal_s=0.01), "cpu")
    with pytest.raises(BrokenVersion, match=r"not checked within 0\.01 s"):
        await hasty(found(models_dir))
    assert hasty._process is None


async def test_a_version_that_changes_meanwhile_is_refused(models_dir, rehearse, monkeypatch):
    monkeypatch.setattr(rehearsal, "_manifest_digest", lambda _: "another")
    with pytest.raises(BrokenVersion, match="changed while it was checked"):
        await rehearse(found(models_dir))


async def test_an_idle_process_ends(models_dir, monkeypatch):
    monkeypatch.setattr(rehearsal, "IDLE_S", 0.5)
    one = Rehearsal(Settings(max_batch=4), "cpu")
    await one(found(models_dir))
    process = one._process
    await until(lambda: process.returncode == 0)
    assert one._process is None


def test_lines_are_answered_one_by_one(models_dir):
    asked = f'{{"name": "light", "version": 1, "folder": "{models_dir}/light/1"}}'
    said = rehearsal.answer(asked, Settings(max_batch=2), "cpu")
    assert [point[:2] for point in said["cost"]] == [[1, 1], [2, 1]]
    said = rehearsal.answer(asked.replace('"version": 1', '"version": 2'), Settings(), "cpu")
    assert "its manifest is of light 1" in said["broken"]
