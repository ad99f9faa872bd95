"""The same graphs in other ways: 8-bit weights by onnxruntime's own quantizer, and OpenVINO in float32; one thread, in turns.

    python benchmarks/runtimes.py [--rounds 7]

Milliseconds a row, alone and in 32, as a share of what onnxruntime takes for the graph as it is, and how far the answers are
from the recorded ones (`golden.npz`), which have a tolerance. OpenVINO is told to compute in float32: by default it takes
bfloat16 where the processor has it, which is other numbers. The driver starts itself in an environment that has OpenVINO.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
ROOT = Path(__file__).parent.parent
ROWS = (1, 32)
Arrays = dict[str, np.ndarray]
Run = Callable[[Arrays], Arrays]


def plain(file: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options)
    names = [output.name for output in session.get_outputs()]
    return lambda arrays: dict(zip(names, session.run(names, arrays), strict=True))


def eight_bits(file: Path, operators: list[str]) -> Run:
    """Weights of these operators in 8 bits, their inputs quantized as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        smaller = Path(folder) / "model.onnx"
        quantize_dynamic(file, smaller, op_types_to_quantize=operators, weight_type=QuantType.QInt8)
        return plain(smaller)


def openvino(file: Path) -> Run:
    import openvino as ov

    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = ov.Core().compile_model(file, "CPU", hints)
    request = compiled.create_infer_request()

    def run(arrays: Arrays) -> Arrays:
        found = request.infer(arrays)
        return {name: found[output].copy() for output in compiled.outputs for name in output.names}

    return run


WAYS: dict[str, Callable[[Path], Run]] = {
    "8 bits, all": lambda file: eight_bits(file, ["LSTM", "MatMul", "Gemm", "Conv"]),
    "8 bits, LSTM and dense": lambda file: eight_bits(file, ["LSTM", "MatMul", "Gemm"]),
    "OpenVINO, float32": openvino,
}


def milliseconds(run: Run, arrays: Arrays) -> float:
    """Of one call: the best of a few within 50 ms."""
    best, end = float("inf"), time.perf_counter() + 0.05
    while time.perf_counter() < end:
        begun = time.perf_counter()
        run(arrays)
        best = min(best, time.perf_counter() - begun)
    return best * 1e3


def rows_of(inputs: Arrays, count: int) -> Arrays:
    """So many recorded rows, from the beginning again where there are fewer."""
    return {name: np.concatenate([array] * -(-count // len(array)))[:count] for name, array in inputs.items()}


def compare(name: str, folder: Path, rounds: int) -> None:
    """A line for each way."""
    from service.golden import Golden
    from service.manifest import GOLDEN

    golden = Golden.unpack((folder / GOLDEN).read_bytes())
    runs = {"as it is": plain(folder / "model.onnx")}
    for way, make in WAYS.items():
        try:
            runs[way] = make(folder / "model.onnx")
            runs[way](rows_of(golden.inputs, 1))
        except Exception as error:  # noqa: BLE001 - what a way cannot do is said, not a failure of the others
            runs.pop(way, None)
            print(f"| {name} | {way} | cannot: {str(error).splitlines()[0][:60]} | | |")
    times = {way: {rows: list[float]() for rows in ROWS} for way in runs}
    for _ in range(rounds):
        for way, run in runs.items():
            for rows in ROWS:
                times[way][rows].append(milliseconds(run, rows_of(golden.inputs, rows)))
    whole = {rows: statistics.median(times["as it is"][rows]) for rows in ROWS}
    for way, run in runs.items():
        cells = [statistics.median(times[way][rows]) for rows in ROWS]
        shares = " | ".join(f"{cell / rows:.3f} ms, {cell / whole[rows]:.2f}" for cell, rows in zip(cells, ROWS, strict=True))
        print(f"| {name} | {way} | {shares} | {golden.difference(run):.1e} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--graphs", nargs="*", help="name=folder of a version, inside the environment")
    asked = parser.parse_args()
    if asked.graphs is None:
        from benchmarks import environments
        from benchmarks.works import graphs

        python = environments.python("runtimes", "openvino==2026.4.1", "onnxruntime==1.32.0", "onnx", "numpy", "pydantic")
        folders = {name: graph.file.parent for name, graph in graphs().items()}
        for name in ("digits", "reviews", "codes", "generator"):
            folders[name] = max((ROOT / "models" / name).glob("[0-9]*"), key=lambda folder: int(folder.name))
        named = [f"{name}={folder}" for name, folder in folders.items()]
        command = [python, __file__, "--rounds", str(asked.rounds), "--graphs", *named]
        sys.exit(subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}).returncode)
    print("| graph | way | a row alone, share | a row of 32, share | apart from what was recorded |")
    print("| --- | --- | ---: | ---: | ---: |")
    for one in asked.graphs:
        name, _, folder = one.partition("=")
        compare(name, Path(folder), asked.rounds)


if __name__ == "__main__":
    main()
