"""What the README shows is true."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from PIL import Image

from service.samples import SEVEN
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = [line.removeprefix("$ ").split("   #")[0].strip() for line in README.splitlines() if line.startswith("$ ")]


SENSIBLE = {
    "classify": lambda said: all(one["label"] == "7" for one in said),
    "sentiment": lambda said: all(one["label"] == "positive" for one in said),
    "forecast": lambda said: [len(one["mean"]) for one in said] == [3],
    "neighbors": lambda said: {"superb", "fantastic", "excellent"} & {one["word"] for one in said[0]["neighbors"]},
    "analogy": lambda said: said[0]["neighbors"][0]["word"] == "queen",
    "similarity": lambda said: said[0]["similarity"] > 0.7,
    "embed": lambda said: [len(one["vector"]) for one in said] == [100, 100],
    "encode": lambda said: [len(one["code"]) for one in said] == [30] and said[0]["percentile"] <= 100,
    "reconstruct": lambda said: (said[0]["width"], said[0]["height"]) == (28, 28),
    "vocabulary": lambda said: said["words"][0]["word"] == "hitchcock",
}
"""By verb: whether an answer is one."""


@pytest.fixture
def folder(tmp_path):
    """The files that the README's requests name."""
    (tmp_path / "service/web").mkdir(parents=True)
    for picture in ("seven.png", "noisy.png"):
        shutil.copy(ROOT / "service/web" / picture, tmp_path / "service/web")
    shutil.copy(ROOT / "service/web/seven.png", tmp_path / "one.png")
    Image.open(tmp_path / "one.png").convert("L").save(tmp_path / "two.jpg")
    (tmp_path / "review.txt").write_text("Warm, funny and beautifully acted: a superb film.")
    return tmp_path


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_every_curl_command_answers(start, folder):
    server = start(models_dir=ROOT / "models")
    commands = [command for command in COMMANDS if command.startswith("curl")]
    assert len(commands) >= 3
    for command in commands:
        words = shlex.split(command.replace("localhost:8000", server.url.removeprefix("http://")).replace("<base64>", SEVEN))
        printed = subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout
        if "-o" in words:
            with Image.open(folder / words[words.index("-o") + 1]) as picture:
                assert min(picture.size) >= 28, command
            continue
        answer = json.loads(printed)
        verb = command.split("/v1/")[1].split("?")[0].strip("'")
        assert SENSIBLE[verb](answer.get("predictions", answer)), (command, answer)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_the_first_answer_is_the_one_shown(start, folder):
    server = start(models_dir=ROOT / "models")
    command = next(command for command in COMMANDS if command.startswith("curl"))
    shown = json.loads(README.split(command)[1].split("\n")[1])
    words = shlex.split(command.replace("localhost:8000", server.url.removeprefix("http://")))
    answer = json.loads(subprocess.run(words, cwd=folder, capture_output=True, check=True).stdout)
    assert (answer["model"], answer["version"]) == (shown["model"], shown["version"])
    assert answer["predictions"][0]["label"] == shown["predictions"][0]["label"]
    assert answer["predictions"][0]["probability"] == pytest.approx(shown["predictions"][0]["probability"], abs=1e-3)


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"\bmake ((?:[a-z-]+ ?)+)", "\n".join(COMMANDS)))
    assert named
    assert all(target in targets for words in named for target in words.split())


def test_every_training_command_is_known():
    from training.families import classifier, forecaster

    text = README + (ROOT / "CONTRIBUTING.md").read_text()
    found = re.findall(r"python -m training (\w+)", text)
    assert set(found) <= {"train", "summary", "evaluate", "compare", "search", "report", "export", "samples", "list"}
    named = {name for options in re.findall(r"--architecture ([\w|]+)", text) for name in options.split("|")}
    assert named <= {*classifier.SUITS, *forecaster.SUITS}


def test_every_module_stands_in_the_tree_and_every_file_in_the_tree_exists():
    tree = README.split("## The tree")[1].split("```")[1]
    for side in ("service", "training"):
        part = tree.split(f"{side}/ ", 1)[1].split("\ntraining/" if side == "service" else "\nmodels/")[0]
        named = set(re.findall(r"\b(\w+\.py)\b", part))
        assert named == {path.name for path in (ROOT / side).glob("*.py")} - {"__init__.py"}


def test_every_endpoint_that_is_named_exists():
    from service import pages
    from service.app import create_app
    from service.settings import Settings

    app = create_app(Settings())
    paths = set(app.openapi()["paths"]) | set(pages.ADDRESSES)
    for line in re.findall(r"^\| `(?:GET|POST) /.*", README, re.M):
        for path in re.findall(r"`(?:(?:GET|POST) )?(/[^`]*)`", line):
            assert path in paths, path


def test_the_client_example_runs_as_it_stands(start):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    server = start(models_dir=ROOT / "models")
    code = code.replace("localhost:8000", server.url.removeprefix("http://"))
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert re.search(r"b'0\.\d+:1:positive'.*b'0\.\d+:0:negative'", printed, re.S), printed


def test_every_command_on_keys_is_known():
    from service.key_commands import COMMANDS

    assert set(re.findall(r"(?:python -m service |`)keys (\w+)", README)) == set(COMMANDS)


def test_every_command_on_versions_is_known():
    from service.commands import COMMANDS

    named = set(re.findall(r"python -m service models (\w+)", README)) | set(re.findall(r"`(\w+) NAME", README))
    assert named == set(COMMANDS)
