"""onnxruntime, behind one file."""

import subprocess
import sys
import time

import numpy as np
import pytest

from service import graph, metrics
from service.cuda import Card
from service.graph import Graph, ProviderMissing, TookTooLong, choose_provider
from tests.card import FakeCard
from tests.conftest import ROOT, light_golden, light_graph, words_graph
from tests.drills.graphs import hanging


def test_a_graph_answers():
    golden = light_golden()
    assert golden.difference(Graph(light_graph(), "cpu").run) < 1e-6


def test_a_graph_states_its_inputs_and_outputs():
    spec = Graph(light_graph(), "cpu").spec("model.onnx")
    assert [(one.name, one.datatype, one.shape) for one in (*spec.inputs, *spec.outputs)] == [
        ("image", "UINT8", ("batch", 28, 28, 1)),
        ("probabilities", "FP32", ("batch", 2)),
    ]


@pytest.mark.parametrize("data", [b"", b"not a graph", light_graph()[:-40]])
def test_bytes_that_are_no_graph_are_refused(data):
    with pytest.raises(ValueError, match="cannot open the graph"):
        Graph(data, "cpu")


def test_a_graph_may_not_fall_back_to_another_provider_in_silence():
    with pytest.raises((ProviderMissing, ValueError)):
        Graph(light_graph(), "cuda")


def test_auto_takes_what_works_and_says_why():
    provider, reason = choose_provider("auto")
    assert provider in reason


def test_cuda_that_is_not_there_refuses_with_what_to_do(monkeypatch):
    monkeypatch.setattr(graph.ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ProviderMissing, match="install the extra `gpu`"):
        choose_provider("cuda")


def test_cuda_that_is_listed_but_does_not_start_is_not_believed(monkeypatch):
    monkeypatch.setattr(graph.ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(graph.ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(graph, "Graph", lambda *_: (_ for _ in ()).throw(ProviderMissing("it fell back")))
    assert choose_provider("auto")[0] == "cpu"
    with pytest.raises(ProviderMissing, match="it fell back"):
        choose_provider("cuda")


def test_cuda_that_starts_is_chosen(monkeypatch):
    monkeypatch.setattr(graph.ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(graph.ort, "preload_dlls", lambda: None)
    monkeypatch.setattr(graph, "Graph", lambda *_: None)
    assert choose_provider("auto")[0] == "cuda"


def test_both_packages_at_once_are_refused_with_the_repair(monkeypatch):
    monkeypatch.setattr(graph, "_installed", lambda _: True)
    with pytest.raises(ProviderMissing, match="pip uninstall"):
        choose_provider("cpu")


def test_a_graph_runs_in_several_threads_at_once():
    from concurrent.futures import ThreadPoolExecutor

    opened, golden = Graph(light_graph(), "cpu"), light_golden()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: opened.run(golden.inputs)["probabilities"], range(64)))
    assert all(np.allclose(answer, golden.outputs["probabilities"], atol=1e-6) for answer in answers)


@pytest.fixture
def card(monkeypatch):
    return FakeCard().install(monkeypatch)


@pytest.mark.parametrize("recorded", [0, 4])
def test_a_lost_card_is_left_for_the_cpu_where_that_is_allowed(card, caplog, recorded):
    opened, golden = Graph(light_graph(), "cuda", card=Card(falls_back=True, recorded=recorded)), light_golden()
    assert golden.difference(opened.run) < 1e-6
    assert opened.provider == "cuda"
    card.lost, before = True, metrics.GPU_LOST._value.get()
    assert golden.difference(opened.run) < 1e-6
    assert (opened.provider, opened.dead, metrics.GPU_LOST._value.get()) == ("cpu", None, before + 1)
    assert caplog.text.count("the GPU is lost") == 1


def test_threads_that_find_the_card_lost_together_leave_it_once(card):
    from concurrent.futures import ThreadPoolExecutor

    opened, golden = Graph(light_graph(), "cuda", card=Card(falls_back=True)), light_golden()
    card.lost, before = True, metrics.GPU_LOST._value.get()
    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(lambda _: golden.difference(opened.run), range(32))) < 1e-6
    assert metrics.GPU_LOST._value.get() == before + 1


def test_a_lost_card_that_may_not_be_left_is_an_error_and_the_graph_says_why_it_is_dead(card):
    opened = Graph(light_graph(), "cuda")
    assert opened.dead is None
    card.lost = True
    with pytest.raises(RuntimeError, match="illegal memory access"):
        opened.run(light_golden().inputs)
    assert (opened.provider, opened.dead) == (
        "cuda",
        "The GPU is lost: CUDA failure 700: an illegal memory access was encountered",
    )


def test_an_error_of_a_card_that_works_is_no_loss(card):
    opened = Graph(light_graph(), "cuda", card=Card(falls_back=True))
    with pytest.raises(Exception, match="image"):
        opened.run({"image": np.zeros((1, 2), np.uint8)})
    assert (opened.provider, opened.dead) == ("cuda", None)


def test_a_graph_that_comes_after_the_loss_opens_on_the_cpu_where_that_is_allowed(card):
    card.lost = True
    assert Graph(light_graph(), "cuda", card=Card(falls_back=True)).provider == "cpu"
    with pytest.raises(ValueError, match="cannot open the graph"):
        Graph(light_graph(), "cuda")


def test_a_broken_graph_is_refused_on_a_card_that_works_and_not_tried_on_the_cpu(card):
    with pytest.raises(ValueError, match="cannot open the graph"):
        Graph(b"not a graph", "cuda", card=Card(falls_back=True))


def test_the_card_gets_the_options_of_the_settings(card):
    Graph(light_graph(), "cuda", card=Card(memory_mb=256))
    assert (card.opened[-1]["gpu_mem_limit"], card.opened[-1]["enable_cuda_graph"]) == (str(256 * 2**20), "0")


def test_only_graphs_of_fixed_shapes_are_recorded_and_only_where_asked(card):
    for data, wanted, recorded in ((light_graph(), 4, "1"), (light_graph(), 0, "0"), (words_graph(), 4, "0")):
        Graph(data, "cuda", card=Card(recorded=wanted))
        assert card.opened[-1]["enable_cuda_graph"] == recorded


MEASURED = """
import sys
from pathlib import Path
import numpy as np
from service.graph import Graph
from tests.service.test_memory import resident_mb

graph = Graph(Path("models/denoiser/1/model.onnx").read_bytes(), "cpu")
graph.run({"image": np.zeros((256, 28, 28, 1), np.uint8)})
full = resident_mb()
if sys.argv[1] == "True":
    graph.give_back()
graph.run({"image": np.zeros((1, 28, 28, 1), np.uint8)})
print(full - resident_mb())
"""


@pytest.mark.parametrize("gives_back", [False, True])
def test_a_graph_gives_back_what_its_largest_run_took(gives_back):
    command = [sys.executable, "-c", MEASURED, str(gives_back)]  # a process of its own: here others have left memory to take
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (float(said) > 10) == gives_back


def test_runs_that_take_too_long_together_are_ended_and_later_ones_go_on():
    one = Graph(hanging(), "cpu")
    white, grey = ({"image": np.full((1, 28, 28, 1), light, np.uint8)} for light in (255, 51))
    begun = time.monotonic()
    with graph.within(30), pytest.raises(TookTooLong, match=r"longer than 0\.2 s"), graph.within(0.2):
        one.run(white)
    assert time.monotonic() - begun < 10
    with graph.within(30):
        assert one.run(grey)["probabilities"][0, 1] == pytest.approx(0.2)


def test_nothing_more_is_run_when_the_time_is_spent():
    one, grey = Graph(light_graph(), "cpu"), {"image": np.full((1, 28, 28, 1), 51, np.uint8)}
    with graph.within(0):
        time.sleep(10 * graph._Watch.EVERY_S)
        with pytest.raises(TookTooLong):
            one.run(grey)
    one.run(grey)
