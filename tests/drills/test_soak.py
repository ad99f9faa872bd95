"""The soak, short, and that it finds what it is for."""

from functools import partial

from tests.drills import mixture, planted, soak
from tests.drills.figures import Ground


def test_a_short_soak_meets_every_aim(start, tmp_path):
    assert [one for one in soak.drill(Ground(start, tmp_path), count=800, warm=1200) if not one.ok] == []


def test_a_service_that_leaks_memory_and_files_is_found(start, tmp_path):
    leaking = Ground(partial(start, command=planted.command("leak")), tmp_path)
    missed = [one.what for one in soak.drill(leaking, count=700, warm=100, hostile=0) if not one.ok]
    assert any("Memory" in what for what in missed)
    assert any("files" in what for what in missed)


def test_an_answer_that_ought_not_to_be_is_counted_and_shown():
    heard = soak.Heard()
    honest, hostile = mixture.Request("a", b""), mixture.Request("b", b"", hostile=True)
    for one, status in ((honest, 200), (honest, 404), (hostile, 400), (hostile, 503), (hostile, 0)):
        heard.add(one, status, b"why")
    broken, wrong, silent = soak.figures(heard, {}, {}, 20)
    assert (broken.ok, wrong.ok, silent.ok) == (False, False, False)
    assert broken.reached.startswith("1; first: ('a: 404', 'why')")
    assert wrong.reached == "1 of 2"


def test_elsewhere_what_metrics_tell_is_read(start, tmp_path):
    server = start(models_dir=tmp_path)
    found = soak.resources(server.url, "", None)
    assert 20 < found["MB"] < 1000
    assert found["files"] > 3
