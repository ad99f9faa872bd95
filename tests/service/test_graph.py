"""onnxruntime, behind one file."""

import numpy as np
import pytest

from service import graph
from service.graph import Graph, ProviderMissing, choose_provider
from tests.conftest import light_golden, light_graph


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
