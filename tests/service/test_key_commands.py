"""`python -m service keys …`."""

import subprocess
import sys

import pytest

from service import key_commands, keys
from service.settings import Settings
from tests.conftest import ROOT


@pytest.fixture
def run(tmp_path, capsys):
    def command(*words, path=tmp_path / "keys.json"):
        code = key_commands.main(words, Settings(keys=path))
        said = capsys.readouterr()
        return code, said.out.strip(), said.err.strip()

    return command


def held(tmp_path):
    return keys.read(tmp_path / "keys.json").keys


def test_a_new_key_is_said_once_and_its_file_made(run, tmp_path):
    code, said, _ = run("add", "app", "--role", "infer", "--role", "metrics", "--rate", "2.5", "--burst", "9")
    assert code == 0
    one = held(tmp_path)["app"]
    assert one.fits(keys.digest(said.encode()), keys.now())
    assert (one.roles, one.rate, one.burst) == ({"infer", "metrics"}, 2.5, 9)
    code, listed, _ = run("list")
    assert listed.startswith("app  infer,metrics  2.5 a second  since 20")
    assert said.rpartition("_")[2] not in listed


def test_a_rotated_key_has_another_secret_and_the_same_rights(run, tmp_path):
    _, old, _ = run("add", "app", "--role", "infer", "--rate", "3")
    _, new, _ = run("rotate", "app")
    one = held(tmp_path)["app"]
    assert [one.fits(keys.digest(key.encode()), keys.now()) for key in (old, new)] == [False, True]
    assert one.rate == 3


def test_a_grace_keeps_the_old_secret_for_a_while(run, tmp_path):
    _, old, _ = run("add", "app", "--role", "infer")
    run("rotate", "app", "--grace", "60")
    assert held(tmp_path)["app"].fits(keys.digest(old.encode()), keys.now())


def test_a_revoked_key_is_gone(run, tmp_path):
    run("add", "app", "--role", "infer")
    assert run("revoke", "app")[:2] == (0, "app: revoked")
    assert held(tmp_path) == {}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "app", "--role", "infer"), "There is a key 'app' already; rotate or revoke it."),
        (("add", "new", "--role", "infer", "--rate", "0"), "--rate is 0.0: Input should be greater than 0."),
        (("add", "new", "--role", "infer", "--burst", "0"), "--burst is 0: Input should be greater than or equal to 1."),
        (("revoke", "nobody"), "There is no key 'nobody'; there are ['app']."),
        (("rotate", "nobody"), "There is no key 'nobody'; there are ['app']."),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(run, tmp_path, words, sentence):
    run("add", "app", "--role", "infer")
    before = (tmp_path / "keys.json").read_bytes()
    assert run(*words) == (1, "", f"modelyard: {sentence}")
    assert (tmp_path / "keys.json").read_bytes() == before


@pytest.mark.parametrize(
    "words", [("add", "A", "--role", "infer"), ("add", "a_b", "--role", "infer"), ("rotate", "a", "--grace", "inf")]
)
def test_words_that_make_no_sense_are_refused(run, words):
    with pytest.raises(SystemExit):
        run(*words)


def test_no_setting_no_file_and_no_sense_are_told_apart(run, tmp_path):
    assert "MODELYARD_KEYS is not set" in run("list", path=None)[2]
    assert "cannot be read or written: No such file" in run("list")[2]
    (tmp_path / "keys.json").write_text("{")
    assert "is no key file: its mode is" in run("list")[2]


def test_many_at_once_lose_no_key(tmp_path):
    command = "import sys; from service import key_commands as k; from service.settings import Settings as S; k.main(sys.argv[1:], S())"
    environment = {"MODELYARD_KEYS": str(tmp_path / "keys.json"), "PATH": "/usr/bin:/bin"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", command, "add", f"k{n}", "--role", "infer"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for n in range(4)
    ]
    assert [one.wait() for one in running] == [0] * 4
    assert set(held(tmp_path)) == {f"k{n}" for n in range(4)}
