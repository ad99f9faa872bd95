"""Graphs on an NVIDIA card. What needs a card is skipped where there is none."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import numpy as np
import onnxruntime as ort
import pytest

from service import cuda, graph
from service.cuda import Card, Turns
from service.family import rooms
from service.golden import Golden
from service.graph import Graph
from service.manifest import GOLDEN, Manifest
from service.tensors import DTYPES
from tests.card import FakeCard
from tests.conftest import ROOT, light_golden, light_graph

LOSE = """
import json, sys, time
import numpy as np, torch
from service.cuda import Card, Turns
from service.graph import Graph, choose_provider
from tests.conftest import light_golden, light_graph

choose_provider("cuda")
opened, golden = Graph(light_graph(), "cuda", card=Card(falls_back=sys.argv[1] == "on", recorded=int(sys.argv[2]))), light_golden()
before = golden.difference(opened.run)
try:  # an index out of bounds ends the process's context on the card, as a lost card does
    torch.arange(3, device="cuda")[torch.tensor([7], device="cuda")].cpu()
except Exception as error:
    lost = str(error)
begun = time.perf_counter()
try:
    after, failed = golden.difference(opened.run), None
except Exception as error:
    after, failed = None, str(error)
seconds = time.perf_counter() - begun
said = {"before": before, "lost": lost, "after": after, "failed": failed, "seconds": seconds, "provider": opened.provider, "dead": opened.dead}
print(json.dumps(said), flush=True)
"""


def _starts() -> bool:
    if cuda.PROVIDER not in ort.get_available_providers():
        return False
    ort.preload_dlls()
    return graph._works()


needs_card = pytest.mark.skipif(not _starts(), reason="CUDA does not start on this machine")


def test_the_options_bound_a_graphs_memory_only_where_a_bound_is_set():
    assert "gpu_mem_limit" not in cuda.options(0)
    assert cuda.options(256)["gpu_mem_limit"] == str(256 * 2**20)


@pytest.fixture
def card(monkeypatch):
    return FakeCard().install(monkeypatch)


def pictures(rows: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(rows).integers(0, 256, (rows, 28, 28, 1), np.uint8)}


def test_a_batch_is_filled_up_to_the_next_recorded_size_and_the_largest_is_recorded_first(card):
    opened = Graph(light_graph(), "cuda", card=Card(recorded=8))
    answer = opened.run(pictures(3))
    assert np.abs(answer["probabilities"] - Graph(light_graph(), "cpu").run(pictures(3))["probabilities"]).max() < 1e-6
    assert card.bound_rows == [8, 4, 4]  # recorded, recorded, run
    opened.run(pictures(4))
    assert card.bound_rows == [8, 4, 4, 4]


def test_more_rows_than_the_largest_recorded_batch_run_one_after_the_other(card):
    opened = Graph(light_graph(), "cuda", card=Card(recorded=3))
    answer = opened.run(pictures(9))
    assert np.abs(answer["probabilities"] - Graph(light_graph(), "cpu").run(pictures(9))["probabilities"]).max() < 1e-6
    assert set(card.bound_rows) == {1, 4}


@pytest.mark.parametrize("wrong", [np.zeros((2, 28, 28, 3), np.uint8), np.zeros((2, 28, 28, 1), np.float32)])
def test_arrays_that_do_not_fit_a_recorded_run_are_refused(card, wrong):
    with pytest.raises(ValueError, match="expected uint8"):
        Graph(light_graph(), "cuda", card=Card(recorded=4)).run({"image": wrong})


def test_nobody_has_a_turn_beside_one_who_is_alone():
    turns, seen, entered, done = Turns(), [], Event(), Event()

    def alone() -> None:
        with turns.alone():
            entered.set()
            done.wait(5)
            seen.append("alone")

    def shared() -> None:
        with turns.shared():
            seen.append("shared")

    with ThreadPoolExecutor(2) as pool:
        with turns.shared(), turns.shared():
            first = pool.submit(alone)
            assert not entered.wait(0.05)
        assert entered.wait(5)
        second = pool.submit(shared)
        assert not second.done()
        done.set()
        first.result(5)
        second.result(5)
    assert seen == ["alone", "shared"]


@needs_card
@pytest.mark.parametrize("recorded", [0, 64])
@pytest.mark.parametrize("folder", sorted((ROOT / "models").glob("*/*/")), ids=lambda one: f"{one.parent.name}-{one.name}")
def test_a_shipped_version_answers_on_the_card_as_was_recorded(folder, recorded):
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    card = Card(recorded=recorded)
    graphs = {name: Graph((folder / spec.file).read_bytes(), "cuda", card=card) for name, spec in manifest.graphs.items()}
    predict = partial(rooms()[manifest.family].predict, graphs)
    assert Golden.unpack((folder / GOLDEN).read_bytes()).difference(predict) <= manifest.golden.tolerance


@needs_card
@pytest.mark.parametrize("recorded", [0, 64])
@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*/*/*.onnx")), ids=lambda one: "-".join(one.parts[-3:]))
def test_batches_of_any_size_in_any_order_are_answered_as_on_the_cpu(path, recorded):
    """What is recorded for one size must not be harmed by another."""
    there, here = Graph(path.read_bytes(), "cuda", card=Card(recorded=recorded)), Graph(path.read_bytes(), "cpu")
    specs, random = here.spec(path.name).inputs, np.random.default_rng(0)
    for rows in (1, 2, 16, 64, 1, 5, 150, 1, 33, 2, 1):
        arrays = {}
        for spec in specs:
            shape = [rows, *(size if isinstance(size, int) else 7 for size in spec.row_shape)]
            whole = spec.datatype != "FP32"
            arrays[spec.name] = (random.integers(1, 200, shape) if whole else random.normal(size=shape)).astype(
                DTYPES[spec.datatype]
            )
        golden = Golden(arrays, here.run(arrays))
        found = there.run(arrays)
        assert max(golden.apart(name, found[name], wanted) for name, wanted in golden.outputs.items()) <= 1e-4


@needs_card
def test_runs_are_recorded_while_other_threads_use_the_card():
    cases = []
    for name in ("digits", "codes", "oil", "words", "reviews"):
        folder = max((ROOT / "models" / name).glob("*/"))
        opened = Graph((folder / "model.onnx").read_bytes(), "cuda", card=Card(recorded=16))
        cases.append((opened, Golden.unpack((folder / GOLDEN).read_bytes())))

    def ask(turn: int) -> float:
        opened, golden = cases[turn % len(cases)]
        rows = 1 + turn % golden.rows
        asked = Golden(*({key: array[:rows] for key, array in side.items()} for side in (golden.inputs, golden.outputs)))
        return asked.difference(opened.run)

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(ask, range(400))) <= 1e-4


@needs_card
def test_more_than_the_card_may_give_is_an_error_and_no_loss():
    opened = Graph(light_graph(), "cuda", card=Card(memory_mb=1, falls_back=True))
    with pytest.raises(Exception, match="memory"):
        opened.run({"image": np.zeros((100_000, 28, 28, 1), np.uint8)})
    assert opened.provider == "cuda"
    assert light_golden().difference(opened.run) < 1e-6


@needs_card
@pytest.mark.parametrize("recorded", [0, 4])
@pytest.mark.parametrize("allowed", ["on", "off"])
def test_a_lost_context_is_left_for_the_cpu_within_5_s_where_that_is_allowed(allowed, recorded):
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, "-c", LOSE, allowed, str(recorded)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    said = json.loads(done.stdout.splitlines()[-1])
    if allowed == "on":
        assert (said["provider"], said["failed"]) == ("cpu", None)
        assert said["after"] < 1e-6
        assert said["seconds"] < 5
    else:
        assert said["failed"]
        assert said["dead"].startswith("The GPU is lost")
