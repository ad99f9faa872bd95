"""The command that runs the drills."""

from types import ModuleType

import pytest

from tests.drills import __main__ as command
from tests.drills.figures import Figure


def module(drill) -> ModuleType:
    made = ModuleType("made")
    made.drill = drill
    made.ANYWHERE = False
    return made


@pytest.mark.parametrize("ok", [True, False])
def test_the_exit_code_says_whether_every_aim_was_met(monkeypatch, capsys, ok):
    found = [Figure("a thing", "1", "1", ok=True), Figure("another", "2", "3", ok=ok)]
    monkeypatch.setattr(command, "drills", lambda: {"made": module(lambda ground: found)})
    assert command.main([]) == (0 if ok else 1)
    assert ("**not reached**: 3" in capsys.readouterr().out) is not ok


def test_a_drill_that_fails_is_a_figure_that_misses():
    def broken(ground):
        raise RuntimeError("it broke")

    (figure,) = command.run(module(broken))
    assert not figure.ok
    assert "RuntimeError: it broke" in figure.reached


def test_every_drill_says_where_it_can_be_run():
    assert all(isinstance(one.ANYWHERE, bool) for one in command.drills().values())


def test_the_table_is_written_between_its_marks(monkeypatch, tmp_path):
    table = tmp_path / "drills.md"
    table.write_text(f"before\n{command.BEGIN}\nold\n{command.END}\nafter\n")
    monkeypatch.setattr(command, "TABLE", table)
    command.write({"made": [Figure("a thing", ">= 1", "2", ok=True)]})
    assert table.read_text().splitlines()[-3:] == [
        "| a thing | >= 1 | 2 | `python -m tests.drills made` |",
        command.END,
        "after",
    ]
    assert "old" not in table.read_text()
    command.write({"other": [Figure("another", "1", "1", ok=True)]})
    assert [row.split("|")[1] for row in table.read_text().splitlines() if "tests.drills" in row] == [" a thing ", " another "]
