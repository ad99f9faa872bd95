"""A model's policy: what it says, and that its file is whole whoever writes it and whatever goes wrong."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from service import files, policy
from service.policy import FILE, Budget, Plan, Policy

GOOD = frozenset({1, 2, 3})
CANARY = Plan(kind="canary", version=3, percent=5, budget=Budget(errors=0.2))


def test_what_was_written_is_read(tmp_path):
    wanted = Policy(newest=4, named=(1, 3), pinned=1, before=2, unloaded=True, trial=CANARY, ended="it failed")
    policy.write(tmp_path, wanted)
    assert policy.read(tmp_path, Policy()) == wanted


def test_the_file_is_read_by_whoever_may_read_the_folder(tmp_path):
    policy.write(tmp_path, Policy(pinned=1))
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o644


def test_where_there_is_no_file_the_unwritten_policy_holds(tmp_path):
    assert policy.read(tmp_path, Policy(pinned=3)) == Policy(pinned=3)


def test_a_written_policy_owes_the_unwritten_one_nothing(tmp_path):
    policy.write(tmp_path, Policy())
    assert policy.read(tmp_path, Policy(pinned=3)) == Policy()


def test_the_first_change_keeps_what_held_unwritten(tmp_path):
    policy.change(tmp_path, Policy(pinned=3), newest=2)
    assert policy.read(tmp_path, Policy()) == Policy(pinned=3, newest=2)


def test_a_change_leaves_other_fields_alone(tmp_path):
    policy.write(tmp_path, Policy(pinned=1, trial=CANARY))
    assert policy.change(tmp_path, Policy(), before=2) == Policy(pinned=1, trial=CANARY, before=2)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"{", "policy.json: Invalid JSON"),
        (b"", "policy.json: Invalid JSON"),
        (b"\xff\xfe", "policy.json: Invalid JSON"),
        (b"[]", "policy.json: Input should be"),
        (b'{"pinned": 0}', "policy.json at pinned"),
        (b'{"named": [1, 0]}', r"policy.json at named\.1"),
        (b'{"pined": 1}', "policy.json at pined"),
        (b'{"schema_version": 2}', "policy.json at schema_version"),
        (b'{"pinned": 1, "trial": {"kind": "canary", "version": 2, "percent": 101}}', r"policy.json at trial\.percent"),
    ],
)
def test_a_broken_file_is_refused_with_the_place(tmp_path, content, place):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ValueError, match=place):
        policy.read(tmp_path, Policy())


def test_a_file_too_large_to_be_one_is_not_read(tmp_path):
    (tmp_path / FILE).write_bytes(b'{"ended": "' + b"x" * policy.LARGEST_FILE + b'"}')
    with pytest.raises(OSError, match="at most"):
        policy.read(tmp_path, Policy())


def test_what_a_killed_writer_left_goes_with_the_next_change(tmp_path):
    (tmp_path / f".{policy.FILE}-left").write_bytes(b"{")
    policy.change(tmp_path, Policy(), pinned=1)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_a_broken_file_is_not_overwritten_by_a_change(tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(ValueError, match="Invalid JSON"):
        policy.change(tmp_path, Policy(), pinned=1)
    assert (tmp_path / FILE).read_text() == "{"


def test_a_write_that_fails_leaves_the_policy_before_and_nothing_else(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    policy.write(tmp_path, Policy(pinned=1))
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        policy.write(tmp_path, Policy(pinned=2))
    assert policy.read(tmp_path, Policy()) == Policy(pinned=1)
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


def test_a_change_that_makes_no_sense_is_not_written(tmp_path):
    policy.write(tmp_path, Policy(pinned=1))
    with pytest.raises(ValidationError):
        policy.change(tmp_path, Policy(), pinned=0)
    assert policy.read(tmp_path, Policy()) == Policy(pinned=1)


def test_a_lock_is_of_one_at_a_time(tmp_path):
    entered = threading.Event()

    def enter() -> None:
        with files.locked(tmp_path):
            entered.set()

    other = threading.Thread(target=enter)
    with files.locked(tmp_path):
        other.start()
        assert not entered.wait(0.05)
    other.join(10)
    assert entered.is_set()


def test_two_changes_at_once_both_hold(tmp_path, monkeypatch):
    both_read, read = threading.Barrier(2), policy.read

    def slow_read(model: Path, unwritten: Policy) -> Policy:
        found = read(model, unwritten)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_read.wait(0.1)
        return found

    monkeypatch.setattr(policy, "read", slow_read)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda fields: policy.change(tmp_path, Policy(), **fields), [{"pinned": 2}, {"newest": 5}]))
    assert read(tmp_path, Policy()) == Policy(pinned=2, newest=5)


def test_a_change_in_no_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        policy.change(tmp_path / "none", Policy(), pinned=1)


def test_a_stamp_changes_with_the_file(tmp_path):
    assert files.stamp(tmp_path / policy.FILE) is None
    policy.write(tmp_path, Policy(pinned=1))
    first = files.stamp(tmp_path / policy.FILE)
    assert files.stamp(tmp_path / policy.FILE) == first
    policy.write(tmp_path, Policy(pinned=2))
    assert files.stamp(tmp_path / policy.FILE) != first


@pytest.mark.parametrize(
    ("wanted", "answers"),
    [
        (Policy(), 3),
        (Policy(pinned=2), 2),
        (Policy(named=(1, 2)), 2),
        (Policy(named=(1, 2), pinned=3), 3),
        (Policy(named=(9,)), None),
    ],
)
def test_which_good_version_answers(wanted, answers):
    assert wanted.answering(GOOD) == answers


def test_a_pinned_version_that_is_broken_answers_nobody():
    assert Policy(pinned=4).answering(GOOD) is None


def test_without_a_good_version_nothing_answers():
    assert Policy().answering(frozenset()) is None


def test_versions_that_a_policy_speaks_of_are_always_served():
    assert Policy(named=(7,), pinned=1, before=2, trial=CANARY).always() == {1, 2, 3, 7}
    assert Policy(newest=2).always() == frozenset()


@pytest.mark.parametrize("pinned", [None, 3])
def test_a_trial_needs_another_version_to_be_pinned(pinned):
    with pytest.raises(ValidationError, match="another one must be pinned"):
        Policy(pinned=pinned, trial=CANARY)


def test_what_changed_is_checked_as_a_whole():
    with pytest.raises(ValidationError, match="another one must be pinned"):
        Policy(pinned=1, trial=CANARY).changed(pinned=None)


@pytest.mark.parametrize("percent", [0, -1, 100.1, float("nan"), float("inf")])
def test_a_share_of_no_requests_or_more_than_all_is_refused(percent):
    with pytest.raises(ValidationError):
        Plan(kind="shadow", version=1, percent=percent)
