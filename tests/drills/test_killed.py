"""Killed workers, few of them, and that the drill finds what it is for."""

from functools import partial

from tests.drills import killed, planted
from tests.drills.enduring import Asked
from tests.drills.figures import Ground


def test_a_killed_worker_is_replaced_and_hardly_noticed(start, tmp_path, models_dir):
    found = killed.drill(Ground(start, tmp_path), kills=1, patience_s=30, peak_s=0.5, models_dir=models_dir)
    assert [one for one in found if not one.ok] == []


def test_a_supervisor_that_takes_its_time_is_found(start, tmp_path, models_dir):
    slow = Ground(partial(start, command=planted.command("slow-replacement")), tmp_path)
    found = killed.drill(slow, kills=1, patience_s=2, peak_s=0.5, models_dir=models_dir)
    assert not any(one.ok for one in found)
    assert "not within 2 s after 0 kills" in found[-1].reached


def test_what_is_answered_the_second_time_is_counted_beside():
    asked = [Asked(0, 1, 200, 200)] * 98 + [Asked(0, 1, 0, 200), Asked(0, 1, 503, 503)]
    once, twice, back = killed.figures(asked, [1.0, 3.0, 2.0], 3, 50, 10)
    assert (once.ok, twice.ok, back.ok) == (False, True, True)
    assert once.reached == "98.000%, 2 of 100 failed, at 50 a second"
    assert back.reached == "median 2.0 s, worst 3.0 s"
