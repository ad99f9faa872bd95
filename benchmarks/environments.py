"""Environments for peers, made once: their packages must not touch ours. Knows pip only."""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent


def python(name: str, *packages: str) -> Path:
    """The interpreter of `benchmarks/.venv-<name>`, with `packages` installed."""
    folder = HERE / f".venv-{name}"
    interpreter, stamp = folder / "bin/python", folder / ".installed"
    wanted = "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        sys.stderr.write(f"installing {', '.join(packages)} in {folder.name}\n")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *packages], check=True)
        stamp.write_text(wanted)
    return interpreter
