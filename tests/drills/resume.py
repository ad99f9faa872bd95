"""A training that is killed again and again, and resumed each time, comes to the very weights of one that was left alone.

Killed at random moments: while it starts, in the middle of an epoch, in the middle of writing a checkpoint. Meanwhile the newest
checkpoint is damaged; the next process says so and goes on from the one before.
"""

import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
from PIL import Image

from service.manifest import sha256
from tests.conftest import DATA
from tests.drills.failing import Faults, contexts
from tests.drills.figures import Figure, Ground

ANYWHERE = False
NAME = "x"
CHECKPOINT, BEFORE, METRICS, WEIGHTS = (
    "checkpoint.safetensors", "checkpoint-before.safetensors", "metrics.csv", "weights.safetensors",
)  # fmt: skip
RECIPE = (
    "--image-size",
    "28",
    "--channels",
    "1",
    "--architecture",
    "book",
    "--batch-size",
    "32",
    "--focus",
    "0.5",
    "--seed",
    "7",
)
"""Augmented, with dropout, an average of the weights, and rows chosen by their losses: all that a checkpoint has to hold."""
UP_TO_THE_WEIGHTS = """
from training import export, report
def end(*_):
    raise SystemExit(0)
export.graphs = end
report.write = lambda *_: ""
"""
CALLS = 6
"""By which a checkpoint is written: open, write, sync, rename, rename, remove."""
MOMENTS = ("writing", "training", "writing", "training", "starting")
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Trainer:
    """`python -m training train`, in a process that has imported it already."""

    pictures: Path
    root: Path
    epochs: int
    plant: str
    """Python that is run before."""

    @property
    def log(self) -> Path:
        """What the processes printed."""
        return self.root / "log"

    def __call__(self, resumed: bool, killed_at: int) -> None:
        """Killed at that call by which it writes checkpoints; never where that is 0."""
        import torch

        from training.__main__ import main

        with self.log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        for name in ("models", "runs", "cache"):
            os.environ[f"MODELYARD_{name.upper()}_DIR"] = str(self.root / name)
        torch.set_num_threads(1)
        exec(self.plant, {})
        Faults(random.Random(killed_at).choice(("killed", "killed after")), killed_at, CHECKPOINT).plant()
        words = ["train", "classifier", "--data", str(self.pictures), "--name", NAME, "--epochs", str(self.epochs), *RECIPE]
        sys.argv = ["training", *words, *(["--resume"] if resumed else [])]
        sys.exit(main(sys.argv[1:]))

    def start(self, *, resumed: bool = False, killed_at: int = 0) -> ForkServerProcess:
        """A process."""
        self.root.mkdir(exist_ok=True)
        process = contexts.Process(target=self, args=(resumed, killed_at))
        process.start()
        return process

    @property
    def runs(self) -> list[Path]:
        """Their folders."""
        return sorted((self.root / "runs" / NAME).glob("*/"))

    @property
    def done(self) -> int:
        """Epochs that the metrics tell of."""
        found = [path.read_text().count("\n") - 1 for path in self.root.glob(f"runs/{NAME}/*/{METRICS}")]
        return max(found, default=0)

    @property
    def noticed(self) -> int:
        """Damaged checkpoints that the log tells of."""
        return self.log.read_text().count("Going on from the one before")

    def result(self) -> dict[str, str]:
        """Digests of what it came to."""
        paths = [*self.root.glob(f"runs/{NAME}/*/{WEIGHTS}"), *self.root.glob(f"models/{NAME}/*/model.onnx")]
        return {path.name: sha256(path.read_bytes()) for path in paths}


def drill(
    ground: Ground, kills: int = 10, epochs: int = 30, damages: int = 3, plant: str = "", *, graph: bool = True
) -> list[Figure]:
    """`kills` of a training of so many epochs, after `damages` of which its newest checkpoint is damaged.

    It ends with its weights, and with a version that is published where a `graph` is wanted too.
    """
    plant += "" if graph else UP_TO_THE_WEIGHTS
    chance = random.Random(0)
    pictures = _pictures(ground.folder / "pictures")
    alone = Trainer(pictures, ground.folder / "alone", epochs, plant)
    whole = alone.start()
    whole.join()
    killed = Trainer(pictures, ground.folder / "killed", epochs, plant)
    moments: list[str] = []
    damaged = 0
    for number in range(kills):
        moment = MOMENTS[number % len(MOMENTS)]
        moments += [moment] if _killed(killed, moment, chance) else []
        if damaged < damages and number >= kills - 2 * damages and killed.noticed == damaged:
            damaged += _damaged(killed, chance)
    last = killed.start(resumed=bool(killed.runs))
    last.join()
    return _figures(alone, killed, moments, (damaged, damages), (whole.exitcode, last.exitcode))


def _figures(
    alone: Trainer, killed: Trainer, moments: list[str], spoiled: tuple[int, int], codes: tuple[int | None, int | None]
) -> list[Figure]:
    damaged, damages = spoiled
    wanted, found = alone.result(), killed.result()
    same = [name for name in wanted if wanted[name] == found.get(name)]
    counted = ", ".join(f"{moments.count(moment)} while {moment}" for moment in dict.fromkeys(MOMENTS))
    left = [path.name for path in killed.root.rglob(".*") if path.is_file()]
    ok = codes == (0, 0) and len(killed.runs) == 1 and WEIGHTS in wanted
    return [
        Figure(
            f"{' and '.join(wanted)} of a training killed {len(moments)} times ({counted}) and resumed: SHA-256 as of one left alone",
            "all",
            f"{len(same)} of {len(wanted)}" + ("" if ok else f"; exit codes {codes}, {len(killed.runs)} runs"),
            ok=ok and len(same) == len(wanted),
        ),
        Figure(
            "damaged checkpoints that were noticed, and gone on from the one before",
            "all",
            f"{killed.noticed} of {damaged}",
            ok=killed.noticed == damaged >= min(damages, 1),
        ),
        Figure("half-written files left in the end", "0", str(len(left)), ok=not left),
    ]


def _pictures(folder: Path) -> Path:
    """400 digits as PNG, a folder for each."""
    with np.load(DATA / "mnist.npz") as file:
        for row, (pixels, label) in enumerate(zip(file["train_images"], file["train_labels"], strict=True)):
            (folder / str(label)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / str(label) / f"{row:03}.png")
    return folder


def _killed(trainer: Trainer, moment: str, chance: random.Random) -> bool:
    """Start a process and kill it; whether it was."""
    before = trainer.done
    process = trainer.start(resumed=bool(trainer.runs), killed_at=chance.randint(1, 2 * CALLS) if moment == "writing" else 0)
    end = time.monotonic() + PATIENCE_S
    if moment == "training":
        wanted = before + chance.randint(0, 2)
        while process.is_alive() and (trainer.done < wanted or not trainer.runs) and time.monotonic() < end:
            time.sleep(0.001)
    if moment != "writing":
        process.join(chance.random() * (0.3 if moment == "training" else 1.0))
        process.kill()
    process.join(max(0.0, end - time.monotonic()))
    if process.exitcode is None:
        process.kill()
        process.join()
        return False
    return process.exitcode == -signal.SIGKILL


def _damaged(trainer: Trainer, chance: random.Random) -> bool:
    """Cut the newest checkpoint, or flip a bit of it, where there is one before; whether it was done."""
    (run,) = trainer.runs
    path = run / CHECKPOINT
    if not path.exists() or not (run / BEFORE).exists():
        return False
    data = path.read_bytes()
    place = chance.randrange(len(data))
    flipped = data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
    path.write_bytes(chance.choice((data[:place], flipped)))
    return True
