"""One served version: what it must pass, and how it answers."""

import asyncio

import numpy as np
import pytest

from service import cost, model, repository
from service.cost import Cost
from service.errors import ModelFailed, Unavailable
from service.family import rooms
from service.graph import Graph
from service.manifest import Golden as Recorded
from service.repository import BrokenVersion
from service.settings import Settings
from tests.conftest import light_golden, light_graph, write_codes_version, write_version, write_words_version
from tests.drills.graphs import hanging

pytestmark = pytest.mark.anyio


def load(models_dir, **settings) -> model.Model:
    return model.load(repository.read(repository.scan(models_dir)[-1]), rooms(), "cpu", Settings(max_batch=4, **settings))


async def plainly(future):
    return await future


def rows(*lights: int) -> dict:
    return {"image": np.stack([np.full((28, 28, 1), light, np.uint8) for light in lights])}


async def started(models_dir) -> model.Model:
    loaded = load(models_dir)
    await loaded.start(Settings(max_batch=4))
    return loaded


@pytest.mark.parametrize(
    ("files", "changes", "reason"),
    [
        ({"model.onnx": light_graph(gain=0.9)}, {}, "its golden answers differ by"),
        ({"golden.npz": light_golden(gain=0.9).pack()}, {}, "its golden answers differ by"),
        ({"golden.npz": light_golden(rows=5).pack()}, {}, "has 5 rows, the manifest states 4"),
        ({"golden.npz": b"junk"}, {}, "golden.npz cannot be replayed"),
        ({"model.onnx": b"junk"}, {}, "cannot open the graph"),
        ({}, {"family": "fortune"}, "its family is 'fortune'"),
        ({}, {"labels": ("dark", "grey", "light")}, "for 3 labels"),
        ({}, {"preparation": {"mode": "plain", "height": 9, "width": 28, "channels": 1}}, "the preparation is"),
        ({}, {"preparation": {}}, "preparation|mode"),
        ({}, {"statistics": {"mean_pixel_deciles": "many"}}, "expected ascending numbers"),
        ({}, {"statistics": {"label_shares": {"dark": 2}}}, "expected shares by label"),
        ({}, {"golden": Recorded(rows=4, tolerance=1e-12, parity=0)}, "at most 1e-12 is allowed"),
    ],
)
def test_a_version_that_fails_a_check_is_refused_with_the_reason(tmp_path, files, changes, reason):
    write_version(tmp_path, files=files, **changes)
    with pytest.raises(BrokenVersion, match=reason):
        load(tmp_path)


def test_a_graph_that_is_not_as_the_manifest_says_is_refused(tmp_path):
    write_version(tmp_path)
    contents = repository.read(repository.scan(tmp_path)[0])
    output = contents.manifest.graph.outputs[0].model_copy(update={"name": "other"})
    graph = contents.manifest.graph.model_copy(update={"outputs": (output,)})
    changed = repository.Contents(contents.manifest.model_copy(update={"graphs": {"model": graph}}), contents.files)
    with pytest.raises(BrokenVersion, match="the manifest states otherwise"):
        model.load(changed, rooms(), "cpu", Settings())


async def test_items_are_answered_in_order(models_dir):
    loaded = await started(models_dir)
    answers, _ = await loaded.predict([rows(0), rows(255), rows(51)], loaded.room.predict, plainly)
    assert [round(float(answer["probabilities"][0, 1]), 3) for answer in answers] == [0, 1, 0.2]


async def test_an_item_of_more_rows_than_a_batch_comes_back_whole(models_dir):
    loaded = await started(models_dir)
    lights = list(range(0, 250, 25))
    (answer,), timing = await loaded.predict([rows(*lights)], loaded.room.predict, plainly)
    assert np.allclose(answer["probabilities"][:, 1], np.array(lights) / 255, atol=1e-6)
    assert timing.batch_rows <= 4


async def test_a_batch_of_one_and_a_batch_of_many_give_the_same_answer(models_dir):
    loaded = await started(models_dir)
    images = np.random.default_rng(1).integers(0, 256, (4, 28, 28, 1), np.uint8)
    (together,), _ = await loaded.predict([{"image": images}], loaded.room.predict, plainly)
    for row in range(4):
        (alone,), _ = await loaded.predict([{"image": images[row : row + 1]}], loaded.room.predict, plainly)
        assert np.abs(alone["probabilities"] - together["probabilities"][row]).max() <= 1e-6


async def test_close_waits_for_who_uses_it(models_dir):
    loaded = await started(models_dir)
    with loaded.lease():
        closing = asyncio.ensure_future(loaded.close())
        await asyncio.sleep(0.01)
        assert not closing.done()
        await loaded.predict([rows(1)], loaded.room.predict, plainly)
    await asyncio.wait_for(closing, 5)


async def test_a_dead_executor_makes_the_model_dead(models_dir):
    loaded = await started(models_dir)
    loaded._executor.shutdown()
    loaded.cost.points.clear()  # nothing is cheap any more: the batch goes to the thread that is gone
    with pytest.raises(Unavailable):
        await loaded.predict([rows(1)], loaded.room.predict, plainly)
    assert loaded.dead


async def test_rows_times_the_longest_stay_within_the_padded_budget(tmp_path, monkeypatch):
    write_words_version(tmp_path / "models")
    settings = Settings(max_padded=24, max_batch=8, threads=1)
    loaded = model.load(repository.read(repository.scan(tmp_path / "models")[0]), rooms(), "cpu", settings)
    seen = []
    await loaded.start(settings)
    run = loaded.graphs["model"].run
    monkeypatch.setattr(loaded.graphs["model"], "run", lambda arrays: (seen.append(arrays["tokens"].shape), run(arrays))[1])
    items = [{"tokens": np.full((1, length), 2, np.int32)} for length in (1, 12, 2, 12, 11, 3, 1, 12)]
    found, _ = await loaded.predict(items, loaded.room.predict, plainly)
    await loaded.close()
    assert sum(count for count, _ in seen) == 8
    assert all(count == 1 or count * longest <= 24 for count, longest in seen)
    assert len(seen) < 8
    sums = [one["contributions"].sum() for one in found]
    assert sums == pytest.approx([2.0 * item["tokens"].shape[1] for item in items])


def test_what_timing_batches_took_is_given_back(models_dir, monkeypatch):
    asked, given = [], []
    measure = cost.measure
    monkeypatch.setattr(cost, "measure", lambda *words: (asked.append("measured"), measure(*words))[1])
    monkeypatch.setattr(Graph, "give_back", lambda self: given.append(list(asked)))
    load(models_dir)
    assert given == [["measured"]]


def test_lengths_up_to_the_manifests_limit_are_timed(tmp_path):
    write_words_version(tmp_path / "models", limit=20)
    loaded = load(tmp_path / "models", max_padded=30)
    timed = {(count, length) for count in (1, 2, 4) for length in (1, 16, 20) if count == 1 or count * length <= 30}
    assert set(loaded.cost.points) == timed


def test_only_the_examples_of_verbs_that_a_version_suits_are_tried(tmp_path, monkeypatch):
    write_codes_version(tmp_path, kind="denoising", decodes=False)
    tried = []
    monkeypatch.setattr(model, "_answer_example", lambda verb, *_: tried.append(verb.name))
    load(tmp_path)
    assert tried == ["denoise", "reconstruct", "encode"]


def test_costs_are_measured_at_load(models_dir):
    assert {point["rows"] for point in load(models_dir).cost.public()} == {1, 2, 4}


@pytest.mark.parametrize(
    ("slots", "rows", "here"),
    [(1, 1, True), (1, 2, True), (1, 4, False), (2, 1, True), (2, 2, False), (2, 4, False)],
)
def test_a_batch_runs_on_the_loop_where_it_is_short_and_no_core_is_free_beside_it(models_dir, slots, rows, here):
    loaded = load(models_dir)
    loaded.cost = Cost({(1, 1): 0.0003, (2, 1): 0.0005, (4, 1): 0.003})
    assert loaded._runs_here(0.0001, slots)(rows, 1) is here


async def test_nan_for_one_row_fails_whoever_asked_for_it_and_nobody_else_in_the_batch(tmp_path):
    write_version(tmp_path, files={"model.onnx": light_graph(fragile=True)})
    loaded = await started(tmp_path)
    asked = [loaded.predict([rows(light)], loaded.room.predict, plainly) for light in (255, 0, 51)]
    white, black, grey = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(black, ModelFailed)
    assert {timing.batch_rows for _, timing in (white, grey)} == {3}
    assert [found[0]["probabilities"][0, 1] for found, _ in (white, grey)] == pytest.approx([1, 0.2])
    await loaded.close()


async def test_a_batch_that_hangs_on_the_loop_is_ended_soon_and_no_other_runs_there(tmp_path, monkeypatch):
    write_version(tmp_path, files={"model.onnx": hanging()})
    monkeypatch.setattr(model, "HUNG_S", 0.3)
    monkeypatch.setattr(model, "LATE_S", 0.0)
    loaded = load(tmp_path)
    loaded.cost = Cost({(1, 1): 0.0001})
    await loaded.start(Settings(max_batch=4, deadline_s=0.5))
    for _ in range(2):
        with pytest.raises(ModelFailed):
            await loaded.predict([rows(255)], loaded.room.predict, plainly)
        assert not loaded._runs_here(1, 1)(1, 1)
    await loaded.predict([rows(51)], loaded.room.predict, plainly)
    await loaded.close()


def test_a_version_that_hangs_when_it_is_checked_is_refused(tmp_path):
    write_version(tmp_path, files={"model.onnx": hanging(always=True)})
    with pytest.raises(BrokenVersion, match=r"took longer than 0\.3 s"):
        load(tmp_path, rehearsal_s=0.3)
