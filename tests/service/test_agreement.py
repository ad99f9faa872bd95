"""Workers agree on the moment of a switch."""

import os
import subprocess
import sys
import time

import pytest

from service.agreement import LAG_S, Agreement


@pytest.fixture
def other():
    """The number of a process that lives."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.kill()
    process.wait()
    process.stdin.close()


def says(folder, pid: int, decision: str) -> None:
    (folder / f"light@{decision}@{pid}").touch()


def test_one_worker_has_nobody_to_agree_with(tmp_path):
    assert not Agreement(None, 1).needed
    assert not Agreement(tmp_path, 1).needed


def test_the_moment_comes_after_the_last_workers_word(tmp_path, other):
    agreement = Agreement(tmp_path / "words", 2)
    agreement.ready("light", "2-a")
    assert agreement.when("light", "2-a") is None
    before = time.time()
    says(tmp_path / "words", other, "2-a")
    assert agreement.when("light", "2-a") == pytest.approx(before + LAG_S, abs=0.05)


def test_every_worker_works_out_the_same_moment(tmp_path, other):
    one, another = Agreement(tmp_path, 2), Agreement(tmp_path, 2)
    one.ready("light", "2-a")
    says(tmp_path, other, "2-a")
    assert one.when("light", "2-a") == another.when("light", "2-a")


def test_the_word_of_a_worker_that_died_does_not_count(tmp_path):
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    agreement = Agreement(tmp_path, 2)
    agreement.ready("light", "2-a")
    says(tmp_path, int(process.stdout), "2-a")
    assert agreement.when("light", "2-a") is None


def test_a_word_on_another_decision_or_model_does_not_count(tmp_path, other):
    agreement = Agreement(tmp_path, 2)
    agreement.ready("light", "2-a")
    says(tmp_path, other, "2-b")
    (tmp_path / f"other@2-a@{other}").touch()
    assert agreement.when("light", "2-a") is None


def test_a_workers_old_words_are_taken_back(tmp_path):
    agreement = Agreement(tmp_path, 2)
    for decision in ("2-a", "3-b", "2-c"):
        agreement.ready("light", decision)
    assert [one.name for one in tmp_path.iterdir()] == [f"light@2-c@{os.getpid()}"]
