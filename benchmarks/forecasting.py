"""Milliseconds per window, one thread: graphs of forecasters beside the same networks in PyTorch, in turns.

Fresh weights: time does not depend on them.

python benchmarks/forecasting.py [--rounds 9]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import torch

from training import export
from training.bands import Settled
from training.families import forecaster
from training.families.forecaster import QUANTILES, Config
from training.forecasters import Deployed
from training.room import Export


def timed(run: Callable[[], object], repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - begun) / repeats * 1e3


def deployed(config: Config) -> Deployed:
    """As it is exported, of ETTh1's size."""
    network, _ = forecaster.sample(config)
    plan = network.plan
    linear = (
        torch.randn(plan.columns, plan.context, plan.horizon) * 0.01 if config.architecture in ("blend", "linear") else None
    )
    share = {"blend": 0.5, "linear": 1.0}.get(config.architecture, 0.0)
    return Deployed(network, linear, Settled(share, torch.ones(plan.horizon), torch.ones(plan.horizon))).eval()


def session(module: Deployed, columns: int, context: int) -> ort.InferenceSession:
    rows = {"series": np.random.default_rng(0).normal(size=(4, context, columns)).astype(np.float32)}
    wanted = Export(module, {"series": torch.from_numpy(rows["series"][:2])}, ("mean", "quantiles"))
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(export.export(wanted, rows).graph, options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print(f"7 columns, 504 steps in, 96 steps and {len(QUANTILES)} quantiles out")
    for architecture in forecaster.SUITS:
        module = deployed(Config(architecture=architecture))
        graph = session(module, 7, 504)
        for rows, repeats in ((1, 30), (32, 5)):
            series = np.random.default_rng(1).normal(size=(rows, 504, 7)).astype(np.float32)
            tensor = torch.from_numpy(series)
            runs = {
                "onnxruntime": lambda series=series, graph=graph: graph.run(None, {"series": series}),
                "PyTorch": lambda tensor=tensor, module=module: module(tensor),
            }
            found: dict[str, list[float]] = {name: [] for name in runs}
            with torch.inference_mode():
                for _ in range(asked.rounds + 1):
                    for name, run in runs.items():
                        found[name].append(timed(run, repeats))
            ours, theirs = (statistics.median(times[1:]) / rows for times in found.values())
            label = f"{architecture:<9} {rows:>3} windows"
            print(f"{label}   onnxruntime {ours:7.3f}   PyTorch {theirs:7.3f} ms a window   {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
