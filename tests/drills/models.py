"""Faults of a model in a service: it gives NaN, hangs, wants all memory, and its clients leave. Others are served all the while."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.drills import graphs
from tests.drills.asking import BLACK, GREY, HEALTH, WHITE, Answer, Line, classify, until
from tests.drills.figures import Figure, Ground
from tests.drills.host import repository
from tests.drills.upheaval import asking

PATIENCE_S = 20.0


def nan(ground: Ground, rounds: int = 30) -> Figure:
    """Some clients send what a model answers NaN to, in the same batches as others."""
    models_dir = repository(ground, "nan")
    graphs.write_fragile(models_dir)
    server = ground.start(models_dir=models_dir, access_log=False)
    right, wrong = _together(server.url, classify(GREY, "fragile"), classify(BLACK, "fragile"), rounds)
    ok = _all(right, 200) and _all(wrong, 500) and all(b'"model_failed"' in one.body for one in wrong)
    return Figure("A model gives NaN for some requests: others in its batches that fail", "0; they themselves get 500 model_failed",
                  f"{_failed(right)}; {sum(one.status == 500 for one in wrong)} of {len(wrong)}", ok=ok)  # fmt: skip


def _together(url: str, honest: bytes, other: bytes, rounds: int, clients: int = 8) -> tuple[list[Answer], list[Answer]]:
    """What clients hear who ask at the same time, every other one for `other`."""
    lines = [Line(url, PATIENCE_S) for _ in range(clients)]
    heard: tuple[list[Answer], list[Answer]] = ([], [])
    with ThreadPoolExecutor(clients) as pool:
        for _ in range(rounds):
            asked = [pool.submit(line.ask, other if index % 2 else honest) for index, line in enumerate(lines)]
            for index, one in enumerate(asked):
                heard[index % 2].append(one.result())
    for line in lines:
        line.close()
    return heard


def hangs(ground: Ground, deadline_s: float = 1.5, count: int = 4, back_s: float = 5.0) -> list[Figure]:
    """A model never ends with some pictures."""
    models_dir = repository(ground, "hangs")
    graphs.write(models_dir, "hanging", graphs.hanging())
    server = ground.start(models_dir=models_dir, access_log=False, deadline_s=deadline_s, rehearsal_s=5)
    with Line(server.url, PATIENCE_S) as line, asking(server.url, classify(), HEALTH) as others:
        line.ask(classify(GREY, "hanging"))
        asked = [line.ask(classify(WHITE, "hanging")) for _ in range(count)]
        back = until(lambda: line.ask(classify(GREY, "hanging")).status == 200, back_s)
    slowest, longest = max(one.seconds for one in others.heard), max(one.seconds for one in asked)
    statuses = [one.status for one in asked]
    ok = statuses[0] in (500, 504) and {*statuses[1:]} == {504} and longest <= deadline_s + 1
    went = f"after {back:.1f} s" if back is not None else "not in that time"
    return [
        Figure(f"A model hangs, with a deadline of {deadline_s:g} s: its requests end", f"with 504, the first perhaps with 500, within {deadline_s + 1:g} s",
               f"{statuses}, within {longest:.1f} s", ok=ok),
        Figure("Requests to another model and for health that fail meanwhile", "0, none waits longer than 2 s",
               f"{others.said()}, the slowest took {slowest:.1f} s", ok=others.well and slowest <= 2),
        Figure("It answers other requests again", f"<= {back_s:g} s", went, ok=back is not None),
    ]  # fmt: skip


def refused(ground: Ground, rehearsal_s: float = 8.0) -> list[Figure]:
    """Versions that hang, want terabytes or give NaN at once, published while the service is at work."""
    models_dir = repository(ground, "refused")
    server = ground.start(models_dir=models_dir, access_log=False, rehearsal_s=rehearsal_s)
    kinds: dict[str, tuple[str, Callable[[], object]]] = {
        "wants terabytes": ("running Expand node", lambda: graphs.write(models_dir, "greedy", graphs.greedy(always=True))),
        "gives NaN": ("differ by nan", lambda: graphs.write_nan(models_dir)),
        "hangs": ("not checked within", lambda: graphs.write(models_dir, "hanging", graphs.hanging(always=True))),
    }
    found = []
    with asking(server.url, classify(), HEALTH) as others:
        for kind, (reason, publish) in kinds.items():
            publish()
            until(lambda reason=reason: reason in _refused(server.url), 2 * rehearsal_s + 10)
            ok = reason in (said := _refused(server.url))
            found.append(Figure(f"A new version {kind}", "refused", "refused" if ok else said or "served", ok=ok))
    found.append(Figure("Requests to another model and for health that fail meanwhile", "0", others.said(), ok=others.well))
    return found


def _refused(url: str) -> str:
    """Why versions were, in words."""
    told = httpx.get(f"{url}/v1/models", timeout=PATIENCE_S).json()["refused"]
    return "; ".join(one["reason"] for one in told)


def greedy(ground: Ground, count: int = 5) -> Figure:
    """A model wants terabytes for some requests."""
    models_dir = repository(ground, "greedy")
    graphs.write(models_dir, "greedy", graphs.greedy())
    server = ground.start(models_dir=models_dir, access_log=False)
    with Line(server.url, PATIENCE_S) as line, asking(server.url, classify(), HEALTH, classify(GREY, "greedy")) as others:
        asked = [line.ask(classify(WHITE, "greedy")) for _ in range(count)]
        time.sleep(0.2)
    ok = (
        _all(asked, 500)
        and all(b'"model_failed"' in one.body for one in asked)
        and others.well
        and server.process.poll() is None
    )
    return Figure("A model wants terabytes for some requests: others that fail", "0; they themselves get 500 model_failed",
                  f"{others.said()}; {sum(one.status == 500 for one in asked)} of {count}", ok=ok)  # fmt: skip


def leavers(ground: Ground, count: int = 300) -> Figure:
    """Clients leave while their batch is waiting or at work."""
    server = ground.start(models_dir=repository(ground, "leavers"), access_log=False)
    left = [0] * 4
    with asking(server.url, classify(), HEALTH, pause_s=0) as found:

        def leave(index: int) -> None:
            line = Line(server.url, PATIENCE_S)
            while len(found.heard) < count:
                line.leave_after(classify() * 3)
                left[index] += 1

        threads = [threading.Thread(target=leave, args=(index,)) for index in range(len(left))]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    return Figure("Clients leave before their answer: requests of others that fail", "0",
                  f"{found.said()}, while {sum(left):,} left", ok=found.well and sum(left) > 0)  # fmt: skip


def _all(answers: list[Answer], status: int) -> bool:
    return len(answers) > 0 and all(one.status == status for one in answers)


def _failed(answers: list[Answer]) -> str:
    return f"{sum(one.status != 200 for one in answers)} of {len(answers)}"
