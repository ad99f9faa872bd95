"""A version tried on real requests: `shadow` gets copies, `canary` answers a share. Counts, compares, ends on a broken budget.

                     ┌ canary's share ─> candidate ──┐ fails: the version that answers is asked, the client sees no error
    request ─────────┤                               ├─> answer ─> a copy for the other one, aside, compared
                     └ the rest ───────> answering ──┘

Copies run one at a time in a thread of low priority after the answer is out; what comes meanwhile is not copied. So a trial
never slows or fails a main answer, and a candidate that hangs holds up nothing but copies. Knows models; knows no HTTP.
"""

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from service import logs
from service.errors import ModelFailed, ServiceError
from service.family import Item, Predict, alike
from service.golden import Arrays
from service.model import Model, Timing
from service.policy import Plan

log = logging.getLogger("modelyard.trial")
REMEMBERED = 20
"""Requests whose answers differed."""
TIMES = 1000
"""Of the last requests of either version."""
NOTICED_S = 0.002
"""A percentile that is later by less is no worse for anybody."""
NICENESS = 15


class Question(Protocol):
    """A request that any version of its model can be asked."""

    def prepare(self, model: Model) -> list[Item]:
        """The request as that version takes it; may take long. Raises what is wrong with it."""
        ...

    def predict(self, model: Model) -> Predict:
        """What is run."""
        ...


@dataclass
class Side:
    """What one of the two versions did."""

    requests: int = 0
    errors: int = 0
    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=TIMES))

    def public(self) -> dict[str, Any]:
        median, late = np.quantile(list(self.seconds) or [0.0], [0.5, 0.99])
        return {
            "requests": self.requests,
            "errors": self.errors,
            "p50_ms": round(median * 1e3, 3),
            "p99_ms": round(late * 1e3, 3),
        }


class Trial:
    """One candidate beside the version that answers, in this process, until its plan changes or its budget breaks."""

    def __init__(self, plan: Plan, answering: Model, candidate: Model, end: Callable[["Trial", str], None]) -> None:
        self.plan, self.answering, self.candidate, self._end = plan, answering, candidate, end
        self.main, self.tried = Side(), Side()
        self.compared = self.agreed = self.skipped = 0
        self.differing: deque[str] = deque(maxlen=REMEMBERED)
        self.over = False
        self._owed = 0.0
        self._copying: asyncio.Task[None] | None = None
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="trial", initializer=_be_nice)

    def takes(self) -> bool:
        """Whether this request is one of the plan's share: exactly `percent` of them, evenly spread."""
        if self.over:
            return False
        self._owed += self.plan.percent
        if self._owed < 100:
            return False
        self._owed -= 100
        return True

    def answered(self, side: Side, timing: Timing) -> None:
        """A version answered a request."""
        side.requests += 1
        side.seconds.append(timing.queue_s + timing.compute_s)
        self._judge()

    def failed(self, error: ServiceError) -> None:
        """The candidate failed where the other version answered."""
        self.tried.requests += 1
        self.tried.errors += 1
        self._note(f"failed: {error.message}")
        self._judge()

    def _note(self, what: str) -> None:
        identity = logs.request_id.get()
        self.differing.append(identity)
        fields = {"model": self.candidate.name, "version": self.candidate.version, "request_id": identity}
        log.info("a tried version %s", what, extra={"fields": fields})

    def copy(self, question: Question, said: Sequence[Arrays], timing: Timing) -> None:
        """Ask the other version too, when nobody waits any more, and compare with what was `said`."""
        if self.over or (self._copying and not self._copying.done()):
            self.skipped += 1
            return
        self._copying = asyncio.create_task(self._copy(question, list(said), timing))

    async def _copy(self, question: Question, said: list[Arrays], timing: Timing) -> None:
        shadow = self.plan.kind == "shadow"
        other = self.candidate if shadow else self.answering
        with other.lease():
            try:
                same, seconds = await asyncio.get_running_loop().run_in_executor(self._aside, _asked, other, question, said)
            except ServiceError as error:
                if shadow:
                    self.failed(error)
                return
            except Exception as error:  # whatever a candidate does wrong: it is what the trial is to find out
                log.exception("a copied request failed")
                if shadow:
                    self.failed(ModelFailed(f"{type(error).__name__} in its copy"))
                return
        self.compared += len(same)
        self.agreed += int(same.sum())
        if not same.all():
            self._note("said something else")
        if shadow:
            self.answered(self.tried, Timing(0.0, seconds, timing.batch_rows))
        else:
            self._judge()

    def broken(self) -> str:
        """Which part of the budget is spent; empty while none is."""
        budget, tried = self.plan.budget, self.tried
        if tried.errors > budget.errors * max(tried.requests, budget.least):
            return f"{tried.errors} of its {tried.requests} requests failed; at most {budget.errors:.1%} may"
        differ = self.compared - self.agreed
        if differ > budget.disagreement * max(self.compared, budget.least):
            return f"{differ} of {self.compared} compared answers differ; at most {budget.disagreement:.1%} may"
        if min(len(tried.seconds), len(self.main.seconds)) >= budget.least and tried.requests % 10 == 0:
            late, usual = (float(np.quantile(list(side.seconds), 0.99)) for side in (tried, self.main))
            if late > budget.slower * usual and late > usual + NOTICED_S:
                return (
                    f"its 99th percentile is {late * 1e3:.1f} ms where version {self.answering.version} has "
                    f"{usual * 1e3:.1f} ms; at most {budget.slower:g} times as much is allowed"
                )
        return ""

    def _judge(self) -> None:
        if not self.over and (reason := self.broken()):
            self.over = True
            self._end(self, reason)

    def close(self) -> None:
        """No more copies; one that runs may finish."""
        self.over = True
        self._aside.shutdown(wait=False, cancel_futures=True)

    def public(self) -> dict[str, Any]:
        """For `GET /v1/models/{name}`."""
        return {
            **self.plan.model_dump(),
            "answering": {"version": self.answering.version, **self.main.public()},
            "candidate": {"version": self.candidate.version, **self.tried.public()},
            "compared": self.compared,
            "agreement": round(self.agreed / self.compared, 6) if self.compared else None,
            "differing_requests": list(self.differing),
            "not_copied": self.skipped,
        }


def _asked(model: Model, question: Question, said: list[Arrays]) -> tuple[Any, float]:
    """In the thread: which rows of the answers are alike, and the processor's seconds that this version took."""
    items = question.prepare(model)
    begun = time.thread_time()
    rows = [model.compute(question.predict(model), item.arrays) for item in items]
    seconds = time.thread_time() - begun
    parts = [alike(model.room, one, other) for one, other in zip(said, rows, strict=True)]
    return np.concatenate(parts), seconds


def _be_nice() -> None:
    """This thread after all others, where the system has priorities for threads."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    except (AttributeError, OSError):
        log.debug("no priorities for threads here")
