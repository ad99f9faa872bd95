"""What drills ask of the models that are shipped, and what they read of a service's own process. Knows no drill."""

import base64
import json
from pathlib import Path

import numpy as np

from service import images
from tests.conftest import DATA

CLASSIFY, NEIGHBORS = "/v1/classify", "/v1/neighbors"
WORD = json.dumps({"word": "film"}).encode()


def pictures(count: int) -> bytes:
    """So many of MNIST's test pictures, as a JSON body for CLASSIFY."""
    with np.load(DATA / "mnist.npz") as archive:
        chosen = archive["test_images"][:count].reshape(count, 28, 28, 1)
    return json.dumps({"images": [base64.b64encode(images.to_png(one)).decode() for one in chosen]}).encode()


def resident_mb(pid: int) -> float:
    """Memory of a process and of those it started, on Linux."""
    folder = Path("/proc") / str(pid)
    kilobytes = int((folder / "status").read_text().split("VmRSS:")[1].split()[0])
    started = [int(child) for task in (folder / "task").iterdir() for child in (task / "children").read_text().split()]
    return kilobytes / 1024 + sum(resident_mb(child) for child in started)
