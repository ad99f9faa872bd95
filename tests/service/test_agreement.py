"""Workers agree on the moment of a switch."""

import os
import subprocess
import sys
import time

import pytest

from service.agreement import OLD_S, Agreement, Folder

HERE = str(os.getpid())


@pytest.fixture
def other():
    """The number of a process that lives."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield str(process.pid)
    process.kill()
    process.wait()
    process.stdin.close()


@pytest.fixture
def agreement(tmp_path):
    return Agreement(Folder(tmp_path, 2))


def says(folder, worker: str, decision: str, what: str = "ready") -> None:
    (folder / f"light@{decision}@{what}@{worker}").touch()


def test_one_worker_has_nobody_to_agree_with(tmp_path):
    assert not Agreement(None).needed
    assert not Agreement(Folder(tmp_path, 1)).needed
    assert Agreement(Folder(tmp_path, 2)).needed


def test_all_workers_are_known_once_each_could_follow(agreement, tmp_path, other):
    agreement.ready("light", "2-a")
    assert agreement.workers("light", "2-a") is None
    says(tmp_path, other, "2-a")
    assert sorted(agreement.workers("light", "2-a")) == sorted([HERE, other])


def test_nothing_is_settled_before_the_last_worker_is_bound(agreement, tmp_path, other):
    agreement.ready("light", "2-a")
    says(tmp_path, other, "2-a")
    assert not agreement.settled("light", "2-a", [HERE, other])
    agreement.bind("light", "2-a")
    assert not agreement.settled("light", "2-a", [HERE, other])
    says(tmp_path, other, "2-a", "bound")
    assert agreement.settled("light", "2-a", [HERE, other])


def test_what_one_worker_saw_settled_holds_although_another_dies(agreement, tmp_path, other):
    agreement.bind("light", "2-a")
    says(tmp_path, other, "2-a", "bound")
    assert agreement.settled("light", "2-a", [HERE, other])
    (tmp_path / f"light@2-a@bound@{other}").unlink()
    assert Agreement(Folder(tmp_path, 2)).settled("light", "2-a", [HERE, other])


def test_the_word_of_a_worker_that_died_does_not_count(agreement, tmp_path):
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    agreement.ready("light", "2-a")
    says(tmp_path, process.stdout.decode().strip(), "2-a")
    assert agreement.workers("light", "2-a") is None


def test_a_word_on_another_decision_or_model_does_not_count(agreement, tmp_path, other):
    agreement.ready("light", "2-a")
    agreement.bind("light", "2-a")
    says(tmp_path, other, "2-b")
    says(tmp_path, other, "2-b", "bound")
    (tmp_path / f"other@2-a@ready@{other}").touch()
    assert agreement.workers("light", "2-a") is None
    assert not agreement.settled("light", "2-a", [HERE, other])


def test_a_workers_old_words_are_taken_back(agreement, tmp_path):
    for decision in ("2-a", "3-b", "2-c"):
        agreement.ready("light", decision)
        agreement.bind("light", decision)
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"light@2-c@bound@{HERE}", f"light@2-c@ready@{HERE}"]


def test_a_decision_that_was_settled_once_is_settled_anew(agreement, tmp_path):
    for decision in ("2-a", "3-b"):
        agreement.ready("light", decision)
        agreement.bind("light", decision)
        assert agreement.settled("light", decision, [HERE])
    agreement.ready("light", "2-a")
    assert not agreement.settled("light", "2-a", [HERE])


def test_who_is_freed_is_told_whether_it_was_settled(agreement):
    agreement.bind("light", "2-a")
    assert not agreement.free("light", "2-a")
    assert not agreement.settled("light", "2-a", [HERE])
    agreement.bind("light", "2-a")
    assert agreement.settled("light", "2-a", [HERE])
    assert agreement.free("light", "2-a")


def test_what_was_settled_long_ago_is_forgotten(agreement, tmp_path):
    old = tmp_path / "light@1-a@settled"
    old.touch()
    agreement.ready("light", "2-a")
    assert old.exists()
    os.utime(old, (time.time() - 2 * OLD_S,) * 2)
    agreement.ready("light", "3-a")
    assert not old.exists()


def test_others_are_told_which_version_answers_here(agreement, tmp_path, other):
    agreement.tell("light", 1)
    agreement.tell("light", 2)
    assert agreement.told("light") == set()
    says(tmp_path, other, "3", "answers")
    assert agreement.told("light") == {3}
    assert [one.name for one in tmp_path.glob(f"*{HERE}")] == [f"light@2@answers@{HERE}"]
    agreement.tell("light", None)
    assert not list(tmp_path.glob(f"*{HERE}"))


def test_what_a_worker_that_died_answered_with_does_not_count(agreement, tmp_path):
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    says(tmp_path, process.stdout.decode().strip(), "3", "answers")
    assert agreement.told("light") == set()
