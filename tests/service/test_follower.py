"""What is served follows the repository and its policies."""

import asyncio
import os
import shutil
import time

import pytest

from service import memory, policy, repository
from service.agreement import Folder
from service.errors import Unavailable, UnknownModel
from service.family import rooms
from service.follower import Follower
from service.policy import Policy
from service.registry import Registry
from service.repository import BrokenVersion
from service.settings import Settings
from tests.conftest import until, write_version

pytestmark = pytest.mark.anyio


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def following(models_dir, clock=time.monotonic, board=None, **settings) -> tuple[Registry, Follower]:
    registry = Registry(rooms())
    return registry, Follower(
        registry, Settings(models_dir=models_dir, max_batch=2, rehearse=False, **settings), "cpu", board, clock
    )


@pytest.fixture
def pair(models_dir, clock):
    return following(models_dir, clock)


@pytest.fixture
def registry(pair):
    return pair[0]


@pytest.fixture
def follower(pair):
    return pair[1]


def served(registry) -> dict[str, list[int]]:
    return {name: [one.version for one in versions] for name, versions in registry.models().items()}


async def test_before_the_first_look_nothing_is_ready_and_nothing_is_unknown(registry, follower):
    assert registry.not_ready()
    with pytest.raises(Unavailable):
        registry.get("light")
    with pytest.raises(Unavailable):
        registry.answering("classifier")


async def test_a_new_version_becomes_the_one_that_answers(registry, follower, models_dir):
    await follower.look()
    assert registry.get("light").version == 1
    write_version(models_dir, version=2)
    await follower.look()
    assert registry.get("light").version == 2
    assert registry.not_ready() is None


async def test_as_many_of_the_newest_are_served_as_the_setting_says(registry, follower, models_dir):
    for version in (2, 3, 10):
        write_version(models_dir, version=version)
    await follower.look()
    assert served(registry) == {"light": [10, 3]}


async def test_a_broken_version_is_refused_and_named_and_the_one_before_stays(registry, follower, models_dir):
    await follower.look()
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    await follower.look()
    assert served(registry) == {"light": [1]}
    (refused,) = registry.refused()
    assert (refused.found.version, "cannot open the graph" in refused.reason) == (2, True)


async def test_a_refused_version_is_not_tried_at_every_look_but_again_later(registry, follower, models_dir, clock, monkeypatch):
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    tried = []
    load = follower._load
    monkeypatch.setattr(follower, "_load", lambda found, known: tried.append(found.version) or load(found, known))
    await follower.look()
    await follower.look()
    assert tried.count(2) == 1
    clock.now = 31
    await follower.look()
    assert tried.count(2) == 2


async def test_a_refused_version_that_is_mended_is_served(registry, follower, models_dir):
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    await follower.look()
    write_version(models_dir, version=2)
    await follower.look()
    assert served(registry) == {"light": [2, 1]}
    assert not registry.refused()


async def test_a_removed_version_is_no_longer_served(registry, follower, models_dir):
    write_version(models_dir, version=2)
    await follower.look()
    shutil.rmtree(models_dir / "light/2")
    await follower.look()
    assert served(registry) == {"light": [1]}


async def test_a_version_that_was_removed_stays_while_no_other_can_answer(registry, follower, models_dir):
    await follower.look()
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    shutil.rmtree(models_dir / "light/1")
    await follower.look()
    assert registry.get("light").version == 1
    write_version(models_dir, version=3)
    await follower.look()
    assert served(registry) == {"light": [3]}


async def test_a_removed_model_is_unknown(registry, follower, models_dir):
    await follower.look()
    shutil.rmtree(models_dir / "light")
    await follower.look()
    with pytest.raises(UnknownModel):
        registry.get("light")


async def test_a_repository_that_vanishes_takes_nothing_away(registry, follower, models_dir, tmp_path):
    await follower.look()
    models_dir.rename(tmp_path / "elsewhere")
    await follower.look()
    assert served(registry) == {"light": [1]}


async def test_a_version_replaced_in_place_by_a_broken_one_stays_as_it_was(registry, follower, models_dir):
    await follower.look()
    before = registry.get("light")
    write_version(models_dir, version=1, files={"model.onnx": b"junk"})
    await follower.look()
    assert registry.get("light") is before


async def test_close_drains_every_version(registry, follower):
    await follower.look()
    await follower.close()
    assert served(registry) == {}
    assert registry.not_ready()


async def test_a_pinned_version_answers_and_newer_ones_answer_who_names_them(registry, follower, models_dir):
    write_version(models_dir, version=2)
    policy.write(models_dir / "light", Policy(pinned=1))
    await follower.look()
    assert registry.get("light").version == 1
    assert registry.get("light", "2").version == 2


async def test_a_pin_taken_away_lets_the_newest_answer_at_the_next_look(registry, follower, models_dir):
    write_version(models_dir, version=2)
    policy.write(models_dir / "light", Policy(pinned=1))
    await follower.look()
    policy.write(models_dir / "light", Policy())
    await follower.look()
    assert registry.get("light").version == 2


async def test_a_pinned_version_that_is_broken_is_not_replaced_by_another(registry, follower, models_dir):
    write_version(models_dir, version=2, files={"model.onnx": b"junk"})
    policy.write(models_dir / "light", Policy(pinned=2))
    await follower.look()
    with pytest.raises(Unavailable, match="2 was refused because"):
        registry.get("light")
    assert registry.get("light", "1").version == 1


async def test_a_pinned_version_that_is_not_there_is_named(registry, follower, models_dir):
    policy.write(models_dir / "light", Policy(pinned=7))
    await follower.look()
    with pytest.raises(Unavailable, match=r"Version 7 of 'light' is pinned and not there; there are \[1\]"):
        registry.get("light")


async def test_the_setting_pins_until_a_policy_is_written(models_dir):
    write_version(models_dir, version=2)
    registry, follower = following(models_dir, pin="light=1, other=3")
    await follower.look()
    assert registry.get("light").version == 1
    await follower.change("light", pinned=None)
    assert registry.get("light").version == 2


async def test_the_policy_says_how_many_are_served_or_which(registry, follower, models_dir):
    for version in (2, 3, 4):
        write_version(models_dir, version=version)
    policy.write(models_dir / "light", Policy(newest=3))
    await follower.look()
    assert served(registry) == {"light": [4, 3, 2]}
    policy.write(models_dir / "light", Policy(named=(1, 3)))
    await follower.look()
    assert (served(registry), registry.get("light").version) == ({"light": [3, 1]}, 3)


async def test_the_version_a_rollback_goes_to_stays_loaded(registry, follower, models_dir):
    for version in (2, 3, 4):
        write_version(models_dir, version=version)
    policy.write(models_dir / "light", Policy(before=1))
    await follower.look()
    assert served(registry) == {"light": [4, 3, 1]}


async def test_an_unloaded_model_serves_nothing_and_says_so_until_it_is_loaded(registry, follower):
    await follower.look()
    await follower.change("light", unloaded=True)
    with pytest.raises(Unavailable, match="'light' is unloaded"):
        registry.get("light")
    assert registry.entries["light"].states() == {1: ("UNAVAILABLE", "unloaded")}
    await follower.change("light", unloaded=False)
    assert registry.get("light").version == 1


async def test_a_load_tries_a_refused_version_again_at_once(registry, follower, models_dir, monkeypatch):
    load, fails = follower._load, [True]

    def once(found, known):
        if fails.pop() if fails else False:
            raise BrokenVersion("it was not its day")
        return load(found, known)

    monkeypatch.setattr(follower, "_load", once)
    await follower.look()
    with pytest.raises(Unavailable, match="not its day"):
        registry.get("light")
    await follower.change("light", unloaded=False)
    assert registry.get("light").version == 1


async def test_a_policy_that_cannot_be_read_changes_nothing_and_at_the_start_serves_nothing(registry, follower, models_dir):
    await follower.look()
    (models_dir / "light/policy.json").write_text('{"pinned": "two"}')
    await follower.look()
    assert registry.get("light").version == 1
    fresh, its_follower = following(models_dir)
    await its_follower.look()
    with pytest.raises(Unavailable, match=r"policy cannot be read: policy\.json at pinned"):
        fresh.get("light")


async def test_a_policy_that_cannot_be_written_is_an_error_and_changes_nothing(registry, follower, monkeypatch):
    await follower.look()

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(policy, "write", refuse)
    with pytest.raises(Unavailable, match="cannot be written: Read-only file system"):
        await follower.change("light", unloaded=True)
    assert registry.get("light").version == 1


async def test_every_version_on_disk_has_a_state_and_a_reason(registry, follower, models_dir):
    for version in (2, 3):
        write_version(models_dir, version=version)
    write_version(models_dir, version=4, files={"model.onnx": b"junk"})
    await follower.look()
    states = registry.entries["light"].states()
    assert [states[version][0] for version in (4, 3, 2, 1)] == ["UNAVAILABLE", "READY", "READY", "UNAVAILABLE"]
    assert "cannot open the graph" in states[4][1]
    assert "older than the newest versions that are served, [3, 2]" in states[1][1]


async def test_while_a_version_is_loaded_it_is_said_to_be(registry, follower, models_dir, monkeypatch):
    await follower.look()
    seen, load = {}, follower._load

    def watch(found, known):
        seen[found.version] = registry.entries["light"].states()[found.version][0]
        return load(found, known)

    monkeypatch.setattr(follower, "_load", watch)
    write_version(models_dir, version=2)
    await follower.look()
    assert seen == {2: "LOADING"}


async def test_a_trial_begins_ends_and_begins_anew_with_its_plan(registry, follower, models_dir):
    write_version(models_dir, version=2)
    plan = {"kind": "canary", "version": 2, "percent": 10}
    policy.write(models_dir / "light", Policy(pinned=1).changed(trial=plan))
    await follower.look()
    first = registry.trial(registry.get("light"), None)
    assert (first.answering.version, first.candidate.version, first.plan.percent) == (1, 2, 10)
    await follower.look()
    assert registry.trial(registry.get("light"), None) is first
    policy.change(models_dir / "light", Policy(), trial={**plan, "percent": 20})
    await follower.look()
    second = registry.trial(registry.get("light"), None)
    assert (first.over, second.plan.percent) == (True, 20)
    policy.change(models_dir / "light", Policy(), trial=None)
    await follower.look()
    assert registry.trial(registry.get("light"), None) is None


async def test_a_request_that_names_its_version_takes_no_part_in_a_trial(registry, follower, models_dir):
    write_version(models_dir, version=2)
    policy.write(models_dir / "light", Policy(pinned=1).changed(trial={"kind": "canary", "version": 2, "percent": 10}))
    await follower.look()
    assert registry.trial(registry.get("light", "1"), "1") is None


async def test_a_spent_budget_ends_the_trial_at_once_and_for_good(registry, follower, models_dir):
    write_version(models_dir, version=2)
    policy.write(models_dir / "light", Policy(pinned=1).changed(trial={"kind": "canary", "version": 2, "percent": 10}))
    await follower.look()
    trial = registry.trial(registry.get("light"), None)
    for _ in range(2):
        trial.failed(Unavailable("made"))
    assert registry.trial(registry.get("light"), None) is None
    await until(lambda: policy.read(models_dir / "light", Policy()).trial is None)
    await follower.look()
    assert registry.entries["light"].trial is None
    assert "the canary of version 2 ended: 2 of its 2 requests failed" in registry.entries["light"].policy.ended
    assert registry.get("light").version == 1


class Seat(Folder):
    """Of a worker that is one of two in this process: its number is that of some process that lives."""

    def __init__(self, folder, pid: int) -> None:
        super().__init__(folder, 2)
        self._pid = pid

    @property
    def me(self) -> str:
        return str(self._pid)


async def test_a_worker_that_comes_late_begins_with_what_others_answer_and_they_switch_together(models_dir, tmp_path):
    registry, follower = following(models_dir, board=Seat(tmp_path / "shared", os.getpid()))
    await follower.look()
    write_version(models_dir, version=2)
    late, other = following(models_dir, board=Seat(tmp_path / "shared", os.getppid()))
    await other.look()
    assert (registry.get("light").version, late.get("light").version) == (1, 1)
    await follower.look()
    await until(lambda: registry.get("light").version == 2)
    assert late.get("light").version == 2
    await follower.close()
    await other.close()


async def test_a_worker_whose_others_answer_with_a_version_that_is_gone_answers_with_the_newest(models_dir, tmp_path):
    seat = Seat(tmp_path / "shared", os.getppid())
    (tmp_path / "shared" / f"light@7@answers@{os.getpid()}").touch()
    registry, follower = following(models_dir, board=seat)
    await follower.look()
    assert registry.get("light").version == 1
    await follower.close()


async def test_at_the_start_models_are_loaded_side_by_side_and_later_one_at_a_time(models_dir, monkeypatch):
    write_version(models_dir, "other")
    registry, follower = following(models_dir, threads=2)
    now, most, read = 0, [0], repository.read

    def slow(found):
        nonlocal now
        now += 1
        most[-1] = max(most[-1], now)
        time.sleep(0.1)
        now -= 1
        return read(found)

    monkeypatch.setattr(repository, "read", slow)
    await follower.look()
    most.append(0)
    for name in ("light", "other"):
        write_version(models_dir, name, version=2)
    await follower.look()
    assert most == [2, 1]
    assert served(registry) == {"light": [2, 1], "other": [2, 1]}


async def test_freed_memory_is_given_back_after_the_first_look_alone(follower, monkeypatch):
    given = []
    monkeypatch.setattr(memory, "trim", lambda: given.append(1))
    await follower.look()
    await follower.look()
    assert given == [1]


async def test_a_model_whose_folder_cannot_be_read_stays_as_it_is(registry, follower, models_dir, monkeypatch):
    await follower.look()
    monkeypatch.setattr(repository, "look", lambda _: ([], {"light", "unknown"}))
    await follower.look()
    assert served(registry) == {"light": [1]}


async def test_a_repository_that_comes_back_is_said_to_be_there(follower, models_dir, tmp_path, caplog):
    caplog.set_level("INFO")
    models_dir.rename(tmp_path / "elsewhere")
    await follower.look()
    (tmp_path / "elsewhere").rename(models_dir)
    await follower.look()
    await follower.look()
    assert [one.message for one in caplog.records].count("the repository can be read again") == 1


async def test_folders_that_take_long_to_look_through_are_looked_through_less_often(follower, monkeypatch):
    slept, scan = [], repository.look

    def slow(models_dir):
        end = time.thread_time() + 0.1
        while time.thread_time() < end:
            pass
        return scan(models_dir)

    async def sleep(seconds):
        slept.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr(repository, "look", slow)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await follower.follow()
    assert slept[0] >= 10 * 0.1
