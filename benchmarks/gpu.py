"""Rows a second of every shipped model on a GPU: ours in several ways beside PyTorch eager and torch.compile, in turns.

python benchmarks/gpu.py [--batches 1 4 16 64 256] [--rounds 5] [--seconds 0.05] [--out gpu.json] [--device cpu]

Every way starts from arrays in the host's memory and ends with arrays there. PyTorch's networks have the shipped models' sizes
and random weights. All in float32 without TF32 where it is not said otherwise. `--device cpu` is for trying the script itself.
"""

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from service import cuda
from service.cuda import Card
from service.family import rooms
from service.golden import Arrays, Golden
from service.graph import Graph, choose_provider
from service.manifest import GOLDEN, Manifest
from training.bands import Settled
from training.room import rooms as trainers

ROOT = Path(__file__).parent.parent
COMPILE_S = 60
"""A network that takes longer to compile is left out."""
TEXT = 200
"""Tokens of a text."""
Way = Callable[[Arrays], Arrays]


class TooLong(Exception):
    """Something took longer than it may."""


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Raises TooLong in what runs longer."""

    def stop(*_: object) -> None:
        raise TooLong(f"took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass
class Case:
    """A shipped model, its graph under test, and the same network in PyTorch."""

    name: str
    manifest: Manifest
    data: bytes
    golden: Golden | None
    module: torch.nn.Module

    def inputs(self, rows: int) -> Arrays:
        """Recorded rows again and again; drawn codes where none were recorded."""
        if self.golden is None:
            size = self.manifest.graphs["decoder"].inputs[0].shape[1]
            return {"code": np.random.default_rng(0).standard_normal((rows, int(size)), np.float32)}
        found = {name: np.resize(array, (rows, *array.shape[1:])) for name, array in self.golden.inputs.items()}
        if "tokens" in found:
            words = self.golden.inputs["tokens"]
            return {"tokens": np.resize(words[words > 0], (rows, TEXT))}
        if "words" in found:
            return {"words": np.ascontiguousarray(found["words"][:, :1]), "weights": np.ones((rows, 1), np.float32)}
        return found

    def difference(self, way: Way) -> float | None:
        """From the recorded answers; None where there are none."""
        if self.golden is None:
            return None
        served = rooms()[self.manifest.family]
        return self.golden.difference(partial(served.predict, {"model": _Runs(way)}))


@dataclass
class _Runs:
    run: Way


def network(manifest: Manifest) -> torch.nn.Module:
    """A network of the version's configuration as it is exported, with random weights."""
    trained: Any = trainers()[manifest.family]
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in manifest.training.config.items()}
    config = trained.Config(**fields)
    if manifest.family == "word2vec":
        from training.embedding import Lookup

        return Lookup(torch.randn(manifest.limits["words"] + 2, config.size), 100)
    bare = trained.sample(config)[0].eval()
    if manifest.family == "forecaster":
        from training.forecasters import Deployed

        horizon, context = manifest.limits["horizon"], manifest.limits["context"]
        linear = torch.randn(bare.scale.numel(), context, horizon) / context
        return Deployed(bare, linear, Settled(0.5, torch.ones(horizon), torch.ones(horizon)))
    if manifest.family == "sentiment":
        from training.reader import Deployed as Reads

        return Reads(bare, 1.0)
    if manifest.family == "autoencoder":
        from training.autoencoders import Decoder
        from training.autoencoders import Deployed as Makes

        return Decoder(bare) if manifest.name == "generator" else Makes(bare)
    from training.families.classifier import Deployed as Classifies

    return Classifies(bare, 1.0)


def case(models: Path, name: str) -> Case:
    """The newest version; of the generator its decoder, which is what it is asked for."""
    folder = max((models / name).glob("[0-9]*"), key=lambda found: int(found.name))
    manifest = Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    decodes = name == "generator"
    data = (folder / ("decoder.onnx" if decodes else "model.onnx")).read_bytes()
    golden = None if decodes else Golden.unpack((folder / GOLDEN).read_bytes())
    return Case(name, manifest, data, golden, network(manifest).eval())


# ways


def session(data: bytes, device: str, **changed: str) -> ort.InferenceSession:
    """As the service opens one, with other options of the provider."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    chosen = {**cuda.options(0), **changed}
    providers: list[Any] = [(cuda.PROVIDER, chosen)] if device == "cuda" else []
    return ort.InferenceSession(data, options, providers=[*providers, "CPUExecutionProvider"], enable_fallback=0)


def plain(opened: ort.InferenceSession) -> Way:
    """`session.run`, as on the CPU."""
    names = [output.name for output in opened.get_outputs()]
    return lambda arrays: dict(zip(names, opened.run(names, arrays), strict=True))


def bound(opened: ort.InferenceSession, to: str) -> Way:
    """Bound to the memory of the card, or to the host's, where onnxruntime copies."""
    names = [output.name for output in opened.get_outputs()]

    def run(arrays: Arrays) -> Arrays:
        binding = opened.io_binding()
        for name, array in arrays.items():
            if to == "cpu":
                binding.bind_cpu_input(name, array)
            else:
                binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, "cuda"))
        for name in names:
            binding.bind_output(name, to)
        opened.run_with_iobinding(binding)
        return dict(zip(names, binding.copy_outputs_to_cpu(), strict=True))

    return run


def best(data: bytes, most: int, **changed: str) -> Way:
    """As the service would run it: recorded where it can be."""
    opened = session(data, "cuda", **changed)
    if cuda.recordable(opened):
        try:
            return cuda.Recorded(session(data, "cuda", enable_cuda_graph="1", **changed), most)
        except Exception as error:  # noqa: BLE001 - onnxruntime's own classes have no other base
            print(f"  not recorded: {str(error)[:100]}")
    return plain(opened)


def halved(data: bytes) -> bytes:
    """The graph with float16 inside; its inputs and outputs stay."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    made: bytes = convert_float_to_float16(onnx.load_from_string(data), keep_io_types=True).SerializeToString()
    return made


def in_torch(module: torch.nn.Module, device: str) -> Way:
    """To the device, through the network, back."""

    def run(arrays: Arrays) -> Arrays:
        with torch.inference_mode():
            given = [torch.from_numpy(array).to(device, non_blocking=True) for array in arrays.values()]
            answered = module(*given)
            parts = answered if isinstance(answered, tuple) else (answered,)
            return {str(index): part.cpu().numpy() for index, part in enumerate(parts)}

    return run


def ways(tested: Case, device: str, batches: list[int]) -> tuple[dict[str, Way], dict[str, str]]:
    """What can run the case, by name, warmed up at each batch size; and why others cannot."""
    cores, provider = len(os.sched_getaffinity(0)), "cuda" if device == "cuda" else "cpu"
    module, most = tested.module.to(device), max(batches)

    makers: dict[str, Callable[[], Way]] = {
        "ours": lambda: Graph(tested.data, provider).run,
        "ours, recorded": lambda: Graph(tested.data, provider, card=Card(recorded=most)).run,
        "bound to card": lambda: bound(session(tested.data, device), "cuda"),
        "bound to host": lambda: bound(session(tested.data, device), "cpu"),
        "exhaustive": lambda: best(tested.data, most, cudnn_conv_algo_search="EXHAUSTIVE"),
        "TF32": lambda: best(tested.data, most, use_tf32="1"),
        "float16": lambda: best(halved(tested.data), most),
        f"CPU, {cores} threads": lambda: Graph(tested.data, "cpu", cores).run,
        "eager": lambda: in_torch(module, device),
        "torch.compile": lambda: in_torch(torch.compile(module), device),
    }
    if device == "cpu":
        makers = {name: make for name, make in makers.items() if name in ("ours", "eager", "torch.compile")}
    made, missing = dict[str, Way](), dict[str, str]()
    for name, make in makers.items():
        begun = time.perf_counter()
        try:
            with at_most(COMPILE_S):
                way = make()
                for rows in batches:
                    for _ in range(3):
                        way(tested.inputs(rows))
            made[name] = way
        except Exception as error:  # noqa: BLE001 - said in the table
            missing[name] = " ".join(str(error).split())[:200]
        print(f"  {name}: ready after {time.perf_counter() - begun:.1f} s {missing.get(name, '')}", flush=True)
    return made, missing


def rate(way: Way, arrays: Arrays, rows: int, seconds: float) -> float:
    """Rows a second over at least so long."""
    count, begun = 0, time.perf_counter()
    while (past := time.perf_counter() - begun) < seconds or count < 2:
        way(arrays)
        count += 1
    return rows * count / past


def measure(tested: Case, asked: argparse.Namespace) -> dict[str, Any]:
    """Medians, least and most of each way at each batch size, and how far its answers are from the recorded ones."""
    made, missing = ways(tested, asked.device, asked.batches)
    rates: dict[str, dict[int, list[float]]] = {name: {rows: [] for rows in asked.batches} for name in made}
    for rows in asked.batches:
        arrays = tested.inputs(rows)
        for _ in range(asked.rounds):
            for name, way in made.items():
                rates[name][rows].append(rate(way, arrays, rows, asked.seconds))
    ours = {name: way for name, way in made.items() if name not in ("eager", "torch.compile")}
    return {
        "model": tested.name,
        "missing": missing,
        "difference": {name: tested.difference(way) for name, way in ours.items()},
        "tolerance": tested.manifest.golden.tolerance,
        "rates": {
            name: {rows: [statistics.median(found), min(found), max(found)] for rows, found in by_rows.items()}
            for name, by_rows in rates.items()
        },
    }


def table(found: dict[str, Any], batches: list[int]) -> str:
    """Rows a second, a way a line."""
    lines = [f"| {found['model']}, rows a second at batch | {' | '.join(map(str, batches))} | from golden |"]
    lines.append(f"| --- |{' ---: |' * (len(batches) + 1)}")
    for name, by_rows in found["rates"].items():
        difference = found["difference"].get(name)
        shown = "" if difference is None else f"{difference:.1g}"
        lines.append(f"| {name} | {' | '.join(f'{by_rows[rows][0]:,.0f}' for rows in batches)} | {shown} |")
    return "\n".join([*lines, *(f"{name}: {why}" for name, why in found["missing"].items())])


def several(tested: Case, device: str, seconds: float, threads: int = 8) -> dict[str, float]:
    """Rows a second at batch 16 of one thread, of several on one session, and of several with a session each."""

    def together(graphs: list[Way]) -> float:
        counts, arrays = [0] * len(graphs), tested.inputs(16)
        end = time.perf_counter() + seconds

        def work(index: int) -> None:
            graphs[index](arrays)
            while time.perf_counter() < end:
                graphs[index](arrays)
                counts[index] += 16

        workers = [threading.Thread(target=work, args=(index,)) for index in range(len(graphs))]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(counts) / seconds

    made = [Graph(tested.data, "cuda" if device == "cuda" else "cpu").run for _ in range(threads)]
    return {
        "one thread": together(made[:1]),
        f"{threads} threads, one session": together(made[:1] * threads),
        f"{threads} threads, a session each": together(made),
    }


def machine(device: str) -> dict[str, str]:
    """What was measured on."""
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": platform.processor() or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "python": platform.python_version(),
        "onnxruntime": ort.__version__,
        "torch": torch.__version__,
    }
    if device == "cuda":
        asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        found["card"] = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        found["cuda"], found["cudnn"] = str(torch.version.cuda), str(torch.backends.cudnn.version())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--only", nargs="*", default=["digits", "codes", "denoiser", "generator", "oil", "reviews", "words"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    print(choose_provider("cuda" if asked.device == "cuda" else "cpu")[1])
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    document: dict[str, Any] = {"machine": machine(asked.device), "models": [], "several": {}}
    print(json.dumps(document["machine"]), flush=True)
    for name in asked.only:
        try:
            tested = case(asked.models, name)
            found = measure(tested, asked)
            document["models"].append(found)
            print(table(found, asked.batches), flush=True)
            document["several"][name] = several(tested, asked.device, 20 * asked.seconds)
            print(json.dumps(document["several"][name]), flush=True)
        except Exception as error:  # noqa: BLE001 - one model's trouble must not cost the others' figures
            document["models"].append({"model": name, "failed": str(error)[:300]})
            print(f"{name} failed: {error}", flush=True)
        if asked.out:
            asked.out.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
