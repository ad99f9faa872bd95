"""What replicas leave for each other, and what a deployment can be told. Ray itself is asked in `tests/test_cluster.py`."""

import asyncio
import contextlib

import pytest

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

from pydantic import ValidationError  # noqa: E402 - only where Ray is there

from service import cluster  # noqa: E402
from service.agreement import Agreement  # noqa: E402
from service.cluster import ActorBoard, Asked  # noqa: E402

Registrar = cluster.Registrar.__ray_metadata__.modified_class


class Near:
    """An actor in this process; `away` while its machine is."""

    def __init__(self):
        self.actor, self.away = Registrar(), False

    def __getattr__(self, name):
        class Method:
            @staticmethod
            def remote(*words):
                return lambda: getattr(self.actor, name)(*words)

        return Method


@pytest.fixture
def near(monkeypatch):
    near = Near()

    def get(asked, timeout):
        if near.away:
            raise ray.exceptions.GetTimeoutError("away")
        return asked()

    monkeypatch.setattr(cluster.ray, "get", get)
    return near


@pytest.fixture
def boards(near):
    made = ActorBoard(near, "one"), ActorBoard(near, "other")
    for _ in range(2):
        for board in made:
            board.said()
    return made


def test_replicas_switch_when_all_of_them_are_bound(boards):
    one, other = map(Agreement, boards)
    assert one.needed
    one.ready("light", "2-a")
    assert one.workers("light", "2-a") is None
    other.ready("light", "2-a")
    assert sorted(one.workers("light", "2-a")) == ["one", "other"]
    one.bind("light", "2-a")
    assert not one.settled("light", "2-a", ["one", "other"])
    other.bind("light", "2-a")
    assert one.settled("light", "2-a", ["one", "other"])


def test_a_replica_that_is_not_heard_of_any_more_has_no_say(boards, near, monkeypatch):
    one, _ = boards
    now = cluster.time.monotonic()
    Agreement(boards[1]).tell("light", 1)
    monkeypatch.setattr(cluster.time, "monotonic", lambda: now + cluster.GONE_S + 1)
    one.said()
    assert not one.alive("other")
    assert (one.workers(), one.words("light")) == (1, {})


@pytest.mark.anyio
async def test_a_replica_that_goes_is_not_waited_for(boards):
    one, other = boards
    staying = asyncio.create_task(other.stay())
    await asyncio.sleep(0.05)
    staying.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await staying
    one.said()
    assert not one.alive("other")


def test_a_registrar_that_was_made_anew_is_told_again(boards, near):
    near.actor = Registrar()
    for board in boards:
        board.said()
    boards[0].said()
    assert boards[0].workers() == 2


def test_while_the_registrar_is_away_nothing_is_settled_and_nothing_fails(boards, near, caplog):
    agreement = Agreement(boards[0])
    agreement.bind("light", "2-a")
    near.away = True
    assert not agreement.settled("light", "2-a", ["one"])
    assert agreement.told("light") == set()
    boards[0].said()
    assert boards[0].workers() == 2
    assert "the registrar is away" in caplog.text


def test_at_most_is_never_less_than_at_least():
    assert Asked(min=3).max == 3
    assert Asked.model_validate({"min": "1", "max": "8"}).max == 8


@pytest.mark.parametrize("wrong", [{"min": "0"}, {"max": "many"}, {"cpus": "-1"}, {"ongoing": "0"}])
def test_a_number_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValidationError):
        Asked.model_validate(wrong)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--replicas", "0"], "min is 0: Input should be greater than or equal to 1."),
        (["--cpus", "-1"], "cpus is -1.0: Input should be greater than 0."),
    ],
)
def test_bad_words_are_one_line(words, sentence, capsys):
    assert cluster.main(words) == 2
    assert capsys.readouterr().err == f"modelyard: {sentence}\n"


def test_a_port_that_others_can_reach_needs_keys_here_too(monkeypatch, capsys):
    monkeypatch.setenv("MODELYARD_HOST", "0.0.0.0")
    assert cluster.main([]) == 2
    assert "expected MODELYARD_KEYS" in capsys.readouterr().err


def test_a_ray_that_cannot_be_reached_is_one_line(monkeypatch, capsys):
    def away(**_):
        raise ConnectionError("Could not find any running Ray instance.\nmore")

    monkeypatch.setattr(cluster.ray, "init", away)
    assert cluster.main(["--address", "nowhere:1"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "modelyard: Ray does not start: Could not find any running Ray instance."
