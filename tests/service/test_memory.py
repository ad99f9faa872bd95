"""Memory that was freed goes back to the system."""

from pathlib import Path

from service import memory


def resident_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def test_what_small_things_held_is_given_back():
    kept = [bytes(1000) for _ in range(200_000)]
    last = bytes(1000)  # above them, so that the heap cannot shrink from its end
    full = resident_mb()
    del kept
    memory.trim()
    assert resident_mb() < full - 100
    assert last
