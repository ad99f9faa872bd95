"""What an operator does with versions on disk: every command says in one line what holds now, or in one sentence what does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service import commands, policy
from service.policy import Budget, Plan, Policy
from service.settings import Settings
from tests.conftest import ROOT, write_version


@pytest.fixture
def folder(tmp_path) -> Path:
    """A repository with versions 1, 2 and 3 of the light model."""
    for version in (1, 2, 3):
        write_version(tmp_path / "models", version=version)
    return tmp_path / "models"


@pytest.fixture
def run(folder, capsys):
    """Run a command: its exit code, what it printed, what it complained of."""

    def one(*words: str, **settings: object) -> tuple[int, str, str]:
        code = commands.main(words, Settings(models_dir=folder, **settings))
        return code, *(text.rstrip("\n") for text in capsys.readouterr())

    return one


@pytest.fixture
def done(run):
    """Run a command that succeeds: its one line."""

    def one(*words: str, **settings: object) -> str:
        code, said, complaint = run(*words, **settings)
        assert (code, complaint) == (0, "")
        return said

    return one


@pytest.fixture
def refused(run):
    """Run a command that fails: its one sentence."""

    def one(*words: str) -> str:
        code, said, complaint = run(*words)
        assert (code, said) == (1, "")
        assert complaint.startswith("modelyard: ")
        assert len(complaint.splitlines()) == 1
        return complaint.removeprefix("modelyard: ")

    return one


def held(folder: Path) -> Policy:
    return policy.read(folder / "light", Policy())


def left(folder: Path) -> list[str]:
    """Everything in the model's folder but its policy."""
    return sorted(one.name for one in (folder / "light").iterdir() if one.name != policy.FILE)


def damage(folder: Path, version: int) -> None:
    os.truncate(folder / "light" / str(version) / "model.onnx", 10)


def test_promote_makes_an_older_version_answer(done, folder):
    assert done("promote", "light", "1") == "light: version 1 answers instead of 3, pinned"
    assert held(folder) == Policy(pinned=1, before=3)


def test_promote_of_the_newest_goes_on_with_newer_ones(done, folder):
    done("pin", "light", "1")
    assert done("promote", "light") == "light: version 3 answers instead of 1, until there is a newer one"
    assert held(folder) == Policy(before=1)


def test_promote_ends_a_trial_with_the_tried_version(done, folder):
    done("canary", "light", "2")
    assert done("promote", "light") == "light: version 2 answers instead of 3, pinned"
    assert held(folder) == Policy(pinned=2, before=3)


def test_promote_of_the_newest_answers_though_others_are_named_to_be_served(done, folder):
    done("serve", "light", "1,2")
    assert done("promote", "light", "3") == "light: version 3 answers instead of 2, pinned"
    assert held(folder).answering(frozenset({1, 2, 3})) == 3


def test_promote_of_what_answers_keeps_the_way_back(done, folder):
    done("pin", "light", "2")
    done("pin", "light", "1")
    assert done("promote", "light", "1") == "light: version 1 answers, pinned"
    assert held(folder).before == 2


def test_pin_holds_what_answers_now(done, folder):
    assert done("pin", "light") == "light: version 3 answers, pinned"
    assert held(folder) == Policy(pinned=3)


def test_pin_names_another_version(done, folder):
    assert done("pin", "light", "2") == "light: version 2 answers instead of 3, pinned"
    assert held(folder) == Policy(pinned=2, before=3)


def test_pin_ends_a_trial(done, folder):
    done("canary", "light", "2")
    done("pin", "light", "3")
    assert held(folder).trial is None


def test_what_the_settings_pin_answers_until_a_policy_is_written(done, folder):
    assert done("pin", "light", pin="light=1") == "light: version 1 answers, pinned"


def test_rollback_goes_to_the_version_before(done, folder):
    assert done("rollback", "light") == "light: version 2 answers instead of 3, pinned"
    assert held(folder) == Policy(pinned=2, before=3)


def test_rollback_of_a_rollback_goes_back(done, folder):
    done("pin", "light", "1")
    assert done("rollback", "light") == "light: version 3 answers instead of 1, pinned"
    assert done("rollback", "light") == "light: version 1 answers instead of 3, pinned"
    assert held(folder) == Policy(pinned=1, before=3)


def test_rollback_goes_where_it_is_told(done, folder):
    assert done("rollback", "light", "1") == "light: version 1 answers instead of 3, pinned"


def test_rollback_to_what_answers_keeps_the_way_back(done, folder):
    done("pin", "light", "2")
    assert done("rollback", "light", "2") == "light: version 2 answers, pinned"
    assert held(folder).before == 3


def test_rollback_ends_a_trial(done, folder):
    done("pin", "light", "1")
    done("canary", "light", "2")
    assert done("rollback", "light") == "light: nothing is tried, version 1 answers"
    assert held(folder).trial is None


def test_rollback_passes_over_a_damaged_version(done, folder):
    damage(folder, 2)
    assert done("rollback", "light") == "light: version 1 answers instead of 3, pinned"


def test_rollback_from_a_damaged_version_goes_to_a_good_one(done, folder):
    done("pin", "light", "3")
    damage(folder, 3)
    assert done("rollback", "light") == "light: version 2 answers, pinned"


def test_rollback_without_an_older_version_says_so(refused, tmp_path):
    for version in (2, 3):
        damage(tmp_path / "models", version)
    assert refused("rollback", "light") == "There is no version of 'light' before 1."
    assert held(tmp_path / "models") == Policy()


def test_follow_goes_to_the_newest_good_version(done, folder):
    damage(folder, 3)
    done("pin", "light", "1")
    assert done("follow", "light") == "light: version 2 answers instead of 1, until there is a newer one"
    assert held(folder) == Policy(before=1)


def test_follow_ends_a_trial(done, folder):
    done("canary", "light", "2")
    done("follow", "light")
    assert held(folder) == Policy()


def test_serve_takes_so_many_of_the_newest(done, folder):
    done("serve", "light", "1,2")
    assert done("serve", "light", "latest-3") == "light: the newest 3 good versions are served"
    assert held(folder) == Policy(newest=3)


def test_serve_takes_numbers(done, folder):
    write_version(folder, version=4)
    assert done("serve", "light", "1,4") == "light: served are 1, 4"
    assert held(folder).named == (1, 4)


@pytest.mark.parametrize("which", ["latest-0", "latest-", "latest-x", "newest", "1,", "1,x", "", "0", "-1", "1 2", "١"])
def test_serve_takes_nothing_else(refused, folder, which):
    words = ("serve", "light", "--", which) if which.startswith("-") else ("serve", "light", which)
    assert refused(*words) == f"{which!r} is no way to serve versions; expected latest-N or numbers such as 1,4."
    assert held(folder) == Policy()


def test_serve_of_a_version_that_is_not_there_is_refused(refused):
    assert refused("serve", "light", "1,9") == "Version 9 of 'light' is not there; there are [1, 2, 3]."


def test_a_shadow_pins_the_other_version_and_gets_every_request(done, folder):
    assert done("shadow", "light", "3") == "light: version 3 gets copies of 100 % of the requests, version 2 answers"
    assert held(folder) == Policy(pinned=2, trial=Plan(kind="shadow", version=3, percent=100))


def test_a_canary_pins_the_newest_other_version_and_gets_a_few_requests(done, folder):
    assert done("canary", "light", "1") == "light: version 1 answers 5 % of the requests, version 3 answers"
    assert held(folder) == Policy(pinned=3, trial=Plan(kind="canary", version=1, percent=5))


def test_a_trial_leaves_the_version_that_answers(done, folder):
    done("serve", "light", "1")
    assert done("canary", "light", "3").endswith("version 1 answers")
    done("pin", "light", "2")
    assert done("canary", "light", "3").endswith("version 2 answers")


def test_options_of_a_trial_land_in_the_policy(done, folder):
    options = ("--percent", "12.5", "--errors", "0.1", "--disagreement", "0.2", "--slower", "2", "--least", "50")
    done("canary", "light", "3", *options)
    budget = Budget(errors=0.1, disagreement=0.2, slower=2, least=50)
    assert held(folder).trial == Plan(kind="canary", version=3, percent=12.5, budget=budget)


def test_a_trial_forgets_why_the_last_one_ended(done, folder):
    policy.write(folder / "light", Policy(ended="it failed"))
    done("canary", "light", "3")
    assert held(folder).ended == ""


@pytest.mark.parametrize(
    ("option", "value"),
    [("percent", "0"), ("percent", "101"), ("percent", "nan"), ("errors", "1.1"), ("disagreement", "-1"), ("slower", "0.5"), ("least", "0")],
)  # fmt: skip
def test_a_bad_option_of_a_trial_is_named(refused, folder, option, value):
    assert refused("canary", "light", "3", f"--{option}={value}").startswith(
        f"--{option} is {float(value):g}".removesuffix("0")
    )
    assert held(folder) == Policy()


@pytest.mark.parametrize("kind", ["shadow", "canary"])
def test_a_trial_needs_another_good_version(refused, folder, kind):
    damage(folder, 1)
    damage(folder, 2)
    assert refused(kind, "light", "3") == "'light' has no other version that could answer meanwhile."


def test_end_leaves_the_version_that_answers(done, folder):
    done("canary", "light", "3")
    assert done("end", "light") == "light: nothing is tried, version 2 answers"
    assert held(folder) == Policy(pinned=2)


def test_unload_and_load(done, folder):
    assert done("unload", "light") == "light: not served until it is loaded"
    assert held(folder) == Policy(unloaded=True)
    assert done("load", "light") == "light: served"
    assert held(folder) == Policy()


def test_remove_takes_a_version_away_as_a_whole(done, folder):
    assert done("remove", "light", "1") == "light: removed 1; left are [2, 3]"
    assert left(folder) == ["2", "3"]


def test_remove_keeps_the_newest(done, folder):
    assert done("remove", "light", "--keep", "1") == "light: removed 1, 2; left are [3]"
    assert left(folder) == ["3"]


def test_remove_keeps_what_is_in_use_whatever_its_age(done, folder):
    for version in (4, 5):
        write_version(folder, version=version)
    done("pin", "light", "1")
    done("pin", "light", "2")
    done("canary", "light", "3")
    assert done("remove", "light", "--keep", "1") == "light: removed 4; left are [1, 2, 3, 5]"


def test_remove_of_as_many_as_there_are_removes_nothing(done):
    assert done("remove", "light", "--keep", "3") == "light: removed nothing; left are [1, 2, 3]"


def test_remove_takes_a_damaged_version(done, folder):
    damage(folder, 2)
    done("remove", "light", "2")
    assert left(folder) == ["1", "3"]


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_remove_of_a_version_in_use_is_refused(done, refused, folder, version):
    done("pin", "light", "1")
    done("pin", "light", "2")
    done("canary", "light", "3")
    expected = f"Version {version} of 'light' is in use: it answers, is tried or would be rolled back to."
    assert refused("remove", "light", version) == expected
    assert left(folder) == ["1", "2", "3"]


def test_remove_of_the_newest_is_refused_while_it_answers_unpinned(refused):
    assert "is in use" in refused("remove", "light", "3")


@pytest.mark.parametrize("words", [(), ("1", "--keep", "1")])
def test_remove_wants_a_version_or_a_number_to_keep(refused, words):
    assert refused("remove", "light", *words) == "Say which: a version, or --keep N."


def test_a_version_that_cannot_be_removed_stays_whole(refused, folder, monkeypatch):
    def fixed(self, target):
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", fixed)
    assert refused("remove", "light", "1").endswith("light/1 cannot be removed: Permission denied.")
    assert left(folder) == ["1", "2", "3"]


def test_list_says_what_each_version_is_for(done, folder):
    write_version(folder, "dim", gain=0.5)
    write_version(folder, version=4)
    damage(folder, 4)
    done("pin", "light", "1")
    done("pin", "light", "2")
    done("canary", "light", "3", "--percent", "20")
    assert done("list").splitlines() == [
        "dim:1  answers",
        "light:4  model.onnx has 10 bytes, the manifest states " + str((folder / "light/1/model.onnx").stat().st_size),
        "light:3  canary, 20 %",
        "light:2  answers, pinned",
        "light:1  answered before",
    ]


def test_list_of_one_model_says_why_its_trial_ended(done, folder):
    write_version(folder, "dim", gain=0.5)
    policy.write(folder / "light", Policy(pinned=2, ended="the canary of version 3 ended: it failed"))
    assert done("list", "light").splitlines() == [
        "light:3  -",
        "light:2  answers, pinned",
        "light:1  -",
        "light: the canary of version 3 ended: it failed",
    ]


def test_list_of_an_unloaded_model_says_so(done):
    done("unload", "light")
    assert done("list").splitlines() == ["light:3  unloaded", "light:2  unloaded", "light:1  unloaded"]


EVERY = [
    ("list",), ("promote",), ("rollback",), ("pin",), ("follow",), ("serve", "latest-1"), ("serve", "1"), ("shadow", "1"),
    ("canary", "1"), ("end",), ("load",), ("unload",), ("remove", "1"), ("remove", "--keep", "1"),
]  # fmt: skip


def named(words: tuple[str, ...], name: str) -> tuple[str, ...]:
    return words[0], name, *words[1:]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_an_unknown_model_is_refused(refused, words):
    assert refused(*named(words, "none")).startswith("There is no model 'none' in ")


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
@pytest.mark.parametrize("name", ["../x", "..", ".", "../models/light", "light/1", ""])
def test_a_name_that_leads_elsewhere_is_refused_unread(refused, folder, words, name):
    write_version(folder.parent, "x")
    for outside in (folder.parent / "x", folder.parent, folder, folder / "light/1"):
        (outside / policy.FILE).write_text("not for reading")
    assert refused(*named(words, name)).startswith(f"There is no model {name!r} in ")


@pytest.mark.parametrize("command", ["promote", "rollback", "pin", "shadow", "canary", "serve", "remove"])
def test_a_version_that_is_not_there_is_refused(refused, command):
    assert refused(command, "light", "9") == "Version 9 of 'light' is not there; there are [1, 2, 3]."


@pytest.mark.parametrize("command", ["promote", "rollback", "pin", "shadow", "canary", "serve"])
def test_a_damaged_version_is_refused_with_the_reason(refused, folder, command):
    damage(folder, 2)
    assert refused(command, "light", "2").startswith("Version 2 of 'light' cannot be served: model.onnx has 10 bytes")
    assert held(folder) == Policy()


def test_a_damaged_newest_version_is_not_promoted_unnamed(refused, folder):
    damage(folder, 3)
    assert refused("promote", "light").startswith("Version 3 of 'light' cannot be served")


@pytest.mark.parametrize("words", [words for words in EVERY if words[0] not in ("list", "remove")], ids=" ".join)
def test_a_folder_that_cannot_be_written_is_one_sentence(refused, monkeypatch, words):
    def fixed(model, wanted):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(policy, "write", fixed)
    complaint = refused(*named(words, "light"))
    assert complaint == "The policy of 'light' cannot be written: Read-only file system."


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_a_broken_policy_is_one_sentence_with_the_place(refused, folder, words):
    (folder / "light" / policy.FILE).write_text('{"pinned": 0}')
    assert "policy.json at pinned: " in refused(*named(words, "light"))


def test_a_repository_that_is_not_there_is_one_sentence(tmp_path, capsys):
    assert commands.main(["list"], Settings(models_dir=tmp_path / "none")) == 1
    assert capsys.readouterr().err == f"modelyard: {tmp_path / 'none'} cannot be read: No such file or directory.\n"


@pytest.mark.parametrize(
    "words", [(), ("destroy",), ("pin", "light", "0"), ("pin", "light", "x"), ("remove", "light", "--keep", "0")]
)
def test_words_that_are_no_command_are_refused_with_the_usage(folder, capsys, words):
    with pytest.raises(SystemExit) as stopped:
        commands.main(words, Settings(models_dir=folder))
    assert stopped.value.code == 2
    assert "usage: python -m service models" in capsys.readouterr().err


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_has_help(folder, capsys, command):
    with pytest.raises(SystemExit) as stopped:
        commands.main([command, "--help"], Settings(models_dir=folder))
    assert stopped.value.code == 0
    assert commands.COMMANDS[command][0].__doc__.split()[0] in capsys.readouterr().out


def test_the_command_line_rolls_back(folder):
    words = [sys.executable, "-m", "service", "models", "rollback", "light"]
    env = {**os.environ, "MODELYARD_MODELS_DIR": str(folder)}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "light: version 2 answers instead of 3, pinned\n", "")
    assert held(folder) == Policy(pinned=2, before=3)


def test_a_command_waits_for_no_runtime_and_no_web_framework():
    code = "import sys, service.commands; assert not {'onnxruntime', 'fastapi'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
