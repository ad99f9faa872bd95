"""One request to its arrays: which version is asked, the trial beside it, the clock. Knows models and trials; knows no HTTP."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from service.errors import DeadlineExceeded, ServiceError
from service.family import Item
from service.golden import Arrays
from service.model import Model, Timing, Wait
from service.trial import Question, Trial


class Request(Question, Protocol):
    """A question that came in."""

    async def decode(self, model: Model) -> list[Item]:
        """`prepare`, in a thread where it is long."""
        ...


@dataclass(slots=True)
class Answered:
    """The version that answered, what it was asked and what it said, item by item."""

    model: Model
    items: list[Item]
    rows: list[Arrays]
    timing: Timing
    decode_s: float


Result = TypeVar("Result")
Say = Callable[[Answered], Awaitable[Result]]


async def answering(request: Request, model: Model, trial: Trial | None, wait: Wait, say: Say[Result]) -> Result:
    """What `say` makes of the answer of `model`, or of the candidate of its `trial`; that version stays open until it did.

    Raises what a version raises; what a candidate alone raises is only counted.
    """
    failure: ServiceError | None = None
    if trial and trial.plan.kind == "canary" and trial.takes():
        with trial.candidate.lease():
            try:
                done = await _ask(request, trial.candidate, wait)
            except DeadlineExceeded as error:
                trial.failed(error)
                raise
            except ServiceError as error:  # the other version is asked too: if it refuses as well, it was the request's fault
                failure = error
            else:
                trial.answered(trial.tried, done.timing)
                trial.copy(request, done.rows, done.timing)
                return await _said(done, say)
    with model.lease():
        done = await _ask(request, model, wait)
        if trial and failure:
            trial.failed(failure)
        elif trial:
            trial.answered(trial.main, done.timing)
            if trial.plan.kind == "shadow" and trial.takes():
                trial.copy(request, done.rows, done.timing)
        return await _said(done, say)


async def _said(done: Answered, say: Say[Result]) -> Result:
    """What `say` says, its time the last of the answer's."""
    begun = time.perf_counter()
    found = await say(done)
    timing = done.timing
    done.model.statistics.answered(done.decode_s, timing.queue_s, timing.compute_s, time.perf_counter() - begun)
    return found


async def _ask(request: Request, model: Model, wait: Wait) -> Answered:
    begun = time.perf_counter()
    try:
        items = await request.decode(model)
        decode_s = time.perf_counter() - begun
        rows, timing = await model.predict([item.arrays for item in items], request.predict(model), wait)
    except BaseException:
        model.statistics.failed(time.perf_counter() - begun)
        raise
    return Answered(model, items, rows, timing, decode_s)
