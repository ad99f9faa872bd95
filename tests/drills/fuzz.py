"""Fuzz: 20,000 requests that are wrong in some way, at every endpoint, and what the service says to each.

Each request is made of a seed and its number (`mutations`), so a failure that is printed as `seed 7, number 1234` can be had again:

    python -c "from tests.drills.fuzz import replay; replay(7, 1234)"                              on a service of its own
    python -c "from tests.drills.fuzz import replay; replay(7, 1234, 'http://127.0.0.1:8000')"     on one that runs

The requests are made of the service's own OpenAPI document: another version of it may make other requests of the same number.
On a service that runs already no request names a model that is there where it is to be loaded or unloaded.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.conftest import ROOT, Process, servers
from tests.drills.figures import Figure, Ground
from tests.drills.mutations import Mutations
from tests.drills.pulse import Pulse
from tests.drills.rawhttp import Answer, Connection, Garbled
from tests.drills.seeds import Seeds, Shot
from tests.drills.verdicts import LATEST_S, faults, is_load

ANYWHERE = True
SEED = 7
CONNECTIONS = 6
"""Few: refusals for load are another drill's."""
UNFINISHED_S = 0.25
"""Patience with the answer to what may be no whole request: the service waits for the rest of it."""
SHOWN = 5
MOST_MB = 1536
"""docker-compose.yml gives it 2 GB."""
MOST_GROWTH_MB = 256
SETTLES_S = 2.0
"""Until memory that was freed has gone back."""
SETTLED = 0.4
"""Of all requests: after so many of them memory is taken to have its size."""


@dataclass
class Found:
    """What came of the requests so far."""

    sent: int = 0
    answered: int = 0
    dropped: int = 0
    """Requests that were not whole and got no answer."""
    load: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Of requests."""
    faults: Counter[str] = field(default_factory=Counter)
    """By the word that they begin with."""
    latest_s: float = 0.0
    memory: dict[str, float] = field(default_factory=dict)
    """Megabytes: `before`, when it has found its size; `after`, when all is over; `peak`."""


def drill(ground: Ground, mutations: int = 20_000, seed: int = SEED) -> list[Figure]:
    """Whatever is sent: an answer of the one form, at once, and a service that lives on."""
    process = None if ground.url else own(ground)
    url = process.url if process else ground.url
    make = Mutations(Seeds(url, ground.key, own=process is not None)).make
    found = Found()
    begun = time.monotonic()
    with Pulse(url) as pulse:
        asyncio.run(_all(url, lambda index: make(seed, index), mutations, found, lambda: _memory(process)))
    took = time.monotonic() - begun
    dead = _lives(url, ground.key, process)
    time.sleep(SETTLES_S)
    if (after := _memory(process)) is not None:
        found.memory |= {"after": after, "peak": _memory(process, "VmHWM") or after}
    return [*_answers(found, took), *_life(found, pulse, dead)]


def replay(seed: int, index: int, url: str = "") -> list[str]:
    """One request again: prints what is sent and what comes back, and gives what is wrong with that."""
    with tempfile.TemporaryDirectory() as folder, servers(Path(folder)) as start:
        (ground := Path(folder) / "ground").mkdir()
        address = url or own(Ground(start, ground)).url
        shot = Mutations(Seeds(address, own=not url)).make(seed, index)
        found = Found()
        sys.stdout.write(f"{shot.kind}: {shot.data!r}\n")
        said = asyncio.run(_alone(address, shot, found))
        sys.stdout.write(f"{dict(found.statuses)} {said or 'as it should be'}\n")
    return said


def own(ground: Ground) -> Process:
    """A service with a copy of the models, so that whatever is loaded is nobody's."""
    shutil.copytree(ROOT / "models", ground.folder / "models")
    return ground.start(models_dir=ground.folder / "models", access_log=False)


def _place(url: str) -> tuple[str, int]:
    address = urlsplit(url)
    return address.hostname or "", address.port or 80


async def _all(url: str, make: Callable[[int], Shot], count: int, found: Found, memory: Callable[[], float | None]) -> None:
    numbers = iter(range(count))

    async def some() -> None:
        connection = Connection(*_place(url))
        for index in numbers:
            if index == int(count * SETTLED) and (now := memory()) is not None:
                found.memory["before"] = now
            shot = make(index)
            try:
                said = await _one(connection, shot, found)
            except OSError as error:
                said = [f"alive: no connection ({error})"]
            if said and sum(found.faults.values()) < SHOWN:
                sys.stderr.write(f"number {index}, {shot.kind}: {'; '.join(said)}\n  sent {shot.data[:1000]!r}\n")
            found.faults.update(one.partition(":")[0] for one in said)
        connection.close()

    await asyncio.gather(*(some() for _ in range(CONNECTIONS)))


async def _alone(url: str, shot: Shot, found: Found) -> list[str]:
    connection = Connection(*_place(url))
    try:
        return await _one(connection, shot, found)
    finally:
        connection.close()


async def _one(connection: Connection, shot: Shot, found: Found) -> list[str]:
    """Send it, and say what is wrong with what comes back."""
    if not shot.whole:
        connection.close()  # what is left over of it would be taken for the next one's
    fresh = not connection.open
    found.sent += 1
    found.kinds[shot.kind] += 1
    try:
        await connection.send(shot.data)
        bare = shot.data.startswith(b"HEAD ")
        answer = await connection.answer(2 * LATEST_S if shot.whole else UNFINISHED_S, bare=bare)
        if answer is None and shot.whole and not fresh:  # it was closed just then, as any idle connection may be
            await connection.send(shot.data)
            answer = await connection.answer(2 * LATEST_S, bare=bare)
        said = _judged(shot, answer, found)
        if answer and shot.ambiguous:
            said += await _led_astray(connection, answer)
    except TimeoutError:
        found.dropped += not shot.whole
        said = [f"late: no answer within {2 * LATEST_S:g} s"] if shot.whole else []
        connection.close()
    except Garbled as error:
        said = [f"dropped: {error}"]
        connection.close()
    if not shot.whole or said or not connection.open:
        connection.close()
    return said


def _judged(shot: Shot, answer: Answer | None, found: Found) -> list[str]:
    if answer is None:
        found.dropped += not shot.whole
        return ["dropped: closed without an answer"] if shot.whole else []
    found.answered += 1
    found.statuses[answer.status] += 1
    found.load += is_load(answer)
    found.latest_s = max(found.latest_s, answer.seconds)
    return faults(answer, shot.data)


async def _led_astray(connection: Connection, first: Answer) -> list[str]:
    """A framing that can be read in two ways is refused, and what it hides is not answered."""
    said = [] if first.status >= 400 else [f"smuggling: {first.status} to a request with two lengths"]
    try:
        second = await connection.answer(UNFINISHED_S)
    except (TimeoutError, Garbled):
        second = None
    return said if second is None else [*said, f"smuggling: a second answer ({second.status})"]


def _memory(process: Process | None, field: str = "VmRSS") -> float | None:
    """Megabytes of the service's process, where it is ours."""
    if process is None or process.process.poll() is not None:
        return None
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def _lives(url: str, key: str, process: Process | None) -> str:
    """Empty where it is as it was: the same process, ready, with the right answer to a picture."""
    if process and process.process.poll() is not None:
        return f"the process ended with {process.process.returncode}"
    with httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {key}"} if key else {}) as client:
        ready = client.get("/v2/health/ready").status_code
        picture = (ROOT / "service/web/seven.png").read_bytes()
        answer = client.post("/v1/classify", content=picture, headers={"Content-Type": "image/png"})
    right = answer.status_code == 200 and answer.json()["predictions"][0]["label"] == "7"
    return "" if ready == 200 and right else f"ready says {ready}, a seven is {answer.text[:80]}"


def _answers(found: Found, took: float) -> list[Figure]:
    def none_of(what: str, *kinds: str) -> Figure:
        count = sum(found.faults[kind] for kind in kinds)
        return Figure(what, "0", f"{count} of {found.answered:,} answers", ok=count == 0 and found.answered > 0)

    refused = sum(count for status, count in found.statuses.items() if status >= 400)
    told = f"{found.sent:,} in {took:.0f} s: {found.answered:,} answered, {refused:,} of them refused; {found.dropped:,} that were cut short or no HTTP at all got no answer"
    allowed = f"{found.statuses[501]} × 501 (not offered), {found.load} × 503 with Retry-After"
    failed = found.faults["5xx"]
    return [
        Figure(
            "requests, one wrong thing or several in each", "all sent", told, ok=found.answered + found.dropped == found.sent
        ),
        Figure("answers of 5xx", "0 beside 501 and 503 of load", f"{failed}; {allowed}", ok=failed == 0),
        none_of("errors that leak a traceback, a path, a module", "leak"),
        none_of("errors that hold more than 60 characters of what was sent", "echo"),
        none_of("errors of another form than the one, or over 1 KB", "envelope", "size"),
        none_of("requests that were led past a framing with two readings", "smuggling"),
        none_of("whole requests without an answer", "dropped", "alive"),
        Figure("the latest answer", f"<= {LATEST_S:g} s", f"{found.latest_s:.2f} s", ok=not found.faults["late"]),
    ]


def _life(found: Found, pulse: Pulse, dead: str) -> list[Figure]:
    p99, most = pulse.quantile(0.99), pulse.quantile(1)
    figures = [
        Figure("the health probe meanwhile", "<= 1 s", f"p99 {p99 * 1e3:.0f} ms, at most {most * 1e3:.0f} ms", ok=most <= 1),
        Figure("the service after it", "as before", dead or "the same process, ready, a seven is a seven", ok=not dead),
    ]
    if len(found.memory) == 3:
        before, after, peak = (found.memory[name] for name in ("before", "after", "peak"))
        aim = f"<= {MOST_MB} MB at any time; <= {MOST_GROWTH_MB} MB more after it than after {SETTLED:.0%} of it"
        told = f"at most {peak:.0f} MB; {before:.0f} to {after:.0f} MB ({after - before:+.0f})"
        figures.append(Figure("its memory", aim, told, ok=peak <= MOST_MB and after - before <= MOST_GROWTH_MB))
    return figures
