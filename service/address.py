"""Where a repository is, for both sides: a folder, or an address elsewhere that is kept in step with a folder here.

Pure: knows the words of an address, and reads nothing.
"""

import hashlib
import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

Address = Annotated[str, BeforeValidator(lambda given: os.fspath(given) if isinstance(given, os.PathLike) else given)]


def is_remote(address: str) -> bool:
    """Whether it is no folder of this machine."""
    return "://" in address


def folder(address: str) -> Path:
    """The folder itself, or where what lies elsewhere is kept here."""
    if not is_remote(address):
        return Path(address)
    named = hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:16]
    return Path.home() / ".cache" / "modelyard" / "repositories" / named
