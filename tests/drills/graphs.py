"""Graphs that misbehave, as versions on disk: those that hang, want all memory, or give NaN for some pictures."""

from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto, helper

from service.golden import Golden
from service.manifest import GOLDEN
from tests.conftest import SIDE, light_golden, light_graph, packed, write_version

ENDLESS = 2**62
TERABYTES = 2**38
"""Rows of a number and its like: some terabytes."""


def _picture_graph(middle: list[NodeProto], constants: list) -> bytes:
    """`image` -> `mean` (batch x 1) and `lightest` (a number) -> `middle` -> `light` -> probabilities."""
    nodes = [
        helper.make_node("Cast", ["image"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["number", "axes"], ["mean"], keepdims=0),
        helper.make_node("ReduceMean", ["number"], ["lightest"], keepdims=0),
        helper.make_node("Greater", ["lightest", "nearly white"], ["wrong"]),
        *middle,
        helper.make_node("Div", ["light", "scale"], ["share"]),
        helper.make_node("Sub", ["one", "share"], ["dark"]),
        helper.make_node("Concat", ["dark", "share"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("nearly white", TensorProto.FLOAT, [], [254.5]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [255.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        *constants,
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])
    return packed(helper.make_graph(nodes, "wrong", [image], [answer], constants))


def hanging(*, always: bool = False) -> bytes:
    """The light model; it never ends for a batch of white pictures, or ever."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes"]), helper.make_node("Identity", ["before"], ["after"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    turns = helper.make_tensor("turns", TensorProto.INT64, [], [ENDLESS])
    go = [helper.make_tensor("always", TensorProto.BOOL, [], [True])] if always else []
    loop = helper.make_node("Loop", ["turns", "always" if always else "wrong", "mean"], ["light"], body=body)
    return _picture_graph([loop], [turns, *go])


def greedy(*, always: bool = False) -> bytes:
    """The light model; it wants terabytes for a batch of white pictures, or ever."""
    middle = [
        helper.make_node("Where", ["wrong", "many", "many" if always else "few"], ["rows"]),
        helper.make_node("Expand", ["lightest", "rows"], ["huge"]),
        helper.make_node("ReduceMin", ["huge"], ["least"], keepdims=0),
        helper.make_node("Sub", ["least", "lightest"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["light"]),
    ]
    counts = [helper.make_tensor(name, TensorProto.INT64, [1], [n]) for name, n in (("many", TERABYTES), ("few", 1))]
    return _picture_graph(middle, counts)


def write(models_dir: Path, name: str, graph: bytes, version: int = 1) -> None:
    """A version of it whose recorded answers are the light model's."""
    write_version(models_dir, name, version, files={"model.onnx": graph})


def write_fragile(models_dir: Path, name: str = "fragile") -> None:
    """NaN for a black picture."""
    write(models_dir, name, light_graph(fragile=True))


def write_nan(models_dir: Path, name: str = "nan") -> None:
    """NaN for a picture that is recorded."""
    golden = light_golden()
    golden.inputs["image"][0] = 0
    images = golden.inputs["image"]
    light = (images.mean((1, 2, 3)) / 255).astype(np.float32)
    right = Golden({"image": images}, {"probabilities": np.stack([1 - light, light], 1)})
    write_version(models_dir, name, files={"model.onnx": light_graph(fragile=True), GOLDEN: right.pack()})
