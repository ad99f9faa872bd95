"""Where a training comes from: the command as it was typed, the code's revision, the libraries. Knows git and this process."""

import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

LIBRARIES = ("torch", "lightning-fabric", "onnx", "onnxscript", "onnxruntime", "numpy")


def command() -> str:
    """As it was typed, but for where things lie on this machine."""
    return " ".join(["python -m training", *(re.sub(r"(^|=)[/~](.*/)?(?=.)", r"\1…/", word) for word in sys.argv[1:])])


def libraries() -> dict[str, str]:
    """Versions of Python and of what a training's numbers depend on."""
    return {"python": platform.python_version(), **{one: metadata.version(one) for one in LIBRARIES}}


def revision() -> str:
    """Of the code that trains, from git."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        return subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(root), *words],  # noqa: S607 - whichever git the user has
            capture_output=True, text=True, check=True, timeout=10,
        ).stdout.strip()  # fmt: skip

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+changes" if git("status", "--porcelain", "--", "service", "training", "pyproject.toml") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
