"""Gives memory that was freed back to the system. Knows nothing of what it was for."""

import ctypes


def trim() -> None:
    """Blocks for some milliseconds; without effect where the C library is not glibc, which alone keeps so much of it."""
    if give_back := getattr(ctypes.CDLL(None), "malloc_trim", None):
        give_back(0)
