"""What the system tells of processes. Knows /proc."""

import os
from pathlib import Path


def workers(pid: int) -> set[int]:
    """The processes of the service that this one keeps alive."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            command = (stat.parent / "cmdline").read_bytes()
        except OSError:  # it ended while we look
            continue
        if parent == pid and b"multiprocessing" in command and b"resource_tracker" not in command:
            found.add(int(stat.parent.name))
    return found


def busy_s(pid: int) -> float:
    """Seconds of a processor that it took until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
