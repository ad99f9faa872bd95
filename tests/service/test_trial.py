"""A version that is tried: its share, what is counted, what ends it."""

import asyncio
import threading

import numpy as np
import pytest

from service import logs, model, repository
from service.errors import ModelFailed
from service.family import Item, rooms
from service.model import Timing
from service.policy import Budget, Plan
from service.settings import Settings
from service.trial import Trial
from tests.conftest import light_graph, until, write_version

pytestmark = pytest.mark.anyio
LIGHT, DARK, BLACK = 200, 20, 0


class Pictures:
    """A request of plain pictures."""

    def __init__(self, *lights: int) -> None:
        self.lights = lights
        self.threads: list[threading.Thread] = []
        self.fault: Exception | None = None

    def prepare(self, model):
        self.threads.append(threading.current_thread())
        if self.fault:
            raise self.fault
        return [Item({"image": np.full((1, 28, 28, 1), light, np.uint8)}) for light in self.lights]

    def predict(self, model):
        return model.room.predict

    def said(self, model):
        return [model.compute(model.room.predict, item.arrays) for item in self.prepare(model)]


@pytest.fixture
def pair(tmp_path):
    """A version and a candidate that sees half as much light, and fails on a black picture."""
    write_version(tmp_path)
    write_version(tmp_path, version=2)
    write_version(tmp_path, version=3, files={"model.onnx": light_graph(fragile=True)})
    write_version(tmp_path, version=4, gain=0.5)
    found = repository.scan(tmp_path)
    return [model.load(repository.read(one), rooms(), "cpu", Settings(max_batch=4)) for one in found]


def trial(pair, kind="shadow", candidate=2, percent=100.0, ended=None, **budget) -> Trial:
    plan = Plan(kind=kind, version=candidate, percent=percent, budget=Budget(**{"least": 10, **budget}))
    return Trial(plan, pair[0], pair[candidate - 1], lambda _, reason: ended.append(reason) if ended is not None else None)


def took(seconds: float) -> Timing:
    return Timing(0.0, seconds, 1)


async def copied(one: Trial, *lights: int) -> None:
    question = Pictures(*lights)
    one.copy(question, question.said(one.answering), took(0.001))
    await one._copying


@pytest.mark.parametrize(("percent", "of_1000"), [(100, 1000), (25, 250), (5, 50), (0.5, 5), (33.3, 333)])
def test_a_share_is_exact_and_evenly_spread(pair, percent, of_1000):
    one = trial(pair, percent=percent)
    taken = [one.takes() for _ in range(1000)]
    assert abs(sum(taken) - of_1000) <= 1
    assert abs(sum(taken[:500]) - of_1000 / 2) <= 1


async def test_a_copy_that_says_the_same_agrees(pair):
    one = trial(pair)
    await copied(one, LIGHT, DARK)
    assert (one.compared, one.agreed, one.tried.requests) == (2, 2, 1)
    assert one.public()["agreement"] == 1


async def test_a_copy_that_says_something_else_is_remembered_by_its_requests_id(pair):
    one = trial(pair, candidate=4, disagreement=1)
    token = logs.request_id.set("the-one")
    await copied(one, LIGHT, DARK)
    logs.request_id.reset(token)
    await copied(one, DARK)
    assert (one.public()["agreement"], one.public()["differing_requests"]) == (round(2 / 3, 6), ["the-one"])


async def test_a_copy_that_gives_nan_is_an_error_of_the_candidate(pair):
    one = trial(pair, candidate=3)
    await copied(one, BLACK)
    assert (one.tried.requests, one.tried.errors, one.compared) == (1, 1, 0)


async def test_whatever_a_candidate_raises_is_counted_and_nothing_else_happens(pair, caplog):
    one, question = trial(pair), Pictures(LIGHT)
    said = question.said(one.answering)
    question.fault = RuntimeError("made")
    one.copy(question, said, took(0.001))
    await one._copying
    assert one.tried.errors == 1
    assert "a copied request failed" in caplog.text


async def test_copies_are_made_in_a_thread_of_their_own_one_at_a_time(pair):
    one, question = trial(pair), Pictures(LIGHT)
    said = question.said(one.answering)
    question.threads.clear()
    for _ in range(3):
        one.copy(question, said, took(0.001))
    await one._copying
    assert [thread.name.startswith("trial") for thread in question.threads] == [True]
    assert one.public()["not_copied"] == 2


async def test_a_candidate_that_hangs_holds_up_nothing_but_copies(pair, monkeypatch):
    hangs = threading.Event()
    one = trial(pair)
    monkeypatch.setattr(one.candidate, "compute", lambda *_: hangs.wait(20))
    question = Pictures(LIGHT)
    one.copy(question, question.said(one.answering), took(0.001))
    await asyncio.sleep(0.01)
    one.copy(question, [], took(0.001))
    assert one.skipped == 1
    hangs.set()
    await until(one._copying.done)


async def test_in_a_canary_the_version_that_answers_gets_the_copy(pair):
    one, question = trial(pair, "canary", candidate=4), Pictures(LIGHT)
    one.copy(question, question.said(one.candidate), took(0.001))
    await one._copying
    assert (one.compared, one.agreed, one.tried.requests) == (1, 0, 0)


def failing(one: Trial, count: int) -> None:
    for _ in range(count):
        one.failed(ModelFailed("made"))


async def test_errors_beyond_the_budget_end_it_once(pair):
    ended = []
    one = trial(pair, ended=ended, errors=0.2)
    failing(one, 2)
    assert not ended
    failing(one, 2)
    assert ended == ["3 of its 3 requests failed; at most 20.0% may"]
    assert not one.takes()


async def test_errors_within_the_budget_end_nothing(pair):
    ended = []
    one = trial(pair, ended=ended, errors=0.2)
    for _ in range(20):
        for _ in range(5):
            one.answered(one.tried, took(0.001))
        one.failed(ModelFailed("made"))
    assert not ended


async def test_disagreement_beyond_the_budget_ends_it(pair):
    ended = []
    one = trial(pair, candidate=4, ended=ended, disagreement=0.1)
    for _ in range(2):
        await copied(one, LIGHT)
    assert ended == ["2 of 2 compared answers differ; at most 10.0% may"]


@pytest.mark.parametrize(("main", "tried", "ends"), [(0.010, 0.050, True), (0.010, 0.020, False), (0.0001, 0.0011, False)])
async def test_a_late_percentile_beyond_the_budget_ends_it_where_anybody_would_notice(pair, main, tried, ends):
    ended = []
    one = trial(pair, "canary", ended=ended, slower=3)
    for _ in range(20):
        one.answered(one.main, took(main))
        one.answered(one.tried, took(tried))
    assert bool(ended) == ends
    if ends:
        assert "its 99th percentile is 50.0 ms where version 1 has 10.0 ms" in ended[0]


async def test_a_closed_one_copies_nothing(pair):
    one, question = trial(pair), Pictures(LIGHT)
    one.close()
    one.copy(question, question.said(one.answering), took(0.001))
    assert (one._copying, one.takes()) == (None, False)
