"""Requests by `wrk` in a closed loop, and whether the machine was quiet meanwhile. Knows no server."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.works import Asked

LUA = """wrk.method = "POST"
local bodies = {{}}
for number = 0, {bodies} - 1 do
  local file = io.open("{folder}/" .. number, "rb")
  bodies[number] = file:read("*all")
  file:close()
end
{headers}
local requests, turn = {{}}, 0
init = function(args)
  for number = 0, {bodies} - 1 do requests[number] = wrk.format(nil, nil, nil, bodies[number]) end
end
request = function()
  turn = (turn + 1) % {bodies}
  return requests[turn]
end
done = function(summary, latency, requests)
  io.write(string.format("FOUND %d %d %.3f %.3f %d\\n", summary.requests, summary.duration, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, summary.errors.status + summary.errors.read + summary.errors.timeout))
end
"""


def measured(url: str, asked: Asked, clients: int, seconds: int) -> dict[str, float]:
    """Requests a second, ms at the 50th and 99th percentile, failures, and the share of the machine that others took."""
    with tempfile.TemporaryDirectory() as folder:
        for number, body in enumerate(asked.bodies):
            (Path(folder) / str(number)).write_bytes(body)
        pairs = [("Content-Type", asked.media), *(tuple(one.split(": ", 1)) for one in asked.headers)]
        lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in pairs)
        (Path(folder) / "ask.lua").write_text(LUA.format(folder=folder, bodies=len(asked.bodies), headers=lines))
        load = (f"-t{min(2, clients)}", f"-c{clients}", f"-d{seconds}s", "--timeout", "10s", "-s", f"{folder}/ask.lua")
        before = stolen()
        said = subprocess.run(["wrk", *load, url + asked.path], capture_output=True, text=True, check=True).stdout
    found = re.search(r"FOUND (\S+) (\S+) (\S+) (\S+) (\S+)", said)
    if found is None:
        raise RuntimeError(said)
    requests, took_us, p50, p99, failed = found.groups()
    ticks = seconds * os.sysconf("SC_CLK_TCK") * (os.cpu_count() or 1)
    return {
        "rate": int(requests) / (int(took_us) / 1e6), "p50_ms": float(p50), "p99_ms": float(p99), "failed": int(failed),
        "stolen": (stolen() - before) / ticks,
    }  # fmt: skip


def busy(seconds: float) -> float:
    """The share of all cores that was in use for so long, by anybody."""
    total, idle = _ticks()
    time.sleep(seconds)
    later, idle_later = _ticks()
    return 1 - (idle_later - idle) / max(later - total, 1)


def _ticks() -> tuple[int, int]:
    """All ticks of the processors so far, and those without work."""
    numbers = [int(one) for one in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]


def stolen() -> int:
    """Ticks that the machine below gave to others so far."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
