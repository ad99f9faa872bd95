"""The rules of the house, not its examples: twins, budgets, imports, what may not be in a tracked file."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from service.family import rooms as service_rooms
from tests.conftest import ROOT

CODE = [path for side in ("service", "training") for path in sorted((ROOT / side).rglob("*.py"))]


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_opens_by_saying_what_it_does(path):
    assert ast.get_docstring(ast.parse(path.read_text())), path


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_one_idea_and_a_function_fits_on_a_screen(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 350
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nested = sum(
                inner.end_lineno - inner.lineno + 1 + len(inner.decorator_list)
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            assert node.end_lineno - node.lineno + 1 - nested <= 45, f"{path}:{node.lineno} {node.name}"


def test_every_family_has_a_room_on_both_sides():
    training = {path.stem for path in (ROOT / "training/families").glob("*.py")} - {"__init__"}
    assert set(service_rooms()) == training


def test_every_module_has_its_tests():
    untested = {"__init__", "samples", "room"}
    for path in CODE:
        name = "main" if path.stem == "__main__" else path.stem
        parts = path.relative_to(ROOT).parent
        if path.stem not in untested:
            covered = [ROOT / "tests" / parts / f"test_{name}.py"]
            covered += [ROOT / "tests/service/test_workers.py"] if path == ROOT / "service/__main__.py" else []
            assert any(one.exists() for one in covered), f"{path.relative_to(ROOT)} has no {covered[0].relative_to(ROOT)}"


def test_a_room_knows_no_task_but_its_own():
    for path in CODE:
        assert not re.search(r"if (family|task) ==", path.read_text()), path


def test_shared_machinery_names_no_family():
    families = set(service_rooms())
    for path in CODE:
        if path.parent.name == "families":
            continue
        words = {
            node.value
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not words & families, f"{path} names {words & families}"


def test_nothing_is_pickled():
    for path in CODE:
        text = path.read_text()
        assert not re.search(r"\bimport (pickle|joblib|dill|marshal|shelve)\b|torch\.(load|save)\(|allow_pickle=True", text), (
            path
        )


def test_no_tracked_file_names_a_machine():
    words = [b"/wo" + b"rk/", b"/ro" + b"ot/", b"/opt/py" + b"pi", b"/opt/wh" + b"eels", b"/fa" + b"rm/"]
    for path in tracked():
        data = path.read_bytes()
        assert not [word for word in words if word in data], path


def test_tracked_files_are_small():
    for path in tracked():
        assert path.stat().st_size <= 8 * 2**20, path


def test_constraints_are_plain_versions():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines), lines
    assert "torch==2.13.0" in lines
