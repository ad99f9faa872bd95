"""Ways to spoil a version's folder, by name. Knows the files of a version; not what a service makes of them.

A digest would give most of it away at once. So that the check behind it is what a case meets, many are given digests that hold.
"""

import io
import json
import os
import shutil
import socket
import stat
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from service.golden import Golden
from service.manifest import GOLDEN, MANIFEST, SAMPLES, Manifest, sha256
from tests.conftest import packed

Spoil = Callable[[Path], object]
MODEL = "model.onnx"


def renumbered(source: Path, folder: Path, **changes: object) -> Path:
    """A whole copy of a version as another one, its digests right."""
    shutil.copytree(source, folder)
    manifest = Manifest.read(source).model_copy(update={"version": int(folder.name), "name": folder.parent.name, **changes})
    (folder / MANIFEST).write_bytes(manifest.dump())
    return folder


def document(folder: Path) -> dict[str, Any]:
    """The manifest's values, without its own digest, which would not hold of others."""
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
    del found["sha256"]
    return found


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The manifest with other values."""
    found = document(folder)
    change(found)
    (folder / MANIFEST).write_text(json.dumps(found))


def stated(change: Mapping[str, Any]) -> Spoil:
    """These values in place of the manifest's."""
    return lambda folder: rewritten(folder, lambda found: found.update(change))


def filed(name: str, data: bytes) -> Spoil:
    """Another content of a file, whose digest holds."""

    def spoil(folder: Path) -> None:
        (folder / name).write_bytes(data)
        entry = {"sha256": sha256(data), "size_bytes": len(data)}
        rewritten(folder, lambda found: found["files"].update({name: entry}))

    return spoil


def named(name: str) -> Spoil:
    """A file by a name that leads elsewhere, where it is."""

    def spoil(folder: Path) -> None:
        if name.startswith("../"):
            shutil.copy(folder / SAMPLES, folder / name)
        rewritten(folder, lambda found: found["files"].update({name: found["files"][SAMPLES]}))

    return spoil


def _text(data: bytes) -> Spoil:
    return lambda folder: (folder / MANIFEST).write_bytes(data)


def _twice(folder: Path) -> None:
    text = json.dumps(document(folder))
    (folder / MANIFEST).write_text(text.replace('"summary"', '"default": false, "summary"'))


def _lacking(field: str) -> Spoil:
    return lambda folder: rewritten(folder, lambda found: found.pop(field))


def _swapped(found: dict[str, Any]) -> None:
    files = found["files"]
    files[MODEL], files[GOLDEN] = files[GOLDEN], files[MODEL]


def manifests() -> dict[str, Spoil]:
    """What a manifest may say."""
    needed = [name for name, field in Manifest.model_fields.items() if field.is_required()]
    size = {"sha256": "0" * 64, "size_bytes": 10**18}
    return {
        **{f"manifest without {name}": _lacking(name) for name in needed},
        **{f"a file named {name!r}": named(name) for name in ("../x", "/etc/hostname", "a/b", "..", "", "x\0", "../../x")},
        "schema 2": stated({"schema_version": 2}),
        "an unknown field": stated({"more": 1}),
        "an unknown family": stated({"family": "oracle"}),
        "a family of other files": stated({"family": "word2vec"}),
        "another name": stated({"name": "other"}),
        "another number": stated({"version": 7}),
        "a number beyond bounds": stated({"version": 10**30}),
        "limits beyond bounds": stated({"limits": {"time": 10**12}}),
        "a file of 10^18 bytes": lambda folder: rewritten(folder, lambda found: found["files"].update({MODEL: size})),
        "digests of each other": lambda folder: rewritten(folder, _swapped),
        "a graph's file elsewhere": lambda folder: rewritten(
            folder, lambda found: found["graphs"]["model"].update({"file": "../x"})
        ),
        "other inputs than the graph's": lambda folder: rewritten(
            folder, lambda found: found["graphs"]["model"]["inputs"][0].update({"name": "other"})
        ),
        "no files": stated({"files": {}}),
        "a million rows": lambda folder: rewritten(folder, lambda found: found["golden"].update({"rows": 10**6})),
        "a key twice": _twice,
        "nothing": _text(b""),
        "null": _text(b"null"),
        "a list": _text(b"[]"),
        "100,000 brackets": _text(b"[" * 100_000),
        "100,000 objects": _text(b'{"a":' * 100_000),
        "no UTF-8": _text(b'{"name": "\xff\xfe"}'),
        "half a surrogate": lambda folder: (folder / MANIFEST).write_text(
            json.dumps({**document(folder), "summary": "S"}).replace('"S"', '"\\ud800"')
        ),
        "noughts": _text(bytes(4096)),
        "something after it": lambda folder: (folder / MANIFEST).write_text(json.dumps(document(folder)) + "{}"),
        "an infinite score": lambda folder: (folder / MANIFEST).write_text(
            json.dumps(document(folder) | {"scores": {"accuracy": float("inf")}})
        ),
    }


def _instead(make: Callable[[Path], object]) -> Callable[[str], Spoil]:
    def of(name: str) -> Spoil:
        def spoil(folder: Path) -> None:
            (folder / name).unlink()
            make(folder / name)

        return spoil

    return of


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**33)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = Path.cwd()
        os.chdir(path.parent)  # its name may be too long otherwise
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


def _elsewhere(name: str) -> Spoil:
    """The same bytes outside of the folder."""

    def spoil(folder: Path) -> None:
        target = (folder / name).rename(folder.parent / f"of-{folder.name}-{name}")
        (folder / name).symlink_to(target)

    return spoil


def _hard(name: str) -> Spoil:
    """Another file by this one's name."""

    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).hardlink_to(folder / SAMPLES)

    return spoil


def places() -> dict[str, Spoil]:
    """What may stand where a file is expected."""
    ways: dict[str, Callable[[str], Spoil]] = {
        "nothing": _instead(lambda path: None),
        "an empty file": _instead(Path.touch),
        "8 GiB of holes": _instead(_sparse),
        "a folder": _instead(Path.mkdir),
        "a pipe": _instead(os.mkfifo),
        "a socket": _instead(_socket),
        "a link to itself": _instead(lambda path: path.symlink_to(path.name)),
        "a link to nothing": _instead(lambda path: path.symlink_to("/nowhere/at/all")),
        "a link to an endless device": _instead(lambda path: path.symlink_to("/dev/zero")),
        "a link to the same bytes elsewhere": _elsewhere,
        "a hard link to another file": _hard,
    }
    if os.geteuid() == 0:
        ways["an endless device"] = _instead(lambda path: os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 5)))
    else:
        ways["a file that cannot be read"] = lambda name: lambda folder: (folder / name).chmod(0)
    return {
        f"{what} as {name}": way(name)
        for what, way in ways.items()
        for name in (MANIFEST, MODEL, GOLDEN)
        if (what, name) != ("nothing", MANIFEST)  # a version that is not there yet
    }


def _bomb() -> bytes:
    """An .npz of far more zeros than it has bytes."""
    made = io.BytesIO()
    with (
        zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed_file,
        packed_file.open("inputs.image.npy", "w", force_zip64=True) as file,
    ):
        header = {"descr": "|u1", "fortran_order": False, "shape": (640 * 2**8, 64, 64, 1)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(40):
            file.write(bytes(2**24))
    return made.getvalue()


def _promising(shape: tuple[int, ...]) -> bytes:
    """An .npz whose array says that it is far larger than it is."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed_file, packed_file.open("inputs.image.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return made.getvalue()


def _recorded(change: Callable[[Golden], Golden]) -> Spoil:
    return lambda folder: filed(GOLDEN, change(Golden.unpack((folder / GOLDEN).read_bytes())).pack())(folder)


def records() -> dict[str, Spoil]:
    """What may be recorded, its digest right."""
    pickled = Golden({"image": np.array([{}], object)}, {"probabilities": np.zeros(1)}).pack()
    return {
        "640 MiB of zeros, packed": lambda folder: filed(GOLDEN, _bomb())(folder),
        "an array of 10^18 rows that is not there": filed(GOLDEN, _promising((10**18,))),
        "a pickle": filed(GOLDEN, pickled),
        "no archive": filed(GOLDEN, b"PK\3\4 junk"),
        "nothing recorded": filed(GOLDEN, b""),
        "other answers": _recorded(
            lambda found: Golden(found.inputs, {key: 1 - array for key, array in found.outputs.items()})
        ),
        "answers that are no numbers": _recorded(
            lambda found: Golden(found.inputs, {key: array * np.nan for key, array in found.outputs.items()})
        ),
        "fewer rows": _recorded(
            lambda found: Golden(*({key: array[:3] for key, array in side.items()} for side in (found.inputs, found.outputs)))
        ),
        "other inputs recorded": _recorded(lambda found: Golden({"other": found.inputs["image"]}, found.outputs)),
        "samples that are none": filed(SAMPLES, b"junk"),
        "samples nested 100,000 deep": filed(SAMPLES, b'{"samples":' + b"[" * 100_000),
    }


def graph(*more: onnx.NodeProto, constants: tuple[onnx.TensorProto, ...] = (), image: str = "image") -> bytes:
    """From a picture to ten numbers, with further nodes that make `more` of them."""
    nodes = [
        helper.make_node("Cast", [image], ["number"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["number", "axes"], ["mean"], keepdims=0),
        helper.make_node("Expand", ["mean", "wide"], ["ten"]),
        *more,
        helper.make_node("Add", ["ten", "more"], ["probabilities"]),
    ]
    fixed = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
        helper.make_tensor("wide", TensorProto.INT64, [2], [1, 10]),
    ]
    made = helper.make_graph(
        nodes,
        "spoiled",
        [helper.make_tensor_value_info(image, TensorProto.UINT8, ["batch", 28, 28, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 10])],
        [*fixed, *constants],
    )
    return packed(made)


def _more(values: list[float]) -> onnx.TensorProto:
    return helper.make_tensor("more", TensorProto.FLOAT, [len(values)], values)


def crashing() -> bytes:
    """The least integer by -1: the processor refuses, and onnxruntime's process ends, already when it opens the graph."""
    numbers = (
        helper.make_tensor("least", TensorProto.INT32, [1], [-(2**31)]),
        helper.make_tensor("less", TensorProto.INT32, [1], [-1]),
    )
    nodes = (
        helper.make_node("Div", ["least", "less"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["more"], to=TensorProto.FLOAT),
    )
    return graph(*nodes, constants=numbers)


def _endless() -> bytes:
    """A loop of 2^63 turns."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["before"], ["after"])],
        "turn",
        [info("turn", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("before", TensorProto.FLOAT, None)],
        [info("on", TensorProto.BOOL, []), info("after", TensorProto.FLOAT, None)],
    )
    loop = helper.make_node("Loop", ["turns", "true", "ten"], ["more"], body=body)
    turns = helper.make_tensor("turns", TensorProto.INT64, [], [2**63 - 1])
    return graph(loop, constants=(turns, helper.make_tensor("true", TensorProto.BOOL, [], [True])))


def _pointing(place: str) -> bytes:
    """A graph whose numbers lie in another file."""
    whole = onnx.load_from_string(graph(constants=(_more([0.0] * 10),)))
    tensor = whole.graph.initializer[-1]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": place, "offset": "0", "length": "40"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return whole.SerializeToString()


def graphs() -> dict[str, Spoil]:
    """What a graph may be, its digest right."""
    made = {
        "a graph that ends its process": crashing(),
        "a graph that never ends": _endless(),
        "numbers in /etc/passwd": _pointing("/etc/passwd"),
        "numbers in ../../../etc/passwd": _pointing("../../../../../../../../etc/passwd"),
        "numbers in README.md": _pointing("README.md"),
        "a graph of other inputs": graph(constants=(_more([0.0] * 10),), image="photograph"),
        "a graph of other answers": graph(constants=(_more([0.0] * 10),)),
        "a graph of no numbers": graph(constants=(_more([float("nan")] * 10),)),
        "no graph": b"junk",
        "an empty graph": b"",
        "a page": b"<!doctype html>" * 1000,
        "an operator that nobody knows": graph(constants=(_more([0.0] * 10),)).replace(b"ReduceMean", b"ReduceMood"),
    }
    return {what: filed(MODEL, data) for what, data in made.items()}


def kinds() -> dict[str, Spoil]:
    """All of them, for a version of `digits`."""
    return {**manifests(), **places(), **records(), **graphs()}
