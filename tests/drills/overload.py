"""Twice the load that the service bears, for a minute: as much is answered as before, everybody else is told to come again.

Requests come when they are due, answered or not (an open loop). Another model, and the health of the service, are asked meanwhile.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.drills.figures import Figure, Ground
from tests.drills.load import Answer, Stream, loading, measured, quantile
from tests.drills.work import CLASSIFY, NEIGHBORS, WORD, pictures, resident_mb

ANYWHERE = True

PICTURES = 32
"""A request: so heavy that the load fits beside the service on two cores."""
WORKERS = (1, 2)
CLIENTS = 16
"""Of the closed loop that finds the most there is."""
NORMAL = 0.3
"""The share of that at which the service is asked before and after."""
HEALTH, OTHERS = 10.0, 5.0
"""Requests a second for each of health's paths, and for another model."""
WARM_S = 0.5
"""Of the closed loop, that are not counted."""
UNNOTICED_MS = 100.0
"""A 99th percentile below this is as good as before, whatever it was before."""


@dataclass(frozen=True)
class Seen:
    """The answers to each part of the load, and megabytes by seconds since the overload's start, where they could be had."""

    before: list[Answer]
    over: list[Answer]
    after: list[Answer]
    health: list[Answer]
    others: list[Answer]
    memory: list[tuple[float, float]]


def drill(
    ground: Ground,
    *,
    peak_s: float = 6.0,
    normal_s: float = 8.0,
    overload_s: float = 60.0,
    settled_s: float = 5.0,
    least: float = 0.9,
    settings: Mapping[str, object] | None = None,
) -> list[Figure]:
    """`settled_s` after the overload's end all is to be as before; `least` is the aim's share of the peak.

    `settings` are those of a service of our own; without them there are two, of one worker and of one for each core.
    """
    if not ground.url and settings is None:
        lasting = {"peak_s": peak_s, "normal_s": normal_s, "overload_s": overload_s, "settled_s": settled_s, "least": least}
        several = [(count, drill(ground, settings={"workers": count}, **lasting)) for count in WORKERS]
        return [
            replace(one, what=f"{count} worker{'s' * (count > 1)}: {one.what}") for count, found in several for one in found
        ]
    own = None if ground.url else ground.start(**(settings or {}))
    url, body = own.url if own else ground.url, pictures(PICTURES)
    peak = _peak(url, ground.key, body, peak_s)
    seen = _load(url, ground.key, body, peak, (normal_s, overload_s, settled_s + normal_s), own.process.pid if own else None)
    peak = (peak + _peak(url, ground.key, body, peak_s)) / 2  # a machine that others share is not as fast all the time
    return [*_goodput(seen, peak, overload_s, least), *_beside(seen, overload_s, settled_s), *_memory(seen, overload_s)]


def _peak(url: str, key: str, body: bytes, seconds: float) -> float:
    """The most requests a second that are answered, once it is warm. Raises RuntimeError where there are none."""
    (asked,) = measured(url, key, Stream(CLASSIFY, body, seconds=WARM_S + seconds, connections=CLIENTS))
    counted = [one for one in asked if one.status == 200 and one.due > asked[0].due + WARM_S]
    if not counted:
        raise RuntimeError(f"{CLASSIFY} answers {sorted({one.status for one in asked})}")
    return len(counted) / seconds


def _load(url: str, key: str, body: bytes, peak: float, seconds: tuple[float, float, float], pid: int | None) -> Seen:
    normal_s, overload_s, _ = seconds
    starts = 0.0, normal_s, normal_s + overload_s
    parts = zip((NORMAL, 2.0, NORMAL), starts, seconds, strict=True)
    load = [Stream(CLASSIFY, body, rate=share * peak, after=after, seconds=lasts) for share, after, lasts in parts]
    quiet = [Stream(f"/v2/health/{name}", rate=HEALTH, after=normal_s, seconds=overload_s) for name in ("live", "ready")]
    quiet.append(Stream(NEIGHBORS, WORD, rate=OTHERS, after=normal_s, seconds=overload_s))
    memory: list[tuple[float, float]] = []
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(pid, time.monotonic() + normal_s, memory, over))
    watch.start()
    try:
        with loading(url, key, *quiet) as beside:
            before, during, after = measured(url, key, *load)
            live, ready, others = beside.answers()
    finally:
        over.set()
        watch.join()
    return Seen(before, during, after, live + ready, others, memory)


def _watch(pid: int | None, begun: float, memory: list[tuple[float, float]], over: threading.Event) -> None:
    while pid is not None and not over.wait(0.5):
        memory.append((time.monotonic() - begun, resident_mb(pid)))


def _goodput(seen: Seen, peak: float, seconds: float, least: float) -> list[Figure]:
    good = [one for one in seen.over if one.status == 200]
    told = [one for one in seen.over if one.status in (429, 503) and one.retries]
    dropped = sum(not one.status for one in seen.over)
    others = len(seen.over) - len(good) - len(told) - dropped
    late = quantile(good, 0.99)
    behind = sorted(one.sent - one.due for one in seen.over)[int(0.99 * len(seen.over))] * 1e3
    share = len(good) / seconds / peak
    return [
        Figure(
            f"twice the peak for {seconds:g} s: answered, as a share of the peak",
            f">= {least:.0%}",
            f"{share:.0%} ({len(good) / seconds:.0f} of {peak:.0f} requests of {PICTURES} pictures a second; {len(seen.over)} sent, "
            f"99 % of them within {behind:.0f} ms of when they were due)",
            share >= least,
        ),
        Figure(
            "its other answers: anything but 503 or 429 with Retry-After; dropped connections",
            "0; 0",
            f"{others}; {dropped} ({len(told)} refused)",
            others == dropped == 0,
        ),
        Figure("p99 of what it answered, from when it was due", "<= 1 s", f"{late / 1e3:.2f} s", late <= 1000),
    ]


def _beside(seen: Seen, seconds: float, settled_s: float) -> list[Figure]:
    late, wrong = quantile(seen.health, 0.99), sum(one.status != 200 for one in seen.health)
    model, refused = quantile(seen.others, 0.99), sum(one.status != 200 for one in seen.others)
    end = seen.over[0].due + seconds
    settled = [one for one in seen.after if one.due > end + settled_s]
    usual, then = quantile(seen.before, 0.99), quantile(settled, 0.99)
    failed = sum(one.status != 200 for one in settled)
    return [
        Figure("p99 of health meanwhile; not 200", "<= 250 ms; 0", f"{late:.0f} ms; {wrong}", late <= 250 and not wrong),
        Figure(
            "p99 of another model meanwhile; not 200",
            "<= 500 ms; 0",
            f"{model:.0f} ms; {refused}",
            model <= 500 and not refused,
        ),
        Figure(
            f"p99 at {NORMAL:.0%} load from {settled_s:g} s after its end on; not 200",
            f"<= 2 times that before, or {UNNOTICED_MS:.0f} ms; 0",
            f"{then:.0f} ms ({usual:.0f} ms before); {failed}",
            then <= max(2 * usual, UNNOTICED_MS) and not failed,
        ),
    ]


def _memory(seen: Seen, seconds: float) -> list[Figure]:
    """The service's own, where it is ours: once the overload has come to a steady state, and at its end."""
    early = [size for at, size in seen.memory if seconds / 6 <= at <= seconds / 3]
    late = [size for at, size in seen.memory if seconds * 5 / 6 <= at <= seconds]
    if not early or not late:
        return []
    grown = max(late) - max(early)
    reached = f"{grown:+.1f} MB (to {max(late):.0f} MB)"
    return [Figure("memory, from the overload's second sixth to its last", "<= +16 MB", reached, grown <= 16)]
