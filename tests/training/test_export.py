"""The ONNX graph: it answers like its network, alone and in company, and tells nothing of this machine."""

import functools
import sys

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from service.manifest import GraphSpec, TensorSpec, sha256
from tests.conftest import ROOT
from training import export
from training.families import classifier
from training.families.classifier import SUITS, Config
from training.room import Export, TrainingError


def wanted(data, architecture):
    torch.manual_seed(0)
    config = Config(architecture=architecture)
    return classifier.export(classifier.network(config, data).eval(), data, config)


@pytest.fixture(scope="module")
def exports(data):
    """The graph of an architecture, compared on 60 real rows."""
    return functools.cache(lambda architecture: export.export(wanted(data, architecture), data.test))


@pytest.fixture(params=list(SUITS))
def exported(request, exports):
    """Each architecture's."""
    return exports(request.param)


class Two(nn.Module):
    """Two inputs, two outputs, a free axis; its answers can be worked out in the head."""

    def forward(self, values, weight):  # (batch, length), (batch,) -> (batch,), (batch, length)
        return values.sum(1) * weight, values + 1


TWO = Export(
    module=Two(),
    inputs={"values": torch.zeros(2, 3), "weight": torch.zeros(2)},
    outputs=("total", "more"),
    axes={"values": {1: "length"}},
    summary="Sums",
)


@pytest.fixture(scope="module")
def two():
    return export.export(TWO, rows(2, 3)).graph


def rows(count, length):
    return {
        "values": np.arange(count * length, dtype=np.float32).reshape(count, length),
        "weight": np.arange(count, dtype=np.float32),
    }


def test_the_graph_answers_like_the_network(exported):
    assert exported.parity <= 1e-5


@pytest.mark.parametrize("size", [1, 3])
def test_a_row_gets_the_same_answer_in_a_batch_of_any_size(exported, data, size):
    predict, image = export.open_graph(exported.graph), np.resize(data.test["image"], (64, 28, 28, 1))
    together = predict({"image": image})["probabilities"]
    apart = [predict({"image": image[start : start + size]})["probabilities"] for start in range(0, 64, size)]
    assert np.abs(np.concatenate(apart) - together).max() <= 1e-6


def test_the_graph_is_one_file_that_names_its_batch_axis(exported):
    graph = onnx.load_from_string(exported.graph).graph
    assert all(one.data_location != onnx.TensorProto.EXTERNAL for one in graph.initializer)
    for tensor in (*graph.input, *graph.output):
        assert tensor.type.tensor_type.shape.dim[0].dim_param == "batch", tensor.name


def test_the_spec_is_the_graphs(exported):
    (image,), (probabilities,) = exported.spec.inputs, exported.spec.outputs
    assert (image.name, image.datatype, image.shape) == ("image", "UINT8", ("batch", 28, 28, 1))
    assert (probabilities.name, probabilities.datatype, probabilities.shape) == ("probabilities", "FP32", ("batch", 10))


def test_the_graph_tells_nothing_of_this_machine(exported):
    for word in (str(ROOT), sys.prefix, "site-packages", "stack_trace", "/home", "/tmp/"):
        assert word.encode() not in exported.graph, word


def test_golden_is_real_rows_and_the_networks_answers(exported, data):
    assert exported.golden.rows == export.GOLDEN_ROWS
    assert np.array_equal(exported.golden.inputs["image"], data.test["image"][:16])
    assert np.allclose(exported.golden.outputs["probabilities"].sum(1), 1, atol=1e-6)


def test_the_same_network_gives_the_same_bytes(exports, data):
    again = export.export(wanted(data, "residual"), data.test)
    assert sha256(again.graph) == sha256(exports("residual").graph)


def test_a_graph_may_have_several_inputs_outputs_and_free_axes(two):
    predict = export.open_graph(two)
    answer = predict(rows(3, 5))
    assert answer["total"].tolist() == [0, 35, 120]
    assert answer["more"].shape == (3, 5)


def test_many_rows_are_asked_in_parts_and_stay_in_order(two):
    predict = export.open_graph(two)
    many = rows(2 * export.RUN_ROWS + 7, 2)
    assert np.array_equal(predict(many)["more"], many["values"] + 1)


def test_the_graph_says_what_it_is_for(two):
    model = onnx.load_from_string(two)
    assert (model.producer_name, model.doc_string) == ("modelyard", "Sums")


def test_exporting_says_nothing(capfd):
    export.export(TWO, rows(2, 3))
    assert capfd.readouterr() == ("", "")


class Mean(nn.Module):
    """Of a row's values, its padding included."""

    def forward(self, values):
        return values.mean(1)


def test_a_network_that_padding_changes_is_refused():
    padded = {"values": np.array([[1, 2, 3], [1, 2, 0]], np.float32)}
    wanted = Export(Mean(), {"values": torch.ones(2, 3)}, ("mean",), {"values": {1: "length"}})
    with pytest.raises(TrainingError, match=r"differs from PyTorch by 0\.25"):
        export.export(wanted, padded)


class Cumulated(nn.Module):
    """As long as its row."""

    def forward(self, values):
        return values.cumsum(1)


def test_a_graph_that_states_a_free_axis_as_fixed_is_refused(monkeypatch):
    def stated(graph, file):
        return GraphSpec(
            file=file,
            inputs=(TensorSpec(name="values", datatype="FP32", shape=("batch", "length")),),
            outputs=(TensorSpec(name="sums", datatype="FP32", shape=("batch", 3)),),
        )

    monkeypatch.setattr(export, "_spec", stated)
    wanted = Export(Cumulated(), {"values": torch.ones(2, 3)}, ("sums",), {"values": {1: "length"}})
    with pytest.raises(TrainingError, match=r"states rows of \(3,\) for 'sums'; one has \(2,\)"):
        export.export(wanted, {"values": np.array([[1, 2, 3], [1, 2, 0]], np.float32)})


class Twofaced(nn.Module):
    """Answers PyTorch otherwise than it lets itself be exported."""

    def __init__(self, off):
        super().__init__()
        self.off = off

    def forward(self, values):
        return values if torch.compiler.is_exporting() else values + self.off


@pytest.mark.parametrize("off", [2e-4, float("nan")])
def test_a_graph_that_answers_otherwise_is_refused(off):
    export_ = Export(Twofaced(off), {"values": torch.zeros(2, 3)}, ("same",))
    with pytest.raises(TrainingError, match=r"^The ONNX graph differs from PyTorch by .*; at most 0\.0001 is let through\.$"):
        export.export(export_, {"values": np.zeros((4, 3), np.float32)})


def test_a_difference_within_the_bound_is_let_through_and_stated():
    found = export.export(
        Export(Twofaced(5e-5), {"values": torch.zeros(2, 3)}, ("same",)), {"values": np.zeros((4, 3), np.float32)}
    )
    assert found.parity == pytest.approx(5e-5, rel=1e-3)


@pytest.mark.parametrize(("half", "most"), [(True, 0.55), (False, 1.1)])
def test_large_weights_are_stored_in_half_where_that_is_wanted_and_answer_alike(half, most):
    torch.manual_seed(0)
    wide, narrow = torch.nn.Linear(64, 500), torch.nn.Linear(500, 2)
    rows = {"x": np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32)}
    wanted = Export(torch.nn.Sequential(wide, narrow), {"x": torch.zeros(2, 64)}, ("y",), half=half)
    exported = export.export(wanted, rows)
    assert exported.parity < 1e-5
    assert len(exported.graph) / (4 * (wide.weight.numel() + narrow.weight.numel())) < most
    assert torch.equal(wide.weight, wide.weight.half().float()) == half
    assert not torch.equal(narrow.weight, narrow.weight.half().float())
